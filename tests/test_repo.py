"""Git: the user's tree is only read; whatever writes does so in a worktree of ours, whatever state that is in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from history import History, git, line, make_history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bisectbot.effects import repo
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


@pytest.mark.parametrize(
    "damage", ["lock", "gone", "half", "pruned", "killed", "no files", "no head", "no index", "cut index", "bad index"]
)
def test_a_worktree_left_by_a_dead_run_is_recovered(  # noqa: C901  one kind of damage a case
    user: History, tmp_path: Path, damage: str
) -> None:
    """Git's own lock files, half-made worktrees, cut off indexes and pruned registrations are all mended."""
    tree = _tree(user, tmp_path)
    admin = user.path / ".git/worktrees/tree"
    index = (admin / "index").read_bytes()
    match damage:
        case "lock":
            (admin / "refs/bisect").mkdir(parents=True)
            for name in ("index.lock", "HEAD.lock", "BISECT_HEAD.lock", "refs/bisect/bad.lock"):
                (admin / name).touch()
        case "killed":
            (admin / "index.lock").write_bytes(index[:50])
            (tree.path / "include").mkdir()
            (tree.path / "include/of_another_commit.h").write_text("#error\n")
        case "no files":
            (admin / "index").unlink()
            (admin / "index.lock").write_bytes(index[:50])
            shutil.rmtree(tree.path / "files")
        case "no head":
            (admin / "HEAD").write_text("")
        case "no index":
            (admin / "index").write_bytes(b"")
        case "cut index":
            (admin / "index").write_bytes(index[: len(index) // 2])
        case "bad index":
            (admin / "index").write_bytes(b"\0" * len(index))
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
    assert git(again.path, "status", "--porcelain") == ""
    assert _bisect(user, again) == Culprit(user["c05"])
    assert git(user.path, "fsck", "--no-dangling") == ""


@pytest.mark.parametrize("name", ["index.lock", "HEAD.lock"])
def test_a_lock_that_a_killed_git_left_meanwhile_is_no_hindrance(user: History, tmp_path: Path, name: str) -> None:
    """A git of ours that was killed in the middle of a checkout doesn't stop the next one."""
    tree = _tree(user, tmp_path)
    (user.path / ".git/worktrees/tree" / name).touch()
    tree.checkout(user["c04"])
    assert not (tree.path / "files/c05").exists()


def test_a_lock_in_the_users_repository_is_left_and_named(user: History, tmp_path: Path) -> None:
    """What may be another git of the user's at work isn't ours to delete; the fault says which file it is."""
    tree = _tree(user, tmp_path)
    git(user.path, "pack-refs", "--all")
    lock = user.path / ".git/packed-refs.lock"
    _bisect(user, tree)
    lock.touch()
    with pytest.raises(InfraError, match=r"packed-refs\.lock is in the way") as told:
        GitBisect(tree.path).start(Range(user["c11"], (user["c00"],)))
    assert f"rm {lock}" in told.value.hint
    assert lock.exists()


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


DIAMOND = {"c0": [], "c1": ["c0"], "a": ["c1"], "b": ["c1"], "m": ["a", "b"], "tip": ["m"]}


def _named(user: History, range_: Range) -> dict[str, list[str]]:
    found = GitGraph(open_git(user.path)).history(range_)
    return {user.title(commit): [user.title(parent) for parent in parents] for commit, parents in found}


def test_the_history_has_parents_first_and_the_bad_end_last(tmp_path: Path) -> None:
    """Each candidate comes with its parents that are candidates; the good end isn't one."""
    user = make_history(tmp_path / "user", DIAMOND)
    found = _named(user, Range(user["tip"], (user["c0"],)))
    assert found == {"c1": [], "a": ["c1"], "b": ["c1"], "m": ["a", "b"], "tip": ["m"]}
    assert [list(found).index(title) for title in ("c1", "m", "tip")] == [0, 3, 4]


def test_along_first_parents_there_is_one_at_the_most(tmp_path: Path) -> None:
    """What came in by a merge is that merge's."""
    user = make_history(tmp_path / "user", DIAMOND)
    found = _named(user, Range(user["tip"], (user["c0"],), first_parent=True))
    assert found == {"c1": [], "a": ["c1"], "m": ["a"], "tip": ["m"]}


def test_with_paths_the_parents_are_the_nearest_that_touch_them(user: History) -> None:
    """Commits that touch none are left out, and the bad end stands at the end all the same."""
    range_ = Range(user["c11"], (user["c00"],), paths=("files/c03", "files/c07"))
    assert _named(user, range_) == {"c03": [], "c07": ["c03"], "c11": ["c07"]}
    assert len(GitGraph(open_git(user.path)).candidates(range_)) == 2


@given(
    st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True), min_size=3, max_size=14),
    st.booleans(),
    st.lists(st.integers(1, 14), max_size=4),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_history_is_what_git_bisect_searches(
    tmp_path_factory: pytest.TempPathFactory,
    back: list[list[int]],
    first: bool,  # noqa: FBT001  drawn
    paths: list[int],
) -> None:
    """On any graph, with any paths: the same commits as git's, every parent before its children."""
    graph = {"c0": [], **{f"c{n}": sorted({f"c{max(0, n - b)}" for b in far}) for n, far in enumerate(back, 1)}}
    user = make_history(tmp_path_factory.mktemp("any") / "user", graph)
    tip = user[list(graph)[-1]]
    range_ = Range(tip, (user["c0"],), tuple(f"files/c{one}" for one in paths), first_parent=first)
    known = GitGraph(open_git(user.path))
    found = known.history(range_)
    assert {commit for commit, _ in found} == {*known.candidates(range_), tip}
    place = {commit: number for number, (commit, _) in enumerate(found)}
    assert found[-1][0] == tip
    assert all(place[parent] < place[commit] for commit, parents in found for parent in parents)
    assert all(len(parents) <= 1 for _, parents in found) or not first


def test_touched_paths_are_exact(tmp_path: Path) -> None:
    """Both names of a rename, a root's files, names with spaces and line ends, and of a merge only what is its own."""
    tree = tmp_path / "user"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")

    def commit(*words: str, **files: str) -> str:
        for name, text in files.items():
            (tree / name).write_text(text)
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "--allow-empty", "-m", "c", *words)
        return git(tree, "rev-parse", "HEAD")

    first = commit(a="1\n" * 9, b="1\n")
    git(tree, "mv", "a", "new name\nof a")
    moved = commit()
    git(tree, "checkout", "-q", "-b", "side", first)
    side = commit(b="2\n")
    git(tree, "checkout", "-q", "main")
    git(tree, "merge", "-q", "--no-edit", "side")
    clean = git(tree, "rev-parse", "HEAD")
    git(tree, "checkout", "-q", "-b", "other", moved)
    commit(c="3\n")
    git(tree, "checkout", "-q", "main")
    git(tree, "merge", "-q", "--no-commit", "other")
    evil = commit(b="evil\n")
    empty = commit()
    found = GitGraph(open_git(tree)).touched((empty, evil, clean, side, moved, first, first))
    assert found == {
        empty: (),
        evil: ("b",),
        clean: (),
        side: ("b",),
        moved: ("a", "new name\nof a"),
        first: ("a", "b"),
    }
    along = GitGraph(open_git(tree)).touched((evil, clean, moved), first_parent=True)
    assert along == {evil: ("b", "c"), clean: ("b",), moved: ("a", "new name\nof a")}


def test_authors_are_told_with_their_addresses(user: History) -> None:
    """Each commit has its author's name and address, in one text."""
    found = GitGraph(open_git(user.path)).authors((user["c03"], user["c01"]))
    assert found == dict.fromkeys((user["c01"], user["c03"]), "A. Tester <tester@example.org>")


def test_no_commits_are_no_question(user: History) -> None:
    """Asked about nothing, git mustn't tell of HEAD."""
    graph = GitGraph(open_git(user.path))
    assert (graph.touched(()), graph.touched((), first_parent=True), graph.authors(())) == ({}, {}, {})


def test_an_answer_that_was_cut_off_is_none(user: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that git's answer has no room for would make a commit look harmless."""
    monkeypatch.setattr(repo, "_MOST_BYTES", 300)
    graph = GitGraph(open_git(user.path))
    with pytest.raises(InfraError, match="to read"):
        graph.touched(tuple(user.commits.values()))
