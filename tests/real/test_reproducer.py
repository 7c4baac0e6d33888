"""The true bug on real kernels of both architectures: it fires, its absence is clean, and every trap is no verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.accel import Answers
from bisectbot.boot.qemu import QemuMachine
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.model import Accel, Arch, Deadlines, Ending, Kernel, QemuHost, Trial
from bisectbot.probe.trials import probe
from bisectbot.probe.watcher import Asked
from csrc import compile_example, ours

pytestmark = pytest.mark.real

TOKEN = "0123456789abcdef"  # noqa: S105  (proves a boot, opens nothing)
DEADLINES = Deadlines(boot=60.0, silence=30.0, heartbeat=20.0, run=60.0)
CMDLINE = {Arch.X86_64: ("tsc_early_khz=2600000",), Arch.AARCH64: ()}
BOOTS = 3  # of each kernel; the measured chance that a bad one stays silent in a single boot is below one in a million
KernelOf = Callable[[Arch, str], Kernel]


@dataclass(frozen=True)
class Lab:
    """An emulated machine of one architecture, and the kernels for it."""

    folder: Path
    host: QemuHost
    kernel: KernelOf
    program: Path | None = None  # instead of our reproducer

    def run(self, which: str, *args: str, runs: int = 1, host: QemuHost | None = None) -> tuple[Trial, ...]:
        """Return the trials of one boot of the good or the bad kernel, the reproducer run with `args`."""
        archive = self.folder / "initramfs"
        program = self.program or ours(self.host.arch).reproducer
        archive.write_bytes(initramfs.pack(ours(self.host.arch).init.read_bytes(), program.read_bytes(), args))
        machine = QemuMachine(
            host or self.host,
            proc=Processes(),
            clock=SystemClock(),
            pipe=fifo,
            log=console_log,
            answers=Answers(self.folder / "accel.json"),
        )
        asked = Asked(TOKEN, DEADLINES, runs)
        return probe(
            machine, self.kernel(self.host.arch, which), archive, asked, self.folder / "001.log", 1, SystemClock()
        )

    def once(self, which: str, *args: str, host: QemuHost | None = None) -> Trial:
        """Return the only trial of one boot."""
        (trial,) = self.run(which, *args, host=host)
        return trial


@pytest.fixture(params=Arch)
def lab(request: pytest.FixtureRequest, kernel: KernelOf, tmp_path: Path) -> Lab:
    """Return the machine of each architecture; emulated, as the bug is to be shown without any help of hardware."""
    row = traits(request.param)
    host = QemuHost(
        "sut", request.param, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, cmdline=CMDLINE[request.param]
    )
    return Lab(tmp_path, host, kernel)


def number(trial: Trial, name: str) -> int:
    """Return one of the reproducer's counts."""
    value = trial.counts[name]
    assert isinstance(value, int)
    return value


def test_a_bad_kernel_fires(lab: Lab) -> None:
    """Each boot of it shows a rseq.cpu_id that isn't the CPU, within the default settings."""
    for _ in range(BOOTS):
        trial = lab.once("bad")
        assert trial.ending is Ending.FIRED, trial
        first = trial.counts["first_mismatch"]
        assert isinstance(first, dict)
        assert first["rseq_cpu"] != first["kernel_cpu"]
        assert {first["rseq_cpu"], first["kernel_cpu"]} == {0, 1}
        assert (number(trial, "mismatches"), trial.counts["rseq"]) == (1, "glibc")


def test_a_good_kernel_is_clean(lab: Lab) -> None:
    """Each run on it ends without a mismatch, behind enough migrations, KVM_RUNs and checks on both CPUs."""
    trials = lab.run("good", runs=BOOTS)
    assert [trial.ending for trial in trials] == [Ending.CLEAN] * BOOTS, trials
    for trial in trials:
        assert (number(trial, "migrations"), number(trial, "mismatches")) == (150, 0)
        assert number(trial, "kvm_runs") >= number(trial, "reads") >= number(trial, "moves") >= 38


def test_without_a_delay_nothing_is_seen_and_nothing_is_said(lab: Lab) -> None:
    """The trap: migrations without a pause let no check through, and a bad kernel must not look good for that."""
    trial = lab.once("bad", "--migrations", "3000", "--delay", "none")
    assert trial.ending in (Ending.CANT_TELL, Ending.FIRED), trial
    assert trial.ending is Ending.FIRED or "are needed to tell" in trial.reason


def test_a_busy_delay_is_seen_through(lab: Lab) -> None:
    """A migrating thread that never sleeps keeps the vCPU thread off its CPU: too few moves, so no clean verdict."""
    trial = lab.once("bad", "--delay", "getcpu", "--delay-length", "300")
    assert trial.ending in (Ending.CANT_TELL, Ending.FIRED), trial


@pytest.mark.parametrize("delay", ["usleep", "both"])
def test_it_counts_on(lab: Lab, delay: str) -> None:
    """With --keep-going all migrations are made, and mismatches are counted to the end."""
    trial = lab.once("bad", "--delay", delay, "--keep-going")
    assert trial.ending is Ending.FIRED, trial
    assert number(trial, "migrations") == 150
    # how many depends on what else the machine does; more than the one at which it would else have stopped
    assert 1 < number(trial, "mismatches") < number(trial, "reads")


def test_one_cpu_is_no_verdict(lab: Lab) -> None:
    """The trap of the everlasting good: a bad kernel on one CPU."""
    trial = lab.once("bad", host=replace(lab.host, cpus=1))
    assert trial.ending is Ending.CANT_TELL
    assert "fewer than 2 CPUs (1)" in trial.reason


def test_a_machine_without_virtualisation_is_no_verdict(lab: Lab) -> None:
    """KVM that finds no support in the CPU leaves no /dev/kvm."""
    plain = {"cpu": lab.host.cpu.replace("+svm", "-svm"), "machine": lab.host.machine.replace("=on", "=off")}
    trial = lab.once("bad", host=replace(lab.host, cpu=plain["cpu"], machine=plain["machine"]))
    assert trial.ending is Ending.CANT_TELL
    assert "/dev/kvm: " in trial.reason


def test_a_vcpu_that_never_comes_back_is_no_verdict(lab: Lab) -> None:
    """The reproducer gives up by itself, its counts are told, and the machine reboots as ever."""
    trial = lab.once("good", "--guest", "spins", "--patience", "2")
    assert trial.ending is Ending.CANT_TELL, trial
    assert "didn't come back from KVM_RUN for 2 s" in trial.reason
    assert trial.probe_seconds < 15


@pytest.mark.parametrize("lab", [Arch.X86_64], indirect=True)  # aarch64's tinyconfig has no CPU isolation
def test_cpu_numbers_with_a_hole(lab: Lab) -> None:
    """Two CPUs that aren't 0 and 1 serve as well: the allowed ones are listed, not counted up to."""
    holed = replace(lab.host, cpus=3, cmdline=(*lab.host.cmdline, "isolcpus=1"))
    trial = lab.once("bad", host=holed)
    assert trial.ending is Ending.FIRED, trial
    assert (trial.counts["cpus"], trial.counts["cpu_count"]) == ("0,2", 2)
    first = trial.counts["first_mismatch"]
    assert isinstance(first, dict)
    assert {first["rseq_cpu"], first["kernel_cpu"]} == {0, 2}


def test_the_example_of_the_guide(lab: Lab) -> None:
    """The program that docs/reproducers.md shows boots, runs and is understood."""
    trial = replace(lab, program=compile_example(lab.folder, lab.host.arch)).once("good")
    assert trial.ending is Ending.CLEAN, trial
    assert "time went on" in trial.reason
    assert number(trial, "hops") >= 100
