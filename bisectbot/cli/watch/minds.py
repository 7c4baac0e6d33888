"""What the search says of a session that is looked at: thought of in a thread, as reading a history is slow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from bisectbot.cli.wiring import Desk, beliefs_for, open_desk
from bisectbot.errors import BisectbotError
from bisectbot.odds import Odds
from bisectbot.search.noisy import Beliefs
from bisectbot.watching.follow import Followed
from bisectbot.watching.views import wanted_titles

_REST = 25.0  # times as long as a thought took, before the next one: watching takes few of a machine's CPUs


@dataclass(frozen=True)
class Thought:
    """What was found out about one state of a session, and what stands in the way of more."""

    odds: Odds | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass
class _Mind:
    """All that thinking about one session needs."""

    desk: Desk
    beliefs: Beliefs | None
    titles: dict[str, str] = field(default_factory=dict)

    def think(self, seen: Followed) -> Thought:
        odds = self.beliefs.odds(seen.state) if self.beliefs else None
        for commit in wanted_titles(seen, odds):
            if commit not in self.titles:
                self.titles[commit] = self.desk.graph.info(commit).title
        return Thought(odds, dict(self.titles))


@dataclass
class Minds:
    """One thought at a time. `patient`: wait for it, instead of showing what was thought last."""

    patient: bool = False
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "mind"))
    _minds: dict[str, _Mind] = field(default_factory=dict)
    _thoughts: dict[str, tuple[int, Thought]] = field(default_factory=dict)  # with the number of rows that it knew
    _now: tuple[str, int, Future[Thought]] | None = None
    _began: float = 0.0
    _free_at: float = 0.0

    def think(self, name: str, seen: Followed) -> Thought:
        """Return the newest thought about a session; one about what is new in it is begun."""
        self._collect()
        rows, thought = self._thoughts.get(name, (-1, Thought()))
        if rows != seen.rows and self._now is None and (rows < 0 or time.monotonic() >= self._free_at):
            self._began = time.monotonic()
            self._now = (name, seen.rows, self._pool.submit(self._think, name, seen))
            if self.patient:
                self._now[2].exception()
                self._collect()
        return self._thoughts.get(name, (rows, thought))[1]

    @property
    def busy(self) -> bool:
        """Whether a thought is on, which can't be stopped."""
        return self._now is not None and not self._now[2].done()

    def _collect(self) -> None:
        if self._now is None or not self._now[2].done():
            return
        name, rows, future = self._now
        took = time.monotonic() - self._began
        self._now, self._free_at = None, time.monotonic() + _REST * took
        self._thoughts[name] = rows, future.result()

    def _think(self, name: str, seen: Followed) -> Thought:
        """Return a thought; a tree that is gone, or a history that changed, leaves it without odds."""
        try:
            if name not in self._minds:
                desk = open_desk(seen.state.plan.tree, None)
                self._minds[name] = _Mind(desk, beliefs_for(desk, seen.state.plan))
            return self._minds[name].think(seen)
        except BisectbotError as error:
            return Thought(trouble=error.message)
        except (OSError, ValueError, LookupError) as error:
            return Thought(trouble=f"{type(error).__name__}: {error}")
