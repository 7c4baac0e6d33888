"""Kill -9 at each row of a journal, in sessions that have budgets, doubts, clocks that jump and answers to confirm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import FakeClock, FakeStages, Killed, World
from history import line, make_history
from worlds import Lab

from bisectbot.crew import BootAsk
from bisectbot.facts import BootBegan, Built, Doubted, Found, Noted, Opened, Paused, Resumed, Row, State, Tried, replay
from bisectbot.model import Culprit, Ending, Trial
from bisectbot.plan import Budget, SearchRecipe

_NOISY = SearchRecipe(revert=False)
_CULPRIT = "c06"
_FOR_EVER = 1_000_000  # boots
_NO_BUDGET = Budget()


class SetClock(FakeClock):
    """A clock whose time of day somebody sets."""

    offset = 0.0

    def wall(self) -> float:
        """Return its seconds as a time of day."""
        return super().wall() + self.offset


class Stages(FakeStages):
    """A lab whose boots take 20 s; it is dead once `lasts` boots have ended. In boot `sets` the clock is set."""

    def __init__(self, world: World, clock: SetClock, *, lasts: int, sets: int) -> None:
        super().__init__(world)
        self._clock, self._lasts, self._sets = clock, lasts, sets

    def boot(self, ask: BootAsk, tell: Callable[[Trial], None], on_fault: Callable[..., None]) -> None:
        """Take some time."""
        self._clock.sleep(20.0)
        super().boot(ask, tell, on_fault)
        self._lasts -= 1
        if ask.boot == self._sets:
            self._clock.offset += 3600.0

    def _rolled(self, commit: str) -> Ending:
        return Ending.NO_OUTPUT if self._lasts <= 0 else super()._rolled(commit)


@dataclass(frozen=True)
class Shape:
    """A session, what happens to its lab, and the fact that this is for."""

    shows: type
    budget: Budget = _NO_BUDGET
    search: SearchRecipe | None = _NOISY
    chance: float = 1.0
    lasts: int = _FOR_EVER
    sets: int = 0


_SHAPES = {
    "an answer to confirm": Shape(Found, Budget(max_seconds=7200), chance=0.5),
    "boots as a budget": Shape(Paused, Budget(max_boots=4)),
    "boots as a budget, plain": Shape(Paused, Budget(max_boots=2), search=None),
    "a lab that dies": Shape(Doubted, lasts=4),
    "a lab that dies at the bad end": Shape(Doubted, lasts=1),
    "a lab that dies, plain": Shape(Doubted, search=None, lasts=3),
    "a clock that is set": Shape(Noted, Budget(max_seconds=7200), sets=3),
}


@dataclass
class Night:
    """One session, worked on by one process after the other, as a keeper would have it."""

    here: Lab
    shape: Shape
    rows: list[Row] = field(default_factory=list)
    clock: SetClock = field(default_factory=SetClock)

    def process(self, dies_after: int | None = None) -> State:
        """Work until it ends or pauses; a lab that was doubted has been mended."""
        plan = replace(self.here.plan(search=self.shape.search), budget=self.shape.budget)
        first = Resumed() if self.rows else Opened(plan, {})
        self.rows.append(Row(self.clock.wall(), first, len(self.rows) + 1, self.clock.now()))
        world = World(bad=self.here.with_bug_from(_CULPRIT), chance=self.shape.chance, seed=3)
        ended = {row.fact.trial.boot for row in self.rows if isinstance(row.fact, Tried)}
        lasts = _FOR_EVER if self.facts(Doubted) else self.shape.lasts - len(ended)
        stages = Stages(world, self.clock, lasts=lasts, sets=self.shape.sets)
        bot = self.here.bot(plan, stages, self.rows, dies_after)
        bot.clock = self.clock
        bot.__post_init__(bot.flight.slots)
        return bot.run()

    def work(self, dies_after: int | None = None) -> State:
        """Work until there is an answer, killed once right after row `dies_after`."""
        for _ in range(20):
            try:
                state = self.process(dies_after if dies_after and len(self.rows) < dies_after else None)
            except Killed:
                kept = list(self.rows)
                state = self.process()
                assert self.rows[: len(kept)] == kept
            if state.answered:
                return state
        raise AssertionError([type(row.fact).__name__ for row in self.rows])

    def facts(self, kind: type) -> list[int]:
        """Return the numbers of the rows that hold facts of a kind."""
        return [row.number for row in self.rows if isinstance(row.fact, kind)]


@pytest.fixture
def here(tmp_path: Path) -> Lab:
    """Return a lab over a line of ten commits."""
    return Lab(tmp_path, make_history(tmp_path / "user", dict(line(10))))


@pytest.mark.parametrize("shape", _SHAPES)
def test_killed_where_it_matters_it_ends_at_the_same_commit(here: Lab, shape: str) -> None:
    """Before and after the row that such a session is about: the same culprit, and nothing that had ended is lost."""
    whole = _undisturbed(here, _SHAPES[shape])
    seen = whole.facts(_SHAPES[shape].shows)[0]
    for row in (seen - 1, seen):
        _check_killed(here, _SHAPES[shape], row)


@pytest.mark.real  # for the time that it takes
@pytest.mark.soak
@pytest.mark.parametrize("shape", _SHAPES)
def test_killed_after_any_row_it_ends_at_the_same_commit(here: Lab, shape: str) -> None:
    """The same at every row."""
    for row in range(2, len(_undisturbed(here, _SHAPES[shape]).rows)):
        _check_killed(here, _SHAPES[shape], row)


def _undisturbed(here: Lab, shape: Shape) -> Night:
    night = Night(here, shape)
    _check(here, night.work(), night.rows, kills=0)
    assert night.facts(shape.shows), "it doesn't show what it is for"
    return night


def _check_killed(here: Lab, shape: Shape, row: int) -> None:
    night = Night(here, shape)
    _check(here, night.work(dies_after=row), night.rows, kills=1)


def _check(here: Lab, state: State, rows: Sequence[Row], kills: int) -> None:
    """See that the answer is right, and that at most what wasn't finished was done again."""
    assert state.answered is not None
    assert isinstance(state.answered.answer, Culprit)
    assert state.answered.answer.commit == here.history[_CULPRIT]
    assert replay(rows) == state
    facts = [row.fact for row in rows]
    begun = [fact.boot for fact in facts if isinstance(fact, BootBegan)]
    told = {fact.trial.boot for fact in facts if isinstance(fact, Tried)}
    assert len(begun) == len(set(begun)), "a boot's number was given twice"
    assert len(set(begun) - told) <= kills, "more than the unfinished boot was repeated"
    built = Counter(fact.result.commit for fact in facts if isinstance(fact, Built))
    assert set(built.values()) == {1}, "a finished build was repeated"
    assert sum(isinstance(fact, Found) for fact in facts) <= 1
