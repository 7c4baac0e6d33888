"""Which changes the kernels of a range can see, by what both ends of it were made from. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

# Files that do nothing unless they are compiled or included: kbuild tells of each that was.
_SOURCE = re.compile(r".*\.(?:c|h|S|s|rs|dts|dtsi|dtso)")
# Nothing of these is read by a build of the kernel. What of tools/ it needs is built with it.
_NEVER = re.compile(
    r"""
    (?:Documentation|LICENSES)/.*
    | tools/(?!(?:arch|bpf|build|include|lib|objtool|scripts)/).*
    | (?:MAINTAINERS|CREDITS|COPYING|\.[^/]*)
    | (?:.*/)?(?:README|TODO|\.gitignore|\.gitattributes|\.kunitconfig|[^/]*\.(?:rst|md))
    """,
    re.VERBOSE,
)
# Read for other architectures too; what links; and what runs while a kernel is made, which has sources of its own.
_ANYWHERE = re.compile(r"(?:.*/)?Kconfig[^/]*")
_ALWAYS = re.compile(r".*\.lds\.S|(?:scripts|tools)/.*")


@dataclass(frozen=True)
class Sight:
    """What the kernels at the ends of a range were made from, and every path of their trees."""

    compiled: frozenset[str]
    there: frozenset[str]

    @classmethod
    def of(cls, lists: Sequence[Collection[str] | None], trees: Iterable[Iterable[str]]) -> Sight | None:
        """Return what all ends together see; None if of one of them it isn't known: it may have seen what others don't.

        `lists`: for each end the files that its kernel was made from. `trees`: for each end the files that it holds.
        """
        known = [one for one in lists if one is not None]
        if not known or len(known) < len(lists):
            return None
        return cls(frozenset().union(*known), frozenset().union(*trees))

    def sees(self, path: str) -> bool:
        """Whether a change of a path can change a kernel of the range. In doubt it can.

        Unseen are only sources that stand in an end's tree and went into neither end's kernel, documentation, tools
        that no kernel is built with, and other architectures. A source that is in neither tree came and went within
        the range (a driver that was renamed, perhaps): nobody knows what it went into.
        """
        if path in self.compiled or _ANYWHERE.fullmatch(path):
            return True
        if _NEVER.fullmatch(path) or self._foreign(path):
            return False
        return not _SOURCE.fullmatch(path) or path not in self.there or bool(_ALWAYS.fullmatch(path))

    def _foreign(self, path: str) -> bool:
        """Whether a path belongs to an architecture of which nothing was compiled."""
        return path.startswith("arch/") and path.count("/") > 1 and path.split("/")[1] not in self._architectures

    @cached_property
    def _architectures(self) -> frozenset[str]:
        found = frozenset(path.split("/")[1] for path in self.compiled if path.startswith("arch/"))
        return found or frozenset(path.split("/")[1] for path in self.there if path.startswith("arch/"))
