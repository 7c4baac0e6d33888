"""Writes the tree's history as a stream for `git fast-import`: the archive's files, then one small commit a node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from demo.errors import DemoError
from demo.nodes import History, Node
from demo.plan import TRUNK
from demo.source import SourceFile

Files = dict[str, SourceFile]  # by path


def write(out: IO[bytes], history: History, files: Iterable[SourceFile], sources: str) -> None:
    """Write every commit; its mark is its position plus 1. The branch is left at the last one.

    Raises DemoError, naming the file and `sources`, if an edit's anchor isn't found in it.
    """
    _head(out, history, 0)
    states = [_import(out, history, files)]
    for at, node in enumerate(history.nodes[1:], start=1):
        before = states[node.parents[0]]
        after = _edited(before, node, sources)
        _head(out, history, at)
        for path in sorted(path for path in after if after[path] is not before[path]):
            _put(out, after[path])
        states.append(after)
    out.write(b"done\n")


def _import(out: IO[bytes], history: History, files: Iterable[SourceFile]) -> Files:
    """Write all files, and return those that some commit edits."""
    wanted = {edit.file for node in history.nodes for edit in node.edits}
    kept: Files = {}
    for file in files:
        _put(out, file)
        if file.path in wanted:
            kept[file.path] = file
    return kept


def _edited(before: Files, node: Node, sources: str) -> Files:
    after = dict(before)
    for change in node.edits:
        old = after.get(change.file)
        if old is None:
            raise DemoError(f"{sources} has no {change.file}, which {node.title!r} edits")
        try:
            text = change.edit.apply(old.data.decode())
        except DemoError as error:
            raise DemoError(f"{change.file} of {sources} doesn't take the edit of {node.title!r}: {error}") from error
        after[change.file] = SourceFile(old.path, old.mode, text.encode())
    return after


def _head(out: IO[bytes], history: History, at: int) -> None:
    node, when = history.nodes[at], history.seconds(at)
    out.write(f"commit refs/heads/{TRUNK}\nmark :{at + 1}\n".encode())
    out.write(f"author {node.author} {when} +0000\ncommitter {history.committer} {when} +0000\n".encode())
    _data(out, node.message.encode())
    for parent, word in zip(node.parents, ("from", "merge"), strict=False):
        out.write(f"{word} :{parent + 1}\n".encode())


def _put(out: IO[bytes], file: SourceFile) -> None:
    out.write(f"M {file.mode} inline {file.path}\n".encode())
    _data(out, file.data)


def _data(out: IO[bytes], data: bytes) -> None:
    out.write(b"data %d\n" % len(data))
    out.write(data)
    out.write(b"\n")
