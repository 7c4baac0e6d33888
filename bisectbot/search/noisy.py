"""The search for a bug that fires only sometimes: a posterior decides, real `git bisect` keeps the ledger.

What is sure is marked in it, and marked anew from the start if something stops being so; at the end its own last word
has to be ours.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bisectbot.errors import ConfigError, InfraError
from bisectbot.facts import State
from bisectbot.model import Answer, Culprit, EndUnproven, Stuck, Verdict
from bisectbot.odds import Odds
from bisectbot.plan import Plan, SearchRecipe
from bisectbot.ports import Ledger
from bisectbot.search import evidence, foresight, telling
from bisectbot.search.check import seconds_a_boot, silent_enough
from bisectbot.search.confirm import confirming, shown
from bisectbot.search.evidence import Evidence
from bisectbot.search.past import Lens, Past, Sources, View
from bisectbot.search.policy import Action, Found, best, choose, longest, mean_seconds
from bisectbot.search.posterior import GOOD, Seen, believe
from bisectbot.search.wanted import Test, Wanted

_MOST_RUNS = 1000  # in one boot


class Beliefs:
    """What follows from a state, with nothing marked anywhere."""

    def __init__(self, recipe: SearchRecipe, past: Past, sources: Sources) -> None:
        self.dag, self.outside = past.dag, past.outside
        self._lens = Lens(past, recipe, sources)

    def read(self, state: State, booted: str | None = None) -> tuple[View, Evidence, Action | Found]:
        """Return the problem as it stands, the evidence, and what the policy says to it.

        An answer that hangs on the prior alone is tested on.
        """
        view, read = self._lens.view(state), evidence.read(state, self.dag, booted)
        step = choose(view.problem, read.knowledge, read.costs)
        if isinstance(step, Action) or step.what != "culprit":
            return view, read, step
        belief = believe(view.flat, read.knowledge)
        if float(belief.mass[list(step.commits)].sum()) >= view.flat_enough:
            return view, read, self._again(state, view, read, step) or step
        return view, read, best(view.flat, read.knowledge, belief, read.costs) or step

    def _again(self, state: State, view: View, read: Evidence, step: Found) -> Action | None:
        """Return one more run of a culprit that is being confirmed, if it hasn't fired often."""
        (culprit, *others), costs = step.commits, read.costs
        if others or not confirming(state) or culprit in read.knowledge.untestable:
            return None
        belief = believe(view.problem, read.knowledge)
        if shown(state, read.knowledge.seen.get(culprit, Seen()), belief, costs):
            return None
        fresh, seconds = costs.booted != culprit, longest(belief)
        cost = costs.setup(culprit, fresh=fresh) + mean_seconds(belief) * costs.pace
        return Action(culprit, seconds, fresh, cost=cost, why="the culprit itself has to fire more than once")

    def odds(self, state: State) -> Odds:
        """Return all that is believed, for people."""
        view, read, step = self.read(state)
        return telling.odds(state, view, read, step)


class Noisy:
    """Decides from the state alone, and from whose kernel is up."""

    def __init__(self, plan: Plan, beliefs: Beliefs, ledger: Ledger, *, leavable: bool) -> None:
        """`leavable`: whether a boot can be ended at any moment; else it gets the runs that are wanted and no more."""
        self._range, self._beliefs, self._dag = plan.range_, beliefs, beliefs.dag
        self._ledger, self._leavable = ledger, leavable
        self._reverts = plan.search is not None and plan.search.revert
        self._marks: dict[str, Verdict] = {}
        self._lowest = plan.range_.bad  # that git knows to be bad
        ledger.start(plan.range_)

    def decide(self, state: State, booted: str | None = None) -> Wanted | Answer:
        """Return what to test next, or the answer."""
        if (skip := evidence.skip_of(state, self._range.bad)) is not None:
            return EndUnproven(self._range.bad, Verdict.BAD, skip)
        view, read, step = self._beliefs.read(state, booted)
        if not self._beliefs.outside:  # git refuses marks that leave no candidate
            self._mark(telling.verdicts(view.problem, read.knowledge))
        if isinstance(step, Action):
            commit = self._commit(state, step.commit, None if step.fresh else booted)
            again = step.fresh and step.commit == read.costs.booted
            now = replace(self._test(commit, step.seconds, read), fresh=again)
            return self._wanted(view, read, step, (now, *self._ahead(state, view, read, now)))
        return self._end_check(state, view, read, step) or self._answer(state, view, read, step)

    def log(self) -> str:
        """Return the log that `git bisect replay` takes."""
        return self._ledger.log()

    # --- what to do

    def _wanted(self, view: View, read: Evidence, action: Action, tests: tuple[Test, ...]) -> Wanted:
        left = foresight.left(view, read, action)
        says = telling.in_a_line(view.problem, read.knowledge)
        return Wanted(tests, max(1, math.ceil(left.steps)), left.seconds, says=says, ahead=left.ahead)

    def _test(self, commit: str, seconds: float, read: Evidence) -> Test:
        runs = _MOST_RUNS if self._leavable else math.ceil(seconds / max(1e-3, read.run_seconds))
        return Test(commit, min(_MOST_RUNS, max(1, runs)))

    def _commit(self, state: State, place: int, booted: str | None) -> str:
        """Return the commit of a number; of several good ends the one that is up, or was run least."""
        if place != GOOD:
            return self._dag.commits[place]
        if booted in self._range.goods:
            return str(booted)
        testable = [good for good in self._range.goods if evidence.skip_of(state, good) is None]
        return min(testable or self._range.goods, key=lambda good: evidence.seen(state.trials.get(good, ())).seconds)

    def _ahead(self, state: State, view: View, read: Evidence, now: Test) -> tuple[Test, ...]:
        """Return what may be built meanwhile: both ends tell what the configuration sees, and then the first guess."""
        if now.commit != self._range.bad or read.knowledge.seen.keys() - {view.problem.bad}:
            return ()
        unbuilt = [good for good in self._range.goods if good not in state.builds]
        guess = foresight.first_guess(view.problem, read.costs)
        return tuple(Test(commit, 1) for commit in (*unbuilt, *(self._dag.commits[place] for place in guess)))

    # --- the end

    def _end_check(self, state: State, view: View, read: Evidence, found: Found) -> Wanted | None:
        """Return what is still to be done about the bad end without the culprit."""
        if not self._reverts or found.what != "culprit" or len(found.commits) != 1:
            return None
        culprit = self._dag.commits[found.commits[0]]
        if culprit not in state.reverts:
            return Wanted((), 1, None, revert=culprit)
        commit = state.reverts[culprit].commit
        return self._without(state, view, read, commit) if commit else None

    def _without(self, state: State, view: View, read: Evidence, commit: str) -> Wanted | None:
        """Return how to go on with `commit`, the bad end without the culprit; None if it has said enough."""
        problem, belief = view.problem, believe(view.problem, read.knowledge)
        trials = state.trials.get(commit, ())
        seen = evidence.seen(trials)
        if seen.fires or evidence.skip_of(state, commit) is not None or silent_enough(problem, belief, seen):
            return None
        long = seconds_a_boot(problem, belief, read.costs)
        here = sum(trial.exposure for trial in trials if trial.boot == state.boots)
        test = replace(self._test(commit, max(long - here, long / 10), read), fresh=here >= long)
        ahead = foresight.check_ahead(problem, belief, read, seen, built=commit in state.builds)
        return Wanted((test,), 1, ahead.seconds, says="is the bug gone without the culprit?", ahead=ahead)

    def _answer(self, state: State, view: View, read: Evidence, found: Found) -> Answer:
        match found.what:
            case "absent":
                return EndUnproven(self._range.bad, Verdict.BAD, telling.never(read.knowledge, view.problem))
            case "older":
                good = self._commit(state, GOOD, None)
                return EndUnproven(good, Verdict.GOOD, telling.older(read.knowledge, found))
            case "stuck":
                return Stuck(tuple(self._dag.commits[place] for place in reversed(found.commits)), found.probability)
            case _:
                return self._named(view, read, found)

    def _named(self, view: View, read: Evidence, found: Found) -> Answer:
        """Return the culprit, or the group it is in, once git bisect has come to the same."""
        dag = self._dag
        group = {dag.commits[place] for place in found.commits}
        if self._beliefs.outside and group == {self._range.bad}:
            raise ConfigError(
                "--path: no commit that touches it brought the bug in: all of them are good",
                hint="leave --path out, or widen it; the kernels that were built stay in the store",
            )
        outside = {dag.commits[parent] for place in found.commits for parent in dag.parents[place]} - group
        implied = {**dict.fromkeys(outside, Verdict.GOOD), **self._top(found)}
        self._mark({**telling.verdicts(view.problem, read.knowledge), **implied})
        word = self._ledger.answer()
        if len(group) > 1:
            # git names what it can't rule out: nothing of that may be missing
            told = set(word.candidates) if isinstance(word, Stuck) else set()
            return Stuck(tuple(sorted(group | told, key=lambda one: -dag.index.get(one, 0))), found.probability)
        (culprit,) = group
        if word != Culprit(culprit):
            raise InfraError(
                f"git bisect does not come to the same end: {culprit[:12]} here, {word} there",
                hint="this is a bug in bisectbot: please report it with the session's folder",
            )
        return Culprit(culprit, found.probability)

    def _top(self, found: Found) -> dict[str, Verdict]:
        """Return the mark of the newest of the group, which has the bug; the bad end has it already."""
        newest = self._dag.commits[max(found.commits)]
        told = self._marks.get(newest) is Verdict.SKIP or newest == self._range.bad
        return {} if told else {newest: Verdict.BAD}

    def _mark(self, verdicts: dict[str, Verdict]) -> None:
        """Bring git's marks up to date; one that doesn't hold any more means to begin anew."""
        if any(verdicts.get(commit) is not verdict for commit, verdict in self._marks.items()):
            self._ledger.start(self._range)
            self._marks, self._lowest = {}, self._range.bad
        for commit, verdict in verdicts.items():
            if commit not in self._marks and commit not in self._range.ends:
                self._marks[commit] = verdict
                if verdict is not Verdict.BAD or self._lowers(commit):
                    self._ledger.mark(commit, verdict)

    def _lowers(self, commit: str) -> bool:
        """Take note of a bad commit; False if it isn't older than git's: git knows only one, the one marked last."""
        lower = bool(self._dag.ancestors(self._dag.index[self._lowest])[self._dag.index[commit]])
        self._lowest = commit if lower else self._lowest
        return lower
