"""Whether KVM is used: only after a real boot with it, asked once a machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bisectbot.boot.accel import Answers, Here, choose
from bisectbot.errors import HostSick
from bisectbot.model import Accel, Arch, Deadlines, QemuHost

X86 = QemuHost("sut", Arch.X86_64, cpu="EPYC,+svm", machine="pc", accel=Accel.TCG)
ARM = QemuHost("arm", Arch.AARCH64, accel=Accel.TCG)

HERE = Here(machine="x86_64", release="6.1", qemu="QEMU 7.2", device=True)
AUTO = replace(X86, accel=Accel.AUTO, deadlines=Deadlines(boot=90.0, silence=40.0))


@dataclass
class Lab:
    """What boots show, by accelerator, and what was looked for."""

    shows: dict[Accel, bytes]
    looked: list[tuple[Accel, bytes, float]] = field(default_factory=list)

    def look(self, accel: Accel, wanted: bytes, seconds: float) -> bool:
        """Answer as a boot would."""
        self.looked.append((accel, wanted, seconds))
        return wanted in self.shows.get(accel, b"")


WORKS = b"Linux version 6.1 @bb 1"
STUCK = b"Linux version 6.1"


@pytest.mark.parametrize(
    ("shows", "chosen", "kept"),
    [
        ({Accel.KVM: WORKS, Accel.TCG: WORKS}, Accel.KVM, Accel.KVM),
        ({Accel.TCG: WORKS}, Accel.TCG, Accel.TCG),
        ({Accel.KVM: STUCK, Accel.TCG: WORKS}, Accel.TCG, Accel.TCG),
        ({}, None, None),
    ],
    ids=["works", "silent", "stuck before init", "a kernel that emulation can't boot either proves nothing"],
)
def test_kvm_is_used_only_after_a_boot_with_it(
    tmp_path: Path, shows: dict[Accel, bytes], chosen: Accel | None, kept: Accel | None
) -> None:
    """KVM needs a boot to init; without one it is given up only if emulation boots the same kernel."""
    lab, answers = Lab(shows), Answers(tmp_path / "cache/accel.json")
    assert choose(AUTO, HERE, answers, lab.look) is chosen
    assert answers.recall(HERE.key(AUTO)) is kept
    assert lab.looked[0] == (Accel.KVM, b"Linux version ", 10.0)


def test_an_answer_is_kept_for_the_same_machine_only(tmp_path: Path) -> None:
    """The next session asks nothing; another QEMU, kernel or CPU model asks anew."""
    answers, lab = Answers(tmp_path / "accel.json"), Lab({Accel.TCG: WORKS})
    choose(AUTO, HERE, answers, lab.look)
    lab.looked.clear()
    assert choose(AUTO, HERE, answers, lab.look) is Accel.TCG
    assert lab.looked == []
    for host, here in ((AUTO, replace(HERE, qemu="QEMU 8")), (AUTO, replace(HERE, release="6.2")), (_with_cpu(), HERE)):
        lab.looked.clear()
        choose(host, here, answers, lab.look)
        assert lab.looked


def _with_cpu() -> QemuHost:
    return replace(AUTO, cpu="host")


@pytest.mark.parametrize(
    ("host", "here"),
    [
        (X86, HERE),
        (replace(ARM, accel=Accel.AUTO), HERE),
        (AUTO, replace(HERE, device=False)),
    ],
    ids=["not wanted", "another architecture", "no /dev/kvm"],
)
def test_where_kvm_cannot_be_nothing_is_booted(tmp_path: Path, host: QemuHost, here: Here) -> None:
    """Emulation is chosen without a look where there is nothing to look at."""
    lab = Lab({Accel.KVM: WORKS})
    assert choose(host, here, Answers(tmp_path / "a"), lab.look) is Accel.TCG
    assert lab.looked == []


@pytest.mark.parametrize(
    ("host", "here", "why"),
    [
        (replace(X86, accel=Accel.KVM), HERE, "a boot with it failed"),
        (replace(X86, accel=Accel.KVM), replace(HERE, device=False), "can't be opened"),
        (replace(ARM, accel=Accel.KVM), HERE, "this machine is x86_64"),
    ],
)
def test_a_host_that_insists_on_kvm_gets_no_emulation(tmp_path: Path, host: QemuHost, here: Here, why: str) -> None:
    """`accel = "kvm"` where KVM doesn't work is a fault that lasts, with the key to change."""
    with pytest.raises(HostSick, match=why) as told:
        choose(host, here, Answers(tmp_path / "a"), Lab({Accel.TCG: WORKS}).look)
    assert told.value.lasting
    assert "accel" in told.value.hint


@pytest.mark.parametrize("text", ["", "[1]", "{broken", '{"x": "hax"}', "\udcff"], ids=ascii)
def test_a_damaged_cache_only_costs_a_probe(tmp_path: Path, text: str) -> None:
    """An unreadable accel.json is as good as none, and is mended by the next answer."""
    answers = Answers(tmp_path / "accel.json")
    answers.path.write_bytes(os.fsencode(text))
    assert answers.recall("x") is None
    answers.keep("x", Accel.KVM)
    assert answers.recall("x") is Accel.KVM
