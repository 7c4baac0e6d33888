"""When to suspect the lab instead of the kernels: several in a row that fail the same way, and the proof of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bisectbot.facts import State
from bisectbot.model import Answer, Culprit, Ending, Kernel, Trial

IN_A_ROW = 3  # commits; a stretch of broken ones is no rarity, so one more boot for every three of them is the price
_CHANCES = 2  # boots of the kernel that is known to boot: one may fail by accident


@dataclass(frozen=True)
class Prove:
    """Boot this commit, which has booted before, to see whether the lab still works."""

    commit: str


@dataclass(frozen=True)
class Void:
    """It doesn't: what these boots said isn't to be believed."""

    boots: tuple[int, ...]
    why: str


def doubt_of(state: State, answer: Answer | None = None) -> Prove | Void | None:
    """Return what is to be done about the lab before the search goes on; None if there is nothing to suspect.

    With `answer`: before that is given. One that only tells what can't be tested isn't given on the word of a lab whose
    last boots all failed.
    """
    boots = _boots(state)
    sound = [number for number, trial in boots.items() if not trial.ending.verdictless]
    control = _control(state, boots, sound)
    if control is None:
        return None
    last_sound = max(sound)
    suspects = {number: trial for number, trial in boots.items() if number > last_sound}
    failed = [trial for trial in suspects.values() if trial.commit == control]
    others = len({trial.commit for trial in suspects.values()} - {control})
    # nothing has booted since the lab was doubted last
    still = any(boot > last_sound for doubted in state.doubted for boot in doubted.boots)
    least = IN_A_ROW if answer is None or isinstance(answer, Culprit) else 1
    if (others or still or least == 1) and len(failed) >= _CHANCES:
        return Void(tuple(suspects), _why(control, failed[-1], others))
    return Prove(control) if (others and failed) or still or _alike(suspects.values(), least) else None


def _boots(state: State) -> dict[int, Trial]:
    """Return what each boot comes to, in order: its first run with an answer, else its last one."""
    found: dict[int, Trial] = {}
    for trial in sorted((one for known in state.trials.values() for one in known), key=lambda trial: trial.boot):
        if trial.boot not in found or found[trial.boot].ending.verdictless:
            found[trial.boot] = trial
    return found


def _control(state: State, boots: dict[int, Trial], sound: list[int]) -> str | None:
    """Return the commit that booted most often, and last of those: its kernel is still there.

    In a plain bisection it is a bad one: another run of a good one might turn a verdict that git knows already.
    """
    fit = [trial.commit for trial in map(boots.__getitem__, sound) if state.plan.search or trial.ending is Ending.FIRED]
    there = [commit for commit in fit if isinstance(state.builds.get(commit), Kernel)]
    return max(there, key=lambda commit: (there.count(commit), _last(there, commit)), default=None)


def _last(commits: list[str], commit: str) -> int:
    return max(place for place, one in enumerate(commits) if one == commit)


def _alike(suspects: Iterable[Trial], least: int) -> bool:
    """Whether the last commits, `least` of them, all failed in one way."""
    trials = list(suspects)
    if not trials:
        return False
    way, commits = _way(trials[-1]), set()
    for trial in reversed(trials):
        if _way(trial) != way:
            break
        commits.add(trial.commit)
    return len(commits) >= least


def _way(trial: Trial) -> tuple[Ending, str]:
    return trial.ending, trial.crash.title if trial.crash else ""


def _why(control: str, failed: Trial, others: int) -> str:
    before = f"{others} {'commit' if others == 1 else 'commits in a row'} failed, and then " if others else ""
    return (
        f"{before}{control[:12]}, which had booted before, {'did so too' if others else 'fails again'} "
        f"({failed.ending}: {failed.reason}): the lab is suspected, and none of these boots counts"
    )
