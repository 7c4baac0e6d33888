"""What the search would do next, why, and what it expects of that, in plain lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from bisectbot.odds import Odds
from bisectbot.report.chances import OLDER, figure, how_often, probability, span
from bisectbot.report.evidence import count
from bisectbot.report.seen import seen_of, shrunk_in_words
from bisectbot.visible import visible

_MOST_SUSPECTS = 5
_LAST = "no commit of the range; at the most the bad end with the culprit taken back"


def plan_lines(odds: Odds, title: Callable[[str], str] = lambda _: "") -> tuple[str, ...]:
    """Return what the search would do next, why, and where it stands; plain lines for a terminal.

    `title` returns a commit's title, as git has it, or nothing.
    """
    return tuple(_whole_plan(odds, title))


def _whole_plan(odds: Odds, title: Callable[[str], str]) -> Iterator[str]:
    yield from _plan(odds, title)
    if odds.proposal is not None:
        yield forecast(odds)
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
        return f"to go: {_LAST}"
    steps = "" if odds.steps_left is None else f"about {count(max(1, math.ceil(odds.steps_left)), 'step')}"
    time = "" if odds.seconds_left is None else f"about {span(odds.seconds_left)}"
    told = ", ".join(text for text in (steps, time) if text) or "unknown until the bug has fired"
    return f"to go until {figure(odds.confidence)}: {told}"


def _name(commit: str, title: Callable[[str], str]) -> str:
    told = title(commit)
    return f'{commit[:12]} ("{visible(told, 80)}")' if told else commit[:12]
