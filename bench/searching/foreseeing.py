"""How good the forecasts of bisectbot's search are: what it said before each boot, beside what it took."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field

import numpy as np

from bench.searching.bisects import Mark
from bench.searching.bound import bound
from bench.searching.ours import Ours, linear
from bench.searching.progress import Progress
from bench.searching.world import GOOD, SAMPLE, Cell, Ending, Instance, Lab, Prices, draw
from bench.searching.world import Twist as World
from bisectbot.fit import Forecast, chance
from bisectbot.forecast import of_steps
from bisectbot.search.check import planned, silent_enough
from bisectbot.search.evidence import Evidence
from bisectbot.search.foresight import left, open_bits
from bisectbot.search.past import View
from bisectbot.search.policy import Action, Costs, Found, Knowledge, Problem
from bisectbot.search.posterior import Seen, believe

CELLS = tuple(Cell(commits, p30) for commits in (128, 1024) for p30 in (0.95, 0.6, 0.3, 0.1))
_USUAL = 1.6  # times the bound: what a search takes; budgets are drawn around that
_BUDGETS = (0.3, 3.0)  # of that
_BUDGET = 3  # stream of a trial's seed
_TENTHS = 10
_PLAIN = 10
_RUNS = 3  # of a plain bisection, in one boot
_PROVING = ("no fire yet", "1 fire", "2 fires")
_SEARCHING = ((5.0, "5 bits open"), (2.0, "2 to 5 bits"), (0.5, "0.5 to 2"), (0.0, "below 0.5"))
_DONE = ("1 step done", "2 steps done", "3 or more")  # of a plain bisection
_ORDER = (*_DONE, *_PROVING, *(stage for _, stage in _SEARCHING))


Said = tuple[str, Forecast, float, int]  # the stage, the forecast, seconds and boots so far


@dataclass(frozen=True)
class Told:
    """A forecast, and what came: seconds and boots of the rest. `chance`: to fit into a budget, which it did or not."""

    stage: str
    ahead: Forecast
    seconds: float
    boots: float
    chance: float | None  # None: that budget was used up by then
    fitted: bool = False

    @property
    def log_ratio(self) -> float:
        """log(took / told)."""
        return math.log(max(1.0, self.seconds) / max(1.0, self.ahead.seconds))


@dataclass
class Foreseeing(Ours):
    """A search that takes note of what it foresees before each boot."""

    said: list[Said] = field(default_factory=list)
    last: Knowledge = field(default_factory=Knowledge)

    def _decide(self, lab: Lab, knowledge: Knowledge) -> Action | Found:
        found = super()._decide(lab, knowledge)
        self.last = knowledge
        if isinstance(found, Action) and (found.fresh or lab.booted != found.commit):
            costs = Costs(lab.prices.build, lab.prices.boot, frozenset(lab.built), lab.booted)
            view = View(self.problem, self.problem, None, (), check=True)
            read = Evidence(knowledge, costs, 1.0)
            self.said.append((_stage(self.problem, knowledge), left(view, read, found).ahead, lab.seconds, lab.boots))
        return found

    def check(self, lab: Lab) -> None:
        """Spend what the check at the end takes: the bad end without the culprit, which is silent."""
        belief, prices, seen = believe(self.problem, self.last), lab.prices, Seen()
        lab.seconds += prices.build
        while not silent_enough(self.problem, belief, seen):
            silence = planned(self.problem, belief, Costs(prices.build, prices.boot)).silence
            seen = seen.more(silence)
            lab.seconds += prices.boot + silence
            lab.boots += 1


def one_search(cell: Cell, prices: Prices, world: World, seed: int, trial: int) -> list[Told]:
    """Return all forecasts of one search, with what came of them."""
    instance = draw(cell, world, seed, trial)
    lab, search = Lab(instance, prices), Foreseeing(linear(cell.commits, ()))
    answer = search(lab)
    if instance.culprit in answer:
        search.check(lab)
    budget = _budget(instance, cell, prices)
    return [_told(lab, budget, said) for said in search.said]


def _stage(problem: Problem, knowledge: Knowledge) -> str:
    """Return how far a search is."""
    fires = knowledge.seen.get(problem.bad, Seen()).fires
    if fires < problem.settings.first_fires:
        return _PROVING[fires]
    bits = open_bits(problem, believe(problem, knowledge))
    return next(stage for least, stage in _SEARCHING if bits >= least)


def one_bisection(cell: Cell, prices: Prices, world: World, seed: int, trial: int) -> list[Told]:
    """Return all forecasts of a plain bisection with three runs a commit, both ends first."""
    instance = draw(cell, world, seed, trial)
    lab, steps, said = Lab(instance, prices), list[float](), list[Said]()

    def judge(commit: int, left: int) -> Mark:
        ahead = of_steps(steps, left)
        if ahead:
            said.append((_DONE[min(len(steps), len(_DONE)) - 1], ahead, lab.seconds, lab.boots))
        before = lab.seconds
        lab.booted = None
        endings = (lab.run(commit, SAMPLE)[0] for _ in range(_RUNS))
        fired = any(ending is Ending.FIRED for ending in endings)
        steps.append(lab.seconds - before)
        return Mark.BAD if fired else Mark.GOOD

    judge(cell.commits - 1, 2 + _git_says(cell.commits))
    judge(GOOD, 1 + _git_says(cell.commits))
    low, high = -1, cell.commits - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if judge(middle, 1 + _git_says(high - low)) is Mark.BAD else (middle, high)
    return [_told(lab, _budget(instance, cell, prices), one) for one in said]


def _git_says(commits: int) -> int:
    """Return the steps that `git bisect` foresees after the next one."""
    bits = commits.bit_length() - 1
    return bits if (1 << bits) < 3 * (commits - (1 << bits)) else max(0, bits - 1)


def _budget(instance: Instance, cell: Cell, prices: Prices) -> float:
    dice = np.random.default_rng([*instance.seed, _BUDGET])
    low, high = (math.log(share) for share in _BUDGETS)
    return _USUAL * bound(cell, prices) * math.exp(dice.uniform(low, high))


def _told(lab: Lab, budget: float, said: Said) -> Told:
    stage, ahead, at, boots = said
    rest, open_ = lab.seconds - at, budget - at
    likely = chance(ahead.seconds, open_, ahead.spread) if open_ > 0 else None
    return Told(stage, ahead, rest, lab.boots - boots, likely, fitted=rest <= open_)


@dataclass(frozen=True)
class Sample:
    """What is measured: so many searches, and ten times as many plain bisections, in each cell."""

    cells: Sequence[Cell]
    trials: int
    prices: Prices
    world: World
    seed: int

    def searches(self, trial: int) -> list[Told]:
        """Return the forecasts of one search in each cell."""
        return [told for cell in self.cells for told in one_search(cell, self.prices, self.world, self.seed, trial)]

    def bisections(self, trial: int) -> list[Told]:
        """Likewise, of ten plain bisections."""
        numbers = range(_PLAIN * trial, _PLAIN * (trial + 1))
        each = [(cell, number) for cell in self.cells for number in numbers]
        return [told for cell, one in each for told in one_bisection(cell, self.prices, self.world, self.seed, one)]


def measured(sample: Sample, jobs: int) -> tuple[list[Told], list[Told]]:
    """Return the forecasts of the searches, and those of plain bisections."""
    progress, found = Progress("searches"), list[Told]()
    with ProcessPoolExecutor(jobs) as pool:
        asked = [pool.submit(sample.searches, trial) for trial in range(sample.trials)]
        for done, future in enumerate(as_completed(asked), 1):
            found += future.result()
            progress.at(done / len(asked))
    progress.over()
    return found, [told for trial in range(sample.trials) for told in sample.bisections(trial)]


# --- as tables


def text(told: Sequence[Told], what: str) -> str:
    """Return two tables: how far off, by stage; and how often it fitted, by what was said."""
    lines = [f"{what}: log(took / told), before each boot", f"{'stage':<12} {'told':>6} {'median':>7} {'sd':>5}"]
    lines[1] += f" {'said sd':>8} {'10 %':>6} {'90 %':>6} {'boots':>7} {'sd':>5}"
    lines += [_stage_line(stage, [one for one in told if one.stage == stage]) for stage in sorted_stages(told)]
    lines += ["", f"{what}: of the forecasts that said so, these fitted", f"{'said':<12} {'told':>6} {'fitted':>7}"]
    lines += [f"{row.low:.1f} to {row.low + 0.1:.1f}   {row.told:6} {row.share:7.2f}" for row in calibration(told)]
    return "\n".join(lines)


def sorted_stages(told: Iterable[Told]) -> list[str]:
    """Return the stages, from first to last."""
    return sorted({one.stage for one in told}, key=_ORDER.index)


def _stage_line(stage: str, told: Sequence[Told]) -> str:
    logs = sorted(one.log_ratio for one in told)
    boots = [math.log(max(1.0, one.boots) / max(1.0, one.ahead.boots)) for one in told]
    low, high = logs[len(logs) // 10], logs[-1 - len(logs) // 10]
    spread = statistics.fmean(one.ahead.spread for one in told)
    return (
        f"{stage:<12} {len(told):6} {statistics.median(logs):7.2f} {statistics.pstdev(logs):5.2f} {spread:8.2f}"
        f" {low:6.2f} {high:6.2f} {statistics.median(boots):7.2f} {statistics.pstdev(boots):5.2f}"
    )


@dataclass(frozen=True)
class Calibrated:
    """Of the forecasts that said `low` to `low` + 0.1: how many there were, and the share that fitted."""

    low: float
    told: int
    share: float


def calibration(told: Iterable[Told]) -> list[Calibrated]:
    """Return a row for each tenth that was said at all."""
    tenths: dict[int, list[bool]] = {}
    for one in told:
        if one.chance is not None:
            tenths.setdefault(min(_TENTHS - 1, int(one.chance * _TENTHS)), []).append(one.fitted)
    return [Calibrated(key / _TENTHS, len(row), statistics.fmean(row)) for key, row in sorted(tenths.items())]


def plain(told: Sequence[Told]) -> dict[str, object]:
    """Return the calibration, and median and spread of each stage, as JSON has them."""
    logs = {stage: [one.log_ratio for one in told if one.stage == stage] for stage in sorted_stages(told)}
    return {
        "stages": [
            {"stage": stage, "told": len(row), "median": statistics.median(row), "spread": statistics.pstdev(row)}
            for stage, row in logs.items()
        ],
        "calibration": [asdict(row) for row in calibration(told)],
    }
