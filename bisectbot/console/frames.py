"""Functions named in reports, and which of them only report, lock, allocate or lead into the kernel.

The guilty function is the first that does none of that. Names are those of x86 and arm64 kernels from 4.14 on.
"""

from __future__ import annotations

import re

_NAME = r"[A-Za-z_][\w.$]*"
_ADDRESS = r"\[<[0-9a-fx]+>\] ?"
_PLACE = rf"(?P<func>{_NAME})\+0x(?P<offset>[0-9a-f]+)/0x[0-9a-f]+"

# A line of a call trace. "?": the unwinder isn't sure. Where scripts/decode_stacktrace.sh went over it, places follow.
_FRAME = re.compile(
    rf"\s*(?:{_ADDRESS})?(?P<unsure>\? )?(?:{_ADDRESS})?"
    rf"(?:{_PLACE}|\(?(?P<arm>{_NAME})\)? from |(?P<decoded>{_NAME}) \(?[\w./-]+:\d+)"
)
_TRACE = re.compile(r"\s*(?:Call [Tt]race|Backtrace): ?")
# Which stack the trace has come to, or an address that is no place in a function.
_CONTEXT = re.compile(r"\s*(?:</?\w+(?:-\w+)*>|0x[0-9a-f]+) ?$")
# Where the CPU was: x86 (kernel mode only), older x86, arm64 and riscv, arm, powerpc. arm64's link register, printed
# next, names the caller where that is nowhere (a jump to NULL) or in a function that others call.
_AT = re.compile(
    r"\s*(?:RIP: 0010:|E?IP: (?:\d+:)?|e?pc ?: |lr : |PC is at |NIP )"
    rf"(?:{_ADDRESS} ?|\[[0-9a-f]+\] )*(?P<func>{_NAME})(?:\+0x| \()"
)
_LOCK_AT = re.compile(rf" at: (?:{_ADDRESS} ?)?(?P<func>{_NAME})\+0x")
_PLACED = re.compile(rf"(?P<func>{_NAME})(?:\+0x| \()")

# Whole names, or beginnings where "*" stands. What isn't here may be guilty.
_PLUMBING = """
    dump_stack* show_stack* dump_backtrace* show_regs* show_trace* unwind_* arch_stack_walk* stack_trace_* save_stack*
    panic nmi_panic vpanic __warn warn_slowpath_* __warn_printk report_bug fixup_bug handle_bug printk _printk vprintk*
    bug_handler brk_handler call_break_hook do_debug_exception debug_exception_* oops_* die die_* __die* no_context
    bad_area* __bad_area* page_fault* do_page_fault __do_page_fault do_user_addr_fault do_kern_addr_fault
    kernelmode_fixup_or_oops spurious_kernel_fault exc_* asm_* sysvec_* __sysvec_* common_interrupt* do_trap*
    do_error_trap do_invalid_op invalid_op do_general_protection general_protection error_entry error_return
    do_nmi nmi end_repeat_nmi default_do_nmi nmi_handle* math_error handle_stack_overflow common_exception irqentry_*
    do_mem_abort do_translation_fault do_bad_area do_sea do_alignment_fault do_sp_pc_abort do_undefinstr do_el1_*
    do_serror __do_kernel_fault el1_* el1h_* el1t_* el0_* el0t_* do_el0_svc invoke_syscall
    arm64_serror_panic panic_bad_stack handle_bad_stack __bad_stack
    do_syscall_64 entry_SYSCALL* entry_INT80* do_fast_syscall_* do_int80* x64_sys_call syscall_return_slowpath
    exit_to_user_mode* syscall_exit_to_user_mode* prepare_exit_to_usermode ret_from_fork* ret_to_user ret_fast_syscall
    kthread make_task_dead rewind_stack_* do_exit do_group_exit
    refcount_warn_saturate __refcount_* refcount_* __list_add_valid* __list_del_entry_valid* __list_add
    __list_del_entry debug_print_object debug_object_* __debug_object_* check_flush_dependency
    fortify_panic __fortify_* usercopy_abort __check_object_size* __check_heap_object check_heap_object
    __stack_chk_fail __copy_overflow copy_overflow
    kasan_* __kasan_* ____kasan_* print_report print_address_description* check_memory_region* check_region_inline
    __asan_* asan_* __hwasan_* hwasan_* kfence_* __kfence_* kcsan_* __kcsan_* __tsan_* kmsan_* __kmsan_* __msan_*
    end_report describe_object* object_err slab_err slab_fix slab_bug print_trailer check_bytes_and_report check_object
    check_slab free_debug_processing alloc_debug_processing bad_page*
    ubsan_* __ubsan_* handle_overflow val_to_string
    memcpy* __memcpy* memset* __memset* memmove* __memmove* memcmp memchr* strlen strnlen strcpy strncpy strlcpy strscpy
    strcmp strncmp strstr strchr strrchr strcat ksize
    _copy_to_user _copy_from_user __copy_* copy_user_* _copy_*_iter raw_copy_* rep_movs_* __arch_copy_*
    __arch_clear_user clear_user* __clear_user
    kfree kfree_const kfree_sensitive kvfree kmem_cache_free* __kmem_cache_free slab_free* __slab_free ___cache_free
    __cache_free vfree kmalloc kmalloc_trace kmalloc_large* kmalloc_order* __kmalloc* kmem_cache_alloc* ___slab_alloc
    __slab_alloc* slab_alloc* __alloc_pages* alloc_pages* get_page_from_freelist __vmalloc* krealloc __krealloc*
    out_of_memory oom_kill_process dump_header
    lock_acquire* __lock_acquire* lock_release* __lock_release* lock_is_held* lockdep_* __lockdep_* print_*_bug
    print_circular* print_irq_inversion* print_bad_* print_usage* print_lock_* print_deadlock* print_freed_lock*
    print_irqtrace* check_noncircular* check_prev_add* check_prevs_add* check_deadlock validate_chain mark_lock*
    mark_held_locks mark_usage valid_state check_usage* check_irq_usage check_wait_context register_lock_class
    look_up_lock_class debug_check_no_* debug_mutex_* debug_locks_* __might_sleep ___might_sleep __might_resched
    __might_fault rcu_sleep_check __schedule_bug check_preemption_disabled debug_smp_processor_id
    spin_bug spin_dump do_raw_spin_* do_raw_read_* do_raw_write_* _raw_spin_* _raw_read_* _raw_write_* __raw_spin_*
    native_queued_* queued_spin_* queued_read_* queued_write_* __pv_queued_* spin_lock* spin_unlock* raw_spin_*
    mutex_lock* mutex_unlock* mutex_trylock __mutex_* ww_mutex_* rt_mutex_* __rt_mutex_* rwsem_* __down* __up_*
    down_read* down_write* down_interruptible down_killable down_timeout up_read up_write rtlock_*
    __schedule schedule schedule_timeout* schedule_hrtimeout* schedule_preempt_* schedule_idle io_schedule*
    preempt_schedule* __cond_resched* cond_resched* _cond_resched __switch_to* context_switch
    wait_for_completion* wait_for_common __wait_for_common do_wait_for_common wait_on_* prepare_to_wait* bit_wait*
    out_of_line_wait_* __wait_on_* msleep* usleep_range*
    __const_udelay __udelay __delay delay_* udelay __ndelay cpu_relax
    default_idle* native_safe_halt native_halt* arch_cpu_idle acpi_idle_* mwait_idle* intel_idle* do_idle cpu_startup_*
    cpuidle_* cpu_do_idle pv_native_* call_cpuidle
    watchdog watchdog_timer_fn watchdog_overflow_callback watchdog_hardlockup_* is_hardlockup
    __hrtimer_run_queues hrtimer_interrupt hrtimer_run_* tick_* __tick_* update_process_times timer_interrupt
    local_apic_timer_interrupt smp_apic_timer_interrupt apic_timer_interrupt handle_irq* __handle_irq*
    generic_handle_* __handle_domain_irq handle_domain_irq do_interrupt_handler call_on_irq_stack gic_handle_irq*
    __gic_handle_irq* arch_timer_handler_* handle_percpu_devid_irq do_IRQ ret_from_intr irq_exit* __irq_exit*
    __do_softirq handle_softirqs do_softirq* ____do_softirq invoke_softirq
    rcu_sched_clock_irq rcu_check_callbacks check_cpu_stall print_cpu_stall* print_other_cpu_stall rcu_dump_cpu_stacks*
    rcu_check_gp_* rcu_stall_* nmi_cpu_backtrace* nmi_trigger_* trigger_*_backtrace arch_trigger_*
    perf_event_overflow __perf_event_overflow x86_pmu_* perf_event_nmi_* intel_pmu_* amd_pmu_*
    check_hung_* sched_show_task show_state_filter
"""
_WORDS = _PLUMBING.split()
_EXACT = frozenset(word for word in _WORDS if "*" not in word)
_BEGINNINGS = re.compile("|".join(re.escape(word).replace(r"\*", r"\w*") for word in _WORDS if "*" in word))


def plain_name(name: str) -> str:
    """Return a function's name as its source has it: compilers append .isra.0, .constprop.0, .part.0, .cold."""
    return name.split(".", 1)[0]


def is_plumbing(name: str) -> bool:
    """Whether a function can't be what a report is about."""
    return name in _EXACT or _BEGINNINGS.fullmatch(name) is not None


class Suspects:
    """Takes the lines of one report and keeps the first function of each kind of evidence."""

    def __init__(self, named: str = "", *, early: bool = False) -> None:
        """`named` is the place that the report's first line names: `foo+0x1/0x2`, or `foo (` with a file behind it.

        `early`: functions count that are named before a call trace, as where a lock is taken.
        """
        match = _PLACED.match(named)
        self._named = plain_name(match["func"]) if match else ""
        self._early = early
        self._at = ""
        self._sure = ""
        self._unsure = ""
        self._fallback = self._named
        self.in_trace = False

    def take(self, text: str) -> bool:
        """Learn from a line; whether it is one of a call trace."""
        if _TRACE.match(text):
            self.in_trace = True
            return True
        begun = self.in_trace or self._early
        if begun and text.startswith((" ", "[<", "\t")) and (self._frame(text) or _CONTEXT.match(text)):
            return True
        if at := _AT.match(text) or (self._early and _LOCK_AT.search(text)):
            self._place(plain_name(at["func"]))
        return False

    def _place(self, name: str) -> None:
        if not self._at and not is_plumbing(name):
            self._at = name
        self._fallback = self._fallback or name

    def _frame(self, text: str) -> bool:
        match = _FRAME.match(text)
        if match is None:
            return False
        name = plain_name(next(filter(None, match.group("func", "arm", "decoded"))))
        # A call that doesn't return may be a function's last instruction; then the next function's name is shown.
        if match["offset"] == "0":
            return True
        if match["unsure"] and not is_plumbing(name):
            self._unsure = self._unsure or name
        elif not is_plumbing(name):
            self._sure = self._sure or name
        return True

    @property
    def traced(self) -> bool:
        """Whether the call trace has begun to come."""
        return self.in_trace and bool(self._sure or self._unsure)

    @property
    def guilty(self) -> str:
        """The function that the report is about, as far as the lines so far tell; empty if they name none."""
        named = self._named if not is_plumbing(self._named) else ""
        return named or self._at or self._sure or self._unsure or self._fallback
