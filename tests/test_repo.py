"""Git: the user's tree is only read; whatever writes does so in a worktree of ours, whatever state that is in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from history import History, git, line, make_history

from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.worktree import GitBisect, GitTree
from bisectbot.errors import InfraError
from bisectbot.model import Culprit, Range, TryNext, Verdict


@pytest.fixture
def user(tmp_path: Path) -> History:
    """Return a user's repository of twelve commits."""
    return make_history(tmp_path / "user", line(12))


def _tree(user: History, tmp_path: Path) -> GitTree:
    return GitTree.prepare(open_git(user.path), tmp_path / "tree", user["c11"])


def _bisect(user: History, tree: GitTree) -> object:
    """Run a whole bisection for c05."""
    graph = GitGraph(open_git(user.path))
    ledger = GitBisect(tree.path)
    ledger.start(Range(user["c11"], (user["c00"],)))
    while isinstance(answer := ledger.answer(), TryNext):
        has_bug = graph.is_ancestor(user["c05"], answer.commit)
        ledger.mark(answer.commit, Verdict.BAD if has_bug else Verdict.GOOD)
    return answer


def test_the_users_dirty_tree_index_and_bisection_stay_as_they_are(user: History, tmp_path: Path) -> None:
    """With edits, staged files and a bisection under way, the user's own state is the same to the byte afterwards."""
    git(user.path, "bisect", "start", "main", "main~10")
    (user.path / "Makefile").write_text("edited\n")
    (user.path / "new").write_text("staged\n")
    git(user.path, "add", "new")

    def state() -> list[str]:
        return [git(user.path, *words) for words in _LOOKS]

    before = state()
    tree = _tree(user, tmp_path)
    assert _bisect(user, tree) == Culprit(user["c05"])
    tree.checkout(user["c03"])
    assert state() == before


_LOOKS = (
    ("status", "--porcelain"),
    ("bisect", "log"),
    ("for-each-ref",),
    ("rev-parse", "HEAD"),
    ("stash", "list"),
    ("ls-files", "--stage"),
    ("diff",),
)


def test_no_hook_of_the_user_runs(user: History, tmp_path: Path) -> None:
    """A post-checkout hook in the user's repository isn't run by our checkouts."""
    hook = user.path / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    _tree(user, tmp_path).checkout(user["c03"])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["lock", "gone", "half", "pruned"])
def test_a_worktree_left_by_a_dead_run_is_recovered(user: History, tmp_path: Path, damage: str) -> None:
    """Git's own lock file, a deleted or half-made folder and a pruned registration are all mended."""
    tree = _tree(user, tmp_path)
    match damage:
        case "lock":
            (user.path / ".git/worktrees/tree/index.lock").touch()
        case "gone":
            shutil.rmtree(tree.path)
        case "half":
            (tree.path / ".git").unlink()
        case "pruned":
            shutil.rmtree(user.path / ".git/worktrees")
    again = _tree(user, tmp_path)
    again.checkout(user["c04"])
    assert (again.path / "files/c04").is_file()
    assert not (again.path / "files/c05").exists()


def test_a_patch_is_laid_over_and_taken_off(user: History, tmp_path: Path) -> None:
    """A patch that applies changes the files until the next checkout; one that doesn't changes nothing."""
    graph = GitGraph(open_git(user.path))
    tree = _tree(user, tmp_path)
    tree.checkout(user["c04"])
    assert tree.apply(graph.patch(user["c07"]))
    assert (tree.path / "files/c07").is_file()
    assert not tree.apply(graph.patch(user["c07"]))
    tree.checkout(user["c04"])
    assert not (tree.path / "files/c07").exists()


def test_a_commit_is_described_with_all_that_a_report_needs(user: History) -> None:
    """Hash, tree, parents, author, date and title come back as git holds them."""
    graph = GitGraph(open_git(user.path))
    info = graph.info(user["c04"])
    assert (info.commit, info.parents, info.title) == (user["c04"], (user["c03"],), "c04")
    assert (info.author, info.email, info.date) == ("A. Tester", "tester@example.org", "2024-01-02T03:04:05+00:00")
    assert "files/c04" in graph.diffstat(user["c04"])
    assert ("files/c04", git(user.path, "rev-parse", "HEAD:files/c04")) in graph.blobs(user["c04"])


def test_the_log_replays_natively(user: History, tmp_path: Path) -> None:
    """What log() returns is taken by the user's own `git bisect replay`, and ends at the same commit."""
    tree = _tree(user, tmp_path)
    _bisect(user, tree)
    (tmp_path / "log").write_text(GitBisect(tree.path).log())
    git(user.path, "bisect", "replay", str(tmp_path / "log"))
    assert f"first bad commit: [{user['c05']}]" in git(user.path, "bisect", "log")


def test_a_failing_git_is_an_infrastructure_fault(user: History, tmp_path: Path) -> None:
    """A command that git refuses raises InfraError with git's own words."""
    with pytest.raises(InfraError, match="checkout"):
        _tree(user, tmp_path).checkout("f" * 40)


def test_a_tree_that_somebody_changed_is_found_out(user: History, tmp_path: Path) -> None:
    """A deleted file shows, so that a build that fails for it isn't blamed on the commit; a fix-up of ours doesn't."""
    tree = _tree(user, tmp_path)
    tree.checkout(user["c04"])
    assert tree.apply(GitGraph(open_git(user.path)).patch(user["c07"]))
    assert tree.intact()
    (tree.path / "Makefile").unlink()
    assert not tree.intact()
    shutil.rmtree(tree.path)
    assert not tree.intact()
