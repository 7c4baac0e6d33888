"""A network of its own for machines that boot from it: a namespace without a name, a bridge, a tap for each machine."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from machineroom import uefi
from machineroom.machine import Machine

HOME = b"THIS IS THE LOCAL DISK"
BRIDGE, ADDRESS, FIRST, LAST = "br0", "192.168.77.1", "192.168.77.50", "192.168.77.99"
_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_SLOTS = (0x10, 0x11)  # PCI: the card, the boot disk
_DISK_MIB = 40
# Puts what follows it on the first serial port, and halts: cli; ds = 0; si = text; wait for 0x3fd; out 0x3f8; hlt
_PRINT = "fa31c08ed8be{text}bafd03eca82074fbac84c07406baf803eeebedf4ebfd"
_BOOT_CODE = 0x3E  # where it begins in a FAT's first sector


@dataclass(frozen=True)
class Card:
    """The network card that a machine boots from."""

    mac: str = "52:54:00:aa:00:01"
    model: str = "virtio-net-pci"


@dataclass
class LabNetwork:
    """The network that this thread is in while the context lasts; what it starts is in it too, and nothing else is."""

    bridge: str = BRIDGE
    address: str = ADDRESS
    _taps: Iterator[int] = field(default_factory=itertools.count)

    def tap(self) -> str:
        """Return a new port of the bridge, for a QEMU."""
        name = f"tap{next(self._taps)}"
        _ip("tuntap", "add", name, "mode", "tap")
        self.plug(name)
        return name

    def plug(self, device: str) -> None:
        """Plug a network device into the bridge."""
        _ip("link", "set", device, "master", self.bridge, "up")

    def processes(self, program: str) -> list[int]:
        """Return the processes of this network that run a program."""
        here = Path("/proc/thread-self/ns/net").readlink()
        return [int(each.name) for each in Path("/proc").glob("[0-9]*") if _runs(int(each.name), program, here)]

    def kill(self, program: str) -> None:
        """Kill what this network's processes of that name are."""
        for pid in self.processes(program):
            os.kill(pid, signal.SIGKILL)

    @contextmanager
    def neighbour(self, address: str, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program on another machine of this network, which has `address` on its interface site0."""
        words = ["unshare", "--net", "sh", "-c", _NEIGHBOUR, "sh", address, *argv]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as there:
            assert there.stdin is not None
            try:
                _ip("link", "add", "site", "type", "veth", "peer", "name", "site0")
                self.plug("site")
                _await_namespace(there.pid)
                _ip("link", "set", "site0", "netns", str(there.pid))
                there.stdin.write(b"\n")
                there.stdin.flush()
                yield there
            finally:
                there.kill()


_NEIGHBOUR = (
    'read go; address=$1; shift; ip link set lo up; ip addr add "$address/24" dev site0;'
    " ip addr add fd00:77::2/64 dev site0 nodad;"
    ' ip link set site0 up; exec "$@" </dev/null'
)


def _runs(pid: int, program: str, network: Path) -> bool:
    with suppress(OSError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == program and Path(f"/proc/{pid}/ns/net").readlink() == network
    return False


def _await_namespace(pid: int) -> None:
    here = Path("/proc/thread-self/ns/net").readlink()
    while Path(f"/proc/{pid}/ns/net").readlink() == here:
        os.sched_yield()


@contextmanager
def entered() -> Iterator[LabNetwork]:
    """Take this thread, and what it starts from now on, into a new network; needs root. It ends with its last user."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call(_LIBC.unshare(_NEWNET))
        try:
            _ip("link", "set", "lo", "up")
            _ip("link", "add", BRIDGE, "type", "bridge")
            _ip("addr", "add", f"{ADDRESS}/24", "dev", BRIDGE)
            _ip("addr", "add", "fd00:77::1/64", "dev", BRIDGE, "nodad")  # iPXE waits for an IPv6 router
            _ip("link", "set", BRIDGE, "up")
            yield LabNetwork()
        finally:
            _call(_LIBC.setns(back, _NEWNET))
    finally:
        os.close(back)


def _call(answer: int) -> None:
    if answer:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)  # noqa: S607


# --- what the machine's firmware finds ---------------------------------------------------------------------------


def telling_disk(file: Path) -> Path:
    """Make a disk that prints HOME on the serial port when it is booted, by a BIOS or by UEFI."""
    _fat(file, {}, f"echo {HOME.decode()}\nsleep 1000\n")
    code = bytes.fromhex(_PRINT.format(text="0000"))
    text = 0x7C00 + _BOOT_CODE + len(code)
    with file.open("r+b") as disk:
        disk.seek(_BOOT_CODE)
        disk.write(bytes.fromhex(_PRINT.format(text=text.to_bytes(2, "little").hex())) + b"\r\n" + HOME + b"\r\n\0")
    return file


def base_disk(file: Path, machine: Machine) -> Path:
    """Make a disk that boots the machine's base system, by a BIOS (syslinux) or by UEFI (GRUB)."""
    words = machine.command_line
    menu = file.with_suffix(".cfg")
    menu.write_text(f"DEFAULT base\nLABEL base\nKERNEL vmlinuz\nINITRD initrd\nAPPEND {words}\n")
    files = {"vmlinuz": machine.base.kernel, "initrd": machine.base.initrd, "syslinux.cfg": menu}
    _fat(file, files, f"search --file /vmlinuz --set=root\nlinux /vmlinuz {words}\ninitrd /initrd\nboot\n")
    subprocess.run(["syslinux", "--install", str(file)], check=True)  # noqa: S607
    return file


def _fat(file: Path, files: dict[str, Path], grub: str) -> None:
    menu, loader = file.with_suffix(".grub"), file.with_suffix(".efi")
    menu.write_text(grub)
    argv = ["grub-mkstandalone", "-O", "x86_64-efi", "-o", str(loader), "--locales=", "--fonts=", "--themes="]
    modules = "fat linux search search_fs_file echo sleep normal"
    argv += [f"--modules={modules}", f"--install-modules={modules}", f"boot/grub/grub.cfg={menu}"]
    subprocess.run(argv, check=True)
    with file.open("wb") as disk:
        disk.truncate(_DISK_MIB << 20)
    subprocess.run(["mformat", "-i", str(file), "::"], check=True)  # noqa: S607
    subprocess.run(["mmd", "-i", str(file), "::EFI", "::EFI/BOOT"], check=True)  # noqa: S607
    for name, source in {**files, "EFI/BOOT/BOOTX64.EFI": loader}.items():
        subprocess.run(["mcopy", "-i", str(file), str(source), f"::{name}"], check=True)  # noqa: S607


def firmware(kind: str, card: Card, tap: str, disk: Path) -> list[str]:
    """Return QEMU's words for a machine that boots from the network first and from `disk` next; keeps files beside it.

    `kind`: "bios" (SeaBIOS, the card's ROM is iPXE) or "uefi" (OVMF and its own PXE, no ROM on the card).
    """
    slot, disk_slot = _SLOTS
    net = ["-netdev", f"tap,id=lab,ifname={tap},script=no,downscript=no"]
    drive = ["-drive", f"file={disk},if=none,id=local,format=raw"]
    device = f"{card.model},netdev=lab,mac={card.mac},addr={slot:#x}"
    local = f"virtio-blk-pci,drive=local,addr={disk_slot:#x}"
    if kind == "bios":
        return [*net, "-device", f"{device},bootindex=1", *drive, "-device", f"{local},bootindex=2"]
    memory = disk.with_suffix(".uefi")
    uefi.memory(memory, _SLOTS, card.mac)
    flash = [f"if=pflash,unit=0,format=raw,readonly=on,file={uefi.CODE}", f"if=pflash,unit=1,format=raw,file={memory}"]
    return ["-drive", flash[0], "-drive", flash[1], *net, "-device", f"{device},romfile=", *drive, "-device", local]


def netboots(machine: Machine, network: LabNetwork, kind: str, card: Card) -> None:
    """Turn a machine that is off into a PXE host: it boots from the network, and without a job its base system.

    It keeps its other card, by which `ssh_port` leads to it.
    """
    words = firmware(kind, card, network.tap(), base_disk(machine.folder / "boot.img", machine))
    management = f"user,id=management,hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22"
    first = ["-netdev", management, "-device", "virtio-net-pci,netdev=management,romfile="]
    machine.describe(boot={name: [*first, *words] for name in ("default", "pxe")})
