"""What was seen of a commit, of the culprit's parents, and without the culprit, in the words of a noisy search."""

from __future__ import annotations

import math
from statistics import median

from bisectbot.model import Ending, Judgement, Verdict
from bisectbot.odds import Cleared, Odds, Reverted, Tested
from bisectbot.render import seconds as in_full
from bisectbot.report.chances import figure, probability, times
from bisectbot.report.evidence import count
from bisectbot.report.session import Session
from bisectbot.visible import visible

_MOST_RUNS = 1000


def seen_of(odds: Odds, commit: str) -> str:
    """Return what was seen of a commit, in words."""
    one = odds.of(commit)
    if one is None:
        return "not run"
    if isinstance(one.judgement, Judgement) and one.judgement.verdict is Verdict.SKIP and not one.fires:
        return one.judgement.why
    if one.fires:
        return f"fired {times(one.fires)} in {in_full(one.seconds)} of running"
    return f"silent for {in_full(one.seconds)} of running{_with_bug(one)}" if one.seconds else "not run yet"


def _with_bug(one: Tested) -> str:
    return "" if math.isnan(one.chance) else f" (chance of that with the bug: {figure(one.chance)})"


def cleared_in_words(parent: Cleared) -> str:
    """Return on what a parent's innocence rests."""
    own = f"silent for {in_full(parent.seconds)} of running" if parent.seconds else "not run itself"
    above = f"; commits that contain it, silent for {in_full(parent.elsewhere)}" if parent.elsewhere else ""
    chance = f"; chance of that with the bug: {figure(parent.chance)}" if parent.seconds or parent.elsewhere else ""
    return f"{own}{above}{chance}; has the bug with a probability of {probability(parent.has_bug)}"


def reverted_in_words(check: Reverted) -> str:
    """Return how the check of the bad end without the culprit went."""
    if check.commit is None:
        return f"not tested: {visible(check.problem) or 'the culprit does not revert cleanly there'}"
    name = check.commit[:12]
    if check.fires:
        return f"{name} STILL FIRES: {times(check.fires)} in {in_full(check.seconds)} of running"
    if check.problem:
        return f"{name} couldn't be tested: {check.problem}"
    if not check.seconds:
        return f"{name} not run yet"
    return (
        f"{name} silent for {in_full(check.seconds)} of running (chance of that with the bug: {figure(check.chance)})"
    )


def shrunk_in_words(odds: Odds) -> str:
    """Return what the configuration sees of the range."""
    shrunk = odds.shrunk
    if shrunk is None:
        return f"{count(odds.candidates, 'commit')}; what the configuration sees of them isn't known yet"
    steps = f"about {shrunk.steps_saved:.1f} steps saved"
    return f"it sees {shrunk.visible:,} of {count(shrunk.of, 'commit')}: {steps}"


def runs_for(session: Session, seconds: float) -> int | None:
    """Return about how many silent runs have so many seconds of exposure; None if there was none to tell by."""
    silent = [trial.exposure for step in session.steps for trial in step.trials if trial.ending is Ending.CLEAN]
    usual = median(silent) if silent else 0.0
    return min(_MOST_RUNS, math.ceil(seconds / usual)) if usual > 0 else None
