// SPDX-License-Identifier: GPL-2.0-only
/* The vCPU thread: KVM_RUN, then the read side, for ever. */
#include "race_sides.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rseq_area.h"

uint32_t race_kernel_cpu(void)
{
	unsigned int cpu = 0;

	syscall(SYS_getcpu, &cpu, NULL, NULL);
	return cpu;
}

static void note_mismatch(struct race *race, uint32_t rseq_cpu, uint32_t cpu)
{
	if (count(&race->mismatches) == 1) {
		pthread_mutex_lock(&race->lock);
		race->first_at = race_now();
		race->first_rseq_cpu = rseq_cpu;
		race->first_kernel_cpu = cpu;
		pthread_mutex_unlock(&race->lock);
	}
	if (!race->plan.keep_going)
		race_stop(race, NULL);
}

/* A migration is under way: let it end. Nothing is ordered here, the next try does that. */
static void wait_even(const struct race *race)
{
	while (peek(&race->sequence) & 1 && !stopped(race))
		;
}

/* One try of the read side: false if a migration came between. */
static bool try_check(struct race *race, const struct rseq_area *area, uint32_t *last_cpu)
{
	uint64_t even = peek(&race->sequence);
	uint32_t cpu, rseq_cpu, again;

	if (even & 1) {
		wait_even(race);
		return false;
	}
	atomic_thread_fence(memory_order_seq_cst); /* R1, pairs with W2 */
	cpu = race_kernel_cpu();
	rseq_cpu = *area->cpu_id;
	/* Something else than our thread (CPU hotplug) may move it too, unannounced: then the kernel's answer changes. */
	again = cpu == rseq_cpu ? cpu : race_kernel_cpu();
	atomic_thread_fence(memory_order_seq_cst); /* R2, pairs with W1 */
	if (peek(&race->sequence) != even || again != cpu)
		return false;
	if (cpu != rseq_cpu)
		note_mismatch(race, rseq_cpu, cpu);
	if (cpu != *last_cpu)
		count(&race->moves);
	*last_cpu = cpu;
	/* Relaxed: pairs with settle(), which only waits for it to come. */
	atomic_store_explicit(&race->read_at, even, memory_order_relaxed);
	count(&race->reads);
	return true;
}

static void set_in_run(struct race *race, bool inside)
{
	atomic_store_explicit(&race->in_run, inside, memory_order_relaxed); /* only shown: pairs with race_tally() */
}

static bool run_guest(struct race *race)
{
	char room[128];
	struct text why = TEXT_OVER(room);
	enum vm_exit how;

	set_in_run(race, true);
	how = vm_run(&race->vm, &why);
	set_in_run(race, false);
	if (how == VM_LEFT)
		count(&race->kvm_runs);
	if (how == VM_FAILED)
		race_stop(race, why.at);
	return how != VM_FAILED;
}

/* Confined before its first check: a thread that the scheduler may move at will can't be checked at all. */
static bool prepare(struct race *race, struct rseq_area *area)
{
	char room[128];
	struct text why = TEXT_OVER(room);

	if (!cpus_confine(0, race->cpus.id[0]))
		text_add(&why, "sched_setaffinity: %s", strerror(errno));
	else if (rseq_area_get(area, &why)) {
		race->vcpu_tid = (pid_t)syscall(SYS_gettid);
		return true;
	}
	race_stop(race, why.at);
	return false;
}

void *race_run_vcpu(void *data)
{
	struct race *race = data;
	uint32_t last_cpu = (uint32_t)race->cpus.id[0];
	struct rseq_area area;

	if (!prepare(race, &area))
		return race_thread_ends(race);
	while (!stopped(race) && run_guest(race)) {
		while (!stopped(race) && !try_check(race, &area, &last_cpu))
			count(&race->retries);
		/* Release: pairs with wait_ready()'s acquire, hands over vcpu_tid. */
		atomic_store_explicit(&race->ready, peek(&race->reads) > 0, memory_order_release);
	}
	return race_thread_ends(race);
}
