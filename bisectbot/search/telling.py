"""What the search believes, in the words and numbers that people and git are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bisectbot.facts import State
from bisectbot.fit import Forecast
from bisectbot.interval import interval
from bisectbot.model import Culprit, Judgement, NotYet, Verdict
from bisectbot.odds import Holding, Odds, Proposal, Rate, Reverted, Suspect, Tested
from bisectbot.report.chances import how_often, probability, span, times
from bisectbot.search import evidence
from bisectbot.search.check import silent_enough
from bisectbot.search.dag import Floats
from bisectbot.search.evidence import Evidence
from bisectbot.search.foresight import check_ahead, left
from bisectbot.search.groups import group_of
from bisectbot.search.past import View
from bisectbot.search.policy import (
    Action,
    Found,
    chance_of_silence,
    enough_silence,
)
from bisectbot.search.posterior import GOOD, Belief, Knowledge, Problem, Seen, believe
from bisectbot.search.whatif import Answer, cleared, what_ifs

_MOST_SUSPECTS = 12
_HELD = 0.95  # of the probability


# --- verdicts ----------------------------------------------------------------------------------


def verdicts(problem: Problem, knowledge: Knowledge) -> dict[str, Verdict]:
    """Return the verdicts that are sure by now, of commits that were tested; git gets them as marks."""
    dag = problem.dag
    found = {dag.commits[place]: Verdict.SKIP for place in sorted(knowledge.untestable - {GOOD})}
    chances = has_bug(problem, believe(problem, knowledge)) if knowledge.fires else None
    for place in sorted(knowledge.seen.keys() - {GOOD} - knowledge.untestable):
        sure = _sure(problem, chances[place]) if chances is not None else None
        if sure is not None:
            found[dag.commits[place]] = sure
    return found


def has_bug(problem: Problem, belief: Belief) -> Floats:
    """Return the probability that each commit has the bug: [N]."""
    return np.minimum(1.0, problem.dag.below(belief.mass) + belief.older)


def _sure(problem: Problem, chance: float) -> Verdict | None:
    if chance >= problem.settings.confidence:
        return Verdict.BAD
    return Verdict.GOOD if chance <= 1 - problem.settings.confidence else None


def judgement(seen: Seen, chance: float | None, sure: Verdict | None) -> Judgement | NotYet:
    """Return what is known of a tested commit, with its evidence in words."""
    if seen.fires:
        words = f"fired {times(seen.fires)} in {span(seen.seconds)} of running"
    else:
        words = f"silent for {span(seen.seconds)} of running" if seen.seconds else "not run itself"
    if chance is not None and not seen.fires:
        words += f"; has the bug with a probability of {probability(chance)}"
    return NotYet(words) if sure is None else Judgement(sure, words)


def never(knowledge: Knowledge, problem: Problem) -> Judgement:
    """Return that the bad end never fired, and how rare the bug would have to be."""
    seen = knowledge.seen.get(problem.bad, Seen())
    silent = f"silent for {span(seen.seconds)} of running"
    return Judgement(Verdict.GOOD, f"{silent}: {how_often(_rate(problem, knowledge))}")


def older(knowledge: Knowledge, found: Found) -> Judgement:
    """Return that the good ends have the bug."""
    seen = knowledge.seen.get(GOOD, Seen())
    return Judgement(
        Verdict.BAD,
        f"it fired there {times(seen.fires)} in {span(seen.seconds)} of running"
        if seen.fires
        else f"the bug is older than the range with a probability of {probability(found.probability)}",
    )


# --- in one line ------------------------------------------------------------------------------


def in_a_line(problem: Problem, knowledge: Knowledge) -> str:
    """Return who is suspected most."""
    at_bad = knowledge.seen.get(problem.bad, Seen())
    if not at_bad.fires:
        return f"the bad end is {never(knowledge, problem).why}" if at_bad.seconds else ""
    if at_bad.fires < problem.settings.first_fires:
        return f"the bad end fired {times(at_bad.fires)} in {span(at_bad.seconds)}"
    belief = believe(problem, knowledge)
    if belief.older > belief.mass.max():
        return f"older than the range with a probability of {probability(belief.older)}"
    likeliest = problem.dag.commits[belief.likeliest]
    return f"{likeliest[:12]} is it with a probability of {probability(float(belief.mass.max()))}"


# --- everything --------------------------------------------------------------------------------


def odds(state: State, view: View, read: Evidence, step: Action | Found) -> Odds:
    """Return the whole belief."""
    problem, knowledge, asked = view.problem, read.knowledge, state.plan.search
    belief = believe(problem, knowledge) if knowledge.fires else None
    group = _group(problem, knowledge, belief)
    share = min(1.0, float(belief.mass[list(group)].sum())) if belief is not None else 0.0
    ahead = left(view, read, step) if isinstance(step, Action) else None
    check = _check(state, view, read, step) if isinstance(step, Found) else None
    told = Odds(
        confidence=asked.confidence if asked else problem.settings.confidence,
        goal=problem.settings.confidence if asked and asked.confidence != problem.settings.confidence else None,
        confirmed=_confirmed(state),
        ahead=ahead.ahead if ahead else check,
        holding=_holding(problem, belief) if belief is not None else None,
        candidates=len(problem.dag),
        suspects=tuple(_suspects(problem, belief)),
        group=tuple(problem.dag.commits[place] for place in group),
        group_probability=share,
        older=belief.older if belief is not None else problem.settings.older,
        absent=float(isinstance(step, Found) and step.what == "absent"),
        rate=_rate(problem, knowledge),
        tested=tuple(_tested(state, problem, belief)),
        proposal=_proposal(state, problem, read, step),
        seconds_left=ahead.seconds if ahead else check.seconds if check else 0.0,
        steps_left=ahead.steps if ahead else 0.0,
        shrunk=view.shrunk,
        twins=view.twins,
        reverted=_reverted(state, problem, belief),
        silence_needed=enough_silence(problem, belief) if belief is not None else None,
    )
    if belief is None or isinstance(step, Action) or step.what != "culprit":
        return told
    return _resting(told, view, Answer(problem, knowledge, belief, step.commits))


def _check(state: State, view: View, read: Evidence, found: Found) -> Forecast | None:
    """Return what the check at the end still takes; None where there is none to come."""
    if state.answered or not view.check or found.what != "culprit" or len(found.commits) != 1:
        return None
    culprit = view.problem.dag.commits[found.commits[0]]
    made = state.reverts.get(culprit)
    if made is not None and made.commit is None:
        return None
    seen = evidence.seen(state.trials.get(made.commit or "", ())) if made else Seen()
    belief = believe(view.problem, read.knowledge)
    if seen.fires or silent_enough(view.problem, belief, seen):
        return None
    return check_ahead(view.problem, belief, read, seen, built=made is not None and made.commit in state.builds)


def _confirmed(state: State) -> str:
    """Return the culprit that was found and has been confirmed since; nothing after an answer."""
    answer = state.found.answer if state.found and not state.answered else None
    return answer.commit if isinstance(answer, Culprit) else ""


def _resting(odds: Odds, view: View, answer: Answer) -> Odds:
    """Return the odds with what an answer rests on and what would change it."""
    flat = float(believe(view.flat, answer.knowledge).mass[list(answer.group)].sum())
    return replace(odds, parents=tuple(cleared(answer)), what_ifs=tuple(what_ifs(answer)), flat=flat)


def _group(problem: Problem, knowledge: Knowledge, belief: Belief | None) -> tuple[int, ...]:
    if belief is None:
        return ()
    return group_of(problem.dag, belief.likeliest, belief.live, knowledge.untestable)


def _suspects(problem: Problem, belief: Belief | None) -> Iterator[Suspect]:
    mass = (1 - problem.settings.older) * problem.prior if belief is None else belief.mass
    for place in np.argsort(-mass, kind="stable")[:_MOST_SUSPECTS].tolist():
        if mass[place] > 0:
            yield Suspect(problem.dag.commits[place], float(mass[place]))


def _holding(problem: Problem, belief: Belief) -> Holding:
    """Return the fewest commits that have 95 %; "older" counts as one of them."""
    masses = np.append(belief.mass, belief.older)
    order = np.argsort(-masses, kind="stable")
    sums = np.cumsum(masses[order])
    few = order[: int(np.searchsorted(sums, _HELD)) + 1].tolist()
    places = [place for place in few if place < len(problem.dag)]
    named = tuple(problem.dag.commits[place] for place in places[:_MOST_SUSPECTS])
    return Holding(len(places), named, float(masses[few].sum()), older=len(places) < len(few))


def _rate(problem: Problem, knowledge: Knowledge) -> Rate:
    """Return the rate on the bad end: what is known for sure to have the bug."""
    seen = knowledge.seen.get(problem.bad, Seen())
    low, high = interval(seen.fires, seen.seconds)
    return Rate(seen.fires, seen.seconds, low, min(high, 1e9))


def _tested(state: State, problem: Problem, belief: Belief | None) -> Iterator[Tested]:
    """Yield all commits that were touched: those of the range, the good ends, and the bad end without the culprit."""
    chances = has_bug(problem, belief) if belief else None
    without = {fact.commit: culprit for culprit, fact in state.reverts.items() if fact.commit}
    for commit in state.touched:
        seen = evidence.seen(state.trials.get(commit, ()))
        skip = evidence.skip_of(state, commit)
        chance = None if commit in without else _chance(problem, belief, chances, commit)
        sure = None if chance is None else _sure(problem, chance)
        if seen.fires and problem.settings.background == 0:
            chance, sure = 1.0, Verdict.BAD
        word = skip or judgement(seen, chance, sure)
        has = math.nan if chance is None else chance
        silence = chance_of_silence(belief, seen) if belief and seen.seconds and not seen.fires else math.nan
        yield Tested(commit, seen.seconds, seen.fires, has, word, silence, without.get(commit, ""))


def _chance(problem: Problem, belief: Belief | None, chances: Floats | None, commit: str) -> float | None:
    if belief is None or chances is None:
        return None
    place = problem.dag.index.get(commit)
    return belief.older if place is None else float(chances[place])


def _proposal(state: State, problem: Problem, read: Evidence, step: Action | Found) -> Proposal | None:
    if isinstance(step, Found):
        return None
    commit = state.plan.range_.goods[0] if step.commit == GOOD else problem.dag.commits[step.commit]
    return Proposal(commit, step.seconds, step.fires, step.bits, step.cost, step.why or _why(read, step))


def _why(read: Evidence, action: Action) -> str:
    what = "its kernel is built" if action.commit in read.costs.built else "its kernel is to be built"
    price = action.cost / action.bits if action.bits else math.inf
    return f"most bits a second: {action.bits:.2f} for {span(action.cost)} ({price:.0f} s a bit); {what}"


def _reverted(state: State, problem: Problem, belief: Belief | None) -> Reverted | None:
    """Return the check of the likeliest commit, if it was made."""
    if belief is None:
        return None
    culprit = problem.dag.commits[belief.likeliest]
    if culprit not in state.reverts:
        return None
    commit = state.reverts[culprit].commit
    if commit is None:
        return Reverted(None, problem=state.reverts[culprit].why)
    seen, skip = evidence.seen(state.trials.get(commit, ())), evidence.skip_of(state, commit)
    chance = chance_of_silence(belief, seen)
    return Reverted(commit, seen.seconds, seen.fires, chance, skip.why if skip else "")
