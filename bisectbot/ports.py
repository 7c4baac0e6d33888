"""What the stages need from outside, as Protocols; effects/ holds the real ones, tests/fakes.py the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bisectbot.lab import Homed
from bisectbot.model import Culprit, Kernel, Range, Stuck, Terms, TryNext, Verdict


class Clock(Protocol):
    """Time, from one place, so that tests can move it."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        ...

    def asleep(self) -> float:
        """Seconds that this machine has slept since it was started; now() doesn't count them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True)
class Deadline:
    """A moment on a clock, made once and passed down; ask it what remains."""

    clock: Clock
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """Return the moment `seconds` from now."""
        return cls(clock, clock.now() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.clock.now())

    @property
    def passed(self) -> bool:
        """Whether the moment is over."""
        return self.clock.now() >= self.at


LEFT_OUT = "### bisectbot left out "  # how the line begins that stands in a log for what was too much


@dataclass(frozen=True)
class Finished:
    """A child process that ended: its exit code (negative: the signal that killed it) and seconds."""

    code: int
    seconds: float


class Running(Protocol):
    """A child process that goes on, in a process group of its own."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        ...

    def stop(self) -> int:
        """End the whole group (TERM, then KILL), reap it and return the exit code. Safe to call twice."""
        ...


class Proc(Protocol):
    """Child processes: argv lists, a small environment, stdin closed, output to a file."""

    def which(self, tool: str) -> Path | None:
        """Return where a program is, or None."""
        ...

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run to the end, both streams appended to `log`.

        Raises ToolMissing, Overdue (the group is killed first) or OutOfMemory (killed by the kernel for memory).
        """
        ...

    def output(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run a short question and return (exit code, stdout and stderr together, at most 1 MiB)."""
        ...

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Running:
        """Start and return at once."""
        ...


class Tree(Protocol):
    """A private worktree of the user's repository, where candidates are checked out and built."""

    path: Path

    def checkout(self, commit: str) -> None:
        """Make the files those of `commit`, and nothing else (fix-ups taken off)."""
        ...

    def apply(self, patch: str) -> bool:
        """Lay a patch over the files; False (and nothing changed) if it doesn't apply."""
        ...

    def intact(self) -> bool:
        """Whether the tracked files are still what checkout() and apply() made them."""
        ...


@dataclass(frozen=True)
class CommitInfo:
    """What a report says of a commit; every text is data from outside: escape it, bound it."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    author: str
    email: str
    date: str  # ISO 8601
    title: str
    body: str


class Graph(Protocol):
    """Questions about the user's history; nothing here writes."""

    def resolve(self, rev: str) -> str:
        """Return the full hash of a revision; ConfigError if git doesn't know it."""
        ...

    def info(self, commit: str) -> CommitInfo:
        """Return who, when and what."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` contains `older` (a commit contains itself)."""
        ...

    def merge_base(self, a: str, b: str) -> str | None:
        """Return the best common ancestor, or None."""
        ...

    def candidates(self, range_: Range) -> tuple[str, ...]:
        """Return every commit that could be the culprit, the bad end among them, newest first."""
        ...

    def history(self, range_: Range) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each candidate with its parents among the candidates; parents first, the bad end last.

        With --path these are the nearest ancestors that are candidates, and the bad end stands there even where it
        touches none of the paths; with --first-parent there is one parent at most.
        """
        ...

    def touched(self, commits: Sequence[str], *, first_parent: bool = False) -> Mapping[str, tuple[str, ...]]:
        """Return the paths that each commit changes, both names of a renamed file.

        Of a merge those that differ from all of its parents: what it doesn't just take from one of them. Along first
        parents all that it brings in, for nothing else stands for that there.
        """
        ...

    def authors(self, commits: Sequence[str]) -> Mapping[str, str]:
        """Return "Name <address>" of each commit's author."""
        ...

    def blobs(self, commit: str) -> tuple[tuple[str, str], ...]:
        """Return (path, object name) of each file of a commit."""
        ...

    def show(self, commit: str, path: str) -> bytes:
        """Return a file of a commit; ConfigError if it isn't there."""
        ...

    def diffstat(self, commit: str) -> str:
        """Return `git show --stat` of a commit, bounded."""
        ...

    def patch(self, commit: str) -> str:
        """Return a commit as a patch against its first parent."""
        ...


class Ledger(Protocol):
    """`git bisect` in the private worktree: it picks, and it has the last word."""

    def start(self, range_: Range) -> None:
        """Begin anew (whatever was there is reset) with both ends marked."""
        ...

    def mark(self, commit: str, verdict: Verdict) -> None:
        """Mark a commit good, bad or skip."""
        ...

    def answer(self) -> TryNext | Culprit | Stuck:
        """Return what git wants next, or what it found."""
        ...

    def log(self) -> str:
        """Return the log that `git bisect replay` takes."""
        ...

    def terms(self) -> Terms:
        """Return the words in use."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Bytes from a console and when they came: seconds since the machine was started."""

    at: float
    data: bytes


class ConsolePipe(Protocol):
    """Where a program that plays a machine writes the machine's console to, byte by byte."""

    path: Path

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" when the writer is gone."""
        ...


class ConsoleLog(Protocol):
    """A console as it is kept: each line with its time, the whole bounded."""

    def write(self, chunk: Chunk) -> None:
        """Keep more; DiskFull if there is no room."""
        ...


class Console(Protocol):
    """A machine that was started: its console, and the means to end it."""

    reset: bool  # whether the console ended because the machine reset itself; False where nobody can know

    @property
    def gap(self) -> bool:
        """Whether the way from the machine to us was broken for a while: what didn't come may have been said."""
        ...

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield bytes as they come, None after `patience` seconds without any; stop when the console ends."""
        ...


class Machine(Protocol):
    """A way to start a kernel. Leaving the context ends the machine, whatever happened."""

    name: str
    leavable: bool  # whether that costs next to nothing at any moment: there is no home to be brought to

    def boot(
        self, kernel: Kernel, initramfs: Path, cmdline: Sequence[str], log: Path
    ) -> AbstractContextManager[Console]:
        """Start `kernel` with our initramfs and these words on its command line; HostSick if that can't be done.

        Every byte of the console goes to `log`, each line with its time.
        """
        ...

    def homed(self) -> Homed | None:
        """Return how the machine came home after the last boot, once; None for one that has no home to come to."""
        ...

    def stop(self) -> None:
        """Let a boot in another thread come back soon, with an InfraError; the machine is brought home all the same."""
        ...
