"""Sessions that look like real bisections of the kernel, one for each ending."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from bisectbot.model import (
    Arch,
    BrokenBy,
    BuildBroken,
    BuildRecipe,
    Compiler,
    Crash,
    CrashKind,
    Culprit,
    Ending,
    EndUnproven,
    Fixup,
    Judgement,
    Kernel,
    NotYet,
    ProbeRecipe,
    Range,
    Span,
    Stuck,
    Trial,
    Verdict,
)
from bisectbot.ports import CommitInfo
from bisectbot.report import Fault, Interrupted, Outcome, Session, Step, Working
from bisectbot.report.maintainers import Maintainers, Recipient

FOLDER = Path("/home/kim/bisectbot/logs/20261122-1554-rseq")
BODY = """The generic helper clears the flag for every caller, so the open-coded
copies can go.

No functional change intended.

Fixes: 0123456789ab ("entry: Provide generic interrupt entry/exit code")
Reported-by: Zoë Müller <zoe@example.org>
Link: https://example.org/r/20200722220520.979724969@example.org
Signed-off-by: Ada Example <ada@example.org>
[ jd: fixed up the comment ]
Signed-off-by: Jörg Dörfler <joerg@example.com>
Signed-off-by: Build Robot <robot@localhost>
"""
CLEAN_WHY = "3 of 3 trials clean"
DIFFSTAT = """ include/linux/resume_user_mode.h | 11 +++--------
 kernel/entry/kvm.c               |  4 +++-
 2 files changed, 6 insertions(+), 9 deletions(-)"""


def sha(name: str) -> str:
    """Return a full hash, the same one for the same name."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()


def info(name: str, title: str, *parents: str, body: str = BODY) -> CommitInfo:
    """Return what git says of a commit."""
    return CommitInfo(
        commit=sha(name),
        tree=sha(f"tree of {name}"),
        parents=tuple(sha(parent) for parent in parents),
        author="Ada Example",
        email="ada@example.org",
        date="2020-07-22T23:59:59+02:00",
        title=title,
        body=body,
    )


COMMITS = {
    one.commit: one
    for one in (
        info("v5.8", "Linux 5.8", "older"),
        info("c1", "x86/entry: Tidy up the exit path", "v5.8"),
        info("c2", "mm: slub: drop `__always_inline` from <alloc> | part 1", "c1"),
        info("c3", "entry: Let the helper clear the flag", "c2"),
        info("c4", "drm/ünïcode: handle *all* [odd] _titles_ \u202egpj.exe", "c3"),
        info("side", "sched/rt: don't push a task twice", "c1"),
        info("merge", "Merge tag 'sched-urgent' of git://example.org/tip", "c4", "side"),
        info("c6", "KVM: arm64: #if 0 the old path", "merge"),
        info("v5.9-rc1", "Linux 5.9-rc1", "c6"),
    )
}


def kernel(name: str, seconds: float = 41.3, *, drift: tuple[str, ...] = (), stored: bool = False) -> Kernel:
    """Return the kernel that a commit was built into."""
    return Kernel(
        commit=sha(name),
        key=sha(f"key of {name}"),
        release=f"5.8.0-{sha(name)[:12]}",
        image=Path("/var/cache/kernels/x/bzImage"),
        config=Path("/var/cache/kernels/x/config"),
        lost_optional=("CONFIG_KVM_INTEL",),
        drift=drift,
        seconds=seconds,
        from_store=stored,
        log=FOLDER / "builds" / f"003-{sha(name)[:12]}.log",
    )


def trial(name: str, boot: int, ending: Ending, reason: str = "", /, **counts: object) -> Trial:
    """Return one run of the reproducer in a boot."""
    return Trial(
        commit=sha(name),
        boot=boot,
        ending=ending,
        reason=reason or f"the reproducer {ending}",
        counts=counts,
        boot_seconds=1.6,
        probe_seconds=4.2,
        console=FOLDER / "consoles" / f"{boot:03}-{sha(name)[:12]}.log",
        release=f"5.8.0-{sha(name)[:12]}",
        host="qemu-x86",
    )


def fired(name: str, boot: int, mismatches: int = 15275) -> Trial:
    """Return a run that saw the bug."""
    reason = "exit code 1: rseq.cpu_id was stale"
    return trial(name, boot, Ending.FIRED, reason, mismatches=mismatches, kvm_runs=82818, migrations=5000)


def clean(name: str, boot: int) -> Trial:
    """Return a run that saw nothing."""
    return trial(name, boot, Ending.CLEAN, mismatches=0, kvm_runs=54599, migrations=5000)


def bad(name: str, boot: int, *, drift: tuple[str, ...] = ()) -> Step:
    """Return a commit that is bad."""
    why = "exit code 1: rseq.cpu_id was stale"
    return Step(COMMITS[sha(name)], kernel(name, drift=drift), (fired(name, boot),), Judgement(Verdict.BAD, why))


def good(name: str, boot: int) -> Step:
    """Return a commit that is good: three clean runs in one boot."""
    return Step(COMMITS[sha(name)], kernel(name), (clean(name, boot),) * 3, Judgement(Verdict.GOOD, CLEAN_WHY))


def broken(name: str) -> Step:
    """Return a commit that doesn't compile."""
    error = "error: implicit declaration of function 'tracehook_notify_resume' [-Werror]"
    log = FOLDER / "builds" / f"004-{sha(name)[:12]}.log"
    built = BuildBroken(sha(name), BrokenBy.COMPILE, error, "kernel/entry/kvm.c", 12.5, log=log)
    return Step(COMMITS[sha(name)], built, (), Judgement(Verdict.SKIP, f"it doesn't compile: {error}"))


def panics(name: str, boot: int) -> Step:
    """Return a commit that panics at boot, three times."""
    crash = Crash(CrashKind.PANIC, "kernel panic: Attempted to kill init!", "do_exit")
    one = replace(trial(name, boot, Ending.BOOT_CRASHED, crash.title), crash=crash, notes=("WARNING in rt_mutex_init",))
    trials = tuple(replace(one, boot=at, console=FOLDER / f"consoles/{at:03}.log") for at in range(boot, boot + 3))
    why = f"no verdict in 3 boots; the last crashed at boot: {crash.title}"
    return Step(COMMITS[sha(name)], kernel(name), trials, Judgement(Verdict.SKIP, why))


def cant_tell(name: str, boot: int) -> Step:
    """Return a commit on which the reproducer didn't get to work."""
    one = trial(name, boot, Ending.CANT_TELL, "the reproducer can't tell (exit 125)", reason="no /dev/kvm")
    return Step(COMMITS[sha(name)], kernel(name), (one,), Judgement(Verdict.SKIP, one.reason))


BISECT_LOG = f"""git bisect start '--no-checkout' '--term-bad=bad' '--term-good=good'
# bad: [{sha("v5.9-rc1")}] Linux 5.9-rc1
git bisect bad {sha("v5.9-rc1")}
# good: [{sha("v5.8")}] Linux 5.8
git bisect good {sha("v5.8")}
# skip: [{sha("c4")}] drm/ünïcode: handle *all* [odd] _titles_ \u202egpj.exe
git bisect skip {sha("c4")}
# bad: [{sha("c3")}] entry: Let the helper clear the flag
git bisect bad {sha("c3")}
# good: [{sha("c2")}] mm: slub: drop `__always_inline` from <alloc> | part 1
git bisect good {sha("c2")}
# first bad commit: [{sha("c3")}] entry: Let the helper clear the flag
"""
MAINTAINERS = Maintainers(
    (
        Recipient("Thomas Torvald", "tt@example.net", "maintainer:GENERIC ENTRY CODE"),
        Recipient("Łukasz, the Reviewer", "lukasz@example.net", "reviewer:GENERIC ENTRY CODE"),
        Recipient("", "linux-kernel@vger.kernel.org", "open list"),
    )
)
QEMU = (
    *("qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-cpu", "EPYC,+svm"),
    *("-smp", "2,sockets=2,cores=1,threads=1", "-m", "512", "-display", "none", "-no-reboot", "-nodefaults"),
    *("-kernel", "/var/cache/kernels/x/bzImage", "-initrd", f"{FOLDER}/initramfs.cpio"),
    *("-append", "console=ttyS0 tsc_early_khz=2600000 bisectbot.token=00ff bisectbot.trials=3 bisectbot.limit=60"),
    *("-chardev", "pipe,path=/tmp/x/console,id=console", "-serial", "chardev:console", "-monitor", "none"),
)
STEPS = (
    bad("v5.9-rc1", 1),
    good("v5.8", 2),
    broken("c4"),
    panics("merge", 3),
    bad("c3", 6, drift=("CONFIG_GENERIC_ENTRY: y -> n",)),
    good("c1", 7),
    good("c2", 8),
)
CULPRIT = sha("c3")


def session(outcome: Outcome = Culprit(CULPRIT), steps: tuple[Step, ...] = STEPS) -> Session:  # noqa: B008  frozen
    """Return a whole session that ended with `outcome`."""
    return Session(
        name=FOLDER.name,
        folder=FOLDER,
        tree=Path("/home/kim/src/linux"),
        range_=Range(sha("v5.9-rc1"), (sha("v5.8"),)),
        build=BuildRecipe(
            arch=Arch.X86_64,
            fragments=(Path("/opt/kconfigs/base.config"), Path("/opt/kconfigs/kvm-rseq.config")),
            compilers=(Compiler("gcc-10", Span(until=sha("c1"))), Compiler("ccache gcc-12")),
            make_vars=(("KCFLAGS", "-Wno-error=array-bounds -g0"),),
            fixups=(Fixup("0a1b2c3", "diff", Span(since=sha("c1"))),),
            jobs=2,
        ),
        probe=ProbeRecipe(Path("/var/cache/programs/kvm-rseq"), ("--migrations", "5000"), runs=3, tries=3),
        host="qemu-x86",
        outcome=outcome,
        steps=steps,
        began=1795363200.0,
        latest=1795364100.5,
        seconds=900.5,
        stage_seconds={"build": 630.0, "boot": 12.8, "probe": 50.4, "other": 7.3},
        fragments=("base", "kvm-rseq"),
        versions={"bisectbot": "0.1.0", "git": "2.39.5", "compiler": "gcc (Debian 12.2.0-14) 12.2.0", "QEMU": "7.2.13"},
        native="x86_64",
        commits=tuple(COMMITS.values()),
        diffstat=DIFFSTAT,
        maintainers=MAINTAINERS,
        bisect_log=BISECT_LOG,
        boot_argv=QEMU,
        faults=("boot 5 of 1234567890ab: QEMU could not bind its socket",),
    )


def with_culprit(odd: CommitInfo) -> Session:
    """Return the session with a culprit whose author wrote something else."""
    whole = session()
    steps = tuple(replace(step, commit=odd) if step.commit.commit == CULPRIT else step for step in whole.steps)
    return replace(whole, steps=steps)


ENDINGS: dict[str, Session] = {
    "culprit": session(),
    "only-skipped": session(
        Stuck((sha("v5.9-rc1"), sha("merge"), sha("c4"))),
        (bad("v5.9-rc1", 1), good("v5.8", 2), broken("c4"), panics("merge", 3)),
    ),
    "end-unproven": session(
        EndUnproven(sha("v5.9-rc1"), Verdict.BAD, Judgement(Verdict.GOOD, "3 of 3 trials clean")),
        (good("v5.9-rc1", 1),),
    ),
    "fault": session(Fault("no space left on /var", "free some disk space"), STEPS[:3]),
    "interrupted": session(Interrupted("SIGINT"), STEPS[:2]),
    "running": session(
        Working(f"building {sha('c1')[:12]}", 2),
        (*STEPS[:4], Step(COMMITS[sha("c1")], None, (), NotYet("0 of 3 clean trials, 0 without a verdict"))),
    ),
}
