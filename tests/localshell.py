"""A reach.Shell on this very machine: the scripts that are meant for a test machine run in the real sh, harmlessly."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bisectbot.ports import Deadline
from bisectbot.reach import Said, Wire


@dataclass
class LocalShell:
    """Records what it is asked; `damage` is done to each file that is put."""

    damage: Callable[[bytes], bytes] = lambda content: content
    asked: list[list[str]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], deadline: Deadline, stdin: bytes = b"") -> Said:
        """Run one command here."""
        del deadline
        self.asked.append(list(argv))
        done = subprocess.run(
            list(argv), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"))

    def put(self, source: Path, target: str, deadline: Deadline, tell: Callable[[int], None] | None = None) -> None:
        """Copy a file."""
        del deadline, tell
        self.sent.append(target)
        Path(target).write_bytes(self.damage(source.read_bytes()))

    def put_bytes(self, content: bytes, target: str, deadline: Deadline) -> None:
        """Write a file."""
        del deadline
        Path(target).write_bytes(content)

    @contextmanager
    def stream(self, argv: Sequence[str]) -> Iterator[Wire]:
        """Refuse."""
        raise AssertionError(argv)
        yield  # type: ignore[unreachable]  # what makes it a context manager

    def detach(self, argv: Sequence[str], deadline: Deadline) -> None:
        """Refuse: nothing here may end this machine."""
        raise AssertionError((argv, deadline))
