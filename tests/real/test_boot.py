"""Real kernels in real QEMU: each way in which a boot or a run can end, by its own name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.accel import KVM_DEVICE, Answers
from bisectbot.boot.qemu import QemuMachine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.errors import HostSick
from bisectbot.model import Accel, Arch, CrashKind, Deadlines, Ending, Kernel, QemuHost, Trial
from bisectbot.probe.trials import probe
from bisectbot.probe.watcher import Asked
from csrc import compile_one, ours

pytestmark = pytest.mark.real

TOKEN = "0123456789abcdef"  # noqa: S105  (proves a boot, opens nothing)
ARCHES = (Arch.X86_64, Arch.AARCH64)
DEADLINES = Deadlines(boot=60.0, silence=30.0, heartbeat=20.0, run=60.0)
CMDLINE = {Arch.X86_64: ("tsc_early_khz=2600000",), Arch.AARCH64: ()}
KernelOf = Callable[[Arch, str], Kernel]


@dataclass(frozen=True)
class Bench:
    """A host, a kernel and two programs, ready to be booted."""

    folder: Path
    host: QemuHost
    kernel: Kernel
    init: Path
    provoke: Path

    def archive(self, *orders: str, init: Path | None = None) -> Path:
        """Return an initramfs whose reproducer obeys `orders`."""
        file = self.folder / "initramfs"
        file.write_bytes(initramfs.pack((init or self.init).read_bytes(), self.provoke.read_bytes(), orders))
        return file

    def on(self, **changes: object) -> Bench:
        """Return the same with another description of the host."""
        return replace(self, host=replace(self.host, **changes))  # type: ignore[arg-type]

    def saying(self, *words: str) -> Bench:
        """Return the same with more words on the command line."""
        return self.on(cmdline=(*self.host.cmdline, *words))

    @property
    def log(self) -> Path:
        """Return where the console is kept."""
        return self.folder / "consoles/001.log"

    def boot(
        self, archive: Path, runs: int = 1, deadlines: Deadlines = DEADLINES, signature: str | None = None
    ) -> tuple[Trial, ...]:
        """Return the trials of one boot."""
        clock = SystemClock()
        answers = Answers(self.folder / "accel.json")
        machine = QemuMachine(self.host, proc=Processes(), clock=clock, pipe=fifo, log=console_log, answers=answers)
        asked = Asked(TOKEN, deadlines, runs, signature)
        return probe(machine, self.kernel, archive, asked, self.log, 1, clock)


@pytest.fixture(params=ARCHES)
def bench(request: pytest.FixtureRequest, kernel: KernelOf, tmp_path: Path) -> Bench:
    """Return what one boot needs, for each architecture."""
    arch: Arch = request.param
    row = traits(arch)
    host = QemuHost("sut", arch, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, cmdline=CMDLINE[arch])
    return Bench(tmp_path, host, kernel(arch, "good"), ours(arch).init, compile_one("provoke", tmp_path, arch))


def test_clean_runs_on_one_boot(bench: Bench) -> None:
    """Three runs on one boot are three clean trials with counts, and init answers in seconds."""
    ended = bench.boot(bench.archive("say", '{"mismatches":0}'), runs=3)
    assert [trial.ending for trial in ended] == [Ending.CLEAN] * 3
    assert all(trial.counts == {"mismatches": 0} and trial.release == bench.kernel.release for trial in ended)
    assert 0 < ended[0].boot_seconds < DEADLINES.boot
    log = bench.log.read_bytes()
    assert log.startswith(b"[+0000.")
    assert b"Linux version " + bench.kernel.release.encode() in log


@pytest.mark.parametrize(
    ("orders", "ending", "reason"),
    [
        (("exit", "1"), Ending.FIRED, "exit 1"),
        (("say", '{"reason":"no /dev/kvm"}', "exit", "125"), Ending.CANT_TELL, "no /dev/kvm"),
        (("exit", "200"), Ending.KILLED, "exit code 200"),
        (("sysrq", "i", "pause", "5"), Ending.KILLED, "SIGKILL"),
        (("sysrq", "c"), Ending.CRASHED, "sysrq"),
        (("sysrq", "b"), Ending.REBOOTED, "during trial 1"),
    ],
    ids=["fired", "can't tell", "odd exit code", "killed", "panic in the run", "reset in the run"],
)
def test_a_run_ends_by_its_name(bench: Bench, orders: tuple[str, ...], ending: Ending, reason: str) -> None:
    """What the reproducer does, or does to the kernel, is the trial's ending."""
    (trial,) = bench.boot(bench.archive(*orders))
    assert trial.ending is ending, trial
    assert reason in trial.reason


def test_a_run_over_its_limit(bench: Bench) -> None:
    """A reproducer that doesn't end is ended by init, and the trial hung."""
    (trial,) = bench.boot(bench.archive("pause", "1000"), deadlines=replace(DEADLINES, run=2.0))
    assert (trial.ending, "did not end by itself" in trial.reason) == (Ending.HUNG, True)
    assert 2 <= trial.probe_seconds < 10


def test_a_crash_that_is_the_bug_fires(bench: Bench) -> None:
    """With a signature that matches its title, a panic in the run is the bug."""
    (trial,) = bench.boot(bench.archive("sysrq", "c"), signature="sysrq")
    assert trial.ending is Ending.FIRED, trial
    assert trial.crash is not None
    assert trial.crash.kind.fatal


def test_another_kernel_proves_nothing(bench: Bench) -> None:
    """A kernel with another release than the one that was built is told, and none of its runs counts."""
    other = replace(bench, kernel=replace(bench.kernel, release="6.1.0-not-this-one"))
    (trial,) = other.boot(bench.archive("exit", "1"))
    assert trial.ending is Ending.WRONG_KERNEL
    assert trial.release == bench.kernel.release


def test_a_boot_that_hangs(bench: Bench) -> None:
    """An init that never answers is a hang at boot, at the deadline."""
    archive = bench.archive(init=bench.provoke)
    (trial,) = bench.saying("--", "pause", "1000").boot(archive, deadlines=replace(DEADLINES, silence=4.0))
    assert trial.ending is Ending.BOOT_HUNG, trial
    assert "silent for 4 s" in trial.reason


def test_a_boot_that_resets(bench: Bench) -> None:
    """A machine that resets itself before init answered has rebooted, with no crash."""
    archive = bench.archive(init=bench.provoke)
    (trial,) = bench.saying("--", "sysrq", "b").boot(archive)
    assert (trial.ending, trial.crash) == (Ending.REBOOTED, None), trial


def test_a_panic_at_boot(bench: Bench) -> None:
    """Without an init the kernel panics, and the trial is over as soon as it did."""
    archive = bench.folder / "empty"
    archive.write_bytes(b"")
    (trial,) = bench.boot(archive)
    assert trial.ending is Ending.BOOT_CRASHED, trial
    assert trial.crash is not None
    assert trial.crash.kind is CrashKind.NO_ROOT
    assert trial.boot_seconds < DEADLINES.silence


def test_no_output(bench: Bench) -> None:
    """A machine that doesn't print one byte is silent, by that name."""
    archive = bench.archive(init=bench.provoke)
    quiet = bench.saying("loglevel=0", "--", "pause", "1000")
    (trial,) = quiet.boot(archive, deadlines=replace(DEADLINES, silence=4.0))
    assert trial.ending is Ending.NO_OUTPUT, trial


@pytest.mark.parametrize(
    "changes",
    [{"qemu_args": ("-no-such-option",)}, {"machine": "no-such-machine"}, {"memory_mib": 1 << 24}],
    ids=["bad option", "bad machine", "more memory than there is"],
)
def test_a_qemu_that_cannot_start_is_no_verdict(bench: Bench, changes: dict[str, object]) -> None:
    """A mistake of ours is told in QEMU's own words, and no trial comes of it."""
    with pytest.raises(HostSick) as told:
        bench.on(**changes).boot(bench.archive())
    assert "qemu-system-" in told.value.message


def test_a_kernel_image_that_is_none_is_no_verdict(bench: Bench) -> None:
    """A missing kernel image makes QEMU fail, which says nothing about a commit."""
    lost = replace(bench, kernel=replace(bench.kernel, image=bench.folder / "nowhere"))
    with pytest.raises(HostSick):
        lost.boot(bench.archive())


def test_kvm_is_judged_by_a_boot(bench: Bench) -> None:
    """With `accel = "auto"` a real boot decides, the run is clean either way, and the answer is kept."""
    (trial,) = bench.on(accel=Accel.AUTO).boot(bench.archive())
    assert trial.ending is Ending.CLEAN, trial
    asked = bench.host.arch == Arch.X86_64 and KVM_DEVICE.exists()
    assert (bench.folder / "accel.json").exists() == asked
