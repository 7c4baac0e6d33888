"""What the search would do next, why, and what it expects of that, in plain lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime

from bisectbot.fit import Fit, Word
from bisectbot.odds import Odds
from bisectbot.report.chances import OLDER, figure, how_often, probability, span
from bisectbot.report.evidence import count
from bisectbot.report.seen import seen_of, shrunk_in_words
from bisectbot.visible import visible

_MOST_SUSPECTS = 5
HELPS = "give more time, a narrower range, or --kconfig that builds faster"
_LAST = "no commit of the range; at the most the bad end with the culprit taken back"


def plan_lines(odds: Odds, title: Callable[[str], str] = lambda _: "", fit: Fit | None = None) -> tuple[str, ...]:
    """Return what the search would do next, why, and where it stands; plain lines for a terminal.

    `title` returns a commit's title, as git has it, or nothing.
    """
    return tuple(_whole_plan(odds, title, fit))


def _whole_plan(odds: Odds, title: Callable[[str], str], fit: Fit | None) -> Iterator[str]:
    yield from _plan(odds, title)
    if odds.proposal is not None or odds.ahead is not None:
        yield forecast(odds)
    if fit is not None:
        yield f"the budget: {word_on(fit, fit.word())}"
    yield f"the bug: {how_often(odds.rate)}" if odds.rate.seconds else "the bug: not run yet"
    yield (
        f"the range: {shrunk_in_words(odds)}" if odds.shrunk is None else f"this configuration: {shrunk_in_words(odds)}"
    )
    yield "likeliest:"
    for one in odds.suspects[:_MOST_SUSPECTS]:
        yield f"  {figure(one.probability)} {_name(one.commit, title)}: {visible(seen_of(odds, one.commit), 120)}"
    yield f"  {figure(odds.older)} {OLDER}"


def plan(odds: Odds, title: Callable[[str], str]) -> tuple[str, ...]:
    """Return what the search would do next, and why."""
    return tuple(_plan(odds, title))


def _plan(odds: Odds, title: Callable[[str], str]) -> Iterator[str]:
    proposal = odds.proposal
    if proposal is None:
        yield f"next: {_LAST}"
        return
    yield f"next: {_name(proposal.commit, title)}, running for up to {span(proposal.seconds)}"
    yield f"why: {visible(proposal.why)}"
    if proposal.bits:
        yield (
            f"expected: it fires with a probability of {probability(proposal.fires)}; "
            f"{proposal.bits:.2f} bits in {span(proposal.cost)}"
        )
    else:
        yield f"expected: at most {span(proposal.cost)}"


def forecast(odds: Odds) -> str:
    """Return what is still ahead, as far as anybody knows."""
    if odds.proposal is None:
        return f"to go: {_LAST}" + (f", about {span(odds.ahead.seconds)}" if odds.ahead else "")
    steps = "" if odds.steps_left is None else f"about {count(max(1, math.ceil(odds.steps_left)), 'step')}"
    time = "" if odds.seconds_left is None else f"about {span(odds.seconds_left)}"
    told = ", ".join(text for text in (steps, time) if text) or "unknown until the bug has fired"
    return f"to go until {figure(odds.goal or odds.confidence)}: {told}"


def fit_in_words(fit: Fit) -> str:
    """Return `until 07:00 there are 8.0 h: it fits with a probability of 0.97`."""
    left = " and ".join(_left(fit))
    there = f"another {left} would come with a resume" if fit.anew else _there(fit, left)
    return f"{there}: it fits with a probability of {fit.chance:.2f}"


def _there(fit: Fit, left: str) -> str:
    if fit.until is not None:
        return f"until {_time_of_day(fit.until)} there are {left}"
    return f"{left} of the budget are left"


def _left(fit: Fit) -> Iterator[str]:
    if fit.seconds is not None:
        yield span(fit.seconds)
    if fit.boots is not None:
        yield count(fit.boots, "boot")


def _time_of_day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M}"


def word_on(fit: Fit, word: Word) -> str:
    """Return that it fits, is tight or won't fit, with the figures; and what would help."""
    needed = f"about {span(fit.ahead.seconds)}" + (
        "" if fit.boots is None else f" and {count(max(1, math.ceil(fit.ahead.boots)), 'boot')}"
    )
    needed = f"nothing has fired yet, at a guess {needed}" if fit.ahead.guess else f"expected {needed}"
    told = f"{word}: {needed}; {fit_in_words(fit)}"
    return f"{told}; {HELPS}" if word is Word.WONT else told


def _name(commit: str, title: Callable[[str], str]) -> str:
    told = title(commit)
    return f'{commit[:12]} ("{visible(told, 80)}")' if told else commit[:12]
