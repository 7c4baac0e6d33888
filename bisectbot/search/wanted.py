"""What a search asks the loop for, and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bisectbot.facts import State
from bisectbot.fit import Forecast
from bisectbot.model import Answer


@dataclass(frozen=True)
class Test:
    """Run the reproducer on a commit, `runs` times at the most in one boot; a `fresh` one, even if its kernel is up."""

    __test__ = False  # for pytest, which takes any Test* for tests

    commit: str
    runs: int
    fresh: bool = False


@dataclass(frozen=True)
class Wanted:
    """What is wanted: the first test now; the kernels of the others are built as long as there is time for that.

    `remaining` steps in all, which take about `seconds` (None: nobody knows), and `ahead` says how sure that is.
    `revert`: before anything else, make the commit that takes this one back on top of the bad end. `says`: what is
    believed now, in a line for people.
    """

    tests: tuple[Test, ...]
    remaining: int
    seconds: float | None = None
    revert: str | None = None
    says: str = ""
    ahead: Forecast | None = None


class Search(Protocol):
    """Decides from the state alone, and from which kernel is up at the moment."""

    def decide(self, state: State, booted: str | None) -> Wanted | Answer:
        """Return what to test next, or the answer; `booted`: the commit whose kernel is up and can go on."""
        ...

    def log(self) -> str:
        """Return the log that `git bisect replay` takes."""
        ...
