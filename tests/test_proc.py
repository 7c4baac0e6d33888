"""Child processes: what they get, how they end, and that none is left behind."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bisectbot.effects import orphans, proc
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.orphans import VARIABLE
from bisectbot.effects.proc import Processes, command_line
from bisectbot.errors import DiskFull, InfraError, OutOfMemory, Overdue, ToolMissing
from bisectbot.ports import LEFT_OUT, Deadline, Proc, Running

PATIENCE = 20.0  # seconds; only a failing test waits that long

BOT = """
import sys
from pathlib import Path
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.ports import Deadline
Processes().run(["sh", "-c", sys.argv[1]], log=Path(sys.argv[2]), deadline=Deadline.after(SystemClock(), 1000))
"""


def later(seconds: float = PATIENCE) -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(SystemClock(), seconds)


def gone(pid: int) -> bool:
    """Whether a process ends within our patience."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    ended = bool(poll.poll(PATIENCE * 1000))
    os.close(handle)
    return ended


def fifo(folder: Path) -> Path:
    """Make a named pipe by which a child says that it is ready: reading it blocks until then."""
    path = folder / "ready"
    os.mkfifo(path)
    return path


def test_it_fits_the_port() -> None:
    """Processes is what the stages ask for."""
    proc: Proc = Processes()
    assert proc.which("sh") is not None
    assert proc.which("no-such-program-here") is None


def test_both_streams_and_the_command_land_in_the_log(tmp_path: Path) -> None:
    """A log starts with a line that a person can paste, then has all output, appended, then the exit code."""
    log = tmp_path / "log"
    log.write_text("before\n")
    done = Processes().run(
        ["sh", "-c", "echo out; echo err >&2; exit 3"], log=log, deadline=later(), cwd=tmp_path, env={"A": "b c"}
    )
    assert done.code == 3
    before, command, *output, end = log.read_text().splitlines()
    assert before == "before"
    again = subprocess.run(["/bin/sh", "-c", command.removeprefix("$ ")], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout, again.stderr) == (3, "out\n", "err\n")
    assert output == ["out", "err"]
    assert end.startswith("# exit 3 after ")


def test_a_child_sees_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of our environment reaches a child but PATH, HOME and TMPDIR; messages are English."""
    monkeypatch.setenv("KBUILD_OUTPUT", "/nowhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    code, text = Processes().output(["env"], deadline=later(), env={"ARCH": "arm64"})
    seen = dict(line.split("=", 1) for line in text.splitlines())
    assert code == 0
    assert seen["HOME"] == str(tmp_path)
    assert seen["LANG"] == "C.UTF-8"
    assert seen["ARCH"] == "arm64"
    assert set(seen) <= {"PATH", "HOME", "TMPDIR", "LANG", "ARCH", VARIABLE}


def test_stdin_is_empty() -> None:
    """A child that asks a question gets no answer instead of waiting for ever."""
    assert Processes().output(["cat"], deadline=later()) == (0, "")


def test_an_answer_is_bounded() -> None:
    """output() returns at most 1 MiB, and both streams."""
    code, text = Processes().output(["sh", "-c", "echo err >&2; head -c 3000000 /dev/zero"], deadline=later())
    assert code == 0
    assert text.startswith("err\n")
    assert len(text) == 1 << 20


def test_a_missing_program_has_its_own_error(tmp_path: Path) -> None:
    """A tool that isn't there is ToolMissing and named; a missing working folder isn't blamed on the tool."""
    with pytest.raises(ToolMissing, match="no-such-program"):
        Processes().output(["no-such-program"], deadline=later())
    with pytest.raises(InfraError, match="no such folder") as raised:
        Processes().output(["true"], deadline=later(), cwd=tmp_path / "nowhere")
    assert not isinstance(raised.value, ToolMissing)


def test_a_program_that_may_not_run_is_told(tmp_path: Path) -> None:
    """A file without the right to execute is an infrastructure fault, not a crash of ours."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(InfraError, match="Permission denied"):
        Processes().output([str(program)], deadline=later())


def test_past_its_deadline_the_whole_group_ends(tmp_path: Path) -> None:
    """Overdue ends the child and its children, even one that ignores TERM."""
    ready = fifo(tmp_path)
    script = f'trap "" TERM; sleep 1000 & echo $$ $! >{ready}; wait; wait'
    pids: list[int] = []

    class Jumps(SystemClock):
        """A clock that is past every deadline once the child has told its numbers (the first question starts it)."""

        asked = 0

        def now(self) -> float:
            self.asked += 1
            if self.asked > 1 and not pids:
                pids.extend(int(word) for word in ready.read_text().split())
            return 1e9 if pids else 0.0

    deadline = Deadline(Jumps(), PATIENCE)
    with pytest.raises(Overdue):
        Processes(grace=0.05).run(["sh", "-c", script], log=tmp_path / "log", deadline=deadline)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_child_that_ended_in_time_is_not_overdue(tmp_path: Path) -> None:
    """What was seen decides, not the clock: a finished child counts even when the deadline has passed since."""
    running = Processes().start(["true"], log=tmp_path / "log")
    assert gone(running.pid)
    assert running.poll() == 0
    assert running.stop() == 0


@pytest.mark.parametrize("script", ["kill -KILL $$", "exit 137"])
def test_killed_from_outside_is_out_of_memory(tmp_path: Path, script: str) -> None:
    """A child killed by signal 9, or a shell that reports one, means that memory ran out."""
    with pytest.raises(OutOfMemory):
        Processes().run(["sh", "-c", script], log=tmp_path / "log", deadline=later())


def test_a_full_disk_under_the_log_is_told() -> None:
    """When the log has no room the fault is DiskFull, whatever the child did."""
    with pytest.raises(DiskFull):
        Processes().run(["true"], log=Path("/dev/full"), deadline=later())


def test_start_returns_at_once_and_stop_ends_the_group(tmp_path: Path) -> None:
    """A started child runs on until stop(), which ends its children too and may be called twice."""
    ready = fifo(tmp_path)
    running: Running = Processes().start(
        ["sh", "-c", f"sleep 1000 & echo $! >{ready}; wait"], log=tmp_path / "log", env={"A": "b"}
    )
    child = int(ready.read_text())
    assert running.poll() is None
    assert running.stop() == -signal.SIGTERM
    assert running.stop() == -signal.SIGTERM
    assert running.poll() == -signal.SIGTERM
    assert gone(child)


def test_what_a_child_leaves_in_its_group_ends_with_it(tmp_path: Path) -> None:
    """A command that is done leaves nothing running behind it."""
    log = tmp_path / "log"
    Processes().run(["sh", "-c", "sleep 1000 & echo pid $!"], log=log, deadline=later())
    assert gone(int(log.read_text().split("\npid ")[1].split()[0]))


def test_stop_all_ends_what_runs_and_refuses_more(tmp_path: Path) -> None:
    """Going down, the bot ends a build that runs in another thread, and that is no verdict on the commit."""
    ready = fifo(tmp_path)
    proc = Processes()
    faults: list[InfraError] = []

    def build() -> None:
        try:
            proc.run(["sh", "-c", f"echo $$ >{ready}; exec sleep 1000"], log=tmp_path / "log", deadline=later())
        except InfraError as error:
            faults.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    pid = int(ready.read_text())
    proc.stop_all()
    thread.join(PATIENCE)
    assert gone(pid)
    assert [str(fault) for fault in faults] == ["sh was ended: bisectbot is stopping"]
    with pytest.raises(InfraError, match="stopping"):
        proc.output(["true"], deadline=later())


def test_kill_9_of_the_bot_leaves_no_orphan(tmp_path: Path) -> None:
    """When the bot is killed, its children, their children and those that left the group all end."""
    ready = fifo(tmp_path)
    script = f"sleep 1000 & a=$!; setsid sleep 1000 & echo $$ $a $! >{ready}; wait"
    bot = subprocess.Popen([sys.executable, "-c", BOT, script, str(tmp_path / "log")], cwd=Path(__file__).parents[1])
    pids = [int(word) for word in ready.read_text().split()]
    bot.kill()
    bot.wait()
    assert len(pids) == 3
    assert all(gone(pid) for pid in pids)


def test_it_travels_without_its_children() -> None:
    """Processes can be handed to a worker process; it keeps its settings and nothing else."""
    assert pickle.loads(pickle.dumps(Processes(grace=2.5))).__reduce__() == (Processes, (2.5,))  # noqa: S301 - ours


def test_a_command_line_is_quoted() -> None:
    """The line in the log can be pasted even when words have spaces."""
    line = command_line(["make", "CC=ccache gcc"], Path("/a b"), {"X": "1 2"})
    assert line == "cd '/a b' && env 'X=1 2' make 'CC=ccache gcc'"


def _zombies() -> list[str]:
    """Return our own children that ended and were never reaped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().rpartition(")")
            state, parent = rest.split()[:2]
            if state == "Z" and int(parent) == os.getpid():
                found.append(name)
    return found


def test_no_zombie_is_left(tmp_path: Path) -> None:
    """However a child ends (by itself, overdue, killed, stopped after it was over), it is reaped."""
    children, log = Processes(grace=0.1), tmp_path / "log"
    children.run(["true"], log=log, deadline=later())
    children.output(["sh", "-c", "exit 3"], deadline=later())
    with pytest.raises(Overdue):
        children.run(["sleep", "1000"], log=log, deadline=later(0.1))
    with pytest.raises(OutOfMemory):
        children.run(["sh", "-c", "kill -9 $$"], log=log, deadline=later())
    running = children.start(["true"], log=log)
    assert running.ended(PATIENCE)
    running.stop()
    children.start(["sleep", "1000"], log=log).stop()
    with pytest.raises(ToolMissing):
        children.start(["no-such-tool-bb"], log=log)
    assert _zombies() == []


def test_the_watcher_over_orphans_is_watched_too(tmp_path: Path) -> None:
    """One that was killed, as for memory, is reaped and replaced with the next child, under the same mark."""
    Processes().run(["true"], log=tmp_path / "log", deadline=later())
    watcher = orphans._watcher_of(os.getpid())
    mark, first = orphans.mark(), watcher._pid
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    Processes().run(["true"], log=tmp_path / "log", deadline=later())
    assert orphans.mark() == mark
    assert watcher._pid not in (0, first)
    assert _zombies() == []


def test_a_child_that_prints_for_ever_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log is cut again and again: the command and the beginning stay, and a line tells that something is gone."""
    monkeypatch.setattr(proc, "LONGEST_LOG", most := 1 << 20)
    log = tmp_path / "log"
    with pytest.raises(Overdue):
        Processes(grace=0.1).run(["yes", "noise"], log=log, deadline=later(1.0))
    running = Processes(grace=0.1).start(["yes"], log=log)
    deadline = later(0.5)
    while not deadline.passed:
        assert running.poll() is None
        time.sleep(0.01)
    running.stop()
    text = log.read_text()
    assert text.startswith("$ yes noise\nnoise\n")
    assert f"\n{LEFT_OUT}about " in text
    assert len(text) < most, "the last look was at a child that had ended"
