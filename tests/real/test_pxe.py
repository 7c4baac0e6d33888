"""Machines that boot from the network, by the firmware of a PC and by UEFI, from real DHCP, TFTP and HTTP."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from machineroom import network as labnet
from machineroom.bare import Console, running
from machineroom.network import ADDRESS, BRIDGE, FIRST, HOME, LAST, Card, LabNetwork
from machineroom.room import Room

from bisectbot.boot import initramfs
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.dhcp import dhcp_answered
from bisectbot.effects.httpd import served
from bisectbot.effects.lock import Lock
from bisectbot.effects.proc import Processes
from bisectbot.errors import Busy, HostSick
from bisectbot.lab import PxeMode, PxeNetwork
from bisectbot.model import Arch, Kernel
from bisectbot.netboot.folder import Folder
from bisectbot.netboot.scripts import dashed
from bisectbot.netboot.serving import Serving, Tools
from bisectbot.reach import NetbootJob, Offer
from csrc import compile_one, lacking, ours

pytestmark = [pytest.mark.real, pytest.mark.lab]

CARD = Card()
MAC = CARD.mac
LAB = PxeNetwork("lab", PxeMode.SERVE, interface=BRIDGE, address=ADDRESS, first=FIRST, last=LAST)
BESIDE = PxeNetwork("lab", PxeMode.PROXY, interface=BRIDGE, address=ADDRESS)
SITE = ("dnsmasq", "-k", "-C", "/dev/null", "-p", "0", "-x", "", "-z", "-i", "site0", "-8", "-")
FIRMWARES = ("bios", "uefi")
_QUICK = 25.0  # through the network to the disk; 4 on an idle machine
_PROGRAMS = ("dnsmasq", "mformat", "grub-mkstandalone", "syslinux", "unshare", "ip")
KernelOf = Callable[[str], Kernel]
Told = Callable[[str, object], None]


@pytest.fixture
def lab() -> Iterator[LabNetwork]:
    """Return a network in which this test is alone."""
    if os.geteuid() != 0:
        lacking("a network namespace needs root")
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            lacking(f"{program} is not installed")
    with labnet.entered() as made:
        yield made


@pytest.fixture(scope="session")
def candidate(kernel: Callable[[Arch, str], Kernel], lab_kernel: Callable[[], Kernel]) -> KernelOf:
    """Return a maker of candidates that a firmware of each kind can start."""
    return lambda kind: lab_kernel() if kind == "uefi" else kernel(Arch.X86_64, "good")


def machine(lab: LabNetwork, folder: Path, kind: str, card: Card = CARD) -> list[str]:
    """Return QEMU's words for a machine with a disk that tells when it is booted."""
    return labnet.firmware(kind, card, lab.tap(), labnet.telling_disk(folder / "disk.img"))


def tools() -> Tools:
    """Return the real effects."""
    return Tools(Processes(), SystemClock(), served, Lock, dhcp_answered)


def serves(folder: Path, network: PxeNetwork = LAB) -> Serving:
    """Return a network that knows one machine."""
    return Serving(network, {MAC: ""}, tools(), folder / "netboot")


def job(folder: Path, kernel: Kernel, token: str) -> NetbootJob:
    """Return a job whose reproducer ends at once, and with it the candidate."""
    archive = folder / "initramfs"
    provoke = compile_one("provoke", folder, Arch.X86_64)
    archive.write_bytes(initramfs.pack(ours(Arch.X86_64).init.read_bytes(), provoke.read_bytes(), ("exit", "0")))
    words = ("console=ttyS0", "tsc_early_khz=2600000", "panic=5")
    ask = (f"bisectbot.token={token}", "bisectbot.trials=1", "bisectbot.limit=60")
    return NetbootJob(MAC, kernel.image, archive, (*words, *ask))


def once(console: Console, offer: Offer, token: str, told: Told) -> None:
    """See a machine start its candidate, and at its next boot its disk, with the job still on the shelf."""
    told("greeting after seconds", round(console.greets(token), 1))
    assert offer.taken()
    offer.check()
    told("home again after seconds", round(console.until(HOME), 1))


@pytest.mark.parametrize(("kind", "model"), [("bios", "virtio-net-pci"), ("bios", "e1000"), ("uefi", "virtio-net-pci")])
def test_a_candidate_boots_once(  # noqa: PLR0913, PLR0917  (fixtures)
    lab: LabNetwork, tmp_path: Path, candidate: KernelOf, kind: str, model: str, record_property: Told
) -> None:
    """The machine fetches the candidate, which greets with its token; its own reboot leads to the local disk."""
    token = secrets.token_hex(8)
    words = machine(lab, tmp_path, kind, Card(model=model))
    with serves(tmp_path).offer(job(tmp_path, candidate(kind), token)) as offer:
        assert not offer.taken()
        with running(tmp_path, words) as console:
            once(console, offer, token, record_property)


def test_without_a_job_a_machine_boots_its_disk(lab: LabNetwork, tmp_path: Path) -> None:
    """The machine asks the network, is answered, and goes on to its local disk at once."""
    with serves(tmp_path).idle(), running(tmp_path, machine(lab, tmp_path, "bios")) as console:
        assert console.until(HOME) < _QUICK
    assert f"/boot/{dashed(MAC)}.ipxe" in (tmp_path / "netboot/http.log").read_text()


def test_an_unknown_machine_gets_nothing(lab: LabNetwork, tmp_path: Path) -> None:
    """A machine that isn't listed gets no address and no file, and its disk is booted as without us."""
    other = Card(mac="52:54:00:bb:00:02")
    with serves(tmp_path).idle(), running(tmp_path, machine(lab, tmp_path, "bios", other)) as console:
        console.until(HOME)
        said = (tmp_path / "netboot/dnsmasq.log").read_text()
    assert f"DHCPDISCOVER({BRIDGE}) {other.mac} ignored" in said
    assert "DHCPOFFER" not in said
    assert not (tmp_path / "netboot/http.log").exists()


@pytest.mark.parametrize("kind", FIRMWARES)
def test_beside_the_dhcp_server_of_the_site(
    lab: LabNetwork, tmp_path: Path, candidate: KernelOf, kind: str, record_property: Told
) -> None:
    """Another machine gives out the addresses; ours says what to boot, once, and gives out none."""
    token = secrets.token_hex(8)
    site = (
        *SITE,
        f"--dhcp-leasefile={tmp_path}/site.leases",
        f"--dhcp-range={FIRST},{LAST},10m",
        "--enable-ra",
        "--dhcp-range=::,constructor:site0,ra-only",
    )
    with (
        lab.neighbour("192.168.77.2", *site),
        serves(tmp_path, BESIDE).offer(job(tmp_path, candidate(kind), token)) as offer,
        running(tmp_path, machine(lab, tmp_path, kind)) as console,
    ):
        once(console, offer, token, record_property)
    assert "DHCPOFFER" not in (tmp_path / "netboot/dnsmasq.log").read_text()


@pytest.mark.parametrize("loader", ["boot.ipxe", "pxelinux.0"])
def test_a_folder_that_somebody_else_serves(
    tmp_path: Path, candidate: KernelOf, loader: str, record_property: Told
) -> None:
    """The site's own TFTP server hands our files on, by its iPXE script or by pxelinux, until the job is withdrawn."""
    root, token = tmp_path / "tftp", secrets.token_hex(8)
    site_root(root)
    disk = labnet.telling_disk(tmp_path / "disk.img")
    net = f"user,model=virtio-net-pci,mac={MAC},tftp={root},bootfile={loader}"
    words = ["-nic", net, "-drive", f"file={disk},if=virtio,format=raw", "-boot", "order=nc"]
    folder = Folder(PxeNetwork("site", PxeMode.FOLDER, folder=root), [MAC], Lock)
    with folder.offer(job(tmp_path, candidate("bios"), token)) as offer, running(tmp_path, words) as console:
        record_property("greeting after seconds", round(console.greets(token), 1))
        offer.withdraw()
        assert offer.taken()
        record_property("home again after seconds", round(console.until(HOME), 1))
    assert not (root / "bisectbot" / dashed(MAC)).exists()


def site_root(root: Path) -> None:
    """Make a TFTP root as a site has it, with the one line for us in its own script."""
    root.mkdir()
    (root / "boot.ipxe").write_text("#!ipxe\nchain bisectbot/${netX/mac:hexhyp}.ipxe || exit\n")
    for file in ("/usr/lib/PXELINUX/pxelinux.0", "/usr/lib/syslinux/modules/bios/ldlinux.c32"):
        if not Path(file).is_file():
            lacking(f"{file} is not there: apt-get install pxelinux syslinux-common")
        shutil.copy(file, root)


def test_dnsmasq_dies(lab: LabNetwork, tmp_path: Path, candidate: KernelOf) -> None:
    """An offer whose DHCP server is gone says so, with its last words; the next offer has a new one."""
    network, asked = serves(tmp_path), job(tmp_path, candidate("bios"), "0")
    with network.idle():
        with network.offer(asked) as offer:
            offer.check()
            lab.kill("dnsmasq")
            with pytest.raises(HostSick, match="dnsmasq ended"):
                await_it(offer.check)
        with network.offer(asked) as offer:
            offer.check()
    assert lab.processes("dnsmasq") == []


def await_it(look: Callable[[], None]) -> None:
    """Look again until it raises, for some seconds."""
    for _ in range(100):
        look()
        time.sleep(0.05)


def test_http_is_gone(lab: LabNetwork, tmp_path: Path) -> None:
    """A machine that is sent to an HTTP server which isn't there ends at its local disk."""
    dead = Tools(Processes(), SystemClock(), nobody_serves, Lock, dhcp_answered)
    network = Serving(LAB, {MAC: ""}, dead, tmp_path / "netboot")
    with network.idle(), running(tmp_path, machine(lab, tmp_path, "bios")) as console:
        console.until(HOME)


@contextmanager
def nobody_serves(address: str, port: int, **_: object) -> Iterator[Callable[[], bool]]:
    """Play an HTTP server that died without a word."""
    del address, port
    yield lambda: True


def test_what_is_in_use_is_told(lab: LabNetwork, tmp_path: Path) -> None:
    """A second bot, a port that is taken, an interface that isn't there: each by its own name, and nothing is left."""
    answered = serves(tmp_path / "other").idle()
    taken = served(ADDRESS, 8080, find=lambda _: None, sent=print, log=tmp_path / "log")
    with answered, pytest.raises(HostSick, match="DHCP port of br0 in use"), serves(tmp_path).idle():
        pytest.fail("two answer on one interface")
    with taken, pytest.raises(HostSick, match=r"192\.168\.77\.1:8080.*in use"), serves(tmp_path).idle():
        pytest.fail("two serve on one port")
    with Lock(tmp_path / "netboot/lock", "it"), pytest.raises(Busy, match="lab"), serves(tmp_path).idle():
        pytest.fail("two serve one network from one folder")
    with pytest.raises(HostSick, match="br9"), serves(tmp_path, replace(LAB, interface="br9")).idle():
        pytest.fail("served on an interface that isn't there")
    assert lab.processes("dnsmasq") == []


@pytest.mark.parametrize("kind", FIRMWARES)
def test_a_machine_with_a_system_of_its_own(  # noqa: PLR0913, PLR0917  (fixtures)
    lab: LabNetwork, room: Room, tmp_path: Path, candidate: KernelOf, kind: str, record_property: Told
) -> None:
    """A machine of the lab boots its known-good system through our default, a candidate once, and is home again."""
    sut, token = room.machine(), secrets.token_hex(8)
    labnet.netboots(sut, lab, kind, CARD)
    network = serves(tmp_path)
    with network.idle():
        sut.on()
        record_property("first start, seconds", round(sut.await_ssh(), 1))
        before = sut.boot_id()
        with network.offer(job(tmp_path, candidate(kind), token)) as offer:
            sut.ssh("reboot")
            record_property("greeting after seconds", round(Console(sut.console_log).greets(token), 1))
            assert offer.taken()
            record_property("home again after seconds", round(sut.await_ssh(), 1))
        assert sut.boot_id() not in {before, ""}
        sut.off()
