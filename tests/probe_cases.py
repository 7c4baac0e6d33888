"""Consoles of boots, and the trials that each must give: one row a case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guestscript import (
    BOOT,
    OOPS,
    PANIC,
    RELEASE,
    WARNING,
    Script,
    banner,
    beat,
    cmdline,
    done,
    end,
    out,
    ready,
    start,
)

from bisectbot.model import Deadlines, Ending, Kernel

COMMIT = "a" * 40
KERNEL = Kernel(COMMIT, "key", RELEASE, Path("/k/bzImage"), Path("/k/config"))
DEADLINES = Deadlines(boot=100.0, silence=60.0, heartbeat=30.0, run=120.0)
LOG = Path("consoles/007.log")
SICK = b"[    0.5] tsc: Unable to calibrate against PIT\r\n"
JSON = '{"mismatches":3,"migrations":5000}'


@dataclass(frozen=True)
class Case:
    """A console, and the trials that it must give."""

    name: str
    script: Script
    endings: tuple[Ending, ...]
    reason: str  # part of the last trial's
    runs: int = 1
    signature: str | None = None
    ends: bool = False
    reset: bool = False
    seconds: float | None = None  # when the machine was ended, at the latest


def one_run(*between: tuple[float, bytes], code: int = 0, how: str = "exit") -> Script:
    """Return a boot of a second and one run, with this in between."""
    return ((0.5, BOOT), (1.0, ready()), (1.1, start()), *between, (9.0, end(how=how, code=code)), (9.1, done()))


CASES = (
    Case("clean", one_run(), (Ending.CLEAN,), "exit 0", seconds=9.2),
    Case("fired", one_run(code=1), (Ending.FIRED,), "exit 1", seconds=9.05),
    Case("fired ends the boot", one_run(code=1), (Ending.FIRED,), "saw it", runs=3),
    Case("fired by 127", one_run(code=127), (Ending.FIRED,), "exit 127"),
    Case("a signature takes no exit code away", one_run(code=1), (Ending.FIRED,), "exit 1", signature="KASAN"),
    Case("can't tell", one_run(code=125), (Ending.CANT_TELL,), "can't tell"),
    Case(
        "can't tell, with its own words",
        one_run((2.0, out('{"reason":"no /dev/kvm"}')), code=125),
        (Ending.CANT_TELL,),
        "no /dev/kvm",
    ),
    Case("exit code beyond git's", one_run(code=128), (Ending.KILLED,), "128, which means nothing"),
    Case("killed by a signal", one_run(how="signal", code=11), (Ending.KILLED,), "SIGSEGV"),
    Case("not executable", one_run(how="exec", code=8), (Ending.KILLED,), "ENOEXEC"),
    Case("over its limit", one_run(how="limit"), (Ending.HUNG,), "did not end by itself"),
    Case(
        "three clean runs on one boot",
        (
            (0.5, BOOT),
            (1.0, ready()),
            (1.1, start(1) + end(1)),
            (2.1, start(2) + end(2)),
            (3.1, start(3) + end(3) + done()),
        ),
        (Ending.CLEAN,) * 3,
        "exit 0",
        runs=3,
        seconds=3.2,
    ),
    Case(
        "clean, then fired: the third run is not waited for",
        ((1.0, BOOT + ready()), (1.1, start(1) + end(1)), (2.1, start(2)), (3.0, end(2, code=1)), (99.0, start(3))),
        (Ending.CLEAN, Ending.FIRED),
        "exit 1",
        runs=3,
        seconds=3.1,
    ),
    Case(
        "clean and nothing behind it: it counts after a moment",
        ((1.0, BOOT + ready() + start() + end()),),
        (Ending.CLEAN,),
        "exit 0",
        seconds=2.0,
    ),
    Case("a crash in the run, exit 0", one_run((2.0, OOPS)), (Ending.CRASHED,), "guilty_function", seconds=4.0),
    Case("a crash in the run, exit 1", one_run((8.9, OOPS), code=1), (Ending.CRASHED,), "guilty_function"),
    Case(
        "a crash in the run, killed", one_run((8.9, OOPS), how="signal", code=9), (Ending.CRASHED,), "guilty_function"
    ),
    Case("a panic: its end is waited for, no longer", one_run((2.0, PANIC)), (Ending.CRASHED,), "panic", seconds=2.1),
    Case(
        "a crash right behind a clean end",
        ((1.0, BOOT + ready() + start()), (2.0, end()), (2.1, OOPS)),
        (Ending.CRASHED,),
        "guilty_function",
    ),
    Case(
        "a crash between two runs belongs to the first",
        ((1.0, BOOT + ready() + start(1)), (2.0, end(1) + OOPS), (2.1, start(2)), (3.0, end(2))),
        (Ending.CRASHED,),
        "guilty_function",
        runs=2,
    ),
    Case(
        "a crash behind a bug that was seen changes nothing",
        ((1.0, BOOT + ready() + start()), (2.0, end(code=1) + PANIC)),
        (Ending.FIRED,),
        "exit 1",
    ),
    Case("the crash is the bug", one_run((2.0, OOPS)), (Ending.FIRED,), "signature", signature="guilty_.*"),
    Case("another crash than the bug", one_run((2.0, OOPS)), (Ending.CRASHED,), "guilty", signature="other_function"),
    Case("a warning is the bug", one_run((2.0, WARNING)), (Ending.FIRED,), "odd_function", signature="WARNING.*odd"),
    Case("a warning is only a note", one_run((2.0, WARNING)), (Ending.CLEAN,), "exit 0"),
    Case(
        "the bug crashes the boot of a kernel that proved itself",
        ((0.5, BOOT), (0.9, PANIC)),
        (Ending.FIRED,),
        "signature",
        signature="bisectbot test panic",
        ends=True,
        reset=True,
    ),
    Case(
        "the bug crashes a boot of unproven kernel",
        ((0.5, banner()), (0.9, PANIC)),
        (Ending.BOOT_CRASHED,),
        "bisectbot test panic",
        signature="bisectbot test panic",
    ),
    Case(
        "the bug crashes a boot with an older token",
        ((0.5, banner() + cmdline("f" * 16)), (0.9, PANIC)),
        (Ending.BOOT_CRASHED,),
        "bisectbot test panic",
        signature="bisectbot test panic",
    ),
    Case(
        "the bug crashes another kernel",
        ((0.5, banner("6.9.9-other") + cmdline()), (0.9, PANIC)),
        (Ending.WRONG_KERNEL,),
        "6.9.9-other",
        signature="bisectbot test panic",
    ),
    Case("panic at boot", ((0.5, BOOT), (0.9, PANIC)), (Ending.BOOT_CRASHED,), "panic", seconds=1.5),
    Case(
        "panic at boot, cut off by the reset",
        ((0.5, BOOT), (0.9, PANIC[:200])),
        (Ending.BOOT_CRASHED,),
        "bisectbot test panic",
        ends=True,
        reset=True,
    ),
    Case("oops at boot, and it goes on", ((0.5, BOOT + OOPS), (5.0, ready())), (Ending.BOOT_CRASHED,), "guilty"),
    Case("another release", ((1.0, ready(release="6.1.0-debian")),), (Ending.WRONG_KERNEL,), "6.1.0-debian runs there"),
    Case("another token", ((1.0, BOOT + ready(token="f" * 16)),), (Ending.WRONG_KERNEL,), "token"),
    Case("no token", ((1.0, BOOT + ready(token="")), (2.0, start() + end())), (Ending.WRONG_KERNEL,), "token"),
    Case("not a byte", (), (Ending.NO_OUTPUT,), "not one byte", seconds=60.5),
    Case("silent after a while", ((5.0, BOOT),), (Ending.BOOT_HUNG,), "silent for 60 s", seconds=65.5),
    Case(
        "talks, and never gets to init",
        tuple((float(at), b"[  %d.0] still here\r\n" % at) for at in range(1, 200, 5)),
        (Ending.BOOT_HUNG,),
        "init did not answer within 100 s; last: [  96.0] still here",
        seconds=102.0,
    ),
    Case(
        "a run without a proof counts for nothing",
        ((0.5, BOOT), (1.0, start() + out(JSON) + end(code=1)), (1.1, done())),
        (Ending.BOOT_HUNG,),
        "silent",
    ),
    Case(
        "a proof that a kernel message cut into",
        ((0.5, BOOT), (1.0, ready()[:40] + b"[ 1.0] hello\r\n" + ready()[40:150]), (1.1, start() + end())),
        (Ending.BOOT_HUNG,),
        "silent",
    ),
    Case("sick boot", ((0.5, BOOT + SICK),), (Ending.BOOT_HUNG,), "sick from the start: [    0.5] tsc: Unable"),
    Case("reset before the first byte", (), (Ending.REBOOTED,), "before it printed", ends=True, reset=True),
    Case("reset at boot", ((0.5, BOOT),), (Ending.REBOOTED,), "while the kernel booted", ends=True, reset=True),
    Case("a second banner at boot", ((0.5, BOOT), (1.0, BOOT)), (Ending.REBOOTED,), "restarted", seconds=1.1),
    Case("a second banner behind a panic", ((0.5, BOOT), (1.0, PANIC + BOOT)), (Ending.BOOT_CRASHED,), "test panic"),
    Case("a second banner in a run", one_run((2.0, BOOT)), (Ending.REBOOTED,), "during trial 1", seconds=2.1),
    Case(
        "a second banner behind half a line",
        one_run((2.0, b"[    7.1] some drv" + BOOT)),
        (Ending.REBOOTED,),
        "during trial 1",
    ),
    Case(
        "reset in a run",
        ((1.0, BOOT + ready() + start()), (2.0, beat(1, 1))),
        (Ending.REBOOTED,),
        "during trial 1",
        ends=True,
        reset=True,
    ),
    Case(
        "a reboot in a run, told by the kernel",
        ((1.0, BOOT + ready() + start()), (2.0, b"[    2.000000] reboot: Restarting system\r\n")),
        (Ending.REBOOTED,),
        "during trial 1",
        ends=True,
    ),
    Case(
        "reset after the last run, its last word lost",
        ((1.0, BOOT + ready() + start()), (2.0, end())),
        (Ending.CLEAN,),
        "exit 0",
        ends=True,
        reset=True,
    ),
    Case(
        "reset between two runs",
        ((1.0, BOOT + ready() + start(1) + end(1)),),
        (Ending.CLEAN, Ending.REBOOTED),
        "during trial 2",
        runs=2,
        ends=True,
        reset=True,
    ),
    Case("the console ends at boot", ((1.0, BOOT),), (Ending.LOST,), "the console ended while", ends=True),
    Case(
        "the console ends in a run",
        ((1.0, BOOT + ready() + start()), (2.0, beat(1, 1))),
        (Ending.LOST,),
        "during trial 1",
        ends=True,
    ),
    Case(
        "the end of a run is lost",
        ((1.0, BOOT + ready() + start(1)), (2.0, start(2) + end(2) + done())),
        (Ending.LOST,),
        "the end of trial 1",
        runs=2,
    ),
    Case(
        "done, and no run was told",
        ((1.0, BOOT + ready() + done()),),
        (Ending.LOST,),
        "the end of trial 1 never came",
    ),
    Case(
        "the start of a run is lost",
        ((1.0, BOOT + ready()), (2.0, beat(1, 1)), (3.0, out(JSON) + end(code=1))),
        (Ending.FIRED,),
        "exit 1",
    ),
    Case(
        "no beat",
        ((1.0, BOOT + ready() + start()), (2.0, beat(1, 1))),
        (Ending.HUNG,),
        "no sign of life for 30 s",
        seconds=32.5,
    ),
    Case(
        "kernel messages are no beat",
        ((1.0, BOOT + ready() + start()), *((float(at), b"[ %d.0] spam\r\n" % at) for at in range(2, 60))),
        (Ending.HUNG,),
        "no sign of life",
        seconds=33.0,
    ),
    Case("no run after the proof", ((1.0, BOOT + ready()),), (Ending.HUNG,), "no sign of life", seconds=31.5),
    Case(
        "init beats for ever, and can't end the run",
        ((1.0, BOOT + ready() + start()), *((float(at), beat(1, at)) for at in range(2, 200))),
        (Ending.HUNG,),
        "could not be ended; its limit was 120 s",
        seconds=153.0,
    ),
    Case("sick hang", ((1.0, BOOT + SICK + ready() + start()),), (Ending.HUNG,), "(sick from the start"),
)
