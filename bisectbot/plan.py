"""What a session is asked to do, checked against the tree before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bisectbot.errors import ConfigError
from bisectbot.lab import Host
from bisectbot.model import BuildRecipe, ProbeRecipe, Range, Terms
from bisectbot.ports import Graph

# A tree without these can't be configured the way kconfig.py does it.
_KERNEL_FILES = ("Kbuild", "Kconfig", "Makefile", "scripts/kconfig/merge_config.sh")
_TERMS_TAKEN = frozenset(
    {"help", "start", "skip", "next", "reset", "visualize", "view", "replay", "log", "run", "terms"}
)


class PriorKind(StrEnum):
    """What a prior is told by. The values are the user's words."""

    PATH = "path"  # commits that touch it
    AUTHOR = "author"  # whose author's name or address holds it
    LIST = "list"  # named in a file


@dataclass(frozen=True)
class PriorRule:
    """Commits that are likelier, or less likely, to be the culprit than others: by `factor`."""

    kind: PriorKind
    what: str  # a path, a text, or the file's path
    factor: float
    commits: tuple[str, ...] = ()  # of a list: full hashes

    def __post_init__(self) -> None:
        if not 0 < self.factor < float("inf"):
            msg = f"a prior's factor must be above 0, not {self.factor}"
            raise ValueError(msg)


@dataclass(frozen=True)
class SearchRecipe:
    """How the culprit of a bug that fires only sometimes is looked for, and when that is enough."""

    confidence: float = 0.99
    priors: tuple[PriorRule, ...] = ()
    older: float = 0.05  # prior probability that the good ends have the bug too
    background: float = 0.0  # fires per second on a kernel without the bug
    show_within: float = 1800.0  # seconds of exposure at the bad end without a fire after which it is given up
    revert: bool = True  # check at the end that the bad end without the culprit stays silent
    confirm: bool = True  # with time left of a budget, go on until the answer is surer by far

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1:  # noqa: PLR2004  below, the likeliest commit is as likely wrong as right
            msg = f"the confidence must be at least 0.5 and below 1, not {self.confidence}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Budget:
    """What a session may use up before it pauses with the best statement so far; None: as much as it takes.

    A budget that was used up is given anew when the session is resumed.
    """

    max_seconds: float | None = None  # of work
    until: float | None = None  # a moment, in seconds since the epoch
    max_boots: int | None = None

    @property
    def timed(self) -> bool:
        """Whether it ends at some time, whatever is done."""
        return self.max_seconds is not None or self.until is not None


@dataclass(frozen=True)
class Plan:
    """All that a session is asked to do; written into its journal and never changed."""

    tree: Path  # the user's, absolute
    range_: Range
    build: BuildRecipe
    probe: ProbeRecipe
    host: Host
    fragments: tuple[str, ...] = ()  # the wanted concerns, by the names the user gave
    search: SearchRecipe | None = None  # None: plain bisection, where probe.runs clean runs make a commit good
    budget: Budget = field(default_factory=Budget)
    tag: str = ""  # any host with this tag was asked for: another one may take over


@dataclass(frozen=True)
class RangeRequest:
    """A range in the user's own words."""

    bad: str
    goods: tuple[str, ...]
    paths: tuple[str, ...] = ()
    first_parent: bool = False
    terms: Terms = field(default_factory=Terms)


class History(Graph, Protocol):
    """What checking a range asks of a repository, beyond ports.Graph."""

    def is_shallow(self) -> bool:
        """Whether the history is cut off."""
        ...

    def has_file(self, commit: str, path: str) -> bool:
        """Whether a commit holds a path."""
        ...


def check_range(history: History, asked: RangeRequest) -> Range:
    """Return the range with full hashes; ConfigError for anything that can't be bisected, with the way out."""
    _check_terms(asked.terms)
    if history.is_shallow():
        # even with both ends in it: a side branch that is cut off would look like a root
        raise ConfigError("--tree: a shallow clone, whose history is cut off", hint="git fetch --unshallow")
    bad = history.resolve(asked.bad)
    goods = tuple(dict.fromkeys(history.resolve(good) for good in asked.goods))
    check_kernel_tree(history, bad)
    for name, good in zip(asked.goods, goods, strict=False):
        _check_end(history, (asked.bad, bad), (name, good))
    range_ = Range(bad, goods, asked.paths, asked.first_parent, asked.terms)
    if not history.candidates(range_):
        raise ConfigError("no commit of the range touches the given --path", hint="leave --path out, or widen it")
    return range_


def check_kernel_tree(history: History, commit: str) -> None:
    """Raise ConfigError unless the commit holds what kconfig and kbuild need."""
    lost = [path for path in _KERNEL_FILES if not history.has_file(commit, path)]
    if lost:
        raise ConfigError(
            f"--tree: not a Linux tree: {commit[:12]} has no {', '.join(lost)}",
            hint="give the folder of a Linux git tree",
        )


def _check_terms(terms: Terms) -> None:
    words: Sequence[str] = (terms.bad, terms.good)
    taken = [word for word in words if word in _TERMS_TAKEN or not word.isidentifier()]
    if taken or terms.bad == terms.good:
        raise ConfigError(
            f"--term-bad {terms.bad!r}, --term-good {terms.good!r}: these can't be terms of git bisect",
            hint="use two different plain words, say --term-bad new --term-good old",
        )


def _check_end(history: History, bad: tuple[str, str], good: tuple[str, str]) -> None:
    bad_name, bad_hash = bad
    good_name, good_hash = good
    if bad_hash == good_hash:
        raise ConfigError(
            f"--good {good_name} and --bad {bad_name} are the same commit {bad_hash[:12]}",
            hint="give two different commits",
        )
    if history.is_ancestor(good_hash, bad_hash):
        return
    if history.is_ancestor(bad_hash, good_hash):
        raise ConfigError(
            f"--good {good_name} is newer than --bad {bad_name}: the ends are swapped",
            hint="swap them; to look for what mended a bug, bring a reproducer that exits 1 when the bug is gone",
        )
    base = history.merge_base(good_hash, bad_hash)
    raise ConfigError(
        f"--good {good_name} is no ancestor of --bad {bad_name}: a commit between them can't be told good from old",
        hint=f"if their merge base is good, use it: --good {base}" if base else "they share no history",
    )
