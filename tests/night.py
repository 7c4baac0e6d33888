"""A bisection of the demo tree that things happen to, and what must be true of it whatever happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from history import git
from real_demo import Demo

from bisectbot import journal
from bisectbot.effects import orphans
from bisectbot.facts import BootBegan, Built, Row, State, Tried, replay
from bisectbot.model import Culprit, Kernel, Verdict

NAME = "night"
_GROUPS = ("queue", "service")  # of commands
_LONGEST = 1800.0  # seconds that one process of a disturbed night may take
_GOING = 10.0  # seconds until nothing of a killed bot may be left: what it started is ended by a watcher


def command(*words: object) -> list[str]:
    """Return a command line of bisectbot."""
    return [sys.executable, "-m", "bisectbot", *map(str, words)]


@dataclass
class Night:
    """One session, worked on by one process after the other."""

    demo: Demo
    logs: Path
    words: Sequence[str] = ()  # for `run`; what is behind a -- is the reproducer's
    env: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[str, str] = ("demo-good", "demo-bad")
    hosts: Path | None = None  # a hosts.toml of its own
    name: str = NAME
    kills: int = 0
    _known: list[Row] = field(default_factory=list, init=False)

    @property
    def journal(self) -> Path:
        """Return where its facts are."""
        return self.logs / self.name / "journal.db"

    def begin(self) -> subprocess.Popen[bytes]:
        """Start a process that works on it: `run` the first time, `resume` from then on."""
        return self._start("resume", self.name) if self.rows() else self._start("run", *self._asked())

    def queue(self) -> None:
        """Put it into the queue of its logs folder."""
        process = self._start("queue", "add", *self._asked())
        assert process.wait(timeout=_LONGEST) == 0, self.said()

    def keeper(self, *words: object) -> subprocess.Popen[bytes]:
        """Start a keeper, as whatever watches over it would."""
        return self._start("service", "run", *words)

    def _asked(self) -> tuple[object, ...]:
        good, bad = self.ends
        return ("--tree", self.demo.path, "--good", good, "--bad", bad, "--session", self.name, *self.words)

    def _start(self, *words: object) -> subprocess.Popen[bytes]:
        where = ("--logs", self.logs, *(("--hosts", self.hosts) if self.hosts else ()))
        verbs = 1 + (words[0] in _GROUPS)
        with (self.logs / "said.log").open("ab") as said:
            return subprocess.Popen(
                command(*words[:verbs], *where, *words[verbs:]),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={**os.environ, **self.env},
                start_new_session=True,
            )

    def rows(self) -> tuple[Row, ...]:
        """Return its facts so far; none if it was killed as it began."""
        return journal.read(self.journal) if self.journal.is_file() and self.journal.stat().st_size else ()

    def state(self) -> State:
        """Return where it stands."""
        state = replay(self.rows())
        assert state is not None
        return state

    def wait(self, process: subprocess.Popen[bytes], until: Callable[[], object], seconds: float = _LONGEST) -> None:
        """Wait until something is so or the process ends."""
        deadline = time.monotonic() + seconds
        while process.poll() is None and not until():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the bot with SIGKILL, and see that nothing of it lives on and nothing finished is lost."""
        pid = process.pid
        process.kill()
        process.wait()
        self.kills += 1
        gone(pid)
        self.keeps()

    def keeps(self) -> None:
        """See that every row that was there is still there, as it was."""
        rows = list(self.rows())
        assert rows[: len(self._known)] == self._known, "a fact was lost"
        self._known = rows

    def finish(self, process: subprocess.Popen[bytes] | None = None) -> int:
        """Wait for the end, or work on it to the end, and return the exit code."""
        process = process or self.begin()
        pid = process.pid
        code = process.wait(timeout=_LONGEST)
        gone(pid)
        self.keeps()
        return code

    def said(self) -> str:
        """Return the end of what its processes printed."""
        return (self.logs / "said.log").read_text(errors="replace")[-4000:]

    def check(self, repeats: int | None = None) -> None:
        """See that the true culprit was named, no verdict is wrong, and hardly anything was done twice.

        `repeats`: boots and builds that may have been begun and not told of; by default one of each a kill.
        """
        state = self.state()
        assert state.answered is not None, self.said()
        assert isinstance(state.answered.answer, Culprit), self.said()
        assert state.answered.answer.commit == self.demo.truth["culprit"]
        self._no_wrong_verdict(state)
        rows = [row.fact for row in self.rows()]
        begun = {fact.boot for fact in rows if isinstance(fact, BootBegan)}
        told = {fact.trial.boot for fact in rows if isinstance(fact, Tried)}
        assert len(begun - told) <= (self.kills if repeats is None else repeats), "too much was repeated"
        built = [fact.result.commit for fact in rows if isinstance(fact, Built)]
        there = [commit for commit in built if isinstance(state.builds[commit], Kernel)]
        assert len(there) == len(set(there)), "a finished build was repeated"
        self.unharmed()

    def _no_wrong_verdict(self, state: State) -> None:
        culprit = self.demo.truth["culprit"]
        for commit, word in state.judged():
            if word.verdict is not Verdict.SKIP and commit not in _reverts(state):
                has_bug = culprit in git(self.demo.path, "rev-list", commit).split()
                assert (word.verdict is Verdict.BAD) == has_bug, f"{commit}: {word}"

    def unharmed(self) -> None:
        """See that the user's tree is as it was, and that a new session finds no lock in its way."""
        assert git(self.demo.path, "status", "--porcelain", "--untracked-files=no") == ""
        git_folder = Path(git(self.demo.path, "rev-parse", "--absolute-git-dir"))
        assert list(git_folder.glob("*.lock")) == []
        done = subprocess.run(
            command("status", self.name, "--json", "--logs", self.logs), stdout=subprocess.PIPE, text=True, check=True
        )
        (session,) = json.loads(done.stdout)["sessions"]
        assert session["standing"] == "answered"


def _reverts(state: State) -> set[str | None]:
    return {reverted.commit for reverted in state.reverts.values()}


def children(pid: int) -> list[tuple[int, str]]:
    """Return pid and command line of all that a bot has started, itself left out, wherever they hang now."""
    mark = f"{orphans.VARIABLE}={pid}-".encode()
    return [
        (child, line)
        for child, environment, line in _processes()
        if any(word.startswith(mark) for word in environment.split(b"\0"))
    ]


def _processes() -> Iterator[tuple[int, bytes, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield int(folder.name), (folder / "environ").read_bytes(), line


def gone(pid: int) -> None:
    """Wait until nothing that a bot had started is left."""
    deadline = time.monotonic() + _GOING
    while left := children(pid):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.05)


def named(pid: int, program: str) -> list[int]:
    """Return those of a bot's children that run a program of this name."""
    return [child for child, line in children(pid) if Path(line.partition(" ")[0]).name.startswith(program)]


def shoot(pids: Sequence[int]) -> None:
    """Kill processes that may be gone already."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
