"""What to do next: which commit to run, and for how long, chosen for bits about the culprit per second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bisectbot.search.dag import Floats
from bisectbot.search.groups import group_of
from bisectbot.search.posterior import GOOD, Belief, Knowledge, Problem, Seen, Settings, believe
from bisectbot.search.sharpen import Wait, sharpened, usual_seconds

__all__ = ["GOOD", "Action", "Costs", "Found", "Knowledge", "Problem", "Seen", "Settings", "choose"]

_TIMES = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0])  # in mean times to fire
_LEAST_MORE = 2  # the first of these that a run which goes on is prolonged by
_QUANTILES = np.concatenate([[0.01, 0.02, 0.04], np.linspace(0.06, 0.94, 23), [0.96, 0.98, 0.99]])
_NEAR_SKIP = 8.0  # commits: how far the neighbours of an untestable one are suspect
_SAVED_ELSEWHERE = 1.2  # for each second of the last silence that a better known rate saves, all seconds that it saves
_TINY = 1e-12


@dataclass(frozen=True)
class Costs:
    """Seconds that a build and a boot take, which commits are built, and whose kernel is up and silent (or none's).

    `pace`: seconds that one second of exposure takes; more than 1 if runs have much to do besides.
    """

    build: float
    boot: float
    built: frozenset[int] = frozenset()
    booted: int | None = None
    pace: float = 1.0

    def setup(self, commit: int, *, fresh: bool = True) -> float:
        """Return the seconds before the reproducer can run on a commit, in a `fresh` boot or in the one that is on."""
        if not fresh:
            return 0.0
        return self.boot + (0.0 if commit in self.built else self.build)


@dataclass(frozen=True)
class Action:
    """Run the reproducer on a commit until it fires, at most for `seconds`; what is expected of that.

    `fresh`: in a boot of its own, even if the commit's kernel is up.
    """

    commit: int
    seconds: float
    fresh: bool = False
    fires: float = 1.0  # probability
    bits: float = 0.0
    cost: float = 0.0  # seconds, all in all
    why: str = ""


@dataclass(frozen=True)
class Found:
    """The search is over: `what` is "culprit" (one of `commits`), "older", "absent" or "stuck" (one of `commits`)."""

    commits: tuple[int, ...]
    probability: float
    what: str


def choose(problem: Problem, knowledge: Knowledge, costs: Costs) -> Action | Found:
    """Return what to do next, or what was found."""
    settings = problem.settings
    at_bad = knowledge.seen.get(problem.bad, Seen())
    if at_bad.fires < settings.first_fires or _worth_a_fire(problem, at_bad, knowledge, costs):
        return _prove_bad_end(problem, at_bad, costs)
    belief = believe(problem, knowledge)
    return settled(problem, knowledge, belief) or best(problem, knowledge, belief, costs) or _stuck(belief)


def enough_silence(problem: Problem, belief: Belief) -> float:
    """Return the seconds of silence that leave a commit with the bug no more than the chance that is allowed for."""
    settings = problem.settings
    rates = belief.rate_shares
    seconds = np.geomspace(0.01, 1e4, 400) * mean_seconds(belief)
    silent = rates @ belief.rates.silence(belief.rates.spent(0.0, 0.0), seconds)
    enough = np.flatnonzero(silent <= 1 - settings.confidence)
    return float(seconds[enough[0]] if len(enough) else seconds[-1])


def _worth_a_fire(problem: Problem, at_bad: Seen, knowledge: Knowledge, costs: Costs) -> bool:
    """Whether to let the bad end fire once more before anything else: a better known rate makes silence count more.

    With F fires in S seconds, F * (odds ** (1 / F) - 1) mean times of silence bring the odds for one commit.
    """
    if set(knowledge.seen) != {problem.bad}:
        return False
    odds, fires = 1 / (1 - problem.settings.confidence), at_bad.fires
    saved = fires * (odds ** (1 / fires) - 1) - (fires + 1) * (odds ** (1 / (fires + 1)) - 1)
    return bool(_SAVED_ELSEWHERE * saved > 1 + costs.boot * fires / at_bad.seconds)


def _prove_bad_end(problem: Problem, at_bad: Seen, costs: Costs) -> Action | Found:
    settings = problem.settings
    if at_bad.fires == 0 and at_bad.seconds >= settings.show_within:
        return Found((), 1.0, "absent")
    left = max(settings.show_within - at_bad.seconds, at_bad.seconds)
    why = f"the bad end has to fire {settings.first_fires} times, and did {at_bad.fires} times"
    booted = costs.booted == problem.bad
    return Action(problem.bad, left, not booted, cost=costs.setup(problem.bad, fresh=not booted) + left, why=why)


def settled(problem: Problem, knowledge: Knowledge, belief: Belief) -> Found | None:
    """Return the answer if one is sure enough: a commit with all that can't be told from it, or "older"."""
    if belief.older >= problem.settings.confidence:
        return Found((), belief.older, "older")
    group = group_of(problem.dag, belief.likeliest, belief.live, knowledge.untestable)
    probability = min(1.0, float(belief.mass[list(group)].sum()))
    return Found(group, probability, "culprit") if probability >= problem.settings.confidence else None


def chance_of_silence(belief: Belief, *seen: Seen) -> float:
    """Return the probability that commits with the bug, one for each `seen`, stay silent in all these boots."""
    logs = [belief.rates.log_likelihood(tuple((seconds, 0) for seconds, _ in one.boots)) for one in seen]
    return float(belief.rate_shares @ np.exp(np.sum(logs, axis=0)))


def _stuck(belief: Belief) -> Found:
    """Return all that could still be it: no commit that tells them apart can be tested."""
    left = np.flatnonzero(belief.mass > _TINY)
    return Found(tuple(left.tolist()), float(belief.mass[left].sum()), "stuck")


def best(problem: Problem, knowledge: Knowledge, belief: Belief, costs: Costs) -> Action | None:
    """Return the action that gives most bits a second; None if no commit is left whose test would say anything."""
    action = _Table(problem, knowledge, belief, costs, mean_seconds(belief) * _TIMES).best()
    return action and (_fire_again(problem, knowledge, belief, costs, action) or action)


def _fire_again(problem: Problem, knowledge: Knowledge, belief: Belief, costs: Costs, action: Action) -> Action | None:
    """Return the run of a known bad commit that pays more than the action."""
    seen = knowledge.seen.get(action.commit, Seen())
    if action.commit == GOOD or seen.fires:
        return None
    spent = belief.rates.spent(seen.seconds, 0.0 if action.fresh else seen.latest)
    commit = sharpened(problem, knowledge, belief, Wait(action.commit, spent, costs.boot, costs.pace))
    if commit is None:
        return None
    seconds = longest(belief)
    cost = costs.setup(commit) + usual_seconds(belief) * costs.pace
    return Action(commit, seconds, fires=1.0, cost=cost, why="a better known rate shortens the silence to come")


def mean_seconds(belief: Belief) -> float:
    """Return about how long a bad kernel runs from fire to fire."""
    return float(1 / (belief.rates.lam @ belief.rate_shares))


def longest(belief: Belief) -> float:
    """Return the seconds that a run is given at the most."""
    return float(_TIMES[-1]) * usual_seconds(belief)


class _Table:
    """Every candidate commit by every run time: bits, seconds and the chance to fire."""

    def __init__(self, problem: Problem, knowledge: Knowledge, belief: Belief, costs: Costs, seconds: Floats) -> None:
        self._problem, self._knowledge, self._belief, self._costs = problem, knowledge, belief, costs
        self._seconds = seconds
        self._places = tuple(self._candidates())
        self._shares = self._class_shares()

    # --- which commits are looked at

    def _candidates(self) -> Iterable[int]:
        problem, belief, knowledge = self._problem, self._belief, self._knowledge
        sums = problem.dag.below(belief.mass) + belief.older
        open_ = (sums > _TINY) & (sums < 1 - _TINY)
        open_[[place for place in knowledge.untestable if place != GOOD]] = False
        choices = np.flatnonzero(open_)
        chosen: dict[int, None] = {}
        if len(choices):
            order = choices[np.argsort(sums[choices], kind="stable")]
            places = np.searchsorted(sums[order], _QUANTILES)
            for shift in (-1, 0):
                hit = order[np.clip(places + shift, 0, len(order) - 1)]
                chosen.update(dict.fromkeys(hit.tolist()))
        top = belief.likeliest
        near = [top, *problem.dag.parents[top], *problem.dag.children[top]]
        tested = [place for place, one in knowledge.seen.items() if place != GOOD and not one.fires]
        for place in (*near, *tested, *self._costs.built):
            if place != GOOD and open_[place]:
                chosen[place] = None
        fired_at_good = knowledge.seen.get(GOOD, Seen()).fires
        asks_good = belief.older > _TINY and not fired_at_good and GOOD not in knowledge.untestable
        return (*chosen, GOOD) if asks_good else tuple(chosen)

    def _class_shares(self) -> Floats:
        """Return the mass of each class that each candidate contains: [candidates, K]."""
        belief = self._belief
        inside = [place for place in self._places if place != GOOD]
        shares = np.zeros((len(self._places), len(belief.weights)))
        shares[:, -1] = belief.older
        if inside:
            order = np.argsort(belief.classes, kind="stable")
            live = belief.live[order]
            masses = self._problem.dag.rows(inside)[:, live] * belief.mass[live]
            present, starts = np.unique(belief.classes[order], return_index=True)
            shares[: len(inside), present] = np.add.reduceat(masses, starts, axis=1)
        return shares

    # --- what each gives

    def best(self) -> Action | None:
        """Return the best action."""
        if not self._places:
            return None
        booted = self._costs.booted
        asked = [(place, True, shares) for place, shares in zip(self._places, self._shares, strict=True)]
        asked += [(place, False, shares) for place, _, shares in asked if place == booted]
        rows = [self._row(*one) for one in asked]
        scores = np.array([score for score, *_ in rows])
        place, column = np.unravel_index(int(scores.argmax()), scores.shape)
        _, bits, fires, cost = rows[place]
        commit, fresh, _ = asked[place]
        return Action(
            commit, float(self._seconds[column]), fresh, float(fires[column]), float(bits[column]), float(cost[column])
        )

    def _row(self, commit: int, fresh: bool, shares: Floats) -> tuple[Floats, Floats, Floats, Floats]:  # noqa: FBT001
        """Return for each run time: bits a second, bits, P(fires), seconds of the whole."""
        belief, costs = self._belief, self._costs
        seen = self._knowledge.seen.get(commit, Seen())
        spent = belief.rates.spent(seen.seconds, 0.0 if fresh else seen.latest)
        used = shares > _TINY
        weights = belief.weights[used]
        silent = weights @ belief.rates.silence(spent, self._seconds)
        until = weights @ belief.rates.running(spent, self._seconds)
        held = shares[used]
        stays = 1 - held.sum() + held @ silent
        bits = entropy(stays) - held @ entropy(silent)
        run = (1 - held.sum()) * self._seconds + held @ until
        ok = self._testable(commit)
        cost = costs.setup(commit, fresh=fresh) + ok * run * costs.pace
        scores = ok * bits / cost
        if not fresh:
            scores[:_LEAST_MORE] = 0
        return scores, bits, 1 - stays, cost

    def _testable(self, commit: int) -> float:
        """Return how likely a commit can be tested: untestable ones come in runs."""
        if commit == GOOD or commit in self._costs.built or not self._knowledge.untestable:
            return 1.0
        skips = self._knowledge.untestable - {GOOD}
        near = min((abs(commit - skip) for skip in skips), default=len(self._problem.dag))
        return 1 - max(0.05, 0.9 * float(np.exp(-near / _NEAR_SKIP)))


def entropy(chance: Floats) -> Floats:
    """Return the bits of a yes-or-no question whose answer is yes with this probability."""
    inside = np.clip(chance, _TINY, 1 - _TINY)
    found: Floats = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
    return found
