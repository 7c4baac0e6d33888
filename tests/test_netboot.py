"""Netboot without a machine: the texts that boot loaders read, dnsmasq's words, and who gets a job how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bisectbot.errors import ConfigError
from bisectbot.lab import LabHost, Pxe, PxeMode, PxeNetwork, Ssh
from bisectbot.model import Arch
from bisectbot.netboot import dnsmasq, networks, scripts
from bisectbot.netboot.shelf import Shelf
from bisectbot.reach import NetbootJob

MAC, OTHER = "52:54:00:aa:00:01", "52:54:00:aa:00:02"
NET = PxeNetwork("lab", PxeMode.SERVE, interface="br0", address="10.0.0.1", first="10.0.0.50", last="10.0.0.60")
PROXY = replace(NET, mode=PxeMode.PROXY)
ROWS = (dnsmasq.Firmware("x86PC", (0,), "undionly.kpxe"), dnsmasq.Firmware("BC_EFI", (7,), "snponly.efi"))
WORDS = ("console=ttyS0,115200n8", "panic=5", 'dyndbg="file x.c +p"', "--", "arg")


def args(network: PxeNetwork, machines: dict[str, str]) -> list[str]:
    """Return dnsmasq's words."""
    return dnsmasq.arguments(network, machines, ROWS, Path("/tmp/leases"))  # noqa: S108  (only a word)


# --- texts -------------------------------------------------------------------------------------


def test_a_job_never_ends_at_a_prompt() -> None:
    """Each command of a script that may fail is followed by the way home, and so is the last."""
    lines = scripts.ipxe_job("http://10.0.0.1:8080/x/kernel", "http://10.0.0.1:8080/x/initramfs", WORDS).splitlines()
    assert lines[0] == "#!ipxe"
    assert lines[3:] == [
        f"kernel http://10.0.0.1:8080/x/kernel initrd=initramfs {' '.join(WORDS)} || exit 1",
        "initrd --name initramfs http://10.0.0.1:8080/x/initramfs || exit 1",
        "boot || exit 1",
        "exit 1",
    ]


def test_a_job_without_an_initramfs() -> None:
    """Nothing is said of an initramfs where there is none."""
    assert "initr" not in scripts.ipxe_job("kernel", None, ("quiet",))
    assert "INITRD" not in scripts.pxelinux_job("kernel", None, ("quiet",))


@pytest.mark.parametrize(
    "word", ["a\nshell", "${net0/ip}", "x || shell", "&&", ";", "#comment", "a  b", "a\tb", "\x1b[2J", "ü", "x" * 2001]
)
def test_no_word_becomes_a_command(word: str) -> None:
    """What iPXE would obey, fill in or change on the kernel command line is refused by name."""
    with pytest.raises(ConfigError):
        scripts.ipxe_job("kernel", None, ("quiet", word))


@pytest.mark.parametrize("name", ["a b", "x\ny", "${uuid}", "--name", "", "a;b"])
def test_no_name_becomes_a_command(name: str) -> None:
    """Neither do URLs and file names."""
    with pytest.raises(ConfigError):
        scripts.ipxe_job(name, None, ())
    with pytest.raises(ConfigError):
        scripts.pxelinux_job(name, None, ())


def test_a_menu_starts_its_job_at_once_and_falls_back() -> None:
    """Pxelinux asks nobody, and boots the local disk if the job can't be loaded."""
    menu = scripts.pxelinux_job("bisectbot/m/kernel", "bisectbot/m/initramfs", ("quiet",))
    assert menu.splitlines()[1:] == [
        "DEFAULT job",
        "PROMPT 0",
        "TIMEOUT 1",
        "NOESCAPE 1",
        "LABEL job",
        "  LINUX bisectbot/m/kernel",
        "  INITRD bisectbot/m/initramfs",
        "  APPEND quiet",
        "ONERROR home",
        "LABEL home",
        "  LOCALBOOT 0",
    ]
    assert "LOCALBOOT 0" in scripts.pxelinux_home()


def test_our_files_are_known() -> None:
    """Everything that we write is known as ours, and nothing else is."""
    for text in (scripts.ipxe_home(), scripts.pxelinux_home(), scripts.ipxe_job("k", None, ())):
        assert scripts.ours(text)
    assert not scripts.ours("DEFAULT install\n")
    assert not scripts.ours("")


@pytest.mark.parametrize("mac", ["52:54:00:aa:00", "52:54:00:AA:00:01", "52-54-00-aa-00-01", f"{MAC},x", MAC + "\n"])
def test_what_is_no_mac_is_refused(mac: str) -> None:
    """A MAC address becomes part of file names and of dnsmasq's words: it must be one."""
    with pytest.raises(ConfigError):
        scripts.dashed(mac)


# --- dnsmasq -----------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [NET, PROXY])
def test_only_listed_machines_on_one_interface(network: PxeNetwork) -> None:
    """In either mode nobody but the listed machines is answered, and nowhere but on the interface."""
    words = args(network, {MAC: "", OTHER: ""})
    assert {"--interface=br0", "--bind-interfaces", "--except-interface=lo", "--port=0"} <= set(words)
    assert {"--dhcp-ignore=tag:!known", "--conf-file=/dev/null", "--pid-file="} <= set(words)
    assert [word for word in words if word.startswith("--dhcp-host")] == [
        f"--dhcp-host={MAC},set:m0",
        f"--dhcp-host={OTHER},set:m1",
    ]
    assert f"--dhcp-boot=tag:ipxe,tag:m1,http://10.0.0.1:8080/boot/{scripts.dashed(OTHER)}.ipxe,,10.0.0.1" in words


def test_a_proxy_gives_out_no_address() -> None:
    """Beside another DHCP server there is no range, no lease, no router announcement and no pinned address."""
    words = args(PROXY, {MAC: "10.0.0.7"})
    assert [word for word in words if "dhcp-range" in word] == ["--dhcp-range=10.0.0.1,proxy"]
    assert not [word for word in words if "enable-ra" in word or "authoritative" in word or "10.0.0.7" in word]
    assert "--pxe-service=tag:!ipxe,BC_EFI,bisectbot,snponly.efi" in words


def test_a_machine_keeps_its_address() -> None:
    """Where we give out the addresses, a machine gets the one it is reached at."""
    assert f"--dhcp-host={MAC},set:m0,10.0.0.7" in args(NET, {MAC: "10.0.0.7"})


@pytest.mark.parametrize(
    "change",
    [
        {"interface": "lo"},
        {"interface": "br*"},
        {"interface": ""},
        {"interface": "br0,eth0"},
        {"address": "10.0.0.1,proxy"},
        {"first": "10.0.0"},
        {"last": "::1"},
    ],
)
def test_no_name_widens_the_net(change: dict[str, str]) -> None:
    """An interface or address that dnsmasq would read as more than one is refused."""
    with pytest.raises(ConfigError):
        args(replace(NET, **change), {MAC: ""})  # type: ignore[arg-type]


def test_only_loaders_that_are_there(tmp_path: Path) -> None:
    """A kind of firmware is offered a loader only if the loader is installed."""
    (tmp_path / "snponly.efi").touch()
    assert [row.service for row in dnsmasq.firmware(tmp_path)] == ["X86-64_EFI", "BC_EFI"]


# --- the shelf ---------------------------------------------------------------------------------


def shelf() -> Shelf:
    """Return one for two machines."""
    return Shelf("http://10.0.0.1:8080", frozenset({MAC, OTHER}))


def job(mac: str = MAC, initramfs: Path | None = Path("/i")) -> NetbootJob:
    """Return a job of two files."""
    return NetbootJob(mac, Path("/k"), initramfs, ("quiet",))


SCRIPT = f"/boot/{scripts.dashed(MAC)}.ipxe"
HOME = scripts.ipxe_home().encode()


def test_a_script_is_handed_out_once() -> None:
    """The first reader gets the job, the second is sent home, and files are there only for who has the script."""
    one = shelf()
    lot = one.put(job(), "s3cret")
    assert one.find("/s3cret/kernel") is None
    first = one.find(SCRIPT)
    assert isinstance(first, bytes)
    assert b"http://10.0.0.1:8080/s3cret/kernel" in first
    assert one.find(SCRIPT) == HOME
    assert not lot.taken
    for name, path in (("kernel", "/k"), ("initramfs", "/i")):
        assert one.find(f"/s3cret/{name}") == Path(path)
        one.sent(f"/s3cret/{name}")
        assert one.find(f"/s3cret/{name}") is None
    assert lot.taken


def test_machines_keep_apart() -> None:
    """A job is its machine's alone; a machine that isn't listed finds nothing at all."""
    one = shelf()
    one.put(job(), "s3cret")
    assert one.find(f"/boot/{scripts.dashed(OTHER)}.ipxe") == HOME
    assert one.find("/boot/52-54-00-ff-ff-ff.ipxe") is None
    assert one.find(f"/boot/{MAC}.ipxe") != HOME  # colons are the same machine's


@pytest.mark.parametrize("path", ["/", "", "/boot/", "/boot", "/s3cret", "/s3cret/", "/s3cret/../k", "/etc/passwd"])
def test_nothing_else_is_there(path: str) -> None:
    """No other path leads to a file."""
    one = shelf()
    one.put(job(), "s3cret").handed = True
    assert one.find(path) is None


def test_what_was_removed_is_gone() -> None:
    """After its context a job can't be found, and a later job of the machine isn't taken away with it."""
    one = shelf()
    old = one.put(job(), "old")
    new = one.put(job(initramfs=None), "new")
    one.remove(old)
    assert new.script.encode() == one.find(SCRIPT)
    one.remove(new)
    assert one.find(SCRIPT) == HOME
    assert one.find("/new/kernel") is None


def test_a_machine_is_pinned_to_what_it_is_reached_at() -> None:
    """An address that is one machine's own is kept; a name, a loopback or a shared address isn't."""
    addresses = ["10.0.0.7", "10.0.0.8", "10.0.0.8", "127.0.0.1", "host.lab"]
    hosts = [_host(number, address) for number, address in enumerate(addresses)]
    elsewhere = replace(hosts[0], pxe=Pxe(replace(NET, name="other"), OTHER))
    known = networks.machines(NET, [*hosts, elsewhere])
    assert list(known.values()) == ["10.0.0.7", "", "", "", ""]


def _host(number: int, address: str) -> LabHost:
    mac = f"52:54:00:aa:00:0{number}"
    return LabHost(f"h{number}", Arch.X86_64, Ssh(address, ()), (), pxe=Pxe(NET, mac))
