"""What was measured as tables, as JSON, and held against what has to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.searching.bound import bound
from bench.searching.measure import OURS, Tally
from bench.searching.reference import adaptive
from bench.searching.world import Cell, Prices, Twist

_HEAD = (
    f"{'commits':>7} {'P30':>5}  {'policy':<13} {'trials':>6} {'wall s':>8} {'+-':>6} {'builds':>7} {'boots':>7}"
    f" {'wrong':>7} {'+-':>5} {'none':>6} {'x bound':>8} {'x earlier':>9}"
)


@dataclass(frozen=True)
class Row:
    """A policy in a cell."""

    policy: str
    cell: Cell
    tally: Tally
    bound: float
    earlier: float | None  # mean seconds of the earlier simulation

    @property
    def of_bound(self) -> float:
        """Return how many times the bound it took."""
        return self.tally.mean / self.bound

    @property
    def of_earlier(self) -> float | None:
        """Return how many times the earlier figure it took: ours alone is compared."""
        return self.tally.mean / self.earlier if self.earlier and self.policy == OURS else None


@dataclass(frozen=True)
class Sheet:
    """All rows of one world."""

    twist: Twist
    prices: Prices
    seed: int
    rows: tuple[Row, ...]

    def of(self, policy: str) -> tuple[Row, ...]:
        """Return a policy's rows."""
        return tuple(row for row in self.rows if row.policy == policy)


def row(policy: str, cell: Cell, tally: Tally, prices: Prices, twist: Twist) -> Row:
    """Return a row; only a world without twists is compared with the earlier figures."""
    return Row(policy, cell, tally, bound(cell, prices), adaptive(cell, prices) if twist == Twist() else None)


# --- as text


def text(sheet: Sheet) -> str:
    """Return the table, and below it each policy over all cells."""
    lines = [_title(sheet), _HEAD]
    cells = list(dict.fromkeys(row.cell for row in sheet.rows))
    for cell in cells:
        lines += [_line(row) for row in sheet.rows if row.cell == cell]
    lines += ["", "over all cells:"]
    lines += [_summary(sheet.of(policy)) for policy in dict.fromkeys(row.policy for row in sheet.rows)]
    return "\n".join(lines)


def _title(sheet: Sheet) -> str:
    twist = sheet.twist
    odd = [
        f"rates differ from commit to commit, sigma {twist.sigma:g}" if twist.sigma else "",
        f"rates differ from boot to boot, sigma {twist.boots:g}" if twist.boots else "",
        f"{twist.older:.0%} of the good ends have the bug" if twist.older else "",
        f"{twist.untestable:.0%} of the commits can't be tested" if twist.untestable else "",
    ]
    prices = f"{sheet.prices.build:g} s a build, {sheet.prices.boot:g} s a boot"
    return "; ".join([prices, *filter(None, odd), f"seed {sheet.seed}"])


def _line(row: Row) -> str:
    tally = row.tally
    earlier = f"{row.of_earlier:9.2f}" if row.of_earlier else f"{'':9}"
    return (
        f"{row.cell.commits:7} {row.cell.p30:5.2f}  {row.policy:<13} {tally.trials:6} {tally.mean:8.0f}"
        f" {tally.spread:6.0f} {tally.builds / tally.trials:7.1f} {tally.boots / tally.trials:7.1f}"
        f" {tally.error:7.1%} {tally.error_spread:5.1%} {tally.none / tally.trials:6.1%} {row.of_bound:8.2f} {earlier}"
    )


def _summary(rows: Sequence[Row]) -> str:
    total = pooled(rows)
    ratios = [row.of_earlier for row in rows if row.of_earlier]
    worst = max(rows, key=lambda row: row.tally.error)
    named = total.named / max(1, total.trials - total.none)
    return (
        f"  {rows[0].policy:<13} {total.trials:6} trials, wrong {total.error:.2%} +-{total.error_spread:.2%}"
        f" (worst {worst.tally.error:.1%} at {worst.cell.commits}:{worst.cell.p30:g}),"
        f" none {total.none / total.trials:.1%}, {statistics.median(row.of_bound for row in rows):.2f} x bound (median)"
        + (f", {statistics.median(ratios):.3f} x earlier (median)" if ratios else "")
        + (f", {named:.1f} commits an answer" if named > 1 else "")
    )


def pooled(rows: Iterable[Row]) -> Tally:
    """Return the sum over rows."""
    return sum((row.tally for row in rows), Tally())


# --- as JSON


def plain(sheet: Sheet) -> dict[str, Any]:
    """Return what JSON holds of a sheet."""
    return {
        "twist": asdict(sheet.twist),
        "prices": asdict(sheet.prices),
        "seed": sheet.seed,
        "rows": [_plain_row(row) for row in sheet.rows],
    }


def _plain_row(row: Row) -> dict[str, Any]:
    tally = row.tally
    return {
        "commits": row.cell.commits,
        "p30": row.cell.p30,
        "policy": row.policy,
        "trials": tally.trials,
        "seconds": tally.mean,
        "seconds_spread": tally.spread if tally.trials > 1 else None,
        "builds": tally.builds / tally.trials,
        "boots": tally.boots / tally.trials,
        "wrong": tally.error,
        "wrong_spread": tally.error_spread,
        "none": tally.none / tally.trials,
        "named": tally.named / max(1, tally.trials - tally.none),
        "bound": row.bound,
        "of_bound": row.of_bound,
        "of_earlier": row.of_earlier,
        "ends": tally.ends / tally.trials,
        "decisions": tally.decisions / tally.trials,
        "decision_ms": 1000 * tally.thinking / tally.decisions if tally.decisions else None,
    }
