"""The main job on real machines: the demo tree bisected over a kexec host, and a part of it over a PXE host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from history import git
from machineroom import network as labnet
from machineroom.ipmi import Ipmi
from machineroom.machine import Machine
from machineroom.room import Room
from real_demo import Demo

from bisectbot import journal
from bisectbot.facts import State, replay

pytestmark = [pytest.mark.real, pytest.mark.lab]

_HOUR = 3600

_SUT = """
default = "{machine.name}"
[hosts.{machine.name}]
boot = "{boot}"
arch = "x86_64"
cmdline = ["tsc_early_khz=2600000", "panic=3"]
[hosts.{machine.name}.ssh]
address = "127.0.0.1"
port = {machine.ssh_port}
key = "{machine.base.key}"
host_keys = ["{machine.host_key}"]
[hosts.{machine.name}.power]
kind = "ipmi"
address = "127.0.0.1"
port = {bmc.port}
user = "{bmc.user}"
password = {{ env = "SUT_PASSWORD" }}
cipher = 3
[hosts.{machine.name}.console]
{console}
[hosts.{machine.name}.deadlines]
boot = 60
silence = 30
heartbeat = 15
home = 120
"""
_TCP = """
kind = "tcp"
address = "127.0.0.1"
port = {port}
"""


def _hosts(folder: Path, machine: Machine, bmc: Ipmi, boot: str, more: str = "") -> Path:
    file = folder / "hosts.toml"
    console = _TCP.format(port=machine.console_port)
    file.write_text(_SUT.format(machine=machine, bmc=bmc, boot=boot, console=console) + more)
    return file


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "bisectbot", *map(str, words), "--json"]


def _surroundings(bmc: Ipmi) -> dict[str, str]:
    return {**os.environ, "SUT_PASSWORD": bmc.password}


def _bisectbot(bmc: Ipmi, *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Return exit code and JSON object of a command."""
    done = subprocess.run(
        _command(*words), stdout=subprocess.PIPE, text=True, timeout=_HOUR, check=False, env=_surroundings(bmc)
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def _state(logs: Path) -> State:
    state = replay(journal.read(logs / "lab/journal.db"))
    assert state is not None
    return state


def test_the_demo_tree_is_bisected_over_a_kexec_host(demo: Demo, room: Room, tmp_path: Path) -> None:
    """Unattended, over SSH, with power by IPMI: the true culprit, and the machine home after every boot."""
    machine = room.machine("kexec-host")
    machine.on()
    machine.await_ssh()
    with Ipmi(machine) as bmc:
        file = _hosts(tmp_path, machine, bmc, "kexec")
        _bisected(demo, tmp_path, bmc, file, "--good", "demo-good", "--bad", "demo-bad")
    state = _state(tmp_path)
    assert {one.boot for one in state.homecomings} == set(range(1, state.boots + 1))
    untestable = {commit for commits in demo.truth["untestable"].values() for commit in commits}
    skipped = {commit for commit, judged in state.judged() if judged.verdict == "skip"}
    assert skipped <= untestable


def test_a_part_of_it_over_a_pxe_host(demo: Demo, room: Room, tmp_path: Path) -> None:
    """Our own DHCP, TFTP and HTTP, power by IPMI, the bot killed in the middle of a boot: still the true culprit."""
    with labnet.entered() as network:
        machine = room.machine("pxe-host")
        card = labnet.Card()
        labnet.netboots(machine, network, "bios", card)
        more = _PXE.format(
            machine=machine,
            mac=card.mac,
            bridge=labnet.BRIDGE,
            own=labnet.ADDRESS,
            first=labnet.FIRST,
            last=labnet.LAST,
        )
        with Ipmi(machine) as bmc:
            file = _hosts(tmp_path, machine, bmc, "pxe", more)
            # its known-good system gets its address from the bot too
            machine.on()
            culprit = demo.truth["culprit"]
            newer = git(demo.path, "rev-list", "--reverse", "--ancestry-path", f"{culprit}..demo-bad").split()
            ends = ("--good", f"{culprit}~3", "--bad", newer[1])
            _killed_in_a_boot(bmc, *_session(demo, tmp_path, file, *ends), journal=tmp_path / "lab/journal.db")
            _resumed(demo, tmp_path, bmc, file)


_PXE = """
[hosts.{machine.name}.pxe]
network = "lab"
mac = "{mac}"
[pxe.lab]
mode = "serve"
interface = "{bridge}"
address = "{own}"
first = "{first}"
last = "{last}"
"""


def _session(demo: Demo, logs: Path, file: Path, *ends: str) -> tuple[str | Path, ...]:
    return ("run", "--tree", demo.path, *ends, "--hosts", file, "--logs", logs, "--session", "lab")


def _killed_in_a_boot(bmc: Ipmi, *words: str | Path, journal: Path) -> None:
    """Run until the second boot is under way, and kill -9 the bot then."""
    bot = subprocess.Popen(_command(*words), env=_surroundings(bmc), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + _HOUR
    while _boots(journal) < 2:
        assert bot.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.5)
    bot.kill()
    bot.wait()


def _boots(path: Path) -> int:
    state = replay(journal.read(path)) if path.is_file() else None
    return state.boots if state else 0


def _bisected(demo: Demo, logs: Path, bmc: Ipmi, file: Path, *ends: str) -> None:
    """Run a whole session, and see that it ends well."""
    _ends_well(demo, logs, bmc, file, *_session(demo, logs, file, *ends))


def _resumed(demo: Demo, logs: Path, bmc: Ipmi, file: Path) -> None:
    """Go on with a session whose bot was killed, and see that it ends well."""
    _ends_well(demo, logs, bmc, file, "resume", "--logs", logs, "--hosts", file, "lab")


def _ends_well(demo: Demo, logs: Path, bmc: Ipmi, file: Path, *words: str | Path) -> None:
    """See that the culprit is named, and that the machine passes every check afterwards."""
    code, told = _bisectbot(bmc, *words)
    assert (code, told["ending"], told["culprit"]) == (0, "culprit", demo.truth["culprit"])
    code, checked = _bisectbot(bmc, "hosts", "check", "--hosts", file)
    assert (code, checked["ok"]) == (0, True)
    state = _state(logs)
    assert state.boots in {one.boot for one in state.homecomings}
