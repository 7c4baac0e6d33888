"""A real bug made rare: bisectbot beside plain `git bisect run` with one run a commit, on the same real kernels.

The demo tree, with the reproducer's migrations cut down to one and a longer delay behind it. Measures first
how often one run on a fresh boot of the bad end fires. Kernels that aren't in the store yet are built once, whoever
needs them first. Prints tables; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_GOOD, _BAD = "demo-good", "demo-bad"
_SETTINGS = {
    "a third": ("--migrations", "1"),
    "a tenth": ("--migrations", "1", "--delay", "usleep", "--delay-length", "50000"),
}
_TRY_BAD, _TRY_CANT_TELL = 10, 11
_BISECTBOT = (sys.executable, "-m", "bisectbot")
# `bisectbot try` as a step of `git bisect run`: its exit codes in git's words
_STEP = f"""#!/bin/sh
{{bisectbot}} try "$(git rev-parse --verify BISECT_HEAD)" --tree . --runs 1 --logs "$LOGS" -- {{args}}
case $? in 0) exit 0;; {_TRY_BAD}) exit 1;; {_TRY_CANT_TELL}|12) exit 125;; *) exit 255;; esac
"""


@dataclass(frozen=True)
class Result:
    """One whole bisection; `culprit` is "" if none was named."""

    tool: str
    culprit: str
    right: bool
    seconds: float
    boots: int
    probability: float | None = None


def main() -> None:
    """Measure the rates, run the rounds and print them."""
    parser = argparse.ArgumentParser(prog="bench/rare_job.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="bisections of each kind and setting [3]")
    parser.add_argument("--rate-boots", type=int, default=40, help="boots of the bad end that measure a rate [40]")
    parser.add_argument("--settings", default=",".join(_SETTINGS), help="which of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    asked = parser.parse_args()
    tree, truth = _demo_tree()
    told: dict[str, dict[str, object]] = {}
    for name in asked.settings.split(","):
        fired = _rate(tree, _SETTINGS[name], asked.rate_boots)
        print(f"{name}: fired in {fired} of {asked.rate_boots} boots with one run each", file=sys.stderr)
        results = [one(tree, truth, _SETTINGS[name]) for _ in range(asked.rounds) for one in (_plain, _bisectbot)]
        told[name] = {"fired": fired, "boots": asked.rate_boots, "results": [asdict(one) for one in results]}
        if not asked.json:
            print(_table(name, fired, asked.rate_boots, results))
    if asked.json:
        print(json.dumps(told))


def _demo_tree() -> tuple[Path, str]:
    done = subprocess.run((sys.executable, "-m", "demo"), cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    tree, truth = done.stdout.splitlines()[:2]
    return Path(tree), str(json.loads(Path(truth).read_text())["culprit"])


def _rate(tree: Path, args: Sequence[str], boots: int) -> int:
    with tempfile.TemporaryDirectory() as logs:
        return sum(_try(tree, _BAD, args, logs) == _TRY_BAD for _ in range(boots))


def _try(tree: Path, rev: str, args: Sequence[str], logs: str) -> int:
    words = ("try", rev, "--tree", str(tree), "--runs", "1", "--logs", logs, "--", *args)
    return subprocess.run((*_BISECTBOT, *words), capture_output=True, check=False).returncode


def _plain(tree: Path, truth: str, args: Sequence[str]) -> Result:
    """Let git bisect in a worktree of its own; as it would, it believes both ends."""
    with tempfile.TemporaryDirectory() as folder:
        here, step = Path(folder) / "tree", Path(folder) / "step.sh"
        step.write_text(_STEP.format(bisectbot=" ".join(_BISECTBOT), args=" ".join(args)))
        step.chmod(0o755)
        _git(tree, "worktree", "add", "-q", "--detach", "--no-checkout", str(here))
        environment = {**os.environ, "LOGS": f"{folder}/logs"}
        try:
            _git(here, "bisect", "start", "--no-checkout", _BAD, _GOOD)
            began = time.monotonic()
            argv = ("git", "-C", str(here), "bisect", "run", str(step))
            done = subprocess.run(argv, cwd=here, env=environment, capture_output=True, check=False)
            seconds = time.monotonic() - began
            named = _git(here, "rev-parse", "refs/bisect/bad").strip() if done.returncode == 0 else ""
            steps = len([line for line in _git(here, "bisect", "log").splitlines() if line.startswith("git bisect ")])
        finally:
            shutil.rmtree(here, ignore_errors=True)
            _git(tree, "worktree", "prune")
    return _told(Result("git bisect run, one run", named, named == truth, seconds, steps - 1))


def _bisectbot(tree: Path, truth: str, args: Sequence[str]) -> Result:
    with tempfile.TemporaryDirectory() as logs:
        words = ("run", "--tree", str(tree), "--good", _GOOD, "--bad", _BAD, "--logs", logs, "--json", "--", *args)
        began = time.monotonic()
        done = subprocess.run((*_BISECTBOT, *words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        seconds = time.monotonic() - began
    said = json.loads(done.stdout)
    culprit = said["culprit"] or ""
    suspects = [one["probability"] for one in said["odds"]["suspects"] if one["commit"] == culprit]
    chance = suspects[0] if suspects else None
    return _told(Result("bisectbot", culprit, culprit == truth, seconds, said["boots"], chance))


def _git(folder: Path, *args: str) -> str:
    argv = ("git", "-C", str(folder), *args)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def _told(result: Result) -> Result:
    word = "right" if result.right else "WRONG" if result.culprit else "no answer"
    print(f"{result.tool}: {word}: {result.culprit[:12]}, {result.seconds:.0f} s", file=sys.stderr)
    return result


def _table(name: str, fired: int, boots: int, results: Sequence[Result]) -> str:
    head = f"### Rare: {name} (one run on a fresh boot of the bad end fired in {fired} of {boots})\n"
    rows = ["| | answer | P | seconds | boots |", "|---|---|---:|---:|---:|"]
    for one in results:
        word = "right" if one.right else "WRONG" if one.culprit else "none"
        chance = "" if one.probability is None else f"{one.probability:.4f}"
        rows.append(f"| {one.tool} | {word} {one.culprit[:12]} | {chance} | {one.seconds:.0f} | {one.boots} |")
    return "\n".join((head, *rows, ""))


if __name__ == "__main__":
    main()
