"""Trials in, git's three words out, and why: the one place where a commit is judged."""

from __future__ import annotations

from collections.abc import Sequence

from bisectbot.model import (
    BrokenBy,
    BuildBroken,
    Ending,
    Judgement,
    Kernel,
    NotYet,
    ProbeRecipe,
    Trial,
    Verdict,
)

_CANT_BUILD = {
    BrokenBy.CONFIG: "its configuration can't be made",
    BrokenBy.COMPILE: "it doesn't compile",
    BrokenBy.FIXUP: "a fix-up doesn't apply",
}


def judge(built: Kernel | BuildBroken | None, trials: Sequence[Trial], recipe: ProbeRecipe) -> Judgement | NotYet:
    """Return a commit's verdict, or what it still needs.

    One trial that fired is bad: a good kernel never fires. `recipe.runs` clean ones are good. Boots that say
    nothing are repeated, `recipe.tries` of them at the most; then the commit is a skip. A clean trial is
    never outweighed by such a boot, nor made up for by one.
    """
    if isinstance(built, BuildBroken):
        return _broken(built)
    fired = [trial for trial in trials if trial.ending is Ending.FIRED]
    if fired:
        return Judgement(Verdict.BAD, fired[0].reason)
    clean = sum(trial.ending is Ending.CLEAN for trial in trials)
    if clean >= recipe.runs:
        return Judgement(Verdict.GOOD, f"{clean} of {clean} trials clean")
    silent = [trial for trial in trials if trial.ending.verdictless]
    if len({trial.boot for trial in silent}) >= recipe.tries:
        return Judgement(Verdict.SKIP, _no_verdict(silent))
    return NotYet(f"{clean} of {recipe.runs} clean trials, {len(silent)} without a verdict")


def alone(built: Kernel | BuildBroken | None, trials: Sequence[Trial], recipe: ProbeRecipe) -> Judgement | NotYet:
    """Return what a commit's own trials say where good is a matter of odds: bad, skip, or nothing yet."""
    fired = [trial for trial in trials if trial.ending is Ending.FIRED]
    if fired:
        return Judgement(Verdict.BAD, fired[0].reason)
    clean = sum(trial.ending is Ending.CLEAN for trial in trials)
    return untestable(built, trials, recipe) or NotYet(f"silent in {clean} runs")


def untestable(built: Kernel | BuildBroken | None, trials: Sequence[Trial], recipe: ProbeRecipe) -> Judgement | None:
    """Return why a commit can't be tested at all, or None while it may be.

    It doesn't build, or `recipe.tries` boots of it have said nothing, so many more for each that did. A boot that held
    a run with an answer did say something, however it ended: what was silent up to then was so.
    """
    if isinstance(built, BuildBroken):
        return _broken(built)
    told = {trial.boot for trial in trials if _says_something(trial)}
    silent = [trial for trial in trials if trial.boot not in told]
    if len({trial.boot for trial in silent}) < recipe.tries * (1 + len(told)):
        return None
    return Judgement(Verdict.SKIP, _no_verdict(silent))


def _says_something(trial: Trial) -> bool:
    """Whether a run has an answer; a silent one in which no time at work can be proven has none."""
    return trial.ending is Ending.FIRED or (trial.ending is Ending.CLEAN and trial.exposure > 0)


def _broken(built: BuildBroken) -> Judgement:
    return Judgement(Verdict.SKIP, f"{_CANT_BUILD[built.by]}: {built.title}")


def _no_verdict(silent: Sequence[Trial]) -> str:
    last = silent[-1]
    return f"no verdict in {len({trial.boot for trial in silent})} boots; the last {last.ending}: {last.reason}"


def clean_left(trials: Sequence[Trial], recipe: ProbeRecipe) -> int:
    """Return how many clean trials a commit still needs to be good, at least 1."""
    clean = sum(trial.ending is Ending.CLEAN for trial in trials)
    return max(1, recipe.runs - clean)
