"""From the journal's state to what the search works with: exposure, what can't be tested, and what things cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from bisectbot.facts import State
from bisectbot.model import Ending, Judgement, Kernel, Trial
from bisectbot.search.dag import Dag
from bisectbot.search.policy import Costs
from bisectbot.search.posterior import GOOD, Knowledge, Seen
from bisectbot.verdict import untestable

_BUILD, _BOOT = 120.0, 15.0  # seconds, before the session has seen any of its own
_UNSURE, _UNKNOWN = 0.2, 0.9  # spread of log(price) once the session has built something, and before: assumed
_RUN = 1.0  # seconds of exposure that a run is taken to have before one was seen


@dataclass(frozen=True)
class Evidence:
    """What a state says: the evidence itself, what the next step costs, and how long a run is.

    `unsure`: the spread of log(price) of the steps to come, for what is expected of them in all.
    """

    knowledge: Knowledge
    costs: Costs
    run_seconds: float  # exposure of one run that stays silent
    unsure: float = 0.0


def read(state: State, dag: Dag, booted: str | None) -> Evidence:
    """Return the evidence; `booted`: the commit whose kernel is up and silent."""
    return Evidence(_knowledge(state, dag, booted), _costs(state, dag, booted), run_seconds(state), _unsure(state))


def seen(trials: Collection[Trial]) -> Seen:
    """Return the exposure of trials, by their boots."""
    found: dict[int, tuple[float, int]] = {}
    for trial in trials:
        seconds, fires = found.get(trial.boot, (0.0, 0))
        found[trial.boot] = (seconds + trial.exposure, fires + (trial.ending is Ending.FIRED))
    return Seen(tuple(boot for boot in found.values() if boot != (0.0, 0)))


def _knowledge(state: State, dag: Dag, booted: str | None) -> Knowledge:
    found = {place: seen(state.trials.get(dag.commits[place], ())) for place in _places(state.trials, dag)}
    ran = (trial for good in state.plan.range_.goods for trial in state.trials.get(good, ()))
    goods = sorted(ran, key=lambda trial: trial.boot)
    skips = {place for place in _places(state.touched, dag) if _skipped(state, dag.commits[place])}
    if all(_skipped(state, good) for good in state.plan.range_.goods):
        skips.add(GOOD)
    exposed = {place: one for place, one in {**found, GOOD: seen(goods)}.items() if one.boots}
    up = None if booted is None else _place(state, dag, booted)
    if up is not None and all(trial.boot < state.boots for trial in state.trials.get(booted or "", ())):
        # it is up and has told nothing yet: what earlier boots told is none of its own silence
        exposed[up] = exposed.get(up, Seen()).more(0.0)
    return Knowledge(exposed, frozenset(skips))


def _places(commits: Collection[str], dag: Dag) -> list[int]:
    return [dag.index[commit] for commit in commits if commit in dag.index]


def _place(state: State, dag: Dag, commit: str) -> int | None:
    """Return the number of a commit, GOOD for a good end, None for any other one."""
    return dag.index.get(commit, GOOD if commit in state.plan.range_.goods else None)


def _skipped(state: State, commit: str) -> bool:
    return isinstance(skip_of(state, commit), Judgement)


def skip_of(state: State, commit: str) -> Judgement | None:
    """Return why a commit can't be tested, or None."""
    return untestable(state.builds.get(commit), state.trials.get(commit, ()), state.plan.probe)


def _costs(state: State, dag: Dag, booted: str | None) -> Costs:
    kernels = [commit for commit, built in state.builds.items() if isinstance(built, Kernel)]
    built = set(_places(kernels, dag))
    if any(good in kernels for good in state.plan.range_.goods):
        built.add(GOOD)
    up = None if booted is None else _place(state, dag, booted)
    return Costs(_build_seconds(state), _boot_seconds(state), frozenset(built), up, _pace(state))


def _unsure(state: State) -> float:
    kernels = (built for built in state.builds.values() if isinstance(built, Kernel))
    return _UNSURE if any(not built.from_store for built in kernels) else _UNKNOWN


def _build_seconds(state: State) -> float:
    """Return what one more build takes, as far as the session's own tell.

    The first one began with nothing and counts only while it is all there is. The more came from the store, the
    likelier the next one does.
    """
    kernels = [built for built in state.builds.values() if isinstance(built, Kernel)]
    made = [built.seconds for built in kernels if not built.from_store]
    usual = median(made[1:] or made) if made else _BUILD
    return usual * (len(made) + 1) / (len(kernels) + 1)


def _boot_seconds(state: State) -> float:
    """Return what a boot takes beside its runs: up to init's word, and a real machine's way home."""
    boots = {trial.boot: trial.boot_seconds for known in state.trials.values() for trial in known}
    homes = [home.homed.seconds for home in state.homecomings]
    return (median(boots.values()) if boots else _BOOT) + (median(homes) if homes else 0.0)


def _pace(state: State) -> float:
    """Return the seconds that one second of exposure takes."""
    clean = [trial for known in state.trials.values() for trial in known if trial.ending is Ending.CLEAN]
    exposed = sum(trial.exposure for trial in clean)
    return max(1.0, sum(trial.probe_seconds for trial in clean) / exposed) if exposed else 1.0


def run_seconds(state: State) -> float:
    """Return the exposure of a run that stays silent; of one that fired while none did."""
    trials = [trial for known in state.trials.values() for trial in known if trial.exposure > 0]
    clean = [trial.exposure for trial in trials if trial.ending is Ending.CLEAN]
    return median(clean) if clean else max((trial.exposure for trial in trials), default=_RUN)
