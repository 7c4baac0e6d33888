"""`bisectbot hosts` on a machine behind a real BMC: what it says is what the machine's own process and kernel say."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from machineroom import chassis
from machineroom.base import Base
from machineroom.ipmi import Ipmi
from machineroom.machine import MARKER, Machine
from machineroom.room import opened
from real_demo import Demo

from bisectbot import places
from bisectbot.lab import FOLDER, Owner
from bisectbot.model import Arch, Kernel

pytestmark = [pytest.mark.real, pytest.mark.lab]

_SECONDS = 300.0
_WORD_SECONDS = 20.0
_FILE = """
default = "sut"
[hosts.sut]
boot = "kexec"
arch = "x86_64"
tags = ["ipmi"]
cmdline = ["tsc_early_khz=2600000", "panic=3"]
deadlines = {{ boot = 90, silence = 60, home = 90, power = 10, rest = 3 }}
[hosts.sut.ssh]
address = "127.0.0.1"
port = {ssh_port}
key = "{key}"
host_keys = ["{host_key}"]
[hosts.sut.power]
kind = "ipmi"
address = "127.0.0.1"
port = {bmc_port}
user = "{user}"
password = {{ file = "{password}" }}
cipher = 3
[hosts.sut.console]
kind = "tcp"
address = "127.0.0.1"
port = {console_port}
"""


@dataclass
class Lab:
    """A machine that is up, its BMC, and the hosts.toml that describes both."""

    machine: Machine
    file: Path
    folder: Path
    environment: dict[str, str]

    def words(self, *words: str) -> list[str]:
        """Return a `bisectbot hosts` command."""
        return [sys.executable, "-m", "bisectbot", "hosts", *words, "--hosts", str(self.file)]

    def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code and the JSON object of a command."""
        argv = [*self.words(*words), "--json"]
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, text=True, timeout=_SECONDS, check=False, env=self.environment
        )
        told: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, told

    def pid(self) -> int | None:
        """Return the process that is the machine, None while it is off."""
        return chassis.pid(self.machine.folder)


class Builds(Protocol):
    """The fixture `kernels`."""

    def build(self, arch: Arch, rev: str, *concerns: str) -> Kernel:
        """Return the kernel of a revision with these fragments."""
        ...


@pytest.fixture(scope="module")
def lab(base_system: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a machine that is up, for all tests of this file."""
    folder = tmp_path_factory.mktemp("hosts")
    with opened(folder / "room", base_system) as room:
        machine = room.machine("sut")
        machine.on()
        room.stack.callback(machine.off)
        bmc = room.stack.enter_context(Ipmi(machine))
        password = folder / "password"
        password.touch(0o600)
        password.write_text(bmc.password)
        file = folder / "hosts.toml"
        file.write_text(
            _FILE.format(
                ssh_port=machine.ssh_port,
                key=machine.base.key,
                host_key=machine.host_key,
                bmc_port=bmc.port,
                user=bmc.user,
                password=password,
                console_port=machine.console_port,
            )
        )
        machine.await_ssh()
        yield Lab(machine, file, folder, {**os.environ, "BISECTBOT_CACHE": str(_own_cache(folder / "cache"))})


def _own_cache(folder: Path) -> Path:
    """Return a cache with the user's kernels and trees, and a book of machines of its own."""
    folder.mkdir()
    for there in places.cache().iterdir():
        if there.name != "hosts":
            (folder / there.name).symlink_to(there)
    return folder


def test_check_goes_through_every_layer(lab: Lab) -> None:
    """All is ok, each with its time, and the machine wasn't rebooted for it."""
    before = lab.machine.boot_id()
    code, told = lab.run("check")
    found = {layer["name"]: layer for layer in told["hosts"]["sut"]}
    assert (code, told["ok"]) == (0, True), told
    assert [*found] == ["ssh", "marker", "lock", "kexec", "console", "power"]
    assert {layer["status"] for layer in found.values()} == {"ok"}
    assert all(0 <= layer["seconds"] < 20 for layer in found.values())
    assert found["ssh"]["seconds"] > 0
    assert lab.machine.boot_id() == before


def test_the_console_is_followed(lab: Lab) -> None:
    """What the machine's kernel says now is printed within seconds; Ctrl-C ends it without a traceback."""
    argv = lab.words("console", "tag:ipmi")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=lab.environment) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        try:
            told = b""
            while b"Ctrl-C ends this" not in told:
                told += (line := following.stderr.readline())
                assert line, told
            lab.machine.ssh("echo '<0>a-word-of-the-kernel' >/dev/kmsg")
            heard = _until(b"a-word-of-the-kernel", following.stdout.fileno())
            following.send_signal(signal.SIGINT)
            told += following.stderr.read()
        finally:
            following.kill()
    assert b"a-word-of-the-kernel" in heard
    assert b"Traceback" not in told
    assert following.returncode == 130


def _until(word: bytes, handle: int) -> bytes:
    """Return what comes until a word has come."""
    heard, deadline = b"", time.monotonic() + _WORD_SECONDS
    while word not in heard and time.monotonic() < deadline:
        if select.select([handle], [], [], 0.5)[0]:
            heard += os.read(handle, 65536)
    return heard


def test_an_unmarked_machine_keeps_its_power(lab: Lab) -> None:
    """It answers, and isn't marked as one that may be switched off: its process goes on, whatever is known of it."""
    before = lab.pid()
    lab.machine.ssh(f"mv {MARKER} /root/marker")
    try:
        code, told = lab.run("power", "sut", "off")
    finally:
        lab.machine.ssh(f"mv /root/marker {MARKER}")
    assert (code, told["ending"]) == (5, "error")
    assert "isn't marked" in told["error"]
    assert lab.pid() == before is not None


def test_a_machine_in_use_keeps_its_power(lab: Lab) -> None:
    """A bot on another machine holds the lock: neither off nor cycle, and the check says who has it."""
    before, other = lab.pid(), Owner("bench2", "another-machine", "another-boot", 77, 1)
    lab.machine.ssh(f"mkdir -p {FOLDER}; (echo $(($(date +%s) + 600)); echo '{other}') >{FOLDER}/lock")
    try:
        refused = [lab.run("power", "sut", act) for act in ("off", "cycle")]
        _, checked = lab.run("check", "sut")
    finally:
        lab.machine.ssh(f"rm {FOLDER}/lock")
    for code, told in refused:
        assert code == 2
        assert "in use by another bisectbot (bench2, pid 77" in told["error"]
    assert {layer["name"]: layer["status"] for layer in checked["hosts"]["sut"]}["lock"] == "fail"
    assert lab.pid() == before is not None


def test_one_commit_is_booted(lab: Lab, demo: Demo, kernels: Builds) -> None:
    """A kernel of the store proves itself on the machine, which is home again afterwards, by itself."""
    wanted = kernels.build(Arch.X86_64, "demo-good", "kvm-rseq")
    before = lab.machine.boot_id()
    code, told = lab.run("boot", "sut", "demo-good", "--tree", str(demo.path), "--logs", str(lab.folder / "logs"))
    assert (code, told["booted"], told["from_store"]) == (0, True, True), told
    assert told["release"] == wanted.release
    (trial,) = told["trials"]
    assert trial["ending"] == "clean"
    assert wanted.release in Path(trial["console"]).read_text(errors="replace")
    (homed,) = told["homecomings"]
    assert (homed["host"], homed["how"]) == ("sut", "by itself")
    assert lab.machine.boot_id() not in ("", before)


def test_power_is_what_the_machine_has(lab: Lab) -> None:
    """Status, off, on and cycle: each time the machine's process is the same, gone, or another."""
    first = lab.pid()
    assert first is not None
    assert lab.run("power", "sut", "status") == (0, {"host": "sut", "power": "on"})
    code, told = lab.run("power", "sut", "off")
    assert (code, told["power"], told["confirmed"]) == (0, "off", True)
    assert lab.pid() is None
    assert lab.run("power", "sut", "status")[1]["power"] == "off"
    code, told = lab.run("power", "sut", "on")
    assert (code, told["power"], told["confirmed"]) == (0, "on", True)
    second = lab.pid()
    assert second not in (None, first)
    code, told = lab.run("power", "sut", "cycle")  # it doesn't answer yet, and has shown its marker before
    assert (code, told["power"], told["confirmed"]) == (0, "on", True)
    assert lab.pid() not in (None, first, second)
