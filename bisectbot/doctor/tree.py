"""The user's kernel tree: whether candidates can be taken from it, and that its own state is no obstacle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bisectbot.doctor.finding import Bench, Finding, Status
from bisectbot.errors import ConfigError
from bisectbot.plan import History, check_kernel_tree
from bisectbot.visible import visible

_NAME = "tree"


def tree(bench: Bench, path: Path, history: History) -> Iterator[Finding]:
    """Check a git repository; what is dirty or half bisected stays as it is, for a private worktree is used."""
    if history.is_shallow():
        yield Finding(_NAME, Status.FAIL, "a shallow clone: its history is cut off", f"git -C {path} fetch --unshallow")
    try:
        commit = history.resolve("HEAD")
        check_kernel_tree(history, commit)
    except ConfigError as error:
        yield Finding(_NAME, Status.FAIL, visible(error.message), error.hint)
        return
    yield Finding(_NAME, Status.OK, f"{path}: a Linux tree at {commit[:12]}{_own_state(bench, path)}")


def _own_state(bench: Bench, path: Path) -> str:
    states = [words for words, holds in (("dirty", _dirty), ("in a bisection", _bisecting)) if holds(bench, path)]
    return f", {' and '.join(states)}, which is fine: it isn't touched" if states else ""


def _dirty(bench: Bench, path: Path) -> bool:
    # --no-optional-locks: git status would write the user's index otherwise
    code, text = bench.ask(
        "git", "--no-optional-locks", "-C", str(path), "status", "--porcelain", "--untracked-files=no"
    )
    return code == 0 and bool(text.strip())


def _bisecting(bench: Bench, path: Path) -> bool:
    code, text = bench.ask("git", "-C", str(path), "rev-parse", "--git-path", "BISECT_START")
    return code == 0 and (path / text.strip()).exists()
