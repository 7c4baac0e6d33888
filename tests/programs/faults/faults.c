// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel module that breaks one rule of the kernel as it is loaded: faults.ko what=NAME. It made those cases of
 * tests/consoles/ that LKDTM has no trigger for.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

static char *what = "";
module_param(what, charp, 0);

static DEFINE_MUTEX(first_mutex);
static DEFINE_MUTEX(second_mutex);
static DEFINE_SPINLOCK(irq_lock);
static DEFINE_SPINLOCK(plain_lock);

static noinline void take_first_then_second(void)
{
	mutex_lock(&first_mutex);
	mutex_lock(&second_mutex);
	mutex_unlock(&second_mutex);
	mutex_unlock(&first_mutex);
}

static noinline void take_second_then_first(void)
{
	mutex_lock(&second_mutex);
	mutex_lock(&first_mutex);
	mutex_unlock(&first_mutex);
	mutex_unlock(&second_mutex);
}

static noinline void circular(void)
{
	take_first_then_second();
	take_second_then_first();
}

struct holder {
	struct mutex mutex;
};

static noinline void init_holder(struct holder *h)
{
	mutex_init(&h->mutex);
}

static noinline void recursive(void)
{
	static struct holder a, b;

	init_holder(&a);
	init_holder(&b);
	mutex_lock(&a.mutex);
	mutex_lock(&b.mutex);
	mutex_unlock(&b.mutex);
	mutex_unlock(&a.mutex);
}

static void tick(struct timer_list *unused)
{
	spin_lock(&irq_lock);
	spin_unlock(&irq_lock);
}

static DEFINE_TIMER(ticker, tick);

static noinline void inconsistent(void)
{
	mod_timer(&ticker, jiffies + 1);
	msleep(50);
	spin_lock(&irq_lock);
	spin_unlock(&irq_lock);
}

static noinline void irq_order(void)
{
	mod_timer(&ticker, jiffies + 1);
	msleep(50);
	spin_lock(&plain_lock);
	spin_unlock(&plain_lock);
	spin_lock_bh(&irq_lock);
	spin_lock(&plain_lock);
	spin_unlock(&plain_lock);
	spin_unlock_bh(&irq_lock);
}

static noinline void unbalanced(void)
{
	mutex_unlock(&first_mutex);
}

static noinline void rcu_unprotected(void)
{
	static int *shared;

	pr_info("shared is %p\n", rcu_dereference(shared));
}

static noinline void sleep_atomic(void)
{
	spin_lock(&plain_lock);
	mutex_lock(&first_mutex);
	mutex_unlock(&first_mutex);
	spin_unlock(&plain_lock);
}

static noinline void sleep_for_real(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	preempt_enable();
}

static noinline void wait_context(void)
{
	raw_spinlock_t raw;

	raw_spin_lock_init(&raw);
	raw_spin_lock(&raw);
	spin_lock(&plain_lock);
	spin_unlock(&plain_lock);
	raw_spin_unlock(&raw);
}

static noinline void held_freed(void)
{
	struct holder *h = kmalloc(sizeof(*h), GFP_KERNEL);

	init_holder(h);
	mutex_lock(&h->mutex);
	kfree(h);
}

static noinline void cpu_unpinned(void)
{
	pr_info("on %d\n", smp_processor_id());
}

static noinline void write_past_end(void)
{
	char *p = kmalloc(24, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(p);
	p[24 + 8] = 'x';
	kfree(p);
}

static noinline void read_freed(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	OPTIMIZER_HIDE_VAR(p);
	pr_info("%d\n", READ_ONCE(p[3]));
}

static noinline void free_twice(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
}

static noinline void wild_read(void)
{
	int *p = (int *)0xdead4ead00000000UL;

	OPTIMIZER_HIDE_VAR(p);
	pr_info("%d\n", READ_ONCE(*p));
}

static noinline void null_read(void)
{
	int *p = NULL;

	OPTIMIZER_HIDE_VAR(p);
	pr_info("%d\n", READ_ONCE(p[4]));
}

static noinline void divide(void)
{
	int zero = 0;

	OPTIMIZER_HIDE_VAR(zero);
	pr_info("%d\n", 5 / zero);
}

static noinline void jump_to_null(void)
{
	void (*f)(void) = NULL;

	OPTIMIZER_HIDE_VAR(f);
	f();
}

static noinline void shift_too_far(void)
{
	int by = 77;

	OPTIMIZER_HIDE_VAR(by);
	pr_info("%d\n", 1 << by);
}

static noinline void index_too_far(void)
{
	static int four[4];
	int at = 10;

	OPTIMIZER_HIDE_VAR(at);
	pr_info("%d\n", four[at]);
}

static noinline void warn_twice(void)
{
	WARN(1, "the first of two\n");
	WARN_ON(1);
}

static void nothing(struct rcu_head *unused)
{
}

/* Somebody has to wait for a grace period, or a CPU that never passes through one isn't missed. */
static noinline void stall(void)
{
	static struct rcu_head waiting;
	unsigned long end = jiffies + 12 * HZ;

	call_rcu(&waiting, nothing);
	rcu_read_lock();
	preempt_disable();
	while (time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
	rcu_read_unlock();
}

static noinline void wait_forever(void)
{
	static DECLARE_COMPLETION(never);

	wait_for_completion(&never);
	pr_info("never\n");
}

static void busy(struct work_struct *unused)
{
	unsigned long end = jiffies + 15 * HZ;

	while (time_before(jiffies, end))
		cpu_relax();
}

static DECLARE_WORK(busy_work, busy);

static noinline void queue_stuck(void)
{
	schedule_work(&busy_work);
	msleep(16000);
}

#ifdef CONFIG_X86
static noinline void triple_fault(void)
{
	const struct {
		u16 size;
		u64 base;
	} __packed no_handlers = { 0, 0 };

	asm volatile("lidt %0; ud2" : : "m"(no_handlers));
}
#endif

static const struct {
	const char *name;
	void (*act)(void);
} faults[] = {
	{ "circular", circular },
	{ "recursive", recursive },
	{ "inconsistent", inconsistent },
	{ "irq_order", irq_order },
	{ "unbalanced", unbalanced },
	{ "rcu_unprotected", rcu_unprotected },
	{ "sleep_atomic", sleep_atomic },
	{ "sleep_for_real", sleep_for_real },
	{ "wait_context", wait_context },
	{ "held_freed", held_freed },
	{ "cpu_unpinned", cpu_unpinned },
	{ "write_past_end", write_past_end },
	{ "read_freed", read_freed },
	{ "free_twice", free_twice },
	{ "wild_read", wild_read },
	{ "null_read", null_read },
	{ "divide", divide },
	{ "jump_to_null", jump_to_null },
	{ "shift_too_far", shift_too_far },
	{ "index_too_far", index_too_far },
	{ "warn_twice", warn_twice },
	{ "stall", stall },
	{ "wait_forever", wait_forever },
	{ "queue_stuck", queue_stuck },
#ifdef CONFIG_X86
	{ "triple_fault", triple_fault },
#endif
};

static int __init faults_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (!strcmp(what, faults[i].name)) {
			faults[i].act();
			return 0;
		}
	}
	pr_err("faults: no fault is called %s\n", what);
	return -EINVAL;
}

static void __exit faults_exit(void)
{
	del_timer_sync(&ticker);
}

module_init(faults_init);
module_exit(faults_exit);
MODULE_DESCRIPTION("Breaks one rule of the kernel");
MODULE_LICENSE("GPL");
