"""Netboot on this machine alone: real HTTP on loopback, real files in a folder, and what stands in the way."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest
from fakes import FakeClock

from bisectbot.effects import binding
from bisectbot.effects.httpd import served
from bisectbot.effects.lock import Lock
from bisectbot.effects.proc import Processes
from bisectbot.errors import Busy, ConfigError, HostSick, ToolMissing
from bisectbot.lab import PxeMode, PxeNetwork
from bisectbot.netboot import dnsmasq, scripts
from bisectbot.netboot.folder import Folder
from bisectbot.netboot.kept import Kept
from bisectbot.netboot.serving import Serving, Tools, _taken
from bisectbot.reach import NetbootJob
from csrc import lacking

MAC, OTHER = "52:54:00:aa:00:01", "52:54:00:aa:00:02"
NAME = scripts.dashed(MAC)
LOOPBACK = "127.0.0.1"


# --- HTTP --------------------------------------------------------------------------------------


def fetch(port: int, path: str) -> bytes:
    """Return what is at a path."""
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
        content: bytes = answer.read()
        return content


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_files_and_bytes_over_http(tmp_path: Path) -> None:
    """A file and bytes arrive whole, the path unquoted; what arrived is told; the rest is not found; the log has it."""
    sent: list[str] = []
    image = tmp_path / "kernel"
    image.write_bytes(bytes(3 << 20))
    content: dict[str, Path | bytes] = {"/k": image, f"/boot/{MAC}.ipxe": b"#!ipxe\n", "/gone": tmp_path / "gone"}
    port, log = free_port(), tmp_path / "http.log"
    with served(LOOPBACK, port, find=content.get, sent=sent.append, log=log) as alive:
        assert fetch(port, "/k") == image.read_bytes()
        assert fetch(port, f"/boot/{MAC.replace(':', '%3A')}.ipxe?x=1") == b"#!ipxe\n"
        for path in ("/", "/gone", "/../etc/passwd"):
            with pytest.raises(HTTPError, match="404"):
                fetch(port, path)
        assert alive()
    assert not alive()
    assert sent == ["/k", f"/boot/{MAC}.ipxe"]
    assert f"{LOOPBACK} /k: {3 << 20} bytes" in log.read_text()
    assert "/gone: not found" in log.read_text()


def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken is a fault with its address, and is free again after its context."""
    monkeypatch.setattr(binding, "SECONDS", 0.0)
    port = free_port()

    def serve() -> AbstractContextManager[object]:
        return served(LOOPBACK, port, find=lambda _: None, sent=lambda _: None, log=tmp_path / "log")

    for _ in range(2):
        with serve(), pytest.raises(HostSick, match=f"{LOOPBACK}:{port}"), serve():
            pytest.fail("served twice")


# --- dnsmasq that can't --------------------------------------------------------------------------


class WithoutDnsmasq(Processes):
    """This machine, had nobody installed dnsmasq."""

    def which(self, tool: str) -> Path | None:
        """Find everything else."""
        return None if tool == "dnsmasq" else super().which(tool)


NET = PxeNetwork("lab", PxeMode.SERVE, interface="br0", address=LOOPBACK, first="127.0.0.50", last="127.0.0.60")


def test_dnsmasq_is_missing(tmp_path: Path) -> None:
    """Without dnsmasq the packages are named, and nothing is left that would be in the way of the next try."""
    tools = Tools(WithoutDnsmasq(), FakeClock(), served, Lock, lambda _: False)
    for _ in range(2):
        with pytest.raises(ToolMissing, match="dnsmasq") as told, Serving(NET, {MAC: ""}, tools, tmp_path).idle():
            pytest.fail("served by nothing")
        assert "ipxe" in told.value.hint


def test_dhcp_is_answered_already(tmp_path: Path) -> None:
    """Where a program of this machine answers DHCP there is never a second one."""
    if not dnsmasq.firmware(dnsmasq.LOADERS) or Processes().which("dnsmasq") is None:
        lacking("dnsmasq or iPXE is not installed: apt-get install dnsmasq-base ipxe")
    tools = Tools(Processes(), FakeClock(), served, Lock, lambda _: True)
    with pytest.raises(HostSick, match="br0"), Serving(NET, {MAC: ""}, tools, tmp_path / "x").idle():
        pytest.fail("two answer")
    assert not (tmp_path / "x").exists()


def test_the_dnsmasq_of_a_killed_bot_is_waited_for() -> None:
    """It ends within moments of its bot; only who answers for longer than that is somebody else."""
    clock, answers = FakeClock(), iter([True, True, True, False])
    tools = Tools(Processes(), clock, served, Lock, lambda _: next(answers))
    before = clock.now()
    assert not _taken(NET, tools)
    assert 0 < clock.now() - before < 1
    for_good = Tools(Processes(), clock, served, Lock, lambda _: True)
    assert _taken(NET, for_good)
    assert clock.now() - before < 10


def test_kept_is_opened_once() -> None:
    """However many hold it, it is opened by the first and closed by the last; a failure to open leaves nothing held."""
    seen: list[str] = []

    @contextmanager
    def make() -> Iterator[int]:
        seen.append("open")
        if len(seen) == 1:
            raise HostSick("not yet")
        yield 7
        seen.append("close")

    kept = Kept(make)
    with pytest.raises(HostSick), kept.hold():
        pytest.fail("held what isn't open")
    with kept.hold() as one:
        with kept.hold() as two:
            assert (one, two) == (7, 7)
        assert seen == ["open", "open"]
    assert seen == ["open", "open", "close"]


# --- a folder ------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return somebody's TFTP root."""
    made = tmp_path / "tftp"
    made.mkdir()
    return made


def folder(root: Path, url: str = "", *machines: str) -> Folder:
    """Return the folder as bisectbot uses it."""
    return Folder(PxeNetwork("site", PxeMode.FOLDER, folder=root, url=url), machines or (MAC,), Lock)


def job(tmp_path: Path) -> NetbootJob:
    """Return a job of two files."""
    for name in ("k", "i"):
        (tmp_path / name).write_text(name)
    return NetbootJob(MAC, tmp_path / "k", tmp_path / "i", ("quiet",))


def test_a_job_in_a_folder(root: Path, tmp_path: Path) -> None:
    """The files lie where the scripts say, readable by others, until the context ends; then both scripts lead home."""
    ipxe, menu = root / f"bisectbot/{NAME}.ipxe", root / f"pxelinux.cfg/01-{NAME}"
    with folder(root).offer(job(tmp_path)) as offer:
        assert f"kernel {NAME}/kernel initrd=initramfs quiet" in ipxe.read_text()
        assert f"LINUX bisectbot/{NAME}/kernel" in menu.read_text()
        assert (root / f"bisectbot/{NAME}/kernel").read_text() == "k"
        assert (root / f"bisectbot/{NAME}/initramfs").stat().st_mode & 0o777 == 0o644
        assert not offer.taken()
        offer.withdraw()
        assert offer.taken()
        assert ipxe.read_text() == scripts.ipxe_home()
        assert (root / f"bisectbot/{NAME}/kernel").exists()  # the machine may still be reading it
    assert menu.read_text() == scripts.pxelinux_home()
    assert not (root / f"bisectbot/{NAME}").exists()


def test_a_folder_over_http(root: Path, tmp_path: Path) -> None:
    """Where the folder has a URL, iPXE fetches by it."""
    with folder(root, "http://boot.lab/tftp/").offer(job(tmp_path)):
        script = (root / f"bisectbot/{NAME}.ipxe").read_text()
    assert f"kernel http://boot.lab/tftp/bisectbot/{NAME}/kernel " in script


def test_a_job_that_was_left_is_cleared(root: Path) -> None:
    """What a killed bot left is replaced by the way home as soon as the next one starts."""
    with folder(root).idle():
        pass
    script = root / f"bisectbot/{NAME}.ipxe"
    script.write_text(scripts.ipxe_job("k", None, ()))
    with folder(root).idle():
        assert script.read_text() == scripts.ipxe_home()


@pytest.mark.parametrize("name", [f"pxelinux.cfg/01-{NAME}", f"bisectbot/{NAME}.ipxe", "bisectbot/README"])
def test_other_peoples_files_are_left_alone(root: Path, tmp_path: Path, name: str) -> None:
    """A file of ours' name that somebody else wrote stays as it is, and so does all the rest."""
    theirs = root / name
    theirs.parent.mkdir()
    theirs.write_text("DEFAULT install\n")
    with pytest.raises(ConfigError, match="not written by bisectbot"), folder(root).offer(job(tmp_path)):
        pytest.fail("took somebody's file")
    assert [file for file in root.rglob("*") if file.is_file()] == [theirs]
    assert theirs.read_text() == "DEFAULT install\n"


def test_two_bots_in_one_folder(root: Path, tmp_path: Path) -> None:
    """One machine is one bot's; another machine in the same folder is free."""
    with folder(root).idle():
        with pytest.raises(Busy, match=MAC), folder(root).offer(job(tmp_path)):
            pytest.fail("two have one machine")
        with folder(root, "", OTHER).idle():
            assert (root / f"pxelinux.cfg/01-{scripts.dashed(OTHER)}").exists()


def test_words_that_cannot_be_given(root: Path, tmp_path: Path) -> None:
    """A job that can't be written leaves the machine on its way home."""
    bad = NetbootJob(MAC, job(tmp_path).kernel, None, ("${net0/ip}",))
    with pytest.raises(ConfigError), folder(root).offer(bad):
        pytest.fail("offered")
    assert (root / f"bisectbot/{NAME}.ipxe").read_text() == scripts.ipxe_home()


def test_no_folder(tmp_path: Path) -> None:
    """A folder that isn't there is told by its name."""
    with pytest.raises(ConfigError, match="nowhere"), folder(tmp_path / "nowhere").idle():
        pytest.fail("opened")
