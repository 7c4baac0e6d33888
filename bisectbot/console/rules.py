"""The table of what kernels print: how reports begin, the kind of each and our title for it.

Wordings are those of kernels from 4.14 to 6.18. Titles hold nothing that differs from boot to boot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bisectbot.model import CrashKind


@dataclass(frozen=True)
class Rule:
    """A first line: `pattern` is matched at its beginning.

    A title names groups of the pattern and {frame}, the guilty function; `plain` is used while that isn't known.
    """

    kind: CrashKind
    pattern: re.Pattern[str]
    title: str
    plain: str
    trace: bool = True  # whether a call trace follows
    early: bool = False  # whether functions named before the call trace count


def _rule(kind: CrashKind, pattern: str, title: str, plain: str = "", *, trace: bool = True) -> Rule:
    early = title.startswith(("lockdep: ", "KFENCE: ", "KMSAN: ", "KCSAN: "))  # their traces have no heading
    return Rule(kind, re.compile(pattern), title, plain or title.removesuffix(" in {frame}"), trace, early)


_K = CrashKind
_CPU = r"CPU: \d+ PID: \d+ "
_AT = r"(?P<at>[\w./-]+):\d+"
_FUNC = r"(?P<func>[A-Za-z_][\w.$]*(?:\+0x[0-9a-f]+\S*| \())"
_DIED = r".*\[#\d+\]"
_IN = "{what} in {frame}"
_NULL = "BUG: kernel NULL pointer dereference in {frame}"
_PAGING = "BUG: unable to handle kernel paging request in {frame}"
_OVERFLOW = "kernel stack overflow in {frame}"
_OF_LOCKDEP = (
    r"(?:WARNING|INFO): (?P<what>possible (?:circular|recursive|irq lock inversion)[a-z ]*?|inconsistent lock state|"
    r"suspicious RCU usage|bad (?:unlock balance|contention)|held lock freed|lock held [a-z ]*?|"
    r"(?:HARD|SOFT|\w+_)IRQ-safe -> \w+-unsafe lock order|Nested lock was not taken|Invalid wait context)"
    r"(?: detected)?[!.]?(?: \d.*)?$"
)
_HELD = r"(?P<what>lock held when returning to user space)"
_TRAPS = (
    r"(?:Oops: )?(?P<what>invalid opcode|divide error|stack segment|segment not present|stack guard page|int3|bounds|"
    r"alignment check|double fault|simd exception|coprocessor segment overrun|invalid TSS|control protection):?"
)
_HARD_LOCKUP = r"(?:Watchdog )?(?:CPU:? ?\d+:? )?(?:Watchdog )?(?:self-)?(?:detected )?[Hh]ard LOCKUP"
_UNLISTED = r"BUG: (?!.*(?:unexpected failures|self-?test))(?P<what>.+?)(?:$|[(,=:]|\bat\b|\bin process\b)"

RULES = (
    _rule(_K.WARNING, rf"WARNING: (?:{_CPU})?at {_AT}(?: {_FUNC})?", "WARNING in {frame}", "WARNING at {at}"),
    _rule(_K.WARNING, rf"WARNING: (?:\[.*\] )?{_AT} at (?:{_FUNC})?", "WARNING in {frame}", "WARNING at {at}"),
    _rule(_K.WARNING, rf"WARNING: {_CPU}(?:at {_FUNC})?", "WARNING in {frame}"),
    # Sanitizers. KFENCE and KMSAN see misused memory like KASAN; a data race is a broken locking rule.
    _rule(_K.KASAN, r"BUG: KASAN: (?P<what>[\w -]+?) (?:in|on) (?P<func>\S+)", "KASAN: {what} {access} in {frame}"),
    _rule(_K.KASAN, r"BUG: KFENCE: (?P<what>[\w -]+?) in (?P<func>\S+)", "KFENCE: {what} in {frame}"),
    _rule(_K.KASAN, r"BUG: KFENCE: (?P<what>[\w -]+)", "KFENCE: {what} in {frame}"),
    _rule(_K.KASAN, r"BUG: KMSAN: (?P<what>[\w -]+?) in (?P<func>\S+)", "KMSAN: {what} in {frame}"),
    _rule(_K.LOCKDEP, r"BUG: KCSAN: (?P<what>[\w: -]+? in \w+)\S*(?P<other>(?: / \w+)?)", "KCSAN: {what} {other}"),
    _rule(_K.UBSAN, rf"UBSAN: (?P<what>[\w -]+?) in {_AT}", "UBSAN: {what} in {frame}", "UBSAN: {what} at {at}"),
    # Locking rules.
    _rule(
        _K.LOCKDEP,
        r"WARNING: (?P<what>lock held when returning to user space)",
        "lockdep: {what} in {frame}",
        trace=False,
    ),
    _rule(_K.LOCKDEP, _OF_LOCKDEP, "lockdep: {what} in {frame}"),
    _rule(_K.LOCKDEP, r"BUG: (?P<what>sleeping function called from invalid context)", _IN),
    _rule(_K.LOCKDEP, r"BUG: (?P<what>scheduling while atomic)", _IN),
    _rule(_K.LOCKDEP, r"BUG: using (?P<what>\w+)(?:\(\))? in preemptible", "{what}() in preemptible code in {frame}"),
    _rule(_K.SOFT_LOCKUP, r"BUG: (?P<what>\w+lock lockup) suspected", _IN),
    _rule(_K.BUG, r"BUG: (?P<what>\w+(?:lock|mutex) bad magic)", "BUG: {what} in {frame}"),
    _rule(_K.LOCKDEP, r"BUG: (?P<what>(?:spin|rw|raw_spin)lock [a-z ]*[a-z])", "BUG: {what} in {frame}"),
    _rule(_K.LOCKDEP, r"BUG: (?P<what>MAX_\w+ too low|looking up invalid subclass|key )", "lockdep gave up: {what}"),
    _rule(_K.LOCKDEP, r"INFO: trying to register non-static key", "lockdep: non-static key in {frame}"),
    # Stalls.
    _rule(_K.SOFT_LOCKUP, r"BUG: (?P<what>soft lockup)", _IN),
    _rule(_K.HARD_LOCKUP, _HARD_LOCKUP, "hard lockup in {frame}"),
    _rule(_K.RCU_STALL, r"INFO: rcu\w* (?:self-)?detected (?:expedited )?stalls? on", "RCU stall in {frame}"),
    _rule(_K.HUNG_TASK, r"INFO: task .{1,40} blocked .{0,40}for more than \d", "hung task in {frame}"),
    _rule(_K.HUNG_TASK, r"BUG: workqueue lockup", "workqueue lockup", trace=False),
    # A task dies.
    _rule(_K.OOPS, r"(?i)BUG: (?:unable to handle )?kernel NULL pointer dereference", _NULL),
    _rule(_K.OOPS, r"(?i)BUG: unable to handle ", _PAGING),
    _rule(_K.OOPS, r"Unable to handle kernel NULL pointer dereference", _NULL),
    _rule(_K.OOPS, r"Unable to handle (?P<what>kernel [a-z -]+?)(?: at |$)", "BUG: unable to handle {what} in {frame}"),
    _rule(_K.OOPS, r"BUG: (?:\w+ )?stack guard page was hit", _OVERFLOW),
    _rule(_K.OOPS, r"Insufficient stack space to handle exception", _OVERFLOW),
    _rule(
        _K.OOPS, rf"(?:Oops: )?(?P<what>general protection)(?: fault|:){_DIED}", "general protection fault in {frame}"
    ),
    _rule(_K.OOPS, _TRAPS + _DIED, _IN),
    _rule(_K.OOPS, r"PANIC: (?P<what>double fault)", _IN),
    _rule(_K.OOPS, r"Internal error: (?P<what>(?:UBSAN: )?[A-Za-z][\w /-]*?)(?=: | ?\[#|$)", _IN),
    _rule(_K.OOPS, r"(?P<what>Oops)(?:: |\[#\d| \[#\d| - )", _IN),
    _rule(_K.OOPS, r"Unexpected kernel BRK exception", "unexpected BRK exception in {frame}"),
    _rule(_K.OOPS, r"Bad mode in (?P<what>[\w ]+ handler)", "bad mode in {what}"),
    _rule(_K.BUG, r"kernel BUG at (?P<at>[^\s:]+)", "kernel BUG in {frame}", "kernel BUG at {at}"),
    # Memory.
    _rule(_K.OOM, r".{1,40} invoked oom-killer: ", "out of memory"),
    _rule(_K.OOM, r"(?:Memory cgroup o|O)ut of memory(?:: Kill| and no)", "out of memory", trace=False),
    _rule(_K.BUG, r"BUG (?P<what>\S+) \(.*?\): (?P<how>[A-Za-z ]+)", "slab corruption: {how} in {what}"),
    _rule(_K.BUG, r"BUG: (?P<what>Bad page (?:state|map|cache))", "BUG: {what} in {frame}"),
    _rule(_K.BUG, r"BUG: (?P<what>Bad rss-counter state|non-zero pgtables_bytes)", "BUG: {what}", trace=False),
    # The root file system.
    _rule(_K.NO_ROOT, r"VFS: Cannot open root device", "unable to mount root fs"),
    _rule(_K.WARNING, r"BUG: (?P<what>arch topology borken)", "BUG: {what}", trace=False),
    # What isn't listed. The test suite of lockdep counts "unexpected failures" this way.
    _rule(_K.BUG, _UNLISTED, "BUG: {what}", trace=False),
)

PANICS = (
    (CrashKind.NO_ROOT, re.compile(r"VFS: Unable to mount root|Root-NFS: "), "unable to mount root fs"),
    (CrashKind.NO_ROOT, re.compile(r"No working init found|No init found|Requested init "), "no working init found"),
    (CrashKind.OOM, re.compile(r"[Oo]ut of memory|System is deadlocked on memory"), "out of memory"),
)

# Cheap: nearly all lines of a console begin otherwise.
BEGINNINGS = (
    "WARNING: ", "BUG", "UBSAN: ", "INFO: ", "[ ", "watchdog: ", "NMI watchdog: ", "rcu: ", "traps: ", "Watchdog ",
    "CPU ", "Hard LOCKUP", "Unable to handle ", "Insufficient stack", "general protection", "Oops", "invalid ",
    "divide error", "stack ", "segment not", "int3", "bounds", "alignment check", "double fault", "simd exception",
    "coprocessor", "control protection", "PANIC: ", "Internal error", "Unexpected kernel BRK", "Bad mode in",
    "kernel BUG at ", "Out of memory", "Memory cgroup out", "VFS: Cannot open", "Kernel panic", "---[ end Kernel panic",
)  # fmt: skip
