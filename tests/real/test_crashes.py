"""Real kernels that fail on purpose in real QEMU: what the console reader makes of them, live and whole.

PID 1 is tests/programs/provoke.c, which takes its orders from the kernel command line; no init of ours, no trials.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.accel import Answers
from bisectbot.boot.qemu import QemuMachine
from bisectbot.console import ConsoleReader, Reading, read_console
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.model import Accel, Arch, CrashKind, Kernel, QemuHost
from bisectbot.ports import Deadline
from csrc import compile_one

pytestmark = pytest.mark.real

SECONDS = 60.0  # the most that one boot may take on a busy machine
FIRST_LINES = {Arch.X86_64: ("tsc_early_khz=2600000",), Arch.AARCH64: ()}
NULL_WRITE = "BUG: kernel NULL pointer dereference in lkdtm_EXCEPTION"
K = CrashKind


@dataclass(frozen=True)
class Lab:
    """One architecture's kernel and the program that makes it fail."""

    folder: Path
    arch: Arch
    kernel: Kernel
    provoke: Path

    def read(self, orders: str, words: str = "", archive: bytes | None = None) -> Reading:
        """Boot, obey `orders`, and return what the console said; the saved log must read the same."""
        row = traits(self.arch)
        cmdline = (*FIRST_LINES[self.arch], *words.split())
        host = QemuHost(
            "sut", self.arch, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, memory_mib=256, cmdline=cmdline
        )
        clock, log = SystemClock(), self.folder / "console.log"
        answers = Answers(self.folder / "accel.json")
        machine = QemuMachine(host, proc=Processes(), clock=clock, pipe=fifo, log=console_log, answers=answers)
        reader, deadline = ConsoleReader(), Deadline.after(clock, SECONDS)
        with machine.boot(self.kernel, self._archive(archive), ("--", *orders.split()), log) as console:
            for chunk in console.chunks(0.25):
                reader.feed(chunk.data if chunk else b"")
                assert not deadline.passed, log.read_text(errors="replace")
        reader.end()
        assert read_console(log.read_bytes()) == reader.reading()
        return reader.reading()

    def _archive(self, content: bytes | None) -> Path:
        file = self.folder / "initramfs"
        program = self.provoke.read_bytes()
        file.write_bytes(initramfs.pack(program, program) if content is None else content)
        return file


@pytest.fixture(params=tuple(Arch))
def lab(request: pytest.FixtureRequest, crash_kernel: Callable[[Arch], Kernel], tmp_path: Path) -> Lab:
    """Return what a boot needs, for each architecture."""
    arch: Arch = request.param
    return Lab(tmp_path, arch, crash_kernel(arch), compile_one("provoke", tmp_path, arch))


def test_reports_of_a_kernel_that_goes_on(lab: Lab) -> None:
    """A warning, a write to NULL and a BUG, each in a child, come in order; the write is the first fatal one."""
    reading = lab.read("lkdtm WARNING lkdtm EXCEPTION lkdtm BUG")
    told = [(crash.kind, crash.title) for crash in reading.crashes]
    assert told[:2] == [(K.WARNING, "WARNING in lkdtm_WARNING"), (K.OOPS, NULL_WRITE)]
    assert (K.BUG, "kernel BUG in lkdtm_BUG") in told
    assert reading.first.title == NULL_WRITE
    assert not reading.first.cut
    assert reading.goodbye
    assert reading.releases == (lab.kernel.release,)


CASES = [
    ("lkdtm PANIC", "", K.PANIC, "kernel panic: dumptest"),
    ("lkdtm WARNING", "panic_on_warn=1", K.PANIC, "kernel panic: panic_on_warn set: WARNING in lkdtm_WARNING"),
    ("eat", "", K.OOM, "out of memory"),
    ("lkdtm EXHAUST_STACK", "", K.OOPS, "kernel stack overflow in recursive_loop"),
    (
        "set /proc/sys/kernel/watchdog_thresh 1 lkdtm SOFTLOCKUP",
        "softlockup_panic=1 rcupdate.rcu_cpu_stall_suppress=1",
        K.SOFT_LOCKUP,
        "soft lockup in lkdtm_SOFTLOCKUP",
    ),
]


@pytest.mark.parametrize(("orders", "words", "kind", "title"), CASES, ids=[orders for orders, *_ in CASES])
def test_a_failure_by_its_name(lab: Lab, orders: str, words: str, kind: CrashKind, title: str) -> None:
    """Each way to fail is read as its kind, under our title, on both architectures."""
    first = lab.read(orders, words).first
    assert (first.kind, first.title) == (kind, title)


def test_a_hung_task(lab: Lab) -> None:
    """A task that sleeps for ever is reported; where it sleeps depends on what the compiler inlined."""
    wait = "set /proc/sys/kernel/hung_task_timeout_secs 1 set /proc/sys/kernel/hung_task_panic 1 lkdtm HUNG_TASK"
    reading = lab.read(wait)
    assert [crash.kind for crash in reading.crashes] == [K.HUNG_TASK, K.PANIC]
    assert reading.first.title.startswith("kernel panic: hung_task: blocked tasks: hung task in ")


def test_a_kernel_without_init(lab: Lab) -> None:
    """An empty initramfs leaves no init to be found."""
    assert lab.read("", archive=b"").first.kind is K.NO_ROOT


def test_a_reset_leaves_no_report(lab: Lab) -> None:
    """A machine that is reset within a run says nothing of it: no crash, and no goodbye either."""
    reading = lab.read("sysrq b")
    assert (reading.first.kind, reading.goodbye) == (K.NONE, False)
