"""What the search believes, as a section of the report: who it may be, what that rests on, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bisectbot.model import Culprit, EndUnproven, Stuck
from bisectbot.odds import Holding, Odds, WhatIf
from bisectbot.report.ahead import plan
from bisectbot.report.chances import OLDER, equation, figure, how_often, probability, span
from bisectbot.report.evidence import count, named
from bisectbot.report.seen import cleared_in_words, reverted_in_words, seen_of, shrunk_in_words
from bisectbot.report.session import Session

_MOST_SUSPECTS = 5
_MOST_TWINS = 8  # commits of one group that are named
_NEGLIGIBLE = 1e-9  # of what isn't listed
_PRIORS_MATTER = 0.5  # of what is missing to 1: what the priors may change of it unmentioned


@dataclass(frozen=True)
class Likely:
    """A row of who it may be: a commit, or something else by its name alone."""

    commit: str  # or nothing
    title: str
    probability: str
    saw: str


@dataclass(frozen=True)
class Belief:
    """The section. Titles are data from outside, and so are texts of `facts` and `saw`."""

    statement: str
    likely: tuple[Likely, ...]
    facts: tuple[tuple[str, str], ...]
    changes: tuple[str, ...]
    plan: tuple[str, ...]  # what comes next; empty after an answer


def belief(session: Session) -> Belief | None:
    """Return the section, or None for a plain bisection."""
    odds = session.odds
    if odds is None:
        return None
    answered = isinstance(session.outcome, Culprit | Stuck | EndUnproven)
    return Belief(
        statement=statement(session, odds),
        likely=() if answered and not odds.rate.fires else tuple(_likely(session, odds)),
        facts=tuple(_facts(session, odds)),
        changes=tuple(_changes(session, odds)),
        plan=() if answered else plan(odds, session.title),
    )


# --- in one sentence ---------------------------------------------------------------------------


def statement(session: Session, odds: Odds) -> str:
    """Return the best that can be said by now."""
    wanted = f"asked for: {figure(odds.confidence)}"
    if odds.goal is not None:
        wanted += f"; being confirmed up to {figure(odds.goal)}"
    match session.outcome:
        case Culprit():
            return f"{equation('culprit', culprit_probability(session, odds))} ({wanted})."
        case Stuck(candidates, chance):
            name = f"it is one of these {count(len(candidates), 'commit')}"
            return f"{equation(name, odds.group_probability if chance is None else chance)} ({wanted})."
        case EndUnproven() if odds.rate.fires:
            return f"{equation(OLDER, odds.older)} ({wanted})."
        case _ if odds.confirmed and odds.suspects and odds.suspects[0].commit == odds.confirmed:
            name = named(session, odds.confirmed)
            return f"An answer is there: {name}, {equation('culprit', odds.suspects[0].probability)} ({wanted})."
        case _ if not odds.rate.fires:
            return "Nothing fired so far, so nothing is known of any commit but what was assumed beforehand."
        case _:
            return f"{_best(session, odds)} ({wanted})."


def culprit_probability(session: Session, odds: Odds) -> float:
    """Return the culprit's probability: the one that it was named with."""
    outcome = session.outcome
    told = outcome.probability if isinstance(outcome, Culprit) else None
    return odds.group_probability if told is None else told


def holding_in_words(holding: Holding) -> str:
    """Return `on 3 commits: 1234567890ab, ...`."""
    what = [count(holding.number, "commit")] if holding.number else []
    what += [f'"{OLDER}"'] if holding.older else []
    names = ", ".join(commit[:12] for commit in holding.commits)
    rest = holding.number - len(holding.commits)
    more = f" and {rest} more" if rest > 0 else ""
    return f"on {' and '.join(what)}" + (f": {names}{more}" if names else "")


def best(session: Session, odds: Odds) -> str:
    """Return the best statement before an answer, without a full stop, as a headline has it."""
    if not odds.rate.fires:
        return "nothing fired so far"
    said = _best(session, odds)
    return f"{said[0].lower()}{said[1:]}"


def _best(session: Session, odds: Odds) -> str:
    if len(odds.group) > 1:
        name = f"one of {len(odds.group)} commits that can't be told apart"
        return f"Likeliest so far: {equation(name, odds.group_probability)}"
    top = odds.suspects[0] if odds.suspects else None
    if top is None or odds.older > top.probability:
        return f"Likeliest so far: {equation(OLDER, odds.older)}"
    return f"Likeliest so far: {named(session, top.commit)}, {equation('culprit', top.probability)}"


# --- who it may be -----------------------------------------------------------------------------


def _likely(session: Session, odds: Odds) -> Iterator[Likely]:
    shown = odds.suspects[:_MOST_SUSPECTS]
    for one in shown:
        yield Likely(one.commit, session.title(one.commit), figure(one.probability), seen_of(odds, one.commit))
    rest = 1 - odds.older - sum(one.probability for one in shown)
    others = odds.candidates - len(shown)
    if others > 0 and rest > _NEGLIGIBLE:
        yield Likely("", f"the other {count(others, 'commit')} together", figure(rest), "")
    yield Likely("", OLDER, figure(odds.older), "; ".join(_goods(session, odds)))


def _goods(session: Session, odds: Odds) -> Iterator[str]:
    for good in session.range_.goods:
        yield f"{good[:12]} {seen_of(odds, good)}"


# --- what it rests on --------------------------------------------------------------------------


def _facts(session: Session, odds: Odds) -> Iterator[tuple[str, str]]:
    bad, good = session.range_.terms.bad, session.range_.terms.good
    often = f": {how_often(odds.rate)}" if odds.rate.seconds else ""
    yield f"at the {bad} end", seen_of(odds, session.range_.bad) + often
    for end in session.range_.goods:
        yield f"at the {good} end {end[:12]}", seen_of(odds, end)
    yield OLDER, f"probability {figure(odds.older)}"
    for parent in odds.parents:
        yield f"parent {parent.commit[:12]}", cleared_in_words(parent)
    if odds.holding is not None and not isinstance(session.outcome, Culprit | Stuck | EndUnproven):
        yield f"{figure(odds.holding.probability)} of the probability", holding_in_words(odds.holding)
    if odds.reverted is not None:
        yield f"the {bad} end without the culprit", reverted_in_words(odds.reverted)
    if odds.shrunk is not None:
        yield "this configuration", shrunk_in_words(odds)
    yield from (("same kernel, byte for byte", text) for text in _twins(odds))


def _twins(odds: Odds) -> Iterator[str]:
    """Yield the groups that matter here: those of the likeliest commits and of their parents."""
    telling = {*odds.group, *(one.commit for one in odds.parents)}
    for group in odds.twins:
        if telling & set(group):
            names = ", ".join(commit[:12] for commit in group[:_MOST_TWINS])
            more = f" and {len(group) - _MOST_TWINS} more" if len(group) > _MOST_TWINS else ""
            yield f"{names}{more}: which of them it is can't be told by testing"


# --- what would change it ----------------------------------------------------------------------


def _changes(session: Session, odds: Odds) -> Iterator[str]:
    yield from (_what_if(session, odds, one) for one in odds.what_ifs)
    if odds.flat is None:
        return
    alike = f"Had all commits been equally likely beforehand, the probability would be {probability(odds.flat)}"
    if abs(odds.group_probability - odds.flat) > _PRIORS_MATTER * (1 - odds.group_probability):
        yield f"{alike}: the rest of it comes from the priors."
    else:
        yield f"{alike}: the priors hardly matter."


def _what_if(session: Session, odds: Odds, one: WhatIf) -> str:
    name = named(session, one.commit)
    if not one.fires:
        return f"Another {span(one.seconds)} of silence on {name} would make it {probability(one.probability)}."
    if one.commit in odds.group:
        return f"A fire on {name} itself, where there was none so far, would make it {probability(one.probability)}."
    if one.probability == 0:
        return f"One fire on {name} would rule {'the culprit' if len(odds.group) == 1 else 'all of these'} out."
    return f"One fire on {name} would bring it down to {probability(one.probability)}."
