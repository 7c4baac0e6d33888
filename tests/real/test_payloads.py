"""What a candidate runs with, and how its results come back: without a console, over SSH, from a crash store."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from labsite import DEADLINES, PATIENCES, Site
from machineroom.machine import Hardware
from machineroom.room import Room

from bisectbot.boot.home import Rung
from bisectbot.console import read_console
from bisectbot.lab import Network, Payload
from bisectbot.model import Arch, CrashKind, Ending, Kernel
from csrc import compile_one

pytestmark = [pytest.mark.real, pytest.mark.lab]

# The address of this machine as QEMU's user network shows it.
_BOT = "10.0.2.2"
# Memory that neither the known-good system nor a candidate uses; it keeps what is in it over a reset.
_KEPT, _KEPT_BYTES = 0x2F000000, 0x100000


def _site(room: Room, kernel: Kernel, program: Path, folder: Path, hardware: Hardware) -> Site:
    machine = room.machine("sut", hardware)
    machine.on()
    machine.await_ssh()
    return Site(machine, folder / "sut", kernel, program)


def test_a_machine_without_a_console_reports_over_the_network(
    lab_kernel: Callable[[], Kernel], room: Room, tmp_path: Path
) -> None:
    """Nobody listens to its serial line: two clean trials with counts come over TCP, and a crash ends as no verdict."""
    program = compile_one("misbehave", tmp_path, Arch.X86_64)
    site = _site(room, lab_kernel(), program, tmp_path, Hardware())
    network = Network("dhcp", _BOT, listen="127.0.0.1")
    host = site.host(console=None, network=network, tty="", deadlines=replace(DEADLINES, silence=90))
    boot = site.boot(host, "lines", "2", runs=2)
    assert [(trial.ending, trial.counts) for trial in boot.trials] == [(Ending.CLEAN, {"lines": 2})] * 2
    assert boot.homed is not None
    assert boot.homed.how == Rung.WAIT
    site.program = compile_one("provoke", tmp_path, Arch.X86_64)
    (trial,) = site.boot(host, "sysrq", "c").trials
    assert trial.ending.verdictless
    site.at_home(host)


def test_a_candidate_on_the_machines_own_root(lab_kernel: Callable[[], Kernel], room: Room, tmp_path: Path) -> None:
    """Its own initramfs is made there, modules are shipped, the reproducer runs over SSH, and no trace is left."""
    program = tmp_path / "reproducer"
    program.write_text(_ON_ROOT)
    kernel = replace(lab_kernel(), modules=_modules(tmp_path, lab_kernel().release))
    site = _site(room, kernel, program, tmp_path, Hardware())
    host = site.host(payload=Payload.HOST, deadlines=replace(DEADLINES, boot=150, silence=120))
    boot = site.boot(host, "x", runs=2)
    assert [(trial.ending, trial.release) for trial in boot.trials] == [(Ending.CLEAN, kernel.release)] * 2, (
        boot.console
    )
    assert boot.trials[0].counts == {"module": "shipped", "root": "/dev/vda"}
    assert boot.homed is not None
    assert boot.homed.how == Rung.SSH_REBOOT
    site.at_home(host)
    left = site.machine.ssh("ls /lib/modules; ls /var/lib/bisectbot").stdout.decode()
    assert "-bb-" not in left
    assert "runs" not in left


# A shell script is a program too, where there is a shell.
_ON_ROOT = """#!/bin/sh
module=/lib/modules/$(uname -r)/kernel/proof.ko
root=$(findmnt -n -o SOURCE /)
echo "{\\"module\\": \\"$(cat $module)\\", \\"root\\": \\"$root\\"}"
"""


def _modules(folder: Path, release: str) -> Path:
    """Return an archive as the builder makes them; what is in it need only be found."""
    archive, content = folder / "modules.tar.gz", b"shipped"
    with gzip.open(archive, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("", "/kernel"):
            entry = tarfile.TarInfo(f"lib/modules/{release}{name}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        entry = tarfile.TarInfo(f"lib/modules/{release}/kernel/proof.ko")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return archive


def test_what_the_machine_kept_of_a_crash_is_fetched(
    lab_kernel: Callable[[], Kernel], room: Room, tmp_path: Path
) -> None:
    """A panic that went into ramoops is in a file beside the console log, and gone from the machine."""
    site = _site(
        room,
        lab_kernel(),
        compile_one("provoke", tmp_path, Arch.X86_64),
        tmp_path,
        Hardware(words=(f"memmap={_KEPT_BYTES:#x}${_KEPT:#x}",)),
    )
    where = f"mem_address={_KEPT:#x} mem_size={_KEPT_BYTES:#x} record_size=0x20000"
    script = "/usr/local/lib/machineroom/boot"
    assert site.machine.ssh(f"echo modprobe ramoops {where} >>{script}; modprobe ramoops {where}").returncode == 0
    words = (f"memmap={_KEPT_BYTES:#x}${_KEPT:#x}", *(f"ramoops.{word}" for word in where.split()))
    host = site.host(cmdline=(*site.host().cmdline, *words))
    boot = site.boot(host, "sysrq", "c")
    assert [trial.ending for trial in boot.trials] == [Ending.CRASHED]
    assert boot.homed is not None
    assert boot.homed.crash_log is not None, boot.console[-3000:]
    kept = read_console(boot.homed.crash_log.read_bytes())
    assert CrashKind.PANIC in {crash.kind for crash in kept.crashes}
    assert site.machine.ssh("ls /sys/fs/pstore").stdout.split() == []
    site.at_home(host)


def test_a_machine_with_systemd_is_left_in_good_order(
    kernel: Callable[[Arch, str], Kernel], room: Room, tmp_path: Path
) -> None:
    """Services are stopped before the jump, and the machine comes home by itself."""
    program = compile_one("provoke", tmp_path, Arch.X86_64)
    hardware = Hardware(init="systemd")
    site = _site(room, kernel(Arch.X86_64, "good"), program, tmp_path, hardware)
    host = site.host(deadlines=replace(DEADLINES, boot=150), patiences=replace(PATIENCES, home=150))
    boot = site.boot(host, "exit", "0")
    assert [trial.ending for trial in boot.trials] == [Ending.CLEAN], boot.console[-3000:]
    assert "systemd-shutdown" in boot.console
    assert boot.homed is not None
    assert boot.homed.how == Rung.WAIT
    site.at_home(host)
