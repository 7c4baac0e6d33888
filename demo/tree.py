"""Puts the demo tree into the cache: made once, complete or not there at all, with the answer beside it."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import git, source
from demo.nodes import History, unfold
from demo.plan import CULPRIT, Plan
from demo.source import Source

GOOD, BAD = "demo-good", "demo-bad"


@dataclass(frozen=True)
class DemoTree:
    """Where the tree is, and the file with the answer (which no bisection may read)."""

    path: Path
    truth: Path
    made: bool  # now, rather than found in the cache


def obtain(home: Path, plan: Plan, sources: Source) -> DemoTree:
    """Return the tree of this plan and these sources below `home`, made if it isn't there; DemoError if it can't be.

    Its name holds the version of the sources and a digest of the plan, so a tree never changes once it is there.
    """
    name = f"linux-{sources.version}-{plan.digest[:8]}"
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home / "lock"):
        path, truth = home / name, home / f"truth-{name.removeprefix('linux-')}.json"
        if path.exists():
            return DemoTree(path, truth, made=False)
        for left in home.glob("*.part"):  # by a run that was killed: nobody else can be at it under the lock
            shutil.rmtree(left)
        part = home / f"{name}.part"
        try:
            _make(part, truth, plan, sources)
            part.rename(path)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return DemoTree(path, truth, made=True)


def _make(part: Path, truth: Path, plan: Plan, sources: Source) -> None:
    history = unfold(plan, f"Import {sources.package} {sources.version}")
    hashes = git.create(part, history, source.read(sources), sources.name)
    git.tag(part, GOOD, hashes[0])
    git.tag(part, BAD, hashes[-1])
    git.checkout(part)
    truth.write_text(json.dumps(_truth(history, hashes, sources), indent=2) + "\n")


def _truth(history: History, hashes: list[str], sources: Source) -> dict[str, object]:
    kinds: dict[str, list[str]] = {}
    for node, commit in zip(history.nodes, hashes, strict=True):
        if node.kind:
            kinds.setdefault(node.kind, []).append(commit)
    (culprit,) = kinds.pop(CULPRIT)
    return {
        "sources": sources.name,
        "good": hashes[0],
        "bad": hashes[-1],
        "culprit": culprit,
        "untestable": kinds,
        "commits": len(hashes) - 1,
        "merges": sum(len(node.parents) > 1 for node in history.nodes),
    }


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
