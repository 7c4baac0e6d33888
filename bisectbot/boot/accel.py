"""Whether QEMU may use this machine's KVM: only a real boot tells, and the answer is kept.

A /dev/kvm that exists, opens and creates guests may still abort QEMU or let it spin before the kernel's first line.
So the first kernel that is to be booted is booted with KVM for a few seconds before anything counts. If our init
greets, KVM is used from then on, for every boot of the session alike: how often a race is lost differs between KVM and
emulation. If it doesn't, the same kernel is shown to emulation. Only if that gets a line out of it is KVM to blame
and "no" remembered; else nothing is known, this boot is emulated, and the next kernel is asked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import HostSick
from bisectbot.model import Accel, QemuHost

KVM_DEVICE = Path("/dev/kvm")
FIRST_LINE = 10.0  # seconds with KVM until the kernel's first line; working KVM takes less than one
_BANNER = b"Linux version "
_GREETING = b"@bb "  # what every line of our init begins with

Look = Callable[[Accel, bytes, float], bool]
"""Boot with an accelerator; whether these bytes come on its console within so many seconds."""


@dataclass(frozen=True)
class Here:
    """What an answer holds for: with any of it changed, KVM is asked anew."""

    machine: str  # `uname -m` of the machine that QEMU runs on
    release: str  # `uname -r`, likewise
    qemu: str  # the first line of its --version
    device: bool  # whether /dev/kvm is there and may be opened

    @classmethod
    def look(cls, qemu: str, device: Path = KVM_DEVICE) -> Here:
        """Return what this machine is."""
        about = os.uname()
        return cls(about.machine, about.release, qemu, os.access(device, os.R_OK | os.W_OK))

    def key(self, host: QemuHost) -> str:
        """Return what the answer for a host is kept under."""
        return f"{host.arch} | {host.machine} | {host.cpu} | {self.machine} | {self.release} | {self.qemu}"


@dataclass(frozen=True)
class Answers:
    """The file that keeps them; a damaged one only costs a probe."""

    path: Path

    def recall(self, key: str) -> Accel | None:
        """Return what a real boot told, or None."""
        kept = self._all().get(key)
        return Accel(kept) if kept in (Accel.KVM, Accel.TCG) else None

    def keep(self, key: str, accel: Accel) -> None:
        """Write an answer down; a reader sees the old file or the new one. What can't be kept is asked again."""
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps({**self._all(), key: accel}, indent=1))
            fresh.replace(self.path)

    def _all(self) -> dict[str, str]:
        try:
            found = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def choose(host: QemuHost, here: Here, answers: Answers, look: Look) -> Accel | None:
    """Return the accelerator to boot with, or None while this machine's KVM could not be judged.

    HostSick if the description insists on KVM and this machine has none that works.
    """
    if host.accel is Accel.TCG:
        return Accel.TCG
    found = _ask(host, here, answers, look)
    if found is Accel.TCG and host.accel is Accel.KVM:
        raise _no_kvm(host, here)
    return found


def _ask(host: QemuHost, here: Here, answers: Answers, look: Look) -> Accel | None:
    if host.arch != here.machine or not here.device:
        return Accel.TCG
    if known := answers.recall(here.key(host)):
        return known
    found = _try(host, look)
    if found:
        answers.keep(here.key(host), found)
    return found


def _try(host: QemuHost, look: Look) -> Accel | None:
    if look(Accel.KVM, _BANNER, FIRST_LINE) and look(Accel.KVM, _GREETING, host.deadlines.boot):
        return Accel.KVM
    return Accel.TCG if look(Accel.TCG, _BANNER, host.deadlines.silence) else None


def _no_kvm(host: QemuHost, here: Here) -> HostSick:
    why = "a boot with it failed, or showed nothing where emulation did" if here.device else "/dev/kvm can't be opened"
    if host.arch != here.machine:
        why = f"this machine is {here.machine}, the guest {host.arch}"
    error = HostSick(
        f'host "{host.name}" insists on KVM: {why}', hint='set accel = "auto" or "tcg" for it in hosts.toml'
    )
    error.lasting = True
    return error
