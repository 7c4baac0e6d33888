"""A culprit taken back upon the bad end: what comes out, and that nothing of the user's moves, on real git."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from history import git
from tinytree import TinyTree

from bisectbot.effects.repo import Git, GitGraph, open_git
from bisectbot.effects.revert import kept, reverted
from bisectbot.effects.worktree import PINS, GitTree
from bisectbot.errors import InfraError

TEN = "".join(f"line {number}\n" for number in range(10))


@pytest.fixture
def user(tmp_path: Path) -> TinyTree:
    """Return a user's tree with a file of ten lines."""
    tree = TinyTree(tmp_path / "user")
    tree.commit("ten lines", {"kernel/ten.txt": TEN})
    return tree


def _door(user: TinyTree) -> Git:
    return open_git(user.path)


def _files(user: TinyTree, commit: str) -> dict[str, str]:
    return dict(GitGraph(_door(user)).blobs(commit))


def _text(user: TinyTree, commit: str, name: str) -> str:
    return GitGraph(_door(user)).show(commit, name).decode()


def _reverted(user: TinyTree, bad: str, culprit: str) -> str:
    found = reverted(_door(user), bad, culprit)
    assert found is not None
    return found


def test_a_culprit_is_taken_back_and_all_else_stays(user: TinyTree) -> None:
    """The commit's tree is the bad end's with the culprit's files as they were before it."""
    before = _files(user, "HEAD")
    culprit = user.commit("the bug", {"kernel/ten.txt": TEN.replace("line 2", "bug"), "kernel/new.c": "int bug;\n"})
    bad = user.commit("on top", {"lib/note.txt": "more\n"})
    found = _reverted(user, bad, culprit)
    added = {name: blob for name, blob in _files(user, bad).items() if name == "lib/note.txt"}
    assert _files(user, found) == before | added


def test_the_commit_says_what_it_is(user: TinyTree) -> None:
    """Its one parent is the bad end, its words are those of git revert, and its author and dates are fixed."""
    culprit = user.edit('say "hi" to $HOME', "kernel/ten.txt", "line 2", "bug")
    bad = user.commit("on top", {"lib/note.txt": "more\n"})
    info = GitGraph(_door(user)).info(_reverted(user, bad, culprit))
    assert (info.parents, info.title) == ((bad,), 'Revert "say "hi" to $HOME"')
    assert info.body == f"This reverts commit {culprit}."
    assert (info.author, info.date) == ("bisectbot", GitGraph(_door(user)).info(bad).date.replace("Z", "+00:00"))


def test_the_bad_end_itself_can_be_the_culprit(user: TinyTree) -> None:
    """Then what comes out has the files of its parent."""
    before = user.commit("before", {"lib/note.txt": "more\n"})
    bad = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    assert _files(user, _reverted(user, bad, bad)) == _files(user, before)


def test_a_change_that_was_built_upon_is_not_taken_back(user: TinyTree) -> None:
    """Where a later commit changes the same lines there is no clean revert, and nothing is made up."""
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    bad = user.edit("polish it", "kernel/ten.txt", "bug", "nicer bug")
    assert reverted(_door(user), bad, culprit) is None


def test_a_change_nearby_stays(user: TinyTree) -> None:
    """A later change some lines further on is no conflict, and lines that came in between move nothing."""
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    user.edit("nearby", "kernel/ten.txt", "line 5", "line five")
    bad = user.edit("above", "kernel/ten.txt", "line 0", "line minus one\nline 0")
    expected = "line minus one\n" + TEN.replace("line 5", "line five")
    assert _text(user, _reverted(user, bad, culprit), "kernel/ten.txt") == expected


def test_a_merge_is_taken_back_to_its_first_parent(user: TinyTree) -> None:
    """Of a merge all that the merged branch brought goes, and the text tells which side stays."""
    git(user.path, "switch", "-q", "-c", "topic")
    user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    git(user.path, "switch", "-q", "main")
    first = user.commit("on main", {"lib/note.txt": "main\n"})
    git(user.path, "merge", "-q", "--no-ff", "-m", "Merge topic", "topic")
    merge = git(user.path, "rev-parse", "HEAD")
    bad = user.commit("on top", {"lib/other.txt": "top\n"})
    found = _reverted(user, bad, merge)
    assert _text(user, found, "kernel/ten.txt") == TEN
    assert _text(user, found, "lib/note.txt") == "main\n"
    info = GitGraph(_door(user)).info(found)
    assert info.body.replace("\n", " ") == f"This reverts commit {merge}, reversing changes made to {first}."


def test_a_file_that_was_renamed_since_is_followed(user: TinyTree) -> None:
    """The change is taken back in the file's new place, though that changed elsewhere too."""
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    user.commit("move", {"kernel/ten.txt": None, "lib/ten.txt": TEN.replace("line 2", "bug")})
    bad = user.edit("elsewhere", "lib/ten.txt", "line 8", "line eight")
    files = _files(user, found := _reverted(user, bad, culprit))
    assert "kernel/ten.txt" not in files
    assert _text(user, found, "lib/ten.txt") == TEN.replace("line 8", "line eight")


def test_a_rename_is_taken_back(user: TinyTree) -> None:
    """A culprit that moved a file gets it moved back, with what was changed in it since."""
    culprit = user.commit("move", {"kernel/ten.txt": None, "lib/ten.txt": TEN})
    bad = user.edit("later", "lib/ten.txt", "line 8", "line eight")
    files = _files(user, found := _reverted(user, bad, culprit))
    assert "lib/ten.txt" not in files
    assert _text(user, found, "kernel/ten.txt") == TEN.replace("line 8", "line eight")


def _binary(user: TinyTree, title: str, data: bytes) -> str:
    (user.path / "firmware.bin").write_bytes(data)
    return user.commit(title, {})


def test_a_binary_file_is_taken_back_whole(user: TinyTree) -> None:
    """Its old bytes come back; if it changed once more since, that is a conflict."""
    old = _binary(user, "firmware", bytes(range(256)))
    culprit = _binary(user, "the bug", bytes(range(255, -1, -1)))
    bad = user.commit("on top", {"lib/note.txt": "more\n"})
    found = _reverted(user, bad, culprit)
    assert _files(user, found)["firmware.bin"] == _files(user, old)["firmware.bin"]
    worse = _binary(user, "once more", b"\0" * 256)
    assert reverted(_door(user), worse, culprit) is None


def test_what_is_gone_already_gives_no_commit(user: TinyTree) -> None:
    """A culprit without files, or one reverted since, would give the bad end's own kernel: that is no answer."""
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    bad = user.edit("taken back by hand", "kernel/ten.txt", "bug", "line 2")
    assert reverted(_door(user), bad, culprit) is None
    empty = user.commit("nothing", {})
    assert reverted(_door(user), empty, empty) is None


def test_the_first_commit_of_all_cannot_be_taken_back(user: TinyTree) -> None:
    """It has nothing before it."""
    assert reverted(_door(user), git(user.path, "rev-parse", "HEAD"), user.first) is None


def test_what_git_does_not_know_is_a_fault(user: TinyTree) -> None:
    """An unknown commit is an error, and never passes for a conflict."""
    with pytest.raises(InfraError, match="rev-list"):
        reverted(_door(user), user.first, "f" * 40)


def _same_question(user: TinyTree) -> Callable[[], str]:
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    bad = user.edit("on top", "kernel/ten.txt", "line 8", "line eight")
    return lambda: _reverted(user, bad, culprit)


def test_the_same_question_has_the_same_answer(user: TinyTree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks, when, with which settings and from which worktree doesn't get into the hash."""
    ask = _same_question(user)
    first = ask()
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2030-01-01T00:00:00+00:00")
    for setting in ("i18n.commitEncoding=latin1", "commit.gpgSign=true", "merge.renames=false", "merge.default=union"):
        git(user.path, "config", *setting.split("="))
    (user.path / ".gitattributes").write_text("*.txt binary\n")
    assert ask() == first


def _state(path: Path) -> dict[str, str]:
    """Return all that the user can see, byte for byte: every file but the objects, and what git makes of them."""
    files = [file for file in path.rglob("*") if file.is_file() and ".git/objects" not in str(file)]
    seen = {str(file): sha256(file.read_bytes()).hexdigest() + str(file.stat().st_mtime_ns) for file in files}
    looks = (("status", "--porcelain"), ("for-each-ref",), ("rev-parse", "HEAD"), ("stash", "list"), ("reflog",))
    return seen | {words[0]: git(path, "--no-optional-locks", *words) for words in looks}


def test_nothing_of_the_users_moves(user: TinyTree) -> None:
    """With edits, staged files and a conflict of its own, index, worktree, refs and settings stay as they are."""
    ask = _same_question(user)
    (user.path / "kernel/ten.txt").write_text("edited\n")
    (user.path / "new.txt").write_text("staged\n")
    git(user.path, "add", "new.txt")
    (user.path / "loose.txt").write_text("untracked\n")
    before = _state(user.path)
    ask()
    assert _state(user.path) == before


def test_a_conflict_moves_nothing_either(user: TinyTree) -> None:
    """A revert that doesn't go leaves no merge behind, and no setting of the user's makes it go."""
    git(user.path, "config", "merge.default", "union")
    culprit = user.edit("the bug", "kernel/ten.txt", "line 2", "bug")
    bad = user.edit("polish it", "kernel/ten.txt", "bug", "nicer bug")
    before = _state(user.path)
    assert reverted(_door(user), bad, culprit) is None
    assert _state(user.path) == before


def test_it_can_be_asked_for_from_a_linked_worktree(user: TinyTree, tmp_path: Path) -> None:
    """The user's tree may itself be a worktree of another repository."""
    ask = _same_question(user)
    first = ask()
    git(user.path, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    culprit, bad = git(user.path, "rev-parse", "HEAD^"), git(user.path, "rev-parse", "HEAD")
    assert reverted(open_git(tmp_path / "linked"), bad, culprit) == first


def test_git_doesn_t_prune_a_revert_that_is_needed(
    user: TinyTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git gc` of the user's meanwhile leaves it as long as the worktree is its session's."""
    monkeypatch.delenv("GIT_COMMITTER_DATE")  # git lets go of what was needed years ago
    bad = user.edit("a bug", "kernel/ten.txt", "line 3\n", "line three\n")
    tree = GitTree.prepare(_door(user), tmp_path / "tree", bad)
    refs = git(user.path, "for-each-ref")
    found = kept(_door(user), tree.path, bad, bad)
    assert found is not None
    git(user.path, "gc", "--quiet", "--prune=now")
    tree.checkout(found)
    assert git(user.path, "for-each-ref") == refs
    tree.checkout(bad)
    GitTree.prepare(_door(user), tmp_path / "tree", bad)
    assert git(tree.path, "for-each-ref", PINS) == ""


def test_a_revert_that_was_pruned_comes_back_by_asking(user: TinyTree, tmp_path: Path) -> None:
    """A session that waited for weeks finds the same commit again, under the same hash."""
    bad = user.edit("a bug", "kernel/ten.txt", "line 3\n", "line three\n")
    found = _reverted(user, bad, bad)
    git(user.path, "gc", "--quiet", "--prune=now")
    with pytest.raises(InfraError):
        GitGraph(_door(user)).info(found)
    tree = GitTree.prepare(_door(user), tmp_path / "tree", bad)
    assert kept(_door(user), tree.path, bad, bad) == found
    assert GitGraph(_door(user)).info(found).parents == (bad,)
