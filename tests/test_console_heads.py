"""First lines of reports in the wordings of many kernels, and which functions can't be guilty."""

from __future__ import annotations

import re

import pytest

from bisectbot.console.frames import is_plumbing, plain_name
from bisectbot.console.reports import read_head, unvarying
from bisectbot.model import CrashKind

K = CrashKind
HEADS = [
    ("WARNING: CPU: 3 PID: 7 at net/core/dev.c:12", K.WARNING, "WARNING at net/core/dev.c"),
    ("WARNING: at fs/inode.c:12 drop+0x1/0x2()", K.WARNING, "WARNING at fs/inode.c"),
    ("WARNING: [!ok] fs/inode.c:12 at drop+0x1/0x2, CPU#1: sh/7", K.WARNING, "WARNING at fs/inode.c"),
    ("BUG: KASAN: double-free or invalid-free in kfree+0x1/0x2", K.KASAN, "KASAN: double-free or invalid-free"),
    ("BUG: KASAN: slab-use-after-free in f+0x1/0x2 [m]", K.KASAN, "KASAN: slab-use-after-free"),
    ("BUG: KFENCE: memory corruption in f+0x1/0x2", K.KASAN, "KFENCE: memory corruption"),
    ("BUG: KCSAN: data-race in a / b", K.LOCKDEP, "KCSAN: data-race in a / b"),
    ("BUG: KCSAN: assert: race in a.isra.0+0x1/0x2", K.LOCKDEP, "KCSAN: assert: race in a"),
    ("UBSAN: Undefined behaviour in lib/a.c:12:3", K.UBSAN, "UBSAN: Undefined behaviour at lib/a.c"),
    ("WARNING: possible irq lock inversion dependency detected", K.LOCKDEP, None),
    ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", K.LOCKDEP, None),
    ("WARNING: held lock freed!", K.LOCKDEP, "lockdep: held lock freed"),
    ("[ INFO: suspicious RCU usage. ]", K.LOCKDEP, "lockdep: suspicious RCU usage"),
    ("[ BUG: Invalid wait context ]", K.LOCKDEP, "lockdep: Invalid wait context"),
    ("INFO: trying to register non-static key.", K.LOCKDEP, None),
    ("BUG: MAX_LOCKDEP_CHAINS too low!", K.LOCKDEP, None),
    ("BUG: spinlock bad magic on CPU#0, sh/7", K.BUG, "BUG: spinlock bad magic"),
    ("BUG: spinlock recursion on CPU#0, sh/7", K.LOCKDEP, None),
    ("BUG: spinlock lockup suspected on CPU#0, sh/7", K.SOFT_LOCKUP, "spinlock lockup"),
    ("NMI watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:7]", K.SOFT_LOCKUP, "soft lockup"),
    ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 1", K.HARD_LOCKUP, "hard lockup"),
    ("watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 2", K.HARD_LOCKUP, "hard lockup"),
    ("watchdog: CPU 1 self-detected hard LOCKUP @ f+0x1/0x2", K.HARD_LOCKUP, "hard lockup"),
    ("INFO: rcu_sched self-detected stall on CPU", K.RCU_STALL, "RCU stall"),
    ("rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: {", K.RCU_STALL, "RCU stall"),
    ("INFO: rcu_tasks detected stalls on tasks:", K.RCU_STALL, "RCU stall"),
    ("INFO: task kworker/0:1:7 blocked for more than 122 seconds.", K.HUNG_TASK, "hung task"),
    ("INFO: task sh:7 blocked in I/O wait for more than 122 seconds.", K.HUNG_TASK, "hung task"),
    ("BUG: Unable to handle kernel data access at 0xc0", K.OOPS, None),
    ("Unable to handle kernel access to user memory outside uaccess routines at virtual address 0", K.OOPS, None),
    ("general protection fault: 0000 [#1] SMP", K.OOPS, "general protection fault"),
    ("stack segment: 0000 [#1] SMP", K.OOPS, "stack segment"),
    ("traps: PANIC: double fault, error_code: 0x0", K.OOPS, "double fault"),
    ("Internal error: synchronous external abort: 96000210 [#1] SMP", K.OOPS, "synchronous external abort"),
    ("Internal error: Oops - Undefined instruction: 0 [#1] SMP", K.OOPS, "Oops - Undefined instruction"),
    ("Oops [#1]", K.OOPS, "Oops"),
    ("Bad mode in Error handler detected on CPU0, code 0xbf000002 -- SError", K.OOPS, "bad mode in Error handler"),
    ("kernel BUG at mm/slub.c:312!", K.BUG, "kernel BUG at mm/slub.c"),
    ("Memory cgroup out of memory: Killed process 7 (sh)", K.OOM, "out of memory"),
    ("Out of memory: Kill process 7 (sh) score 9", K.OOM, "out of memory"),
    ("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(8,1)", K.NO_ROOT, None),
    ("Kernel panic - not syncing: Requested init /x failed (error -2).", K.NO_ROOT, "no working init found"),
    ("Kernel panic - not syncing: Out of memory: compulsory panic_on_oom", K.OOM, "out of memory"),
    ("Kernel panic - not syncing: System is deadlocked on memory", K.OOM, "out of memory"),
    ("Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b", K.PANIC, None),
    ("Kernel panic - not syncing: CPU 7 lost at 0xffffffff81000000, 12 times", K.PANIC, None),
    ("BUG: something new in task sh:7", K.BUG, "BUG: something new in task sh"),
]


@pytest.mark.parametrize(("line", "kind", "title"), HEADS, ids=[line for line, _, _ in HEADS])
def test_a_first_line_tells_the_kind(line: str, kind: CrashKind, title: str | None) -> None:
    """Each wording, of old kernels and new, is known by its kind; the title is ours and doesn't vary."""
    head = read_head(line)
    assert head is not None
    assert head.kind is kind
    assert not re.search(r"\d", head.titled("").replace("#", ""))
    if title is not None:
        assert head.titled("") == title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lost page 0xffff888012345678 of 12", "lost page # of #"),
        ("stack is corrupted in: f+0x1/0x2 [m]", "stack is corrupted in: f"),
        ("kmalloc-64 in drivers/misc/x86_64.c", "kmalloc-64 in drivers/misc/x86_64.c"),
        ("kworker/7 died.", "kworker/# died"),
    ],
)
def test_what_varies_is_taken_out(text: str, expected: str) -> None:
    """Names stay, though they hold digits; addresses, offsets and numbers go."""
    assert unvarying(text) == expected


PLUMBING = """dump_stack_lvl panic asm_exc_page_fault _raw_spin_lock_irqsave kasan_report __might_resched do_syscall_64
    el1h_64_sync_handler schedule_timeout refcount_warn_saturate queued_spin_lock_slowpath"""


@pytest.mark.parametrize("name", PLUMBING.split())
def test_what_reports_is_not_guilty(name: str) -> None:
    """Functions that print, lock or lead into the kernel are no place of a fault."""
    assert is_plumbing(name)


@pytest.mark.parametrize(
    "name", ["ext4_fill_super", "kvm_arch_vcpu_ioctl_run", "panic_show", "kmalloc_oob_right", "tick"]
)
def test_what_works_may_be_guilty(name: str) -> None:
    """A name that only resembles plumbing isn't."""
    assert not is_plumbing(name)


def test_compilers_suffixes_go() -> None:
    """One function has one name, whatever the compiler made of it."""
    assert {plain_name(f"f{suffix}") for suffix in ("", ".isra.0", ".constprop.0.cold", ".part.3")} == {"f"}
