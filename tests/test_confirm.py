"""What is done with time that is left once there is an answer: it is made surer by far, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import FakeClock, FakeStages, Inline, Killed, MortalJournal, Quiet, World, a_kernel, a_trial
from history import line, make_history
from worlds import Lab

from bisectbot.build.compiled import listed
from bisectbot.crew import BootAsk
from bisectbot.effects.worktree import GitBisect
from bisectbot.facts import Answered, Built, Found, Opened, Paused, Resumed, Row, State, Tried, apply, replay
from bisectbot.loop import Bot
from bisectbot.model import Culprit, Ending, Range, Trial, Verdict
from bisectbot.plan import Budget, Plan, SearchRecipe
from bisectbot.search.confirm import confirming, sharper
from bisectbot.search.noisy import Beliefs, Noisy
from bisectbot.search.past import past_of

_SEARCH = SearchRecipe(revert=False)
_HOUR = 3600.0
Maker = Callable[[dict[str, Sequence[str]]], Lab]


@pytest.fixture
def lab(tmp_path: Path) -> Maker:
    """Return a maker of labs."""
    return lambda graph: Lab(tmp_path, make_history(tmp_path / "user", graph))


@dataclass
class Slow(FakeStages):
    """Machines whose boots and runs take time on the clock."""

    world: World
    clock: FakeClock
    boot_seconds: float = 5.0

    def __post_init__(self) -> None:
        super().__init__(self.world)

    def boot(self, ask: BootAsk, tell: Callable[[Trial], None], on_fault: Callable[..., None]) -> None:
        """Boot, run, and tell; a run is a second."""
        self.clock.sleep(self.boot_seconds)

        def slowly(trial: Trial) -> None:
            self.clock.sleep(trial.exposure)
            tell(trial)

        super().boot(ask, slowly, on_fault)


@dataclass
class Bench:
    """A session over a line of ten commits, and what it takes to run it, killed or not."""

    here: Lab
    plan: Plan
    world: World
    rows: list[Row] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    ledger: GitBisect | None = None
    boot_seconds: float = 5.0

    def run(self, dies_after: int | None = None) -> State:
        """Return how it ends, from the rows that there are."""
        if not self.rows:
            self.rows.append(Row(self.clock.wall(), Opened(self.plan, {}), 1, self.clock.now()))
        state = replay(self.rows)
        assert state is not None
        bot = Bot(
            state=state,
            search=self.search(),
            stages=Slow(self.world, self.clock, self.boot_seconds),
            facts=MortalJournal(self.rows, dies_after),
            clock=self.clock,
            show=Quiet(),
            slots={"build": Inline(), "boot": Inline()},
        )
        return bot.run()

    def beliefs(self) -> Beliefs:
        """Return what is believed of the session."""
        assert self.plan.search is not None
        return Beliefs(self.plan.search, past_of(self.here.graph, self.plan.range_), listed)

    def search(self) -> Noisy:
        """Return the search over real git."""
        return Noisy(self.plan, self.beliefs(), self.ledger or GitBisect(self.here.tree.path), leavable=False)


def _bench(lab: Maker, recipe: SearchRecipe = _SEARCH, hours: float | None = 1.0, chance: float = 0.4) -> Bench:
    here = lab(dict(line(10)))
    budget = Budget() if hours is None else Budget(max_seconds=hours * _HOUR)
    plan = replace(here.plan(search=recipe), budget=budget)
    without = "0" * 40
    world = World(here.with_bug_from("c06"), chance=chance, reverts={here.history["c06"]: without}, seed=2)
    return Bench(here, plan, world)


def _answer(state: State) -> Culprit:
    assert state.answered is not None
    assert isinstance(state.answered.answer, Culprit)
    return state.answered.answer


def _found(rows: Sequence[Row]) -> list[int]:
    return [place for place, row in enumerate(rows) if isinstance(row.fact, Found)]


@pytest.mark.parametrize("revert", [True, False])
def test_time_that_is_left_makes_the_answer_ten_times_surer(lab: Maker, revert: bool) -> None:  # noqa: FBT001
    """With an hour to spare P is 0.999 at least, and the culprit itself has fired three times."""
    bench = _bench(lab, SearchRecipe(revert=revert))
    state = bench.run()
    answer = _answer(state)
    assert answer.commit == bench.here.history["c06"]
    assert answer.probability is not None
    assert answer.probability >= 0.999
    fired = [one for one in state.trials[answer.commit] if one.ending is Ending.FIRED]
    assert len({one.boot for one in fired}) >= 3
    (place,) = _found(bench.rows)
    first = bench.rows[place].fact
    assert isinstance(first, Found)
    assert isinstance(first.answer, Culprit)
    assert first.answer.commit == answer.commit
    assert any(isinstance(row.fact, Tried) for row in bench.rows[place:])


@pytest.mark.parametrize("recipe", [_SEARCH, replace(_SEARCH, confirm=False)])
def test_without_a_budget_or_with_no_confirm_nothing_is_confirmed(lab: Maker, recipe: SearchRecipe) -> None:
    """The answer that was asked for is the end, as it always was."""
    bench = _bench(lab, recipe, hours=1.0 if not recipe.confirm else None)
    state = bench.run()
    assert _answer(state).commit == bench.here.history["c06"]
    assert _found(bench.rows) == []


@pytest.mark.parametrize("dies_after", range(2, 44, 3))
def test_killed_at_any_row_it_comes_to_the_same_end(lab: Maker, dies_after: int) -> None:
    """Before, at and after the row that says that there is an answer; and there is one such row."""
    bench = _bench(lab, chance=1.0)
    with pytest.raises(Killed):
        bench.run(dies_after)
    bench.rows.append(Row(bench.clock.wall(), Resumed(), len(bench.rows) + 1, bench.clock.now()))
    state = bench.run()
    assert _answer(state).commit == bench.here.history["c06"]
    assert (_answer(state).probability or 0) >= 0.999
    assert len(_found(bench.rows)) == 1
    assert replay(bench.rows) == state


def test_confirming_ends_with_the_budget_and_keeps_the_answer(lab: Maker) -> None:
    """Boots that are so long that nothing can be confirmed: the answer stands as it was found."""
    bench = _bench(lab, chance=1.0)
    bench.run()
    (place,) = _found(bench.rows)
    began = bench.rows[0].tick or 0.0
    until_found = (bench.rows[place].tick or 0.0) - began
    short = Bench(bench.here, replace(bench.plan, budget=Budget(max_seconds=until_found + 1)), bench.world)
    state = short.run()
    assert state.found is not None
    assert _answer(state).commit == bench.here.history["c06"]
    assert not any(isinstance(row.fact, Paused) for row in short.rows)


def test_confirming_takes_no_longer_than_the_search_did_or_a_quarter_of_an_hour(lab: Maker) -> None:
    """After that, what was asked for is enough again."""
    bench = _bench(lab)
    bench.run()
    state = replay(bench.rows[: _found(bench.rows)[0] + 1])
    assert state is not None
    assert state.found_at == state.worked > 0
    assert confirming(state)
    assert confirming(replace(state, worked=state.found_at + 899))
    assert not confirming(replace(state, worked=state.found_at + 901))
    assert confirming(replace(state, found_at=7200.0, worked=7200.0 + 7000.0))
    assert not confirming(replace(state, found_at=7200.0, worked=7200.0 + 7201.0))
    late = replace(state, worked=state.found_at + 901)
    answer = bench.search().decide(late)
    assert isinstance(answer, Culprit)
    assert (answer.probability or 0) >= 0.99


@pytest.mark.parametrize("over", [False, True])
def test_an_answer_that_its_parent_refutes_is_given_up(lab: Maker, over: bool) -> None:  # noqa: FBT001
    """The parent fires while the answer is confirmed: the search goes on, sharper or, at the end, as it was asked."""
    bench = _bench(lab, chance=1.0)
    bench.run()
    rows = bench.rows[: _found(bench.rows)[0] + 1]
    state = replay(rows)
    assert state is not None
    parent = bench.here.history["c05"]
    fired = replace(a_trial(parent, state.boots + 1, Ending.FIRED), exposure=1.0)
    for fact in (Built(a_kernel(parent)), Tried(fired)):
        state = apply(state, Row(state.latest, fact, 0, state.tick))
    state = replace(state, worked=state.found_at + (901 if over else 0))
    decision = bench.search().decide(state)
    assert not isinstance(decision, Culprit) or decision.commit != bench.here.history["c06"]
    odds = bench.beliefs().odds(state)
    assert odds.suspects[0].commit != bench.here.history["c06"]
    assert odds.goal == (None if over else pytest.approx(0.999))


class _Counting(GitBisect):
    """Real git bisect that counts how often it is begun."""

    begun = 0

    def start(self, range_: Range) -> None:
        """Begin, and count."""
        self.begun += 1
        super().start(range_)


def test_gits_marks_begin_anew_at_most_twice_and_end_at_the_same_commit(lab: Maker) -> None:
    """Marks that aren't sure enough any more are taken back at once, not step by step."""
    bench = _bench(lab)
    ledger = _Counting(bench.here.tree.path)
    bench.ledger = ledger
    state = bench.run()
    assert state.answered is not None
    assert f"first bad commit: [{_answer(state).commit}]" in state.answered.bisect_log
    # at the start, and once for the sharper marks
    assert ledger.begun == 2


def test_what_was_asked_for_is_told_with_what_is_worked_for(lab: Maker) -> None:
    """While an answer is confirmed the odds name it and the sharper goal; after the answer neither."""
    bench = _bench(lab)
    ended = bench.run()
    state = replay(bench.rows[: _found(bench.rows)[0] + 1])
    assert state is not None
    odds, last = bench.beliefs().odds(state), bench.beliefs().odds(ended)
    assert (odds.confidence, odds.confirmed) == (0.99, bench.here.history["c06"])
    assert odds.goal == pytest.approx(0.999)
    assert (last.confidence, last.goal, last.confirmed) == (0.99, None, "")
    assert isinstance(bench.rows[-1].fact, Answered)
    assert odds.of(bench.here.history["c09"]) is not None
    assert {one.judgement.verdict for one in last.tested if hasattr(one.judgement, "verdict")} <= set(Verdict)


def test_sharper_is_a_tenth_of_the_doubt() -> None:
    """0.99 becomes 0.999, and certainty is never asked for."""
    assert sharper(0.99) == pytest.approx(0.999)
    assert sharper(0.5) == pytest.approx(0.95)
    assert sharper(0.999999) < 1
