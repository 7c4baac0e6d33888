"""Edits of a source file by short anchors: pure text in, text out.

An anchor must be found exactly once, so that another version of the sources gives an error and never another tree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from demo.errors import DemoError


@dataclass(frozen=True)
class Replace:
    """Put `put` in place of `find`, which stands in the text exactly once."""

    find: str
    put: str

    def apply(self, text: str) -> str:
        """Return the edited text; DemoError if the anchor isn't there, or more than once."""
        _once(text, self.find)
        return text.replace(self.find, self.put)


@dataclass(frozen=True)
class Add:
    """Add whole lines before or after the line that holds `anchor`."""

    anchor: str
    lines: str
    after: bool

    def apply(self, text: str) -> str:
        """Return the edited text; DemoError if the anchor isn't there, or more than once."""
        at = _once(text, self.anchor)
        cut = text.index("\n", at) + 1 if self.after else text.rfind("\n", 0, at) + 1
        return text[:cut] + self.lines.rstrip("\n") + "\n" + text[cut:]


@dataclass(frozen=True)
class Rename:
    """Give a name within one function another name; `function` is a piece of its first line."""

    old: str
    new: str
    function: str

    def apply(self, text: str) -> str:
        """Return the edited text; DemoError if the function or the name isn't there."""
        start = _once(text, self.function)
        end = text.find("\n}\n", start)
        changed, times = re.subn(rf"\b{re.escape(self.old)}\b", self.new, text[start:end])
        if end < 0 or not times:
            raise DemoError(f"no {self.old!r} in the function at {self.function!r}")
        return text[:start] + changed + text[end:]


Edit = Replace | Add | Rename


@dataclass(frozen=True)
class FileEdit:
    """An edit and the file that it belongs to."""

    file: str
    edit: Edit


def _once(text: str, anchor: str) -> int:
    times = text.count(anchor)
    if times != 1:
        raise DemoError(f"{anchor!r} is there {times} times instead of once")
    return text.index(anchor)
