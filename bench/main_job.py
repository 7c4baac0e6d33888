"""The main job, timed: the demo tree bisected by plain `git bisect run` and by bisectbot, in turn, from equal states.

Both begin with a checked-out worktree of their own, an empty build folder, an empty kernel store and a warm ccache (a
run of each before the rounds that count fills it), run the same reproducer, and prove both ends of the range first.
Prints a table; asserts no time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from bisectbot import places
from bisectbot.boot import initramfs, programs
from bisectbot.build import fragments
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.lock import Lock
from bisectbot.effects.proc import Processes
from bisectbot.model import Arch

_ROOT = Path(__file__).resolve().parent.parent
_STEP = Path(__file__).with_name("plain_step.sh")
_GOOD, _BAD = "demo-good", "demo-bad"
_EXIT_GOOD, _EXIT_BAD = 0, 1

_Spans = list[tuple[float, float]]  # from, to: seconds since the epoch


@dataclass(frozen=True)
class Result:
    """One whole bisection. Times are seconds; a build that ran beside a boot is `covered` only once."""

    tool: str
    culprit: str
    wall: float
    steps: int
    builds: int
    boots: int
    build: float
    boot_and_probe: float
    covered: float

    @property
    def outside(self) -> float:
        """Return the driver's own seconds: those in which nothing was built, booted or probed."""
        return self.wall - self.covered


@dataclass(frozen=True)
class Arena:
    """Where the bisections happen: the tree, and a scratch folder with everything that they write."""

    tree: Path
    scratch: Path
    trials: int
    boot_limit: int

    @property
    def cache(self) -> Path:
        """Bisectbot's own; plain uses the ccache in it too."""
        return self.scratch / "cache"

    @property
    def plain(self) -> Path:
        """Return the worktree of `git bisect run`."""
        return self.scratch / "plain" / "src"


def main() -> None:
    """Run the rounds and print them."""
    parser = argparse.ArgumentParser(prog="bench/main_job.py", description=__doc__)
    parser.add_argument("--tree", type=Path, help="the demo tree [made if it isn't there]")
    parser.add_argument("--scratch", type=Path, default=places.cache() / "bench", help="where everything is written")
    parser.add_argument("--rounds", type=int, default=3, help="bisections of each kind that count [3]")
    parser.add_argument(
        "--trials", type=int, default=3, help="clean runs of the reproducer that make a commit good [3]"
    )
    parser.add_argument(
        "--boot-limit", type=int, default=120, help="seconds after which plain gives up on a boot [120]"
    )
    parser.add_argument("--warm", action="store_true", help="the ccache in the scratch folder is warm already")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    arena = Arena(args.tree or _demo_tree(), args.scratch.absolute(), args.trials, args.boot_limit)
    with Lock(arena.scratch / "lock", f"{arena.scratch}"):
        results = _rounds(arena, args.rounds, warm=args.warm)
    print(json.dumps([{**asdict(one), "outside": one.outside} for one in results]) if args.json else _table(results))


def _rounds(arena: Arena, number: int, *, warm: bool) -> list[Result]:
    _prepare(arena)
    tools = (_plain, _bisectbot)
    if not warm:
        for tool in tools:
            _told(tool(arena), "warm-up")
    return [
        _told(tool(arena), f"round {done + 1}")
        for done in range(number)
        for tool in (tools if done % 2 == 0 else tools[::-1])
    ]


def _demo_tree() -> Path:
    done = subprocess.run((sys.executable, "-m", "demo"), cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.splitlines()[0])


def _prepare(arena: Arena) -> None:
    """Make plain's worktree and the initramfs that both boot."""
    arena.scratch.mkdir(parents=True, exist_ok=True)
    if not arena.plain.exists():
        _git(arena.tree, "worktree", "prune")
        _git(arena.tree, "worktree", "add", "--quiet", "--detach", str(arena.plain), _BAD)
    ours = programs.compiled(Processes(), SystemClock(), Arch.X86_64)
    archive = initramfs.pack(ours.init.read_bytes(), ours.reproducer.read_bytes())
    (arena.scratch / "initrd").write_bytes(archive)


# --- plain `git bisect run` --------------------------------------------------------------------


def _plain(arena: Arena) -> Result:
    out, times = arena.scratch / "plain" / "out", arena.scratch / "plain" / "times"
    shutil.rmtree(out, ignore_errors=True)
    times.write_text("")
    _git(arena.plain, "bisect", "reset")
    _git(arena.plain, "checkout", "--quiet", "--detach", _BAD)
    environment = {**os.environ, **_plain_variables(arena, out, times)}
    with (arena.scratch / "plain" / "log").open("w") as log:
        began = time.monotonic()
        for end, wanted in ((_BAD, _EXIT_BAD), (_GOOD, _EXIT_GOOD)):
            _git(arena.plain, "checkout", "--quiet", "--detach", end)
            code = _run((str(_STEP),), arena.plain, environment, log)
            if code != wanted:
                sys.exit(f"plain: {end} ended with {code} instead of {wanted}: see {log.name}")
        _git(arena.plain, "bisect", "start", _BAD, _GOOD)
        _run(("git", "bisect", "run", str(_STEP)), arena.plain, environment, log)
        wall = time.monotonic() - began
    culprit = _git(arena.plain, "rev-parse", "refs/bisect/bad").strip()
    rows = [line.split() for line in times.read_text().splitlines()]
    spans = {name: [(float(a), float(b)) for stage, a, b in rows if stage == name] for name in ("build", "boot")}
    return Result("git bisect run", culprit, wall, len(spans["build"]), *_sums(spans["build"], spans["boot"]))


def _plain_variables(arena: Arena, out: Path, times: Path) -> dict[str, str]:
    merged = fragments.resolve(("kvm-rseq",), Arch.X86_64, places.data("kconfigs"))
    return {
        "OUT": str(out),
        "FRAGMENTS": " ".join(str(path) for path in merged),
        "INITRD": str(arena.scratch / "initrd"),
        "CONSOLE": str(arena.scratch / "plain" / "console"),
        "TIMES": str(times),
        "TRIALS": str(arena.trials),
        "BOOT_LIMIT": str(arena.boot_limit),
        "CCACHE_DIR": str(arena.cache / "ccache"),
        "CCACHE_MAXSIZE": "5G",
    }


# --- bisectbot ---------------------------------------------------------------------------------


def _bisectbot(arena: Arena) -> Result:
    out = arena.cache.glob("trees/*/*/src/.bb-*")
    for folder in [arena.cache / "kernels", arena.cache / "configs", *out]:
        shutil.rmtree(folder, ignore_errors=True)
    ends = ("--tree", str(arena.tree), "--good", _GOOD, "--bad", _BAD)
    more = ("--runs", str(arena.trials), "--logs", str(arena.scratch / "logs"), "--json")
    argv = (sys.executable, "-m", "bisectbot", "run", *ends, *more)
    environment = {**os.environ, "BISECTBOT_CACHE": str(arena.cache)}
    with (arena.scratch / "bisectbot.log").open("w") as log:
        began = time.monotonic()
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, check=False)
        wall = time.monotonic() - began
    if done.returncode:
        sys.exit(f"bisectbot ended with {done.returncode}: see {log.name}\n{done.stdout}")
    said = json.loads(done.stdout)
    tell = (sys.executable, "-m", "bisectbot", "log", said["session"], "--logs", str(arena.scratch / "logs"), "--json")
    log_ = subprocess.run(tell, stdout=subprocess.PIPE, env=environment, check=True).stdout
    return Result("bisectbot", said["culprit"], wall, said["steps"], *_sums(*_told_spans(json.loads(log_)["facts"])))


def _told_spans(rows: list[dict[str, Any]]) -> tuple[_Spans, _Spans]:
    """Return when the journal's builds and boots ran. What the bot adds around a boot is not in it."""
    builds: _Spans = []
    boots: dict[int, tuple[float, float]] = {}
    for row in rows:
        at, fact = row["at"], row["fact"]
        match fact["is"]:
            case "Built":
                builds.append((at - fact["result"]["seconds"], at))
            case "BootBegan":
                boots[fact["boot"]] = (at, at)
            case "Tried":
                trial = fact["trial"]
                began, ended = boots[trial["boot"]]
                booted = trial["boot_seconds"] if began == ended else 0.0
                boots[trial["boot"]] = (began, ended + booted + trial["probe_seconds"])
    return builds, list(boots.values())


# --- both --------------------------------------------------------------------------------------


def _sums(builds: _Spans, boots: _Spans) -> tuple[int, int, float, float, float]:
    """Return the numbers of builds and boots, the seconds of each, and the seconds with at least one of them."""
    seconds = [sum(end - start for start, end in spans) for spans in (builds, boots)]
    covered, reached = 0.0, 0.0
    for start, end in sorted(builds + boots):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return len(builds), len(boots), seconds[0], seconds[1], covered


def _git(folder: Path, *args: str) -> str:
    argv = ("git", "-C", str(folder), *args)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def _run(argv: Sequence[str], folder: Path, environment: dict[str, str], log: TextIO) -> int:
    return subprocess.run(argv, cwd=folder, env=environment, stdout=log, stderr=log, check=False).returncode


def _told(result: Result, when: str) -> Result:
    print(f"{when}: {result.tool}: {result.wall:.0f} s, {result.culprit[:12]}", file=sys.stderr)
    return result


_COLUMNS: tuple[tuple[str, Callable[[Result], float]], ...] = (
    ("wall s", lambda one: one.wall),
    ("steps", lambda one: one.steps),
    ("builds", lambda one: one.builds),
    ("boots", lambda one: one.boots),
    ("build s", lambda one: one.build),
    ("boot+probe s", lambda one: one.boot_and_probe),
    ("outside s", lambda one: one.outside),
    ("outside %", lambda one: 100 * one.outside / one.wall),
)


def _table(results: Sequence[Result]) -> str:
    """Return one row a bisection and the medians of each tool, as Markdown."""
    head = ["", *(name for name, _ in _COLUMNS), "culprit"]
    rows = [head, ["---", *("---:" for _ in _COLUMNS), "---"]]
    for tool in dict.fromkeys(one.tool for one in results):
        mine = [one for one in results if one.tool == tool]
        rows += [[tool, *(f"{value(one):.1f}" for _, value in _COLUMNS), one.culprit[:12]] for one in mine]
        medians = (statistics.median(value(one) for one in mine) for _, value in _COLUMNS)
        rows.append([f"**{tool}, median**", *(f"{median:.1f}" for median in medians), ""])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
