"""What is looked at before a kexec, and the uploads: real files, the real sh, and a machine's answers as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakelab import HOST
from fakes import FakeClock
from localshell import LocalShell

from bisectbot.boot import kexec
from bisectbot.boot.words import own_words
from bisectbot.errors import HostSick, Refused
from bisectbot.lab import LabHost
from bisectbot.ports import Deadline
from bisectbot.reach import Said

_DEADLINE = Deadline.after(FakeClock(), 60)
_FINE = {"tool": "/usr/sbin/kexec", "disabled": "0", "loaded": "0", "lockdown": "", "free": "900000", "root": "0"}


class _Told(LocalShell):
    """Answers every command with the same text."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__()
        self._said = Said(code, text)

    def run(self, argv: object, deadline: Deadline, stdin: bytes = b"") -> Said:
        del argv, deadline, stdin
        return self._said


def _looked(**answers: str) -> kexec.Preflight:
    rows = {**_FINE, **answers}
    return kexec.preflight(_Told("".join(f"{key}={value}\n" for key, value in rows.items())), HOST, _DEADLINE)


def test_a_machine_that_can() -> None:
    """Nothing stands in the way of a machine whose answers are all fine."""
    found = _looked(watchdog="i6300ESB timer", lockdown="[none] integrity confidentiality")
    assert found == kexec.Preflight("/usr/sbin/kexec", (), 878, ("i6300ESB timer",))
    kexec.check(found, HOST, [])


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"root": "1000"}, "root isn't root there"),
        ({"tool": ""}, "kexec isn't installed there"),
        ({"loaded": ""}, "built without CONFIG_KEXEC"),
        ({"disabled": "1"}, "kexec_load_disabled is 1"),
        ({"secureboot": "1"}, "secure boot is on"),
        ({"lockdown": "none [integrity] confidentiality"}, "locked down"),
        ({"lockdown": "none integrity [confidentiality]"}, "locked down"),
    ],
)
def test_what_no_retry_mends_is_refused(answers: dict[str, str], words: str) -> None:
    """Each obstacle is named, with the other way out, and lasts."""
    with pytest.raises(Refused, match=words) as caught:
        kexec.check(_looked(**answers), HOST, [])
    assert caught.value.lasting
    assert "hosts.rack1.boot" in caught.value.hint


def test_too_little_room(tmp_path: Path) -> None:
    """A full disk over there is told with what is needed."""
    (tmp_path / "kernel").write_bytes(bytes(3 << 20))
    with pytest.raises(HostSick, match="1 MiB free in /var/lib/bisectbot; 19 are needed"):
        kexec.check(_looked(free="1024"), HOST, [tmp_path / "kernel"])


def test_no_answer_is_no_permission() -> None:
    """A machine that answers with something else isn't taken for one that can."""
    with pytest.raises(HostSick, match="can't be looked at: exit 127"):
        kexec.preflight(_Told("sh: not found", 127), HOST, _DEADLINE)


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    """The script runs in the real sh and tells room and user."""
    found = kexec.preflight(LocalShell(), replace(HOST, folder=str(tmp_path / "ours")), _DEADLINE)
    assert found.free_mib > 0
    assert (tmp_path / "ours").is_dir()


# --- uploads -----------------------------------------------------------------------------------


def _host(tmp_path: Path) -> LabHost:
    return replace(HOST, folder=str(tmp_path / "ours"))


def _files(tmp_path: Path, content: bytes = b"kernel") -> tuple[Path, Path]:
    kernel, initramfs = tmp_path / "image", tmp_path / "initramfs.cpio"
    kernel.write_bytes(content)
    initramfs.write_bytes(b"initramfs")
    (tmp_path / "ours").mkdir(exist_ok=True)
    return kernel, initramfs


def test_a_kernel_is_sent_once(tmp_path: Path) -> None:
    """What lies there whole isn't sent again; what was changed there is."""
    shell, files = LocalShell(), _files(tmp_path)
    first = kexec.upload(shell, _host(tmp_path), *files, _DEADLINE)
    assert (first.sent, Path(first.kernel).read_bytes()) == (15, b"kernel")
    again = kexec.upload(shell, _host(tmp_path), *files, _DEADLINE)
    assert again == replace(first, sent=0)
    Path(first.kernel).write_bytes(b"kern")
    assert kexec.upload(shell, _host(tmp_path), *files, _DEADLINE).sent == 6
    assert Path(first.kernel).read_bytes() == b"kernel"


def test_a_cut_off_upload_is_never_loaded(tmp_path: Path) -> None:
    """What arrives short is told, and doesn't stay."""
    shell = LocalShell(damage=lambda content: content[:-1])
    with pytest.raises(HostSick, match="image arrived damaged") as caught:
        kexec.upload(shell, _host(tmp_path), *_files(tmp_path), _DEADLINE)
    assert not caught.value.lasting
    assert list((tmp_path / "ours" / "kernels").iterdir()) == []


def test_old_uploads_make_room(tmp_path: Path) -> None:
    """However long a session, a handful of kernels stay on the machine: the newest."""
    shell = LocalShell()
    for number in range(12):
        last = kexec.upload(shell, _host(tmp_path), *_files(tmp_path, b"kernel %d" % number), _DEADLINE)
    there = list((tmp_path / "ours" / "kernels").iterdir())
    assert len(there) == 8
    assert Path(last.kernel) in there
    assert Path(last.initramfs) in there


def test_nothing_is_read_by_a_shell_as_a_command(tmp_path: Path) -> None:
    """A kernel command line goes to kexec as one word, whatever it holds."""
    marker = tmp_path / "broken out"
    shell = LocalShell()
    files = kexec.Upload("/nonexistent/kernel", "/nonexistent/initramfs", 0)
    with pytest.raises(Refused, match="kexec refuses to load"):
        kexec.load(shell, files, ["a=$(touch", f"'{marker}')", "`id`", ";", "reboot"], _DEADLINE)
    assert not marker.exists()
    assert shell.asked[0][-1] == f"a=$(touch '{marker}') `id` ; reboot"


def test_the_words_that_a_candidate_inherits() -> None:
    """Root and console stay; what the boot loader, kexec or an earlier candidate said goes."""
    cmdline = (
        "BOOT_IMAGE=/v root=/dev/vda1 ro console=ttyS0 quiet splash panic=5 initrd=/i bisectbot.token=ab loglevel=3"
    )
    assert own_words(cmdline) == ("root=/dev/vda1", "ro", "console=ttyS0")
