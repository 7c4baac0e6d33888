"""Jobs on all processors: a fixed list of them, and as many more rounds as fit into a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from types import TracebackType
from typing import Self

from bench.searching.measure import OURS, Job, Tally, work
from bench.searching.progress import Progress
from bench.searching.world import Cell, Twist

Key = tuple[str, Cell, Twist]  # what is added up: policy, cell, twist
Tallies = dict[Key, Tally]
_CHUNK_SECONDS = 4.0  # about how long a piece should last, so that both ends of a list end together
_SLACK = 1.15  # a round may last so much longer than the one before
# Rough milliseconds of this computer's a trial, to cut the work into even pieces: a constant, and for each doubling
# of the range and each mean time to fire over 30 s.
_EACH = {OURS: 20.0, "git-bayesect": 12.0}
_EACH_OTHER = 0.15


def rough_seconds(job: Job) -> float:
    """Return about how long a job lasts."""
    slow = 1 / (job.cell.rate * 30) if job.policy == "git-bayesect" else 1.0
    return job.trials * _EACH.get(job.policy, _EACH_OTHER) * (1 + slow) * (1 + job.cell.commits / 2000) / 1000


def pieces(job: Job) -> Iterable[Job]:
    """Cut a job into pieces of a few seconds."""
    size = max(1, int(job.trials * _CHUNK_SECONDS / max(_CHUNK_SECONDS, rough_seconds(job))))
    for done in range(0, job.trials, size):
        yield replace(job, first=job.first + done, trials=min(size, job.trials - done))


class Crew:
    """Worker processes, and the sums of what they did."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.tallies: Tallies = {}
        self._pool = ProcessPoolExecutor(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def do(self, jobs: Sequence[Job], progress: Progress | None = None) -> None:
        """Do all of them, the longest first."""
        todo = sorted((piece for job in jobs for piece in pieces(job)), key=rough_seconds, reverse=True)
        whole, done = sum(map(rough_seconds, todo)), 0.0
        running = {self._pool.submit(work, piece): piece for piece in todo}
        for future in as_completed(running):
            piece = running[future]
            key = (piece.policy, piece.cell, piece.twist)
            self.tallies[key] = self.tallies.get(key, Tally()) + future.result()
            done += rough_seconds(piece)
            if progress:
                progress.at(done / whole, f"{piece.policy}, {piece.cell.commits} commits")

    def fill(self, jobs: Sequence[Job], until: float, progress: Progress) -> None:
        """Do the jobs again and again with further trials, equally many of each, as long as that ends in time.

        `until`: a reading of time.monotonic(). The jobs' own trials are done in any case.
        """
        began = time.monotonic()
        seconds, first = 0.0, {job: job.first for job in jobs}
        while not seconds or time.monotonic() + _SLACK * seconds < until:
            at = time.monotonic()
            self.do([replace(job, first=first[job]) for job in jobs])
            seconds = time.monotonic() - at
            first = {job: value + job.trials for job, value in first.items()}
            share = (time.monotonic() - began) / max(1e-9, until - began)
            progress.at(min(1.0, share), f"{max(first.values())} trials")
