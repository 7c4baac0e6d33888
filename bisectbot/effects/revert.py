"""A commit of the user's taken back on top of another one, as git objects only."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bisectbot.effects.repo import Git, failure
from bisectbot.effects.worktree import PINS
from bisectbot.errors import ToolMissing

# Fixed, so that the same question has the same hash for an answer. The time is that of the commit it goes upon.
_WHO = "bisectbot <bisectbot@localhost>"
# The user's own settings must not decide what comes out. Directory renames: git's guess where a new file belongs.
_SETTINGS = (
    "core.attributesFile=/dev/null",
    "diff.algorithm=histogram",
    "merge.default=text",
    "merge.directoryRenames=false",
    "merge.renameLimit=7000",
    "merge.renames=true",
    "merge.renormalize=false",
)
_CONFLICT = 1  # exit code of git merge-tree
_USAGE = 129


def reverted(door: Git, bad: str, culprit: str) -> str | None:
    """Return the full hash of a commit upon `bad` that takes `culprit` (a merge: its first parent's side stays) back.

    None if that doesn't go cleanly, changes nothing, or `culprit` has no parent. As git revert does it: a merge of the
    three trees, with renames. No worktree, index, ref or setting is touched; what the repository gets are objects that
    nothing refers to, and git drops those by itself some weeks later. The same question has the same hash for an
    answer, so asking again brings them back. ToolMissing with a git before 2.38; InfraError for any other failure.
    """
    _, *parents = door.run("rev-list", "--parents", "--max-count=1", culprit).split()
    if not parents:
        return None
    tree = _merged(door, base=culprit, ours=bad, theirs=parents[0])
    if tree is None or tree == _tree(door, bad):
        return None
    return _write(door, tree, (bad,), _message(door, culprit, parents), bad)


def kept(door: Git, worktree: Path, bad: str, culprit: str) -> str | None:
    """Return as reverted(), and keep git from pruning it: by a ref of the worktree's own, which the user never sees.

    With a reflog, because git asks only those of other worktrees when it prunes. The refs go when the worktree is
    prepared for its next user.
    """
    found = reverted(door, bad, culprit)
    if found is not None:
        Git(worktree).run("update-ref", "--create-reflog", "-m", "needed", f"{PINS}/{found}", found)
    return found


def _merged(door: Git, *, base: str, ours: str, theirs: str) -> str | None:
    """Return the tree that holds what changed from `base` to either side; None for a conflict.

    git merge-tree finds the base by itself, in the history: so it is given one of three commits with the trees in
    question.
    """
    root = _write(door, _tree(door, base), (), "base\n", ours)
    sides = [_write(door, _tree(door, side), (root,), "side\n", ours) for side in (ours, theirs)]
    store = door.run("rev-parse", "--path-format=absolute", "--git-common-dir").removesuffix("\n")
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = [f"--git-dir={store}", *settings, "merge-tree", "--write-tree", "--no-messages", *sides]
    # in an empty folder, as it would take the .gitattributes of a worktree
    with tempfile.TemporaryDirectory(prefix="bisectbot-") as nowhere:
        code, out, err = Git(Path(nowhere)).ask(*command)
    if code == _USAGE:
        raise ToolMissing("this git can't revert without a worktree", hint="install git 2.38 or newer")
    if code not in (0, _CONFLICT):
        raise failure(command, code, err)
    return None if code else out.split("\n", 1)[0]


def _tree(door: Git, commit: str) -> str:
    return door.run("rev-parse", "--verify", "--end-of-options", f"{commit}^{{tree}}").strip()


def _message(door: Git, culprit: str, parents: list[str]) -> str:
    """Return git's own words: tools look for them."""
    title = door.run("show", "-s", "--encoding=UTF-8", "--format=%s", culprit).strip()
    merged = f", reversing\nchanges made to {parents[0]}" if len(parents) > 1 else ""
    return f'Revert "{title}"\n\nThis reverts commit {culprit}{merged}.\n'


def _write(door: Git, tree: str, parents: tuple[str, ...], message: str, dated: str) -> str:
    """Return the hash of a commit, dated like another one. Of its own bytes: no identity or setting gets into it."""
    when = door.run("show", "-s", "--format=%ct", dated).strip()
    who = f"{_WHO} {when} +0000"
    rows = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    text = "\n".join((*rows, "", message))
    return door.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode()).strip()
