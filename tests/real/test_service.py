"""The keeper for real: queued demo sessions, each process killed at its worst moment, and a real systemd above it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from real_demo import Demo
from systemdbox import SystemdBox, booted

from bisectbot import journal
from bisectbot.effects.lock import holder
from bisectbot.facts import State, Tried, replay
from bisectbot.keeper.unit import NAME
from bisectbot.model import Culprit

pytestmark = pytest.mark.real

_LONG = 1800.0  # seconds; only a failing test waits that long, or one with a cold kernel store
_SOON = 60.0
_PROGRAMS = ("bisectbot resume", "service run", "qemu-system", "cc1")


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "bisectbot", *map(str, words)]


def _told(*words: str | Path) -> dict[str, Any]:
    done = subprocess.run(_command(*words, "--json"), stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _until(reached: Callable[[], object], what: str, seconds: float = _LONG) -> None:
    late = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < late, f"never: {what}"
        time.sleep(0.05)


def _state(logs: Path, name: str) -> State:
    state = replay(journal.read(logs / name / "journal.db"))
    assert state is not None
    return state


def _trials(logs: Path, name: str) -> list[Tried]:
    return [row.fact for row in journal.read(logs / name / "journal.db") if isinstance(row.fact, Tried)]


def _culprit(logs: Path, name: str) -> str | None:
    answered = _state(logs, name).answered
    return answered.answer.commit if answered and isinstance(answered.answer, Culprit) else None


def _left_behind(logs: Path) -> list[str]:
    """Return what still runs for sessions of a folder."""
    said = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [line for line in said.splitlines() if str(logs) in line and any(word in line for word in _PROGRAMS)]


def _add(demo: Demo, logs: Path, name: str) -> dict[str, Any]:
    ends = ("--good", "demo-good", "--bad", "demo-bad")
    return _told("queue", "add", "--tree", demo.path, *ends, "--logs", logs, "--session", name)


@contextmanager
def _keeper(logs: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (logs / "service.log").open("ab") as log:
        process = subprocess.Popen(_command("service", "run", "--logs", logs), stdout=log, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=_SOON)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Path]:
    """Return a logs folder; whatever was started for it is over when the test is."""
    folder = tmp_path / "logs"
    folder.mkdir()
    yield folder
    if pid := holder(folder / "keeper.lock"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _until(lambda: not _left_behind(folder), "everything ends", _SOON)


def test_two_sessions_are_worked_through_whatever_is_killed(demo: Demo, logs: Path) -> None:
    """Kill -9 of a session, of the keeper, and SIGTERM: each session ends at the culprit, and loses no trial."""
    assert (_add(demo, logs, "one")["place"], _add(demo, logs, "two")["place"]) == (1, 2)
    with _keeper(logs) as keeper:
        _until(lambda: _trials(logs, "one"), "a first trial")
        standing = {row["session"]: row["standing"] for row in _told("queue", "list", "--logs", logs)["queue"]}
        assert standing == {"one": "running", "two": "waiting"}
        child, kept = holder(logs / "one/lock"), _trials(logs, "one")
        assert child is not None
        os.kill(child, signal.SIGKILL)
        _until(lambda: holder(logs / "one/lock") not in (None, child), "the session goes on", _SOON)
        assert keeper.poll() is None
        _until(lambda: len(_trials(logs, "one")) > len(kept), "another trial")
        assert _trials(logs, "one")[: len(kept)] == kept
        keeper.kill()
        _until(lambda: not _left_behind(logs), "nothing is left behind", 5.0)
    with _keeper(logs) as keeper:
        _until(lambda: holder(logs / "keeper.lock") == keeper.pid, "the new keeper is at work", _SOON)
        _until(lambda: holder(logs / "one/lock"), "the session goes on", _SOON)
        time.sleep(1.0)  # for its loop to begin, so that it ends in good order
        began = time.monotonic()
        keeper.terminate()
        assert keeper.wait(timeout=_SOON) == 0
        assert time.monotonic() - began < 10
        assert _left_behind(logs) == []
    assert {path.parent.name for path in logs.glob("*/queued")} == {"one", "two"}
    subprocess.run(_command("service", "run", "--logs", logs, "--until-empty"), timeout=_LONG, check=True)
    assert [_culprit(logs, name) for name in ("one", "two")] == [demo.truth["culprit"]] * 2
    assert _left_behind(logs) == []
    assert _told("queue", "list", "--logs", logs) == {"keeper": None, "queue": []}


@pytest.mark.soak  # two minutes of waiting; under a real systemd a hang is over sooner
def test_a_loop_that_hangs_is_killed_and_goes_on(demo: Demo, logs: Path) -> None:
    """A session whose process was stopped (SIGSTOP) gives no sign of life: it is killed after 90 s, and goes on."""
    _add(demo, logs, "one")
    with _keeper(logs):
        _until(lambda: _trials(logs, "one"), "a first trial")
        child = holder(logs / "one/lock")
        assert child is not None
        os.kill(child, signal.SIGSTOP)
        began = time.monotonic()
        _until(lambda: holder(logs / "one/lock") not in (None, child), "the session goes on", 120.0)
        assert time.monotonic() - began > 80
        _until(lambda: _culprit(logs, "one") == demo.truth["culprit"], "the culprit")


def test_a_session_in_the_background(demo: Demo, logs: Path) -> None:
    """`run --daemon` comes back at once; there is one keeper; taken off the queue, the session stops in good order."""
    words = ("--tree", demo.path, "--good", "demo-good", "--bad", "demo-bad", "--logs", logs)
    first = _told("run", *words, "--session", "one", "--daemon")
    second = _told("run", *words, "--session", "two", "--daemon")
    assert first["keeper"] == second["keeper"] == holder(logs / "keeper.lock")
    refused = subprocess.run(_command("service", "run", "--logs", logs), capture_output=True, text=True, check=False)
    assert (refused.returncode, f"pid {first['keeper']}" in refused.stderr) == (2, True)
    _until(lambda: _trials(logs, "one"), "a first trial")
    assert _told("queue", "rm", "one", "--logs", logs)["stopped"]
    _told("queue", "rm", "two", "--logs", logs)
    _until(lambda: holder(logs / "keeper.lock") is None, "the keeper ends with its queue", _SOON)
    paused = _state(logs, "one").paused
    assert paused is not None
    assert paused.why == "interrupted"
    assert _left_behind(logs) == []


@pytest.fixture
def box(tmp_path: Path) -> Iterator[SystemdBox]:
    """Return a real systemd."""
    with booted(tmp_path / "box") as made:
        yield made


def _main_pid(box: SystemdBox) -> str:
    return box.run("systemctl", "show", NAME, "--property=MainPID", "--value")


def _restarts(box: SystemdBox) -> int:
    return int(box.run("systemctl", "show", NAME, "--property=NRestarts", "--value") or 0)


def test_under_a_real_systemd(demo: Demo, logs: Path, box: SystemdBox) -> None:
    """Killed, hung, and without power: each time the keeper comes back by itself, and at the end it stops in time."""
    _add(demo, logs, "one")
    box.run(*_command("service", "install", "--system", "--logs", logs))
    drop_in = box.folder / f"units/{NAME}.d"
    drop_in.mkdir()
    (drop_in / "sooner.conf").write_text("[Service]\nWatchdogSec=6\nRestartSec=1\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "dbus.socket", "systemd-logind.service")
    box.run(*_command("service", "start"))
    status = json.loads(box.run(*_command("service", "status", "--json")))
    assert (status["ActiveState"], status["UnitFileState"]) == ("active", "enabled")
    _until(lambda: _trials(logs, "one"), "a first trial")

    assert re.search(r"^bisectbot .* sleep:idle .* block$", box.run("systemd-inhibit", "--list"), re.MULTILINE)

    box.run("kill", "-9", _main_pid(box))
    _until(lambda: _restarts(box) == 1 and holder(logs / "one/lock"), "it comes back after a kill", _SOON)
    box.run("kill", "-STOP", _main_pid(box))
    _until(lambda: _restarts(box) == 2, "it comes back after a hang", _SOON)
    assert "watchdog" in box.run(*_command("service", "logs"))
    _until(lambda: holder(logs / "one/lock"), "the session goes on", _SOON)

    kept = _trials(logs, "one")
    box.cut_power()
    assert _left_behind(logs) == []
    box.boot()
    _until(lambda: _culprit(logs, "one") == demo.truth["culprit"], "the culprit, with nobody having done anything")
    assert _trials(logs, "one")[: len(kept)] == kept

    _add(demo, logs, "two")
    _until(lambda: holder(logs / "two/lock"), "the next session", _SOON)
    time.sleep(1.0)  # for its loop to begin
    began = time.monotonic()
    box.run(*_command("service", "stop"))
    assert time.monotonic() - began < 10
    assert _left_behind(logs) == []
    box.run(*_command("service", "uninstall"))
    assert box.run("systemctl", "list-unit-files", NAME, "--no-legend", check=False) == ""


def test_under_a_users_own_systemd(tmp_path: Path, logs: Path, box: SystemdBox) -> None:
    """A unit of the login is installed, says how it outlives the login, starts, stops and goes without a trace."""
    own = box.folder / "units/user@.service.d"
    own.mkdir()
    (own / "home.conf").write_text(f'[Service]\nEnvironment="XDG_CONFIG_HOME={tmp_path}/home/.config"\n')
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", "dbus.socket", "systemd-logind.service", "user@0.service")
    login = ("env", "XDG_RUNTIME_DIR=/run/user/0")
    told = box.run(*login, *_command("service", "install", "--user", "--logs", logs))
    unit = tmp_path / "home/.config/systemd/user" / NAME
    assert unit.is_file()
    assert "loginctl enable-linger" in told
    box.run(*login, *_command("service", "start"))
    _until(lambda: holder(logs / "keeper.lock"), "it is up", _SOON)
    status = json.loads(box.run(*login, *_command("service", "status", "--json")))
    assert (status["ActiveState"], status["StatusText"]) == ("active", "0 at work (none)")
    box.run(*login, *_command("service", "stop"))
    assert holder(logs / "keeper.lock") is None
    box.run(*login, *_command("service", "uninstall"))
    assert not unit.exists()
