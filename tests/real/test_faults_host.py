"""A real machine that is somebody else, silent, or without power, under a keeper that nobody looks after."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from history import git
from machineroom.cutter import Cutter
from machineroom.ipmi import Ipmi
from machineroom.machine import Machine
from machineroom.room import Room
from night import Night, command
from postoffice import MailServer, free_port, mail_server
from real_demo import Demo
from sshserver import Server

from bisectbot.facts import BootBegan, Notified, Paused, Resumed, Tried

pytestmark = [pytest.mark.real, pytest.mark.lab, pytest.mark.soak]

_LONG = 1800.0  # seconds
_HOSTS = """
default = "{machine.name}"
[hosts.{machine.name}]
boot = "kexec"
arch = "x86_64"
cmdline = ["tsc_early_khz=2600000", "panic=3"]
[hosts.{machine.name}.ssh]
address = "127.0.0.1"
port = {cable.port}
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
kind = "tcp"
address = "127.0.0.1"
port = {machine.console_port}
[hosts.{machine.name}.deadlines]
boot = 45
silence = 25
heartbeat = 8
run = 10
home = 35
[notices]
on = ["start", "found", "ended", "hand", "quarantined"]
[notices.mail]
to = ["kim@example.org"]
sender = "bisectbot@example.org"
host = "localhost"
port = {port}
security = "none"
"""


@dataclass
class Watch:
    """What is waited for in a night, and how long it took."""

    night: Night
    keeper: subprocess.Popen[bytes]
    began: float = field(default_factory=time.monotonic)

    def until(self, reached: Callable[[], object], what: str) -> None:
        """Wait until something is so, while the keeper lives; say when it was."""
        late = time.monotonic() + _LONG
        while not reached():
            assert self.keeper.poll() is None, self.night.said()
            assert time.monotonic() < late, f"never: {what}\n{self.night.said()}"
            time.sleep(0.2)
        sys.stderr.write(f"{time.monotonic() - self.began:6.0f} s  {what}\n")

    def pauses(self) -> list[str]:
        """Return the kinds of the faults that paused it, in order."""
        return [row.fact.kind for row in self.night.rows() if isinstance(row.fact, Paused) and row.fact.why == "fault"]

    def count(self, kind: type) -> int:
        """Return how many facts of a kind there are."""
        return sum(isinstance(row.fact, kind) for row in self.night.rows())


def test_a_machine_that_is_wrong_silent_and_cut_off(
    demo: Demo, room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a pause and one mail, tried again with growing pauses; once mended, it ends at the true culprit."""
    machine = room.machine("dark-host")
    port, logs = free_port(), tmp_path / "logs"
    logs.mkdir()
    stranger = Server(tmp_path)
    with Ipmi(machine) as bmc, Cutter(stranger.port) as cable, mail_server(port=port) as mails:
        monkeypatch.setenv("SUT_PASSWORD", bmc.password)
        hosts = tmp_path / "hosts.toml"
        hosts.write_text(_HOSTS.format(machine=machine, bmc=bmc, cable=cable, port=port))
        culprit = demo.truth["culprit"]
        newer = git(demo.path, "rev-list", "--reverse", "--ancestry-path", f"{culprit}..demo-bad").split()
        night = Night(demo, logs, ends=(f"{culprit}~3", newer[1]), hosts=hosts)
        night.queue()
        watch = Watch(night, night.keeper("--until-empty"))
        try:
            _away(watch, machine, cable, stranger)
            _cut_in_a_boot(watch, machine, bmc)
            assert watch.keeper.wait(timeout=_LONG) == 0, night.said()
        finally:
            watch.keeper.terminate()
            watch.keeper.wait(timeout=60)
        sys.stderr.write(f"{time.monotonic() - watch.began:6.0f} s  the end\n")
        night.check(repeats=len(watch.pauses()))
        _check_mails(night, mails)


def _away(watch: Watch, machine: Machine, cable: Cutter, stranger: Server) -> None:
    """Put another machine at its address, then none at all, then the right one; nobody works on it meanwhile."""
    with stranger.running():
        watch.until(lambda: len(watch.pauses()) == 2, "another machine answers, twice")
    watch.until(lambda: len(watch.pauses()) == 3, "nobody answers")
    assert watch.pauses() == ["Stranger", "Stranger", "HostSick"]
    assert watch.count(Tried) == 0
    _check_pauses(watch.night)
    cable.target = machine.ssh_port
    machine.on()
    machine.await_ssh()
    watch.until(lambda: watch.count(Tried) > 0, "the right machine is there, and works")


def _check_pauses(night: Night) -> None:
    """See that the keeper waits longer from fault to fault."""
    rows = [row for row in night.rows() if isinstance(row.fact, Paused | Resumed)]
    waited = [after.at - row.at for row, after in pairwise(rows) if isinstance(row.fact, Paused)]
    assert waited[0] >= 30
    assert waited[1] >= 60


def _cut_in_a_boot(watch: Watch, machine: Machine, bmc: Ipmi) -> None:
    """Take its power and its BMC in a boot; later give them back, and have it looked at."""
    before = watch.count(BootBegan)
    watch.until(lambda: watch.count(BootBegan) > before, "the next boot")
    time.sleep(6.0)
    known, paused = watch.count(Tried), len(watch.pauses())
    bmc.stop()
    machine.off()
    watch.until(lambda: len(watch.pauses()) >= paused + 2, "its power is gone, and the keeper has tried again")
    assert set(watch.pauses()[paused:]) == {"Quarantined"}
    told = [row.fact.trial for row in watch.night.rows() if isinstance(row.fact, Tried)][known:]
    assert all(trial.ending.verdictless for trial in told), told
    bmc.start()
    machine.on()
    machine.await_ssh()
    checked = subprocess.run(
        command("hosts", "check", machine.name, "--hosts", str(watch.night.hosts)), env=os.environ, check=False
    )
    assert checked.returncode == 0
    watch.until(lambda: watch.count(Tried) > known + len(told), "it has power, was looked at, and works")


def _check_mails(night: Night, server: MailServer) -> None:
    """See that each trouble was told once, however often it was met, and the end."""
    kinds = Counter(row.fact.kind for row in night.rows() if isinstance(row.fact, Notified))
    subjects = [str(mail["Subject"]) for mail in server.mails]
    assert kinds == {"start": 1, "hand": 2, "quarantined": 1, "found": 1}, subjects
    assert len(subjects) == 5, subjects
    assert night.demo.truth["culprit"][:12] in subjects[-1]
