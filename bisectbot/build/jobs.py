"""How many jobs make gets: as many as were asked for, if there is memory for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bisectbot.errors import OutOfMemory

# The largest compilations of a small x86-64 kernel take 160 MiB each; debugging information and large drivers more.
EACH = 512 << 20  # bytes


@dataclass
class Jobs:
    """Remembers what was too much. `available`: bytes of memory, None if unknown; `note` is told what is cut down."""

    available: Callable[[], int | None] = lambda: None
    note: Callable[[str], None] = lambda _: None
    most: int | None = None  # after memory ran out
    _told: int | None = None

    @contextmanager
    def of(self, asked: int) -> Iterator[int]:
        """Give the jobs for one build; half of them is the most for all later ones if its memory runs out."""
        jobs = self._fitting(asked)
        try:
            yield jobs
        except OutOfMemory:
            self.most = max(1, jobs // 2)
            raise

    def _fitting(self, asked: int) -> int:
        free = self.available()
        jobs = fitting(asked, free, self.most)
        if jobs < asked and jobs != self._told:
            left = "" if free is None else f", {free >> 20} MiB are available"
            why = "memory ran out before" if jobs == self.most else "there is no memory for more"
            self.note(f"make gets {jobs} of {asked} jobs: {why}{left}")
        self._told = jobs
        return jobs


def fitting(asked: int, free: int | None, most: int | None) -> int:
    """Return how many jobs fit into `free` bytes, at least 1; None: no bound."""
    bounds = (asked, None if free is None else free // EACH, most)
    return max(1, min(bound for bound in bounds if bound is not None))
