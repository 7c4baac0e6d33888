"""What the search has to reach, and whether it did."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.searching.measure import OURS
from bench.searching.sheet import Row, Sheet, pooled
from bench.searching.world import Twist

_MOST_WRONG = 0.015  # in each cell, at a stated 1 %
_MOST_OF_EARLIER = 1.1
_FAST = 0.95  # the P30 at which it must not be slower than three runs of 30 s
_RIVAL = "bisect 3x30s"


@dataclass(frozen=True)
class Target:
    """Something to reach: what was measured, in words, and whether it is enough."""

    what: str
    measured: str
    reached: bool


def targets(sheets: Sequence[Sheet]) -> list[Target]:
    """Return what these sheets can tell."""
    return [target for sheet in sheets if sheet.of(OURS) for target in _of_sheet(sheet)]


def _of_sheet(sheet: Sheet) -> Iterable[Target]:
    ours, twist = sheet.of(OURS), sheet.twist
    if twist == Twist():
        yield _errors("wrong at most 1.5 % in each cell", ours, _MOST_WRONG)
        yield from _against_earlier(ours)
        yield from _against_rival(sheet)
    elif twist == Twist(sigma=0.5):
        yield _errors("rates differ, sigma 0.5: wrong at most 2 %", ours, 0.02)
    elif twist == Twist(older=0.05):
        yield _errors("5 % wrong good ends: wrong at most 1 %", ours, 0.01)
    elif twist == Twist(untestable=0.1):
        yield _errors("10 % untestable: wrong at most 1.5 %", ours, _MOST_WRONG)


def _errors(what: str, rows: Sequence[Row], most: float) -> Target:
    worst = max(rows, key=lambda row: row.tally.error)
    over = [row for row in rows if row.tally.error > most]
    every = pooled(rows)
    measured = (
        f"worst {worst.tally.error:.1%} +-{worst.tally.error_spread:.1%} of {worst.tally.trials} at"
        f" {worst.cell.commits}:{worst.cell.p30:g}, {len(over)} of {len(rows)} cells above;"
        f" all together {every.error:.2%} +-{every.error_spread:.2%}"
    )
    return Target(what, measured, not over)


def _against_earlier(ours: Sequence[Row]) -> Iterable[Target]:
    ratios = [row.of_earlier for row in ours if row.of_earlier]
    if ratios:
        median = statistics.median(ratios)
        spread = f"{median:.3f} x (cells {min(ratios):.2f} to {max(ratios):.2f})"
        yield Target("wall time at most 1.1 x the earlier figures, median of cells", spread, median <= _MOST_OF_EARLIER)


def _against_rival(sheet: Sheet) -> Iterable[Target]:
    rivals = {row.cell: row.tally.mean for row in sheet.of(_RIVAL) if row.cell.p30 == _FAST}
    pairs = [
        (row.cell.commits, (row.tally.seconds - row.tally.ends) / row.tally.trials, rivals[row.cell])
        for row in sheet.of(OURS)
        if row.cell in rivals
    ]
    if pairs:
        measured = ", ".join(f"{commits}: {ours:.0f} and {rival:.0f} s" for commits, ours, rival in pairs)
        slower = any(ours > rival for _, ours, rival in pairs)
        yield Target("P30 .95, end checks left out: no slower than 3x30s", measured, not slower)


def text(found: Sequence[Target]) -> str:
    """Return a line for each."""
    return "\n".join(f"{'reached' if one.reached else 'MISSED '}  {one.what}: {one.measured}" for one in found)
