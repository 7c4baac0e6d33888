"""The command line of bench/search."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields

from bench.searching import decision, foreseeing, sheet, targets
from bench.searching.crew import Crew
from bench.searching.measure import OURS, POLICIES, Job
from bench.searching.progress import Progress
from bench.searching.sheet import Sheet
from bench.searching.world import CELLS, Cell, Prices, Twist
from bisectbot.search.policy import Settings

_ABOUT = """\
Simulated searches for a bug that fires only sometimes: bisectbot's policy beside others, on the same seeded instances.

A kernel with the bug fires as a Poisson process, any other never; P30 is the probability that a run of 30 s on a bad
one fires. Culprits are uniform over a linear history. One host builds or runs, never both; a kernel is built once; a
run ends at its first fire. bisectbot, engineer and syzkaller prove the bad end, which is in their times; bisect and
git-bayesect don't. "bound" is a time that nobody can beat (bench/searching/bound.py), "earlier" are the figures of an
earlier search (bench/searching/reference.py), without any guard against rates that differ between commits."""

_QUICK_SECONDS = 95.0
_QUICK_PEERS = {"git-bayesect": 3}  # trials a cell; it is slow
_QUICK_CHEAP = 300
_QUICK_ROUND = 2
_WHOLE, _WHOLE_PEERS = 2000, {"git-bayesect": 100}
_TWISTS = (Twist(sigma=0.5), Twist(older=0.05), Twist(untestable=0.1))
_PRICES = (Prices(30, 5), Prices(600, 180))  # a VM with ccache; a board
_DECISION = 15_000
_FORECASTS = 20  # searches in each cell


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(argv)
    began = time.monotonic()
    if options.forecast:
        _forecast(options)
        return
    sheets = [] if options.decision else list(_sheets(options, began))
    found = _decision(options) if options.decision or options.all else None
    reached = targets.targets(sheets) + (decision.targets(found) if found else [])
    if options.json:
        shown = {"sheets": [sheet.plain(one) for one in sheets], "decision": asdict(found) if found else None}
        print(json.dumps({**shown, "targets": [asdict(one) for one in reached]}))
        return
    parts = [sheet.text(one) for one in sheets] + ([decision.text(found)] if found else [])
    print("\n\n".join([*parts, targets.text(reached)]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/search", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="a fair sample of everything below two minutes")
    kind.add_argument("--all", action="store_true", help="the whole: many trials, twists, prices, decisions (an hour)")
    kind.add_argument("--decision", action="store_true", help=f"the time of a decision on {_DECISION} commits alone")
    kind.add_argument("--forecast", action="store_true", help="how good forecasts are: 20 trials in each of 8 cells")
    parser.add_argument("--cells", type=_cells, default=CELLS, help="COMMITS:P30,... [all 16]")
    parser.add_argument("--trials", type=_positive, help="in each cell, for each policy [200; --quick: what fits]")
    parser.add_argument("--policies", type=_policies, default=POLICIES, help=f"with commas [{','.join(POLICIES)}]")
    parser.add_argument("--sigma", type=float, default=0.0, help="spread of log(rate) from commit to commit [0]")
    parser.add_argument("--boot-sigma", type=float, default=0.0, help="likewise, from boot to boot [0]")
    parser.add_argument("--older", type=float, default=0.0, help="share of good ends that have the bug [0]")
    parser.add_argument("--untestable", type=float, default=0.0, help="share of commits that can't be tested [0]")
    parser.add_argument("--build", type=float, default=Prices.build, help="seconds of a build [120]")
    parser.add_argument("--boot", type=float, default=Prices.boot, help="seconds of a boot [30]")
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], help="NAME=NUMBER: a setting of bisectbot's"
    )
    parser.add_argument("--seed", type=int, default=1, help="[1]")
    parser.add_argument("--searches", type=_positive, default=12, help="for --decision: whole searches [12]")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes [one a processor]")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser


def _sheets(options: argparse.Namespace, began: float) -> Iterable[Sheet]:
    plain, prices = (
        Twist(options.sigma, options.boot_sigma, options.older, options.untestable),
        Prices(options.build, options.boot),
    )
    yield _sheet(options, plain, prices, options.policies, began)
    if options.all:
        yield from (_sheet(options, twist, prices, (OURS,), began) for twist in _TWISTS)
        yield from (_sheet(options, plain, other, (OURS, "bisect 10x30s"), began) for other in _PRICES)


def _sheet(options: argparse.Namespace, twist: Twist, prices: Prices, policies: Sequence[str], began: float) -> Sheet:
    jobs = {
        (policy, cell): Job(policy, cell, _trials(options, policy), 0, twist, prices, options.seed, tuple(options.set))
        for cell in options.cells
        for policy in policies
    }
    progress = Progress("searches")
    with Crew(options.jobs) as crew:
        if options.quick and not options.trials:
            crew.do([job for job in jobs.values() if job.policy != OURS], progress)
            crew.fill([job for job in jobs.values() if job.policy == OURS], began + _QUICK_SECONDS, progress)
        else:
            crew.do(list(jobs.values()), progress)
        tallies = crew.tallies
    progress.over()
    rows = (sheet.row(policy, cell, tallies[policy, cell, twist], prices, twist) for policy, cell in jobs)
    return Sheet(twist, prices, options.seed, tuple(rows))


def _trials(options: argparse.Namespace, policy: str) -> int:
    """Return how many trials a policy gets in each cell: --trials, or what fits the kind of run."""
    if options.trials:
        return int(options.trials)
    if options.quick:
        return _QUICK_ROUND if policy == OURS else _QUICK_PEERS.get(policy, _QUICK_CHEAP)
    return _WHOLE_PEERS.get(policy, _WHOLE) if options.all else 200


def _forecast(options: argparse.Namespace) -> None:
    """Measure the forecasts and print them."""
    cells = foreseeing.CELLS if options.cells is CELLS else options.cells
    world, prices = Twist(options.sigma, options.boot_sigma), Prices(options.build, options.boot)
    sample = foreseeing.Sample(cells, options.trials or _FORECASTS, prices, world, options.seed)
    searches, bisections = foreseeing.measured(sample, options.jobs)
    if options.json:
        print(json.dumps({"search": foreseeing.plain(searches), "bisection": foreseeing.plain(bisections)}))
        return
    print(f"{foreseeing.text(searches, 'search')}\n\n\n{foreseeing.text(bisections, 'bisect 3x30s')}")


def _decision(options: argparse.Namespace) -> decision.Decision:
    progress = Progress("decisions")
    found = decision.measured(_DECISION, options.searches, options.seed)
    progress.over()
    return found


# --- what options hold


def _cells(words: str) -> tuple[Cell, ...]:
    try:
        pairs = [word.split(":") for word in words.split(",")]
        return tuple(Cell(int(commits), float(p30)) for commits, p30 in pairs)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{words}: {error}; cells look like 1024:0.6,8192:0.1") from error


def _policies(words: str) -> tuple[str, ...]:
    names = tuple(word.strip() for word in words.split(","))
    if unknown := [name for name in names if name not in POLICIES]:
        raise argparse.ArgumentTypeError(f"no policy {unknown[0]!r}; there are {', '.join(POLICIES)}")
    return names


def _setting(word: str) -> tuple[str, float]:
    name, _, number = word.partition("=")
    if name not in {one.name for one in fields(Settings)}:
        raise argparse.ArgumentTypeError(f"no setting {name!r}")
    return name, float(number)


def _positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} isn't above 0")
    return number


if __name__ == "__main__":
    main(sys.argv[1:])
