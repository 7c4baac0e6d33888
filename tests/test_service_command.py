"""`bisectbot service` on the command line: the keeper as a real process, its unit, and a machine without systemd."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import a_session, run_command, told_by
from history import History

from bisectbot import journal, places
from bisectbot.cli.keeper import systemd
from bisectbot.cli.keeper.wiring import HostsNow, write_hand
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.lock import Lock
from bisectbot.errors import InfraError
from bisectbot.facts import Answered, Noted
from bisectbot.model import Culprit
from bisectbot.session import Folder

_NOTICES = '\n[notices.command]\nargv = ["tell", "me"]\n'


def test_a_keeper_ends_with_its_queue(user: History) -> None:
    """A real keeper takes off what is over, leaves what needs a hand with the reason, and ends."""
    a_session(user, "done", Answered(Culprit(user["c03"]), ""))
    empty = a_session(user, "empty")
    (empty / "journal.db").write_bytes(b"")
    command = [sys.executable, "-m", "bisectbot", "service", "run", "--until-empty"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "done: answered, off the queue" in done.stderr
    assert [path.parent.name for path in Path("logs").glob("*/queued")] == ["empty"]
    assert "journal is empty" in (empty / "queued").read_text()


def test_a_keeper_waits_for_what_others_work_on(user: History) -> None:
    """While somebody works on a queued session by hand it is there, quietly, and a signal ends it."""
    folder = a_session(user, "mine")
    command = [sys.executable, "-m", "bisectbot", "service", "run", "--until-empty"]
    with Lock(folder / "lock", "this test"), subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as keeper:
        assert keeper.stderr is not None
        assert "working on the queue" in keeper.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(timeout=2)
        keeper.terminate()
        _, told = keeper.communicate(timeout=20)
    assert [line.rpartition(" SIGTERM: ")[2] for line in told.splitlines()] == ["ending all sessions; the queue stays"]


def test_a_hosts_toml_that_is_being_replaced_stays_the_one(user: History) -> None:
    """While an editor has moved it away nothing changes, not even to the shipped one; then the new one is read."""
    del user
    shipped, own, said = places.data("hosts.toml").read_text(), Path("hosts.toml"), list[str]()
    own.write_text(shipped + _NOTICES)
    now = HostsNow(None, said.append)
    assert now.notices.channels
    own.unlink()
    now()
    assert now.notices.channels
    assert "hosts.toml stays as it was" in said[0]
    own.write_text(shipped)
    now()
    assert not now.notices.channels


def test_a_folder_that_may_not_be_written_to_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no bug of ours: the path and the reason, and no traceback."""
    assert run_command("service", "run", "--logs", "/sys/nologs") == 5
    assert "bisectbot: /sys/nologs: " in capsys.readouterr().err


def test_a_marker_that_cant_be_written_doesnt_fill_the_journal(user: History) -> None:
    """Each round tries again; what needs a hand is noted once."""
    folder = a_session(user, "mine")
    (folder / ".queued.new").mkdir()  # where the marker would grow
    for _ in range(3):
        with pytest.raises(InfraError, match="queued"):
            write_hand(SystemClock(), Folder(folder), "it ends at once")
    assert [row.fact for row in journal.read(folder / "journal.db")][1:] == [Noted("hand", "it ends at once")]


def test_there_is_one_keeper_a_folder(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """A second one is refused, with the first one's pid."""
    del user
    with Lock(Path("logs/keeper.lock"), "this test"):
        assert run_command("service", "run") == 2
    assert f"in use by another bisectbot (pid {os.getpid()})" in capsys.readouterr().err


def test_the_unit_is_shown_and_nothing_is_changed(
    user: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its paths are absolute; a hosts.toml of this folder is named; nothing of the environment but what is needed."""
    del user
    Path("hosts.toml").write_text('default = "q"\n[hosts.q]\narch = "x86_64"\nboot = "qemu"\n')
    monkeypatch.setenv("LAB_PASSWORD", "swordfish")
    told = told_by(capsys, "service", "install", "--print", "--user")
    (start,) = (line for line in told["unit"].splitlines() if line.startswith("ExecStart="))
    words = shlex.split(start.removeprefix("ExecStart="))
    here = Path.cwd()
    assert words[:6] == [sys.executable, "-P", "-m", "bisectbot", "service", "run"]
    assert words[6:] == ["--logs", f"{here}/logs", "--hosts", f"{here}/hosts.toml"]
    assert "swordfish" not in told["unit"]
    assert not Path(told["file"]).exists()


def test_a_hosts_toml_with_mistakes_is_told_at_once(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """The unit isn't written, and no keeper is started that would only fail later."""
    del user
    Path("hosts.toml").write_text("nonsense")
    assert run_command("service", "install", "--print") == 2
    assert run_command("service", "run") == 2
    assert capsys.readouterr().err.count("hosts.toml is not TOML") == 2


@pytest.mark.parametrize("command", ["install", "start", "stop", "status", "logs", "uninstall"])
def test_without_systemd_the_other_ways_are_told(
    user: History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """tmux, --daemon and crontab are what is left."""
    monkeypatch.setattr(systemd, "_BOOTED", user.path / "none")
    assert run_command("service", command, "--user") == 2
    told = capsys.readouterr().err
    assert "systemd doesn't run on this machine" in told
    assert all(way in told for way in ("tmux", "--daemon", "@reboot"))
