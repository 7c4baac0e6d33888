"""Unfolds a plan into commits: parents, messages and the edits of each over its first parent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from demo.edits import FileEdit
from demo.plan import TRUNK, Change, Commit, Fork, Merge, Plan


@dataclass(frozen=True)
class Node:
    """A commit to be made. `parents` are positions in the history; the import is at 0 and has none."""

    parents: tuple[int, ...]
    edits: tuple[FileEdit, ...]
    message: str
    author: str
    kind: str = ""

    @property
    def title(self) -> str:
        """Return the first line of the message."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True)
class History:
    """The import and all commits after it, parents before children."""

    nodes: tuple[Node, ...]
    committer: str  # "Name <address>"
    start: datetime
    minutes: int

    def seconds(self, at: int) -> int:
        """Return the date of a commit, of author and committer alike, in seconds since the epoch."""
        return int((self.start + timedelta(minutes=at * self.minutes)).timestamp())


def unfold(plan: Plan, title: str) -> History:
    """Return the plan's history on top of an import with this title."""
    nodes = [Node((), (), f"{title}\n", plan.maintainer)]
    tips = {TRUNK: 0}
    reach: list[frozenset[int]] = [frozenset({0})]
    for step in plan.steps:
        match step:
            case Fork(line, off):
                tips[line] = tips[off]
                continue
            case Commit(line, change):
                message = _message(change, plan.maintainer)
                nodes.append(Node((tips[line],), change.edits, message, change.author, change.kind))
            case Merge(side, line, merge_title):
                ours, theirs = tips[line], tips[side]
                new = (nodes[at] for at in sorted(reach[theirs] - reach[ours]))
                edits = tuple(edit for node in new if len(node.parents) == 1 for edit in node.edits)
                nodes.append(Node((ours, theirs), edits, f"{merge_title}\n", plan.maintainer))
        here = tips[line] = len(nodes) - 1
        reach.append(frozenset({here}).union(*(reach[parent] for parent in nodes[here].parents)))
    return History(tuple(nodes), plan.maintainer, plan.start, plan.minutes)


def _message(change: Change, maintainer: str) -> str:
    signed = "".join(f"Signed-off-by: {who}\n" for who in dict.fromkeys((change.author, maintainer)))
    return f"{change.title}\n\n{change.body.strip()}\n\n{signed}"
