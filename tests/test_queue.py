"""`bisectbot queue`, `service` and `run --daemon` on the command line, as far as no kernel is built."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from commandline import a_session, run_command, told_by
from history import History
from test_proc import gone

from bisectbot import journal
from bisectbot.cli.resuming import resumed
from bisectbot.effects import children
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.detached import detach
from bisectbot.effects.lock import Lock, holder, holds, is_held
from bisectbot.facts import Answered, Paused, replay
from bisectbot.journal import Journal
from bisectbot.model import Arch, Culprit, QemuHost

_BUDGET = Paused("budget", "the time that it was given is used up")


def _queue(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    return {row["session"]: row for row in told_by(capsys, "queue", "list")["queue"]}


def test_sessions_are_queued_in_order(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Each goes behind the others or, with --first, in front; its plan is what `run` would have made of the words."""
    words = ("queue", "add", "--tree", user.path, "--good", "main~5", "--bad", "main", "--confidence", "0.9")
    more: dict[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("--first",)}
    places = [told_by(capsys, *words, "--session", name, *first)["place"] for name, first in more.items()]
    assert places == [1, 2, 1]
    assert list(_queue(capsys)) == ["c", "a", "b"]
    state = replay(journal.read(Path("logs/a/journal.db")))
    assert state is not None
    assert state.plan.search is not None
    assert (state.plan.range_.bad, state.plan.search.confidence) == (user["c05"], 0.9)
    assert run_command("queue", "list") == 0
    assert "nobody works on the queue: bisectbot service start" in capsys.readouterr().out


def test_a_mistake_queues_nothing(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """What `run` refuses, `queue add` refuses, in the same words."""
    assert (
        run_command("queue", "add", "--tree", user.path, "--good", "main~5", "--bad", "main", "--host", "nonsense") == 2
    )
    assert "no host" in capsys.readouterr().err
    assert not Path("logs").exists()


def test_the_list_tells_what_each_waits_for(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """At work, at rest until a time of day and why, behind another one, in need of a hand, empty."""
    a_session(user, "works", queued="1\n")
    rests = a_session(user, "rests", queued="2\n")
    book = Journal(rests / "journal.db")
    book.append(SystemClock().wall(), Paused("fault", "disk full", "DiskFull"))
    book.close()
    a_session(user, "waits", queued="3\n")
    a_session(user, "stuck", queued="4\nno such gcc\n")
    a_session(user, "elsewhere", queued=None)
    with Lock(Path("logs/works/lock"), "this test"):
        found = _queue(capsys)
        assert run_command("queue", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [row["standing"] for row in found.values()] == ["running", "waiting", "waiting", "needs a hand"]
    assert found["rests"]["until"] > SystemClock().wall()
    assert "again at " in lines[1]
    assert lines[1].endswith("paused for a fault: disk full")
    assert lines[2] == "3. waits on qemu-x86_64: waiting: qemu-x86_64 works on works"
    assert lines[3] == "4. stuck on qemu-x86_64: needs a hand: no such gcc"


def test_what_is_taken_off_keeps_its_journal(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the marker goes; a session that isn't queued is told as that, and one that isn't there is a mistake."""
    folder = a_session(user, "mine")
    assert told_by(capsys, "queue", "rm", "mine") == {"session": "mine", "removed": True, "stopped": None}
    assert not (folder / "queued").exists()
    assert (folder / "journal.db").is_file()
    assert told_by(capsys, "queue", "rm", "mine")["removed"] is False
    assert run_command("queue", "rm", "other") == 2


def test_a_running_session_is_asked_to_stop(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """The process that holds the session's lock gets SIGTERM."""
    a_session(user, "mine")
    holding = (
        "import sys, time; from pathlib import Path; from bisectbot.effects.lock import Lock\n"
        "with Lock(Path('logs/mine/lock'), 'it'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert told_by(capsys, "queue", "rm", "mine")["stopped"] == process.pid
        assert process.wait(timeout=20) == -15


def test_a_number_from_elsewhere_gets_no_signal(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """A pid that is another process here (the holder is in a container, say) is left alone."""
    folder = a_session(user, "mine")
    with subprocess.Popen(["sleep", "60"]) as stranger, Lock(folder / "lock", "this test"):  # noqa: S607
        (folder / "lock").write_text(f"{stranger.pid}\n")
        assert told_by(capsys, "queue", "rm", "mine")["stopped"] is None
        assert stranger.poll() is None
        stranger.kill()


def test_a_keeper_that_hands_out_notices_gets_no_signal(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """The keeper holds a session's lock now and then; taking that session off doesn't end all the others."""
    folder = a_session(user, "mine")
    holding = (
        "import sys, time; from pathlib import Path; from bisectbot.effects.lock import Lock\n"
        "with Lock(Path('logs/keeper.lock'), 'all'), Lock(Path('logs/mine/lock'), 'it'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"held\n"
        assert told_by(capsys, "queue", "rm", "mine")["stopped"] is None
        assert not (folder / "queued").exists()
        assert keeper.poll() is None
        keeper.kill()


def test_a_session_is_put_back(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever kept it from going on is forgotten: a budget that was used up, a hand that was needed."""
    a_session(user, "late", _BUDGET, queued=None)
    a_session(user, "stuck", queued="1\nno such gcc\n")
    assert told_by(capsys, "queue", "resume", "late", "--first")["place"] == 1
    told_by(capsys, "queue", "resume", "stuck")
    assert {name: row["standing"] for name, row in _queue(capsys).items()} == {"late": "waiting", "stuck": "waiting"}


def test_an_answered_session_isnt_put_back(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nothing left to be done."""
    folder = a_session(user, "done", Answered(Culprit(user["c03"]), ""), queued=None)
    assert run_command("queue", "resume", "done") == 2
    assert "answered already" in capsys.readouterr().err
    assert not (folder / "queued").exists()


@pytest.mark.parametrize(
    ("host", "says"), [("nonsense", "no host"), ("qemu-aarch64", "is aarch64, and the session's kernels are x86_64")]
)
def test_a_host_that_wont_do_is_refused(
    user: History, capsys: pytest.CaptureFixture[str], host: str, says: str
) -> None:
    """--on takes a host of hosts.toml with the session's architecture; nothing is written otherwise."""
    folder = a_session(user, "mine")
    assert run_command("resume", "mine", "--on", host) == 2
    assert says in capsys.readouterr().err
    assert len(journal.read(folder / "journal.db")) == 1


def test_another_host_takes_over(user: History) -> None:
    """It is written down once, and from then on it is the session's host."""
    book = Journal(a_session(user, "mine") / "journal.db")
    other = QemuHost("other", Arch.X86_64)
    first = replay(resumed(book, SystemClock(), on=other))
    again = replay(resumed(book, SystemClock()))
    book.close()
    assert first is not None
    assert again is not None
    assert first.plan.host == again.plan.host == other


def test_a_log_cant_grow_without_end(tmp_path: Path) -> None:
    """At 8 MiB it is put aside, and whoever has it open goes on writing to it."""
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (8 << 20))
        children.bound(log)
        assert log.stat().st_size == 8 << 20
        writer.write(b"x")
        children.bound(log)
        writer.write(b"more\n")
    assert log.read_bytes() == b"more\n"
    assert (tmp_path / "service.log.1").stat().st_size == (8 << 20) + 1


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        ("bisectbot: no host 'x'\n  next: give --host\n", "no host 'x'"),
        ("bisectbot: old\nbisectbot: new\nmore\n", "new"),
        ("x" * 10_000 + "\nlast\n", "last"),
    ],
)
def test_the_last_words_of_a_log(tmp_path: Path, log: str, said: str) -> None:
    """An error of ours counts more than what stands behind it."""
    file = tmp_path / "service.log"
    assert children.last_words(file) == ""
    file.write_text(log)
    assert children.last_words(file) == said


def test_a_detached_process_is_its_own(tmp_path: Path) -> None:
    """It leads a session of its own, doesn't carry our children's mark, and writes to its log."""
    log = tmp_path / "log"
    pid = detach(["/bin/sh", "-c", "ps -o pid=,sess= -p $$; echo mark=$BISECTBOT_CHILD_OF"], log)
    assert gone(pid)
    os.waitpid(pid, 0)
    first, second = log.read_text().splitlines()
    assert first.split() == [str(pid), str(pid)]
    assert second == "mark="


def test_who_asks_for_a_lock_is_in_nobodys_way(tmp_path: Path) -> None:
    """A look at a lock holds it for a moment: who takes it then waits for that moment."""
    path = tmp_path / "lock"
    path.touch()
    look = path.open("rb")
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(0.01, look.close).start()
    with Lock(path, "this test"):
        assert holder(path) == os.getpid()
        assert holds(os.getpid(), path)
        assert not holds(os.getppid(), path)
    assert holder(path) is None
    assert not is_held(path.parent / "gone/lock")
