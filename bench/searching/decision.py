"""How long one decision takes on a history of 15,000 commits, measured in a process of its own: time and memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.searching import kernelgraph
from bench.searching.ours import Ours
from bench.searching.targets import Target
from bench.searching.world import Cell, Instance, Lab
from bisectbot.search.dag import Dag
from bisectbot.search.policy import Problem, Settings

_ROOT = Path(__file__).resolve().parent.parent.parent
_P30 = (0.95, 0.6, 0.1)
_MOST_MEDIAN, _MOST_SETUP, _MOST_MEMORY = 50.0, 1.0, 200.0


@dataclass(frozen=True)
class Decision:
    """What was measured. Times of deciding are milliseconds, memory is MB of the whole process."""

    commits: int
    merges: int
    brought_in: int  # by merges, beside the parent that contains most
    searches: int
    wrong: int
    mean_wall: float  # seconds of the simulated lab
    decisions: int
    setup: (
        float  # seconds: the graph, the problem, and the first decision that isn't about the bad end, less a usual one
    )
    median: float
    median_cpu: float  # of the processor: what a busy machine adds is left out
    high: float  # 95 %
    most: float
    before: float  # memory with the history made and numpy loaded
    memory: float  # at the highest


def measured(commits: int, searches: int, seed: int) -> Decision:
    """Measure in a fresh process, with the usual number of threads.

    Raises RuntimeError with its words if that fails.
    """
    command = (sys.executable, "-m", "bench.searching.decision", str(commits), str(searches), str(seed))
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(command, cwd=_ROOT, env=plain, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Decision(**json.loads(done.stdout))


def targets(found: Decision) -> list[Target]:
    """Return what has to be reached of it."""
    return [
        Target("a decision below 50 ms (median)", f"{found.median:.1f} ms", found.median < _MOST_MEDIAN),
        Target("one-off set-up below 1 s", f"{found.setup:.2f} s", found.setup < _MOST_SETUP),
        Target("memory below 200 MB", f"{found.memory:.0f} MB", found.memory < _MOST_MEMORY),
    ]


def text(found: Decision) -> str:
    """Return it as lines."""
    return f"""\
{found.commits} commits, {found.merges} of them merges that bring in {found.brought_in} commits \
({found.brought_in / found.commits:.2f} a commit)
set-up {found.setup:.2f} s
{found.decisions} decisions in {found.searches} searches: median {found.median:.1f} ms \
({found.median_cpu:.1f} ms of the processor), 95 % {found.high:.1f} ms, most {found.most:.1f} ms
memory {found.memory:.0f} MB, of which {found.before:.0f} MB were there before the search
{found.wrong} of {found.searches} answers wrong; {found.mean_wall:.0f} s a search in the simulated lab"""


def _measure(commits: int, searches: int, seed: int) -> Decision:
    parents = kernelgraph.kernel_like(commits, seed)
    names = [f"{place:040x}" for place in range(commits)]
    before = _memory()
    began = time.perf_counter()
    problem = Problem(Dag(names, parents), np.full(commits, 1 / commits), Settings())
    setup = time.perf_counter() - began
    thinking: list[float] = []
    cpu: list[float] = []
    wrong, wall, first = 0, 0.0, 0.0
    for instance in _instances(parents, searches, seed):
        lab, ours = Lab(instance), Ours(problem)
        wrong += instance.culprit not in ours(lab)
        wall += lab.seconds / searches
        thinking += ours.thinking
        cpu += ours.cpu
        first = first or max(ours.thinking)
    memory = _memory()
    low, high = np.percentile(thinking, [50, 95])
    return Decision(
        commits=commits,
        merges=sum(len(row) > 1 for row in parents),
        brought_in=kernelgraph.brought_in(parents),
        searches=searches,
        wrong=wrong,
        mean_wall=wall,
        decisions=len(thinking),
        setup=setup + first - float(low),
        median=1000 * float(low),
        median_cpu=1000 * float(np.median(cpu)),
        high=1000 * float(high),
        most=1000 * max(thinking),
        before=before,
        memory=memory,
    )


def _instances(parents: kernelgraph.Parents, searches: int, seed: int) -> Iterable[Instance]:
    dice = np.random.default_rng([seed, len(parents)])
    for number in range(searches):
        culprit = int(dice.integers(len(parents)))
        rates = np.full(len(parents) + 1, Cell(len(parents), _P30[number % len(_P30)]).rate)
        bad = np.append(kernelgraph.holders(parents, culprit), False)
        yield Instance(culprit, bad, rates, frozenset(), (seed, len(parents), number))


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(*map(int, sys.argv[1:])))))
