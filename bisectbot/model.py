"""The nouns: frozen data that travels between the stages, each checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def check_commit(commit: str) -> None:
    """Raise ValueError unless `commit` is a full object name; a short one could name another commit later."""
    if not _HASH.fullmatch(commit):
        msg = f"not a full commit hash: {commit!r}"
        raise ValueError(msg)


class Arch(StrEnum):
    """An architecture that kernels are built for; the values are what `uname -m` prints there."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"


# --- what is asked for -------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """The commits that contain `since` and don't contain `until`: where a fix-up or a compiler applies.

    Full hashes; None leaves that side open.
    """

    since: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        for end in (self.since, self.until):
            if end is not None:
                check_commit(end)


@dataclass(frozen=True)
class Fixup:
    """A patch laid over every commit of `span` before it is built, and taken off afterwards.

    `name` is what the user gave (a revision or a file), `patch` its text as `git apply` takes it.
    """

    name: str
    patch: str
    span: Span = Span()


@dataclass(frozen=True)
class Compiler:
    """A C compiler by its command (`gcc-12`, `ccache clang`) and the commits that it is used for."""

    command: str
    span: Span = Span()


@dataclass(frozen=True)
class BuildRecipe:
    """How each candidate is built. Equal recipes and equal trees give equal kernels."""

    arch: Arch
    base: str = "tinyconfig"  # "tinyconfig", "defconfig" or the path of a .config
    fragments: tuple[Path, ...] = ()  # in the order they are merged
    compilers: tuple[Compiler, ...] = ()  # the first whose span holds the commit wins; none: the architecture's gcc
    make_vars: tuple[tuple[str, str], ...] = ()
    fixups: tuple[Fixup, ...] = ()
    jobs: int = 1
    modules: bool = False  # build and keep the modules too, where the configuration has any

    def __post_init__(self) -> None:
        if self.jobs < 1:
            msg = f"jobs must be at least 1, not {self.jobs}"
            raise ValueError(msg)


@dataclass(frozen=True)
class ProbeRecipe:
    """What runs on a booted candidate and how its outcome is read."""

    program: Path  # a static executable for the architecture
    args: tuple[str, ...] = ()
    runs: int = 3  # clean trials that make a commit good
    tries: int = 2  # boots at the most for a commit that gives no verdict
    signature: str | None = None  # a regular expression on crash titles: such a crash is the bug itself

    def __post_init__(self) -> None:
        if self.runs < 1 or self.tries < 1:
            msg = f"runs and tries must be at least 1, not {self.runs} and {self.tries}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Terms:
    """The words of `git bisect terms`; what is called bad here may be `new` or `fixed` there."""

    bad: str = "bad"
    good: str = "good"


@dataclass(frozen=True)
class Range:
    """What is bisected: full hashes, every good one an ancestor of the bad one."""

    bad: str
    goods: tuple[str, ...]
    paths: tuple[str, ...] = ()
    first_parent: bool = False
    terms: Terms = Terms()

    def __post_init__(self) -> None:
        if not self.goods:
            msg = "a range needs at least one good end"
            raise ValueError(msg)
        for end in (self.bad, *self.goods):
            check_commit(end)

    @property
    def ends(self) -> tuple[str, ...]:
        """Both ends, the bad one first: if it doesn't fire there is nothing to look for."""
        return (self.bad, *self.goods)


# --- where candidates run ----------------------------------------------------------------------


class Accel(StrEnum):
    """How QEMU runs a guest: by emulation, by this machine's KVM, or by KVM if a real boot has proven it."""

    AUTO = "auto"
    TCG = "tcg"
    KVM = "kvm"


@dataclass(frozen=True)
class Deadlines:
    """Seconds that a host may take for each step of a boot and its trials."""

    boot: float = 120.0  # from switching on to init's first fact
    silence: float = 60.0  # without one byte on the console while it boots
    heartbeat: float = 30.0  # without a beat from init while the reproducer runs
    run: float = 120.0  # one run of the reproducer; init ends it then

    def __post_init__(self) -> None:
        if min(self.boot, self.silence, self.heartbeat, self.run) <= 0:
            msg = f"deadlines must be above 0 seconds: {self}"
            raise ValueError(msg)


@dataclass(frozen=True)
class QemuHost:
    """A test machine that QEMU plays. hosts.toml describes it; config.py checks every field."""

    name: str
    arch: Arch
    cpus: int = 2  # sockets, so that a kernel without ACPI finds them too
    memory_mib: int = 512
    cpu: str = "max"  # as -cpu takes it
    machine: str = "virt"  # as -machine takes it
    accel: Accel = Accel.AUTO
    qemu_args: tuple[str, ...] = ()  # after ours
    cmdline: tuple[str, ...] = ()  # kernel command line, before ours
    deadlines: Deadlines = Deadlines()


# --- what a build gives ------------------------------------------------------------------------


@dataclass(frozen=True)
class Kernel:
    """A kernel in the store, ready to boot."""

    commit: str
    key: str  # the store's: of tree, config, compiler and make variables
    release: str  # what `uname -r` must print
    image: Path
    config: Path
    lost_optional: tuple[str, ...] = ()  # wanted optional options that the final .config lacks
    drift: tuple[str, ...] = ()  # "CONFIG_X: y -> n" against the kernel of the bad end
    seconds: float = 0.0
    from_store: bool = False
    log: Path | None = None
    modules: Path | None = None  # a .tar.gz of lib/modules/RELEASE, without depmod's files
    sources: Path | None = None  # the files of the tree that went into it, a line each
    digest: str = ""  # of what is loaded, its own release left out: equal digests are the same kernel


class BrokenBy(StrEnum):
    """Which part of a build a commit fails in."""

    CONFIG = "config"  # a required option got lost
    COMPILE = "compile"
    FIXUP = "fixup"  # a fix-up patch doesn't apply


@dataclass(frozen=True)
class BuildBroken:
    """This commit can't be built: the kernel's fault, so a skip."""

    commit: str
    by: BrokenBy
    title: str  # the root-cause line, bounded
    file: str = ""  # the guilty source file, as the compiler names it
    seconds: float = 0.0
    from_store: bool = False
    log: Path | None = None


# --- what a console tells ----------------------------------------------------------------------


class CrashKind(StrEnum):
    """What a console log shows. The values are printed by `bisectbot console`."""

    PANIC = "panic"
    OOPS = "oops"
    BUG = "bug"
    WARNING = "warning"
    KASAN = "kasan"
    UBSAN = "ubsan"
    LOCKDEP = "lockdep"
    RCU_STALL = "rcu-stall"
    SOFT_LOCKUP = "soft-lockup"
    HARD_LOCKUP = "hard-lockup"
    HUNG_TASK = "hung-task"
    OOM = "oom"
    NO_ROOT = "no-root"  # unable to mount the root file system, or no init found
    SILENT_REBOOT = "silent-reboot"  # triple fault, or a second kernel banner with no crash before it
    NO_OUTPUT = "no-output"
    NONE = "none"

    @property
    def fatal(self) -> bool:
        """Whether a trial on a kernel that showed this can't be trusted any more.

        A warning or a stall report leaves a kernel that works; memory corruption or a dead task doesn't.
        """
        return self in _FATAL


_FATAL = frozenset(
    {
        CrashKind.PANIC,
        CrashKind.OOPS,
        CrashKind.BUG,
        CrashKind.KASAN,
        CrashKind.SOFT_LOCKUP,
        CrashKind.HARD_LOCKUP,
        CrashKind.OOM,
        CrashKind.NO_ROOT,
        CrashKind.SILENT_REBOOT,
    }
)


@dataclass(frozen=True)
class Crash:
    """One report on a console."""

    kind: CrashKind
    title: str  # stable from boot to boot: no addresses, pids, CPU numbers or offsets
    frame: str = ""  # the first guilty function
    line: int = 0  # of the log, from 1
    cut: bool = False  # interleaved with other lines, or ended before the report did


# --- what a boot and its trials give -----------------------------------------------------------


class Ending(StrEnum):
    """How a trial ended. Only FIRED and CLEAN can become evidence about the bug."""

    FIRED = "fired"
    CLEAN = "clean"
    CANT_TELL = "can't tell"  # the reproducer's exit code 125
    CRASHED = "crashed"  # a fatal report that isn't the bug, while the reproducer ran
    KILLED = "killed"  # the reproducer died of a signal or couldn't be executed
    HUNG = "hung"  # the probe's deadline passed, or its heartbeat stopped
    LOST = "lost"  # the console ended (power, QEMU) while the reproducer ran
    BOOT_CRASHED = "crashed at boot"
    BOOT_HUNG = "hung at boot"
    NO_OUTPUT = "no output"  # not one byte on the console
    REBOOTED = "rebooted"  # silent reboot, triple fault or a reboot loop
    WRONG_KERNEL = "wrong kernel"  # token or release don't match: nothing seen counts

    @property
    def verdictless(self) -> bool:
        """Whether it says nothing about the bug."""
        return self not in (Ending.FIRED, Ending.CLEAN)


@dataclass(frozen=True)
class Trial:
    """One run of the reproducer, or the boot that never got that far."""

    commit: str
    boot: int  # number of the boot in this session, from 1; trials of one boot share it
    ending: Ending
    reason: str  # one line, bounded, for people
    counts: dict[str, object] = field(default_factory=dict)  # the reproducer's own JSON line
    crash: Crash | None = None  # the report that ended it
    notes: tuple[str, ...] = ()  # titles of reports that didn't (a WARNING at boot)
    boot_seconds: float = 0.0
    probe_seconds: float = 0.0
    exposure: float = 0.0  # seconds in which the reproducer is known to have been at work, before it fired if it did
    console: Path | None = None
    release: str = ""  # what the machine itself said it runs
    host: str = ""


class Verdict(StrEnum):
    """Git's own three words."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


@dataclass(frozen=True)
class Judgement:
    """A commit's verdict and why."""

    verdict: Verdict
    why: str


@dataclass(frozen=True)
class NotYet:
    """More trials are needed before a commit can be judged."""

    why: str


# --- what the search says ----------------------------------------------------------------------


@dataclass(frozen=True)
class TryNext:
    """Test this commit next; about `remaining` more steps follow."""

    commit: str
    remaining: int


@dataclass(frozen=True)
class Culprit:
    """The first bad commit."""

    commit: str
    probability: float | None = None  # None: by plain bisection, which has none


@dataclass(frozen=True)
class Stuck:
    """Only skipped commits are left: it is one of `candidates` (the known bad one among them)."""

    candidates: tuple[str, ...]
    probability: float | None = None  # that it is one of them; None: by plain bisection


@dataclass(frozen=True)
class EndUnproven:
    """An end of the range isn't what it was said to be, so nothing can be concluded."""

    commit: str
    expected: Verdict
    judgement: Judgement


Answer = Culprit | Stuck | EndUnproven
