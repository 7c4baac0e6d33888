"""Hosts that QEMU plays: the program, what it may use to go faster, and that it takes the description."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bisectbot.arch import traits
from bisectbot.boot.accel import Answers, Here
from bisectbot.boot.qemu import Guest, qemu_argv
from bisectbot.doctor.finding import Bench, Finding, Status, lacking
from bisectbot.model import Accel, QemuHost
from bisectbot.visible import visible

_START_SECONDS = 0.5  # a description that QEMU refuses is refused within a few hundredths of a second
_LOOK = 0.05
_RACE = 2  # CPUs


@dataclass(frozen=True)
class Kvm:
    """What is known of this machine's KVM without a boot."""

    answers: Answers  # of earlier boots
    look: Callable[[str], Here] = Here.look  # at this machine, with QEMU's version


def qemu(bench: Bench, host: QemuHost, kvm: Kvm, absent: Status) -> Iterator[Finding]:
    """Check one host."""
    name, row = f"host {host.name}", traits(host.arch)
    if bench.proc.which(row.qemu) is None:
        yield lacking(name, absent, f"{row.qemu} is not installed", row.qemu_package)
        return
    code, text = bench.ask(row.qemu, "--version")
    version = visible(text.partition("\n")[0])
    if code:
        yield lacking(name, absent, f"{row.qemu} doesn't run: {version}", row.qemu_package)
        return
    yield _takes(bench, host, version, absent)
    yield _accelerator(bench, host, kvm.look(version), kvm.answers, absent)
    if host.cpus < _RACE:
        yield Finding(
            f"{name} cpus", Status.WARN, "1 CPU: a race between CPUs, kvm-rseq for one, can't be seen", "set cpus = 2"
        )


def _takes(bench: Bench, host: QemuHost, version: str, absent: Status) -> Finding:
    """Start the machine without a kernel, its CPUs stopped: QEMU ends at once if it doesn't take the description."""
    name = f"host {host.name}"
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "qemu.log"
        running = bench.proc.start(_stopped(host), log=told)
        waited = 0.0
        while running.poll() is None and waited < _START_SECONDS:
            bench.clock.sleep(_LOOK)
            waited += _LOOK
        refused = running.poll() is not None
        running.stop()
        said = visible(told.read_text(errors="replace").strip())
    if refused:
        return Finding(
            name, absent, f"QEMU refuses it: {said}", "correct machine, cpu, memory or qemu_args in hosts.toml"
        )
    return Finding(name, Status.OK, f"{version} takes its description")


def _stopped(host: QemuHost) -> list[str]:
    """Return the command that boots a candidate, without the candidate."""
    nothing = Guest(Path(), Path(), ())
    words = iter(qemu_argv(host, nothing, Accel.TCG, "null"))
    # these options take a value each, which goes too
    kept = [word for word in words if not (word in ("-kernel", "-initrd", "-append") and next(words, None) is not None)]
    return [*kept, "-S"]


def _accelerator(bench: Bench, host: QemuHost, here: Here, answers: Answers, absent: Status) -> Finding:
    name = f"host {host.name} accel"
    if host.accel is Accel.TCG:
        return Finding(name, Status.OK, "emulation, as asked for")
    known = answers.recall(here.key(host))
    why = "a boot with KVM failed here" if known is Accel.TCG else _no_kvm(bench, host, here)
    if why and host.accel is Accel.KVM:
        return Finding(name, absent, f"KVM is asked for, but {why}", 'set accel = "auto" in hosts.toml')
    if why:
        return Finding(name, Status.OK, f"emulation: {why}")
    return Finding(name, Status.OK, "KVM, which a boot has proven" if known else "KVM, if the first boot proves it")


def _no_kvm(bench: Bench, host: QemuHost, here: Here) -> str:
    """Return why KVM can't be used, empty if it can as far as is known before a boot."""
    if host.arch != here.machine:
        return f"this machine is {here.machine}"
    if not here.device:
        return "/dev/kvm can't be opened (is it there, and are you in the group kvm?)"
    _, text = bench.ask(traits(host.arch).qemu, "-accel", "help")
    return "" if "kvm" in text.split() else "this QEMU has no KVM"
