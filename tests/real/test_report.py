"""Machines whose console nobody reads: a real kernel brings the network up, and the facts come over TCP alone."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bisectbot.arch import traits
from bisectbot.boot import initramfs
from bisectbot.boot.qemu import Guest, qemu_argv
from bisectbot.console.guest import Done, End, Fact, GuestReader, How, Out, Ready, Start
from bisectbot.effects.proc import Processes
from bisectbot.model import Accel, Arch, Kernel, QemuHost
from csrc import lacking, ours

pytestmark = pytest.mark.real

SECONDS = 60.0
BOT = "10.0.2.2"  # what QEMU's user network calls our loopback
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = FIRMWARE.with_name("OVMF_VARS_4M.fd")
NO_CONSOLE = "console="  # none at all: /dev/console can't be opened


def uefi(folder: Path) -> tuple[str, ...]:
    """Return QEMU's arguments for UEFI firmware with empty variables."""
    if not FIRMWARE.exists():
        lacking("the firmware isn't installed: apt-get install ovmf")
    shutil.copy(VARIABLES, folder / "variables")
    flash = "if=pflash,format=raw"
    return ("-drive", f"{flash},readonly=on,file={FIRMWARE}", "-drive", f"{flash},file={folder}/variables")


@contextmanager
def booted(folder: Path, kernel: Kernel, words: tuple[str, ...], qemu_args: tuple[str, ...]) -> Iterator[None]:
    """Run a machine that has bisectbot's own reproducer, its serial port connected to nothing."""
    row, made = traits(Arch.X86_64), ours(Arch.X86_64)
    archive = folder / "initramfs"
    archive.write_bytes(initramfs.pack(made.init.read_bytes(), made.reproducer.read_bytes()))
    host = QemuHost("sut", Arch.X86_64, cpu=row.cpu, machine=row.machine, accel=Accel.TCG, qemu_args=qemu_args)
    argv = qemu_argv(
        host, Guest(kernel.image, archive, ("tsc_early_khz=2600000", "ip=dhcp", *words)), Accel.TCG, "null"
    )
    append = argv.index("-append") + 1
    if NO_CONSOLE in words:
        argv[append] = argv[append].replace(f"console={row.tty} ", "")
    running = Processes().start(argv, log=folder / "qemu.log")
    try:
        yield
    finally:
        running.stop()


def heard(server: socket.socket) -> list[Fact]:
    """Return what comes over one connection."""
    connection, _ = server.accept()
    connection.settimeout(SECONDS)
    reader, facts = GuestReader(), []
    with connection:
        while data := connection.recv(65536):
            facts += reader.feed(data)
    return facts


@pytest.mark.parametrize(
    ("by_uefi", "adapter", "words"),
    [(False, "virtio-net-pci", (NO_CONSOLE,)), (False, "e1000", ()), (True, "e1000e", ())],
    ids=["virtio-net, no console", "e1000", "e1000e, started by UEFI"],
)
def test_the_facts_arrive(
    lab_kernel: Callable[[], Kernel],
    tmp_path: Path,
    by_uefi: bool,  # noqa: FBT001  a column of the table
    adapter: str,
    words: tuple[str, ...],
) -> None:
    """Who is there, a clean run with its counts, done: over the network alone, on one connection that ends."""
    kernel = lab_kernel()
    firmware = uefi(tmp_path) if by_uefi else ()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        report = f"bisectbot.report={BOT}:{server.getsockname()[1]}"
        asked = ("bisectbot.token=cafe", "bisectbot.trials=2", "bisectbot.limit=40", report, *words)
        with booted(tmp_path, kernel, asked, ("-nic", f"user,model={adapter}", *firmware)):
            facts = heard(server)
    assert facts[0] == Ready(1, kernel.release, Arch.X86_64, "cafe", 2)
    assert [type(fact) for fact in facts if isinstance(fact, (Start, End))] == [Start, End] * 2
    assert [(fact.how, fact.code) for fact in facts if isinstance(fact, End)] == [(How.EXIT, 0)] * 2
    assert any('"verdict":"clean"' in fact.line for fact in facts if isinstance(fact, Out))
    assert facts[-1] == Done()


def test_a_plain_boot_test(lab_kernel: Callable[[], Kernel], tmp_path: Path) -> None:
    """With no trial asked for, the machine says who it is, and that it is done."""
    kernel = lab_kernel()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        report = f"bisectbot.report={BOT}:{server.getsockname()[1]}"
        words = ("bisectbot.token=cafe", "bisectbot.trials=0", report)
        with booted(tmp_path, kernel, words, ("-nic", "user,model=virtio-net-pci")):
            facts = heard(server)
    assert facts == [Ready(1, kernel.release, Arch.X86_64, "cafe", 2), Done()]
