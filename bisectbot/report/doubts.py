"""Reasons to doubt a culprit that the odds of a noisy search give."""

from __future__ import annotations

from collections.abc import Iterator

from bisectbot.odds import Odds, Reverted
from bisectbot.report.belief import culprit_probability
from bisectbot.report.chances import OLDER, between, equation, figure, how_often, probability, span, times
from bisectbot.report.evidence import named
from bisectbot.report.session import Session
from bisectbot.visible import visible

_SURE = 0.999  # a culprit above it needs no word about who is second
_RUNNER_UP = 0.005  # probability that is worth a word
_WIDE = 10.0  # highest by lowest rate of the interval
_RARE = 600.0  # seconds from fire to fire
_THIN = 0.05  # chance of a parent's silence if it had the bug


def loud(session: Session, odds: Odds) -> Iterator[str]:
    """Yield what has to be read first: the bug is there without the culprit."""
    check = odds.reverted
    if check is not None and check.commit is not None and check.fires:
        bad = session.range_.terms.bad
        yield (
            f"The bug is still there WITHOUT the culprit: the {bad} end with it taken back ({check.commit[:12]}) fired "
            f"{times(check.fires)} in {span(check.seconds)} of running. Another commit brings it in as well, or a "
            "later one builds on what this one did, or this isn't the culprit. Understand that before you tell anybody."
        )


def doubts(session: Session, odds: Odds, commit: str) -> Iterator[str]:
    """Yield what else speaks for a second look."""
    yield from _second(session, odds)
    yield from _never_fired(session, odds, commit)
    yield from _parents(session, odds)
    yield from _same_kernel(session, odds, commit)
    yield from _rate(odds)
    yield from _priors(session, odds)
    if odds.reverted is not None:
        yield from _check(session, odds, odds.reverted)


def _second(session: Session, odds: Odds) -> Iterator[str]:
    chance = culprit_probability(session, odds)
    rivals = [(one.probability, named(session, one.commit)) for one in odds.suspects if one.commit not in odds.group]
    second, name = max([*rivals, (odds.older, f"that the bug is {OLDER}")])
    if chance < _SURE and second > _RUNNER_UP:
        yield f"{equation('culprit', chance)}; second is {name}, with a probability of {probability(second)}."


def _never_fired(session: Session, odds: Odds, commit: str) -> Iterator[str]:
    seen = odds.of(commit)
    if seen is None or not seen.fires:
        yield (
            f"It never fired on the culprit itself: {named(session, commit)} is named because commits that contain it "
            "fire and those before it don't."
        )


def _parents(session: Session, odds: Odds) -> Iterator[str]:
    for parent in odds.parents:
        if parent.chance > _THIN:
            yield (
                f"Silence alone says little of the parent {named(session, parent.commit)}: with the bug it would have "
                f"been so silent with a probability of {probability(parent.chance)}."
            )


def _same_kernel(session: Session, odds: Odds, commit: str) -> Iterator[str]:
    same = {one for group in odds.twins if commit in group for one in group} - {commit}
    info = session.info(commit)
    for parent in info.parents if info else ():
        if parent in same:
            yield (
                f"The culprit's kernel is byte for byte that of its parent {named(session, parent)}: no test can tell "
                "the two apart, and what it changes isn't part of this kernel."
            )


def _rate(odds: Odds) -> Iterator[str]:
    rate, mean = odds.rate, odds.rate.mean_seconds
    if mean is None:
        return
    if rate.low and rate.high / rate.low > _WIDE:
        yield (
            f"How often it fires is hardly known: once in {between(1 / rate.high, 1 / rate.low)} (95 %), from "
            f"{rate.fires} fires at the bad end. The probability allows for that."
        )
    if mean > _RARE:
        yield (
            f"The bug is rare: it {how_often(rate)}. A setting with which it fires sooner makes all of this surer: "
            "bisectbot calibrate."
        )


def _priors(session: Session, odds: Odds) -> Iterator[str]:
    if odds.flat is not None and odds.flat < min(odds.confidence, culprit_probability(session, odds)):
        yield (
            f"Part of this comes from the priors: had all commits been equally likely beforehand, "
            f"{equation('culprit', odds.flat)}."
        )


def _check(session: Session, odds: Odds, check: Reverted) -> Iterator[str]:
    bad = session.range_.terms.bad
    if check.commit is None:
        why = visible(check.problem) or f"it doesn't revert cleanly on the {bad} end"
        yield f"Whether the bug is gone without the culprit isn't known: {why}."
    elif check.fires:
        return  # said already, and louder
    elif check.problem:
        yield (
            "Whether the bug is gone without the culprit isn't known: "
            f"{check.commit[:12]} couldn't be tested: {visible(check.problem)}"
        )
    elif check.chance > 2 * (1 - odds.confidence):
        yield (
            f"The {bad} end without the culprit was silent for {span(check.seconds)} only, which is little: the chance "
            f"of that with the bug is {figure(check.chance)}."
        )
