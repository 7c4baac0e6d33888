"""The figures of bench/search: the bound, the simulated world, the policies it compares with, and its command line."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.searching import crew, decision, kernelgraph
from bench.searching.bisects import Mark, halve
from bench.searching.bound import bound, needed_bits
from bench.searching.foreseeing import Told, calibration
from bench.searching.measure import OURS, POLICIES, Job, Tally, one_trial, work
from bench.searching.reference import adaptive
from bench.searching.sheet import Sheet, row
from bench.searching.targets import targets
from bench.searching.world import CELLS, GOOD, Cell, Ending, Lab, Prices, Twist, draw
from bisectbot.fit import Forecast

_ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("commits", "p30", "build", "boot", "seconds"),
    [
        (16, 0.95, 120, 30, 689),
        (16, 0.1, 120, 30, 2827),
        (1024, 0.6, 120, 30, 2234),
        (8192, 0.3, 120, 30, 4260),
        (128, 0.6, 30, 5, 703),
        (8192, 0.1, 600, 180, 18286),
    ],
)
def test_the_bound_is_the_published_one(commits: int, p30: float, build: float, boot: float, seconds: int) -> None:
    """The bound of a cell agrees with the figures worked out elsewhere, at three prices."""
    assert bound(Cell(commits, p30), Prices(build, boot)) == pytest.approx(seconds, abs=1.5)


def test_bits_of_a_range() -> None:
    """Naming one of 1024 with an error of 1 % takes what is written in the formula, by hand."""
    by_hand = 10 - (-0.01 * math.log2(0.01) - 0.99 * math.log2(0.99)) - 0.01 * math.log2(1023)
    assert needed_bits(1024) == pytest.approx(by_hand)


def test_earlier_figures_are_for_their_prices_alone() -> None:
    """Each of the 16 cells has an earlier figure above its bound, and other prices have none."""
    for cell in CELLS:
        assert (adaptive(cell, Prices()) or 0.0) > bound(cell, Prices())
    assert adaptive(CELLS[0], Prices(30, 5)) is None


@pytest.mark.parametrize("runs", [1, 3, 10])
@pytest.mark.parametrize("cell", [Cell(16, 0.95), Cell(1024, 0.6), Cell(128, 0.3)], ids=str)
def test_plain_bisection_is_wrong_as_often_as_it_must_be(runs: int, cell: Cell) -> None:
    """Half of the log2 N steps are on bad commits, each missed with (1 - P30) ** runs: within 4 standard errors."""
    tally = work(Job(f"bisect {runs}x30s", cell, 1500))
    right = (1 - (1 - cell.p30) ** runs / 2) ** math.log2(cell.commits)
    assert tally.error == pytest.approx(1 - right, abs=4 * tally.error_spread)
    assert tally.builds == 1500 * math.log2(cell.commits)


def test_the_engineer_takes_what_was_published() -> None:
    """At 1024 commits and P30 .6: 4158 s (within 3 %), 0.9 % wrong (below 2 %), 11 builds, 13 boots."""
    tally = work(Job("engineer", Cell(1024, 0.6), 1500))
    assert tally.mean == pytest.approx(4158, rel=0.03)
    assert tally.error < 0.02
    assert (tally.builds / 1500, tally.boots / 1500) == (11, 13)


def test_syzkallers_rule_gives_up_on_a_rare_bug() -> None:
    """At P30 .1 a bug isn't reproduced, or is inconclusive, far more often than it is found; at .95 it is found."""
    rare, often = (work(Job("syzkaller", Cell(128, p30), 200)) for p30 in (0.1, 0.95))
    assert rare.none / rare.trials > 0.6
    assert (often.none, often.wrong) == (0, 0)


def test_git_bayesect_itself_finds_a_frequent_bug() -> None:
    """The class from PyPI, driven by us, finds each of 20 culprits at P30 .95 among 16 in some 16 runs."""
    tally = work(Job("git-bayesect", Cell(16, 0.95), 20))
    assert (tally.wrong, tally.none) == (0, 0)
    assert tally.boots / 20 == pytest.approx(15.7, abs=3)


def test_a_seed_gives_equal_instances_and_another_one_others() -> None:
    """Seed, cell and number make the instance, so all policies and all days meet the same ones."""
    twist = Twist(sigma=0.5, older=0.3, untestable=0.1)
    one, two = (draw(Cell(128, 0.3), twist, 7, 3) for _ in range(2))
    assert (one.culprit, one.untestable, one.seed) == (two.culprit, two.untestable, two.seed)
    assert np.array_equal(one.rates, two.rates)
    assert np.array_equal(one.bad, two.bad)
    others = {draw(Cell(128, 0.3), twist, seed, trial).culprit for seed in (7, 8) for trial in range(20)}
    assert len(others) > 20


def test_all_policies_meet_the_same_fires() -> None:
    """What fires on a commit, and after which exposure, is the instance's, whatever was run in between."""
    instance = draw(Cell(16, 0.3), Twist(), 1, 0)
    straight, roundabout = Lab(instance), Lab(instance)
    ending, seconds = straight.run(15, math.inf)
    roundabout.run(14, 5.0)
    parts = [roundabout.run(15, seconds / 2, fresh=True), roundabout.run(15, seconds)]
    assert ending is Ending.FIRED
    assert [part[0] for part in parts] == [Ending.SILENT, Ending.FIRED]
    assert sum(part[1] for part in parts) == pytest.approx(seconds)


def test_the_lab_counts_builds_and_boots() -> None:
    """A kernel is built once, boots when another one ran or after a fire, and goes on running for nothing else."""
    lab = Lab(replace(draw(Cell(16, 0.3), Twist(), 1, 0), culprit=15, bad=np.arange(17) == 15))
    lab.run(3, 10.0)
    lab.run(3, 10.0)
    assert (lab.seconds, lab.builds, lab.boots) == (120 + 30 + 20, 1, 1)
    lab.run(3, 10.0, fresh=True)
    assert (lab.seconds, lab.builds, lab.boots) == (210, 1, 2)
    _, exposed = lab.run(15, math.inf)
    assert lab.booted is None
    assert lab.seconds == pytest.approx(210 + 150 + exposed)


def test_an_untestable_commit_costs_its_build_and_boot() -> None:
    """Nothing is learned from it but that it can't be tested."""
    lab = Lab(replace(draw(Cell(16, 0.3), Twist(), 1, 0), untestable=frozenset({4})))
    assert lab.run(4, 60.0) == (Ending.UNTESTABLE, 0.0)
    assert (lab.seconds, lab.booted) == (150.0, None)


def test_the_world_is_as_twisted_as_asked() -> None:
    """Shares of older culprits and of untestable commits, and the spread of log(rate), are what was asked for."""
    twist = Twist(sigma=0.5, older=0.2, untestable=0.1)
    drawn = [draw(Cell(1024, 0.3), twist, 1, trial) for trial in range(300)]
    older = [one for one in drawn if one.culprit == GOOD]
    assert 30 <= len(older) <= 90
    assert all(one.bad[GOOD] and one.bad.all() for one in older)
    assert all(len(one.untestable) == 102 and 1023 not in one.untestable for one in drawn)
    assert np.log(np.concatenate([one.rates for one in drawn])).std() == pytest.approx(0.5, abs=0.01)


def test_rates_that_differ_from_boot_to_boot() -> None:
    """Times to fire, each on a boot of its own, spread more than those of one rate, whose deviation is their mean."""
    spreads = {}
    for sigma in (0.0, 1.0):
        lab = Lab(draw(Cell(16, 0.3), Twist(boots=sigma), 1, 0))
        times = np.array([lab.run(15, math.inf)[1] for _ in range(3000)])
        spreads[sigma] = times.std() / times.mean()
    assert spreads[0.0] == pytest.approx(1, abs=0.06)
    assert spreads[1.0] > 1.5


def test_halving_passes_over_what_cant_be_tested() -> None:
    """The answer holds exactly the commits that untestable ones keep from being told apart."""
    broken = {5, 6, 7}
    judged = halve(16, lambda one: Mark.SKIP if one in broken else Mark.BAD if one >= 6 else Mark.GOOD)
    assert judged == frozenset({5, 6, 7, 8})


@pytest.mark.parametrize("policy", POLICIES)
def test_pieces_add_up_to_the_whole(policy: str) -> None:
    """Trials done in two pieces give the same sums as in one, but for this computer's own seconds."""
    job = Job(policy, Cell(16, 0.95), 4)
    whole, halves = work(job), work(replace(job, trials=2)) + work(replace(job, trials=2, first=2))
    assert _same(halves, whole)


def _same(one: Tally, two: Tally) -> bool:
    exact = ("trials", "builds", "boots", "wrong", "none", "named", "decisions")
    return all(getattr(one, name) == getattr(two, name) for name in exact) and one.seconds == pytest.approx(two.seconds)


def test_a_job_is_cut_without_losing_a_trial() -> None:
    """The pieces of a long job cover each of its trials once."""
    job = Job("git-bayesect", Cell(8192, 0.1), 57, first=10)
    parts = list(crew.pieces(job))
    assert len(parts) > 1
    assert [trial for part in parts for trial in range(part.first, part.first + part.trials)] == list(range(10, 67))


def test_our_search_is_right_and_counts_its_ends() -> None:
    """On a seeded instance it names the culprit, and the time for proving the ends is a part of the whole."""
    job = Job(OURS, Cell(128, 0.6), 1)
    told = one_trial(job, draw(job.cell, job.twist, 1, 0))
    assert (told.wrong, told.none) == (0, 0)
    assert 120 + 30 < told.ends < told.seconds
    assert told.decisions > 3


def _sheet(wrong: int, seconds: float) -> Sheet:
    cells = (Cell(16, 0.95), Cell(128, 0.95))
    ours = [
        row(OURS, cell, Tally(200, 200 * seconds, ends=200 * 250.0, wrong=wrong), Prices(), Twist()) for cell in cells
    ]
    rival = [row("bisect 3x30s", cell, Tally(200, 200 * 919.0), Prices(), Twist()) for cell in cells]
    return Sheet(Twist(), Prices(), 1, (*ours, *rival))


def test_targets_are_missed_when_they_are() -> None:
    """3 wrong of 200 and the earlier time reach everything; 4 wrong, or a third slower, miss what they should."""
    assert [one.reached for one in targets([_sheet(3, 1050)])] == [True, True, True]
    assert [one.reached for one in targets([_sheet(4, 1050)])] == [False, True, True]
    assert [one.reached for one in targets([_sheet(3, 1900)])] == [True, False, False]


def test_the_kernel_like_history_is_one() -> None:
    """It has as many commits as asked for, about 28 % merges, roots before the range, and one head that holds all."""
    parents = kernelgraph.kernel_like(3000, 1)
    assert len(parents) == 3000
    assert sum(len(one) > 1 for one in parents) / 3000 == pytest.approx(0.28, abs=0.02)
    assert sum(not one for one in parents) > 10
    assert all(parent < place for place, one in enumerate(parents) for parent in one)
    assert {parent for one in parents for parent in one} == set(range(2999))
    assert parents == kernelgraph.kernel_like(3000, 1)


def test_what_merges_bring_in_and_who_holds_a_commit() -> None:
    """By hand: commit 3 merges 2 into 1 and brings in 2 alone; 5 merges 4, which stands on 2, into 3: 4 alone."""
    parents = [(), (0,), (0,), (1, 2), (2,), (3, 4)]
    assert kernelgraph.brought_in(parents) == 2
    assert kernelgraph.holders(parents, 2).tolist() == [False, False, True, True, True, True]


def test_decisions_are_measured_apart() -> None:
    """A short history gives all figures, right answers, and sane times in a process of its own."""
    found = decision.measured(300, 3, seed=1)
    assert (found.commits, found.searches, found.wrong) == (300, 3, 0)
    assert 0 < found.median <= found.high <= found.most
    assert found.before <= found.memory


def _bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, _ROOT / "bench" / "search", *options), capture_output=True, text=True, check=False, timeout=120
    )


def _rows(told: dict[str, Any]) -> Sequence[dict[str, Any]]:
    (only,) = told["sheets"]
    rows: Sequence[dict[str, Any]] = only["rows"]
    return rows


def test_the_command_prints_json() -> None:
    """One object: a row for each policy and cell, all columns, and the targets that these rows can tell of."""
    done = _bench("--cells", "16:0.95,128:0.6", "--trials", "2", "--json", "--seed", "5")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(one["policy"], one["commits"]) for one in _rows(told)] == [(p, n) for n in (16, 128) for p in POLICIES]
    assert all(one["trials"] == 2 and one["seconds"] > 0 and one["of_bound"] > 0 for one in _rows(told))
    assert {"builds", "boots", "wrong", "wrong_spread", "none", "of_earlier"} <= set(_rows(told)[0])
    assert all({"what", "measured", "reached"} == set(one) for one in told["targets"])
    assert told["decision"] is None


def test_the_forecast_is_measured_beside_what_came() -> None:
    """Ratios by stage, calibration by what was said: of searches, and of plain bisections."""
    done = _bench("--forecast", "--cells", "128:0.95", "--trials", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for kind in ("search", "bisection"):
        assert all(abs(one["median"]) < 1.5 and one["told"] > 0 for one in told[kind]["stages"])
        tenths = told[kind]["calibration"]
        assert all(0 <= one["share"] <= 1 and one["told"] > 0 for one in tenths)
        assert tenths[-1]["share"] > 0.5
    assert "no fire yet" in {one["stage"] for one in told["search"]["stages"]}
    table = _bench("--forecast", "--cells", "128:0.95", "--trials", "1").stdout
    assert "search: of the forecasts that said so, these fitted" in table


def test_what_fitted_is_counted_by_what_was_said() -> None:
    """A tenth holds the share that fitted; what was said after the budget was over isn't counted."""
    ahead = Forecast(100.0, 0.3, 5.0)
    said = [(0.85, True), (0.89, False), (0.81, True), (0.99, True), (0.05, False), (None, False)]
    rows = calibration([Told("1 fire", ahead, 120.0, 5.0, chance, fitted) for chance, fitted in said])
    assert [(row.low, row.told, round(row.share, 2)) for row in rows] == [(0.0, 1, 0.0), (0.8, 3, 0.67), (0.9, 1, 1.0)]


def test_the_command_takes_a_twist_and_prints_a_table() -> None:
    """A twisted world is named above its table, has a row for each cell, and tells that target alone."""
    done = _bench("--cells", "16:0.95", "--trials", "2", "--policies", OURS, "--older", "0.05")
    assert done.returncode == 0, done.stderr
    assert "5% of the good ends have the bug" in done.stdout
    assert "16  0.95  bisectbot" in done.stdout
    assert "5 % wrong good ends" in done.stdout
    assert "earlier figures" not in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cells", "16"), "cells look like"),
        (("--policies", "guess"), "no policy 'guess'"),
        (("--set", "nothing=1"), "no setting 'nothing'"),
        (("--trials", "0"), "isn't above 0"),
    ],
)
def test_a_wrong_option_is_told(options: Sequence[str], words: str) -> None:
    """What can't be meant is refused with what could."""
    done = _bench(*options)
    assert done.returncode == 2
    assert words in done.stderr
