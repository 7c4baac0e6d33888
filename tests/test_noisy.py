"""Whole searches for a bug that fires only sometimes, over real git, with machines that roll dice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeStages, Killed, World
from history import line, make_history
from worlds import MERGES, Lab

from bisectbot.build.compiled import listed
from bisectbot.effects.worktree import GitBisect
from bisectbot.errors import ConfigError, DiskFull, ToolMissing
from bisectbot.facts import Resumed, Row, State, replay
from bisectbot.model import Culprit, Ending, EndUnproven, Judgement, Range, Stuck, Verdict
from bisectbot.plan import Budget, SearchRecipe
from bisectbot.search.noisy import Beliefs, Noisy
from bisectbot.search.past import past_of
from bisectbot.search.posterior import Settings

_SEARCH = SearchRecipe(revert=False)
Maker = Callable[[dict[str, Sequence[str]]], Lab]


@pytest.fixture
def lab(tmp_path: Path) -> Maker:
    """Return a maker of labs."""
    return lambda graph: Lab(tmp_path, make_history(tmp_path / "user", graph))


def _answer(state: State) -> object:
    assert state.answered is not None
    return state.answered.answer


def _culprit(state: State) -> str | None:
    answer = _answer(state)
    return answer.commit if isinstance(answer, Culprit) else None


@pytest.mark.parametrize("chance", [1.0, 0.3])
@pytest.mark.parametrize("title", [title for title in MERGES if title != "base"])
def test_every_culprit_of_a_history_with_merges_is_found(lab: Maker, title: str, chance: float) -> None:
    """A bug that fires always or in a third of the runs: the commit is named, and git comes to the same end."""
    here = lab(MERGES)
    state = here.run(World(bad=here.with_bug_from(title), chance=chance), search=_SEARCH)
    answer = _answer(state)
    assert isinstance(answer, Culprit)
    assert answer.commit == here.history[title]
    assert answer.probability is not None
    assert 0.99 <= answer.probability <= 1
    assert state.answered is not None
    assert f"first bad commit: [{here.history[title]}]" in state.answered.bisect_log


def test_a_rare_bug_in_a_long_line_is_found(lab: Maker) -> None:
    """Forty commits, one run in ten: plain bisection with one run a commit has no chance there."""
    here = lab(dict(line(40)))
    state = here.run(World(bad=here.with_bug_from("c23"), chance=0.1, seed=3), search=_SEARCH)
    assert _culprit(state) == here.history["c23"]


def test_the_bad_end_fires_three_times_before_anything_else_is_tested(lab: Maker) -> None:
    """Nothing is concluded from a bad end that fired once."""
    here = lab(dict(line(8)))
    stages = FakeStages(World(bad=here.with_bug_from("c05")))
    here.bot(here.plan(search=_SEARCH), stages, []).run()
    assert stages.booted[: Settings().first_fires] == [here.history["c07"]] * 3


def test_a_bug_older_than_the_range_is_told(lab: Maker) -> None:
    """If every commit fires, the good end is run too, and it isn't what it was said to be."""
    here = lab(dict(line(12)))
    state = here.run(World(bad=frozenset(here.history.commits.values()), chance=0.5), search=_SEARCH)
    answer = _answer(state)
    assert isinstance(answer, EndUnproven)
    assert (answer.commit, answer.expected) == (here.history["c00"], Verdict.GOOD)
    assert answer.judgement.verdict is Verdict.BAD


def test_a_bad_end_that_never_fires_is_told_with_a_bound(lab: Maker) -> None:
    """After the asked time of silence there is no culprit, but how rare the bug would have to be."""
    here = lab(dict(line(6)))
    state = here.run(World(bad=frozenset()), search=SearchRecipe(show_within=60))
    answer = _answer(state)
    assert isinstance(answer, EndUnproven)
    assert (answer.commit, answer.expected) == (here.history["c05"], Verdict.BAD)
    assert "less than once in 20 s (95 % sure)" in answer.judgement.why


def test_a_bad_end_that_cant_be_built_is_told(lab: Maker) -> None:
    """Without a bad end there is nothing to look for."""
    here = lab(dict(line(6)))
    state = here.run(World(bad=frozenset(), broken=frozenset({here.history["c05"]})), search=_SEARCH)
    answer = _answer(state)
    assert isinstance(answer, EndUnproven)
    assert answer.judgement.verdict is Verdict.SKIP


def test_commits_that_cant_be_tested_become_a_group_with_the_culprit_in_it(lab: Maker) -> None:
    """Whatever lies between two testable commits can't be told apart, and all of it is named."""
    here = lab(dict(line(12)))
    broken = frozenset(here.history[title] for title in ("c05", "c06"))
    state = here.run(World(bad=here.with_bug_from("c06"), broken=broken, chance=0.5), search=_SEARCH)
    answer = _answer(state)
    assert isinstance(answer, Stuck)
    assert set(answer.candidates) == {here.history[title] for title in ("c05", "c06", "c07")}
    assert answer.probability is not None
    assert answer.probability >= 0.99


def test_a_good_end_that_cant_be_tested_is_no_obstacle(lab: Maker) -> None:
    """Silence on the commits above it speaks against an older bug as well."""
    here = lab(dict(line(12)))
    broken = frozenset({here.history["c00"]})
    state = here.run(World(bad=here.with_bug_from("c06"), broken=broken, chance=0.5), search=_SEARCH)
    assert _culprit(state) == here.history["c06"]


def test_a_crash_with_another_title_is_no_evidence(lab: Maker) -> None:
    """Boots that end without an answer make a commit untestable, never good or bad."""
    here = lab(dict(line(10)))
    endings = {here.history["c04"]: (Ending.CRASHED,)}
    state = here.run(World(bad=here.with_bug_from("c06"), endings=endings, chance=0.7), search=_SEARCH)
    assert _culprit(state) == here.history["c06"]


@pytest.mark.parametrize("dies_after", range(2, 40, 3))
def test_a_session_killed_at_any_row_comes_to_the_same_end(lab: Maker, dies_after: int) -> None:
    """The journal is all that the search remembers."""
    here = lab(dict(line(10)))
    world = World(bad=here.with_bug_from("c06"))
    plan, rows = here.plan(search=_SEARCH), list[Row]()
    whole = here.bot(plan, FakeStages(world), []).run()
    with pytest.raises(Killed):
        here.bot(plan, FakeStages(world), rows, dies_after=min(dies_after, 12)).run()
    rows.append(Row(2.0, Resumed()))
    ended = here.bot(plan, FakeStages(world), rows).run()
    assert _culprit(ended) == _culprit(whole) == here.history["c06"]
    assert replay(rows) == ended


# --- the check at the end ----------------------------------------------------------------------


def _checked(here: Lab, reverted: str | None, bad: frozenset[str]) -> State:
    reverts = {here.history["c06"]: reverted}
    world = World(bad=here.with_bug_from("c06") | bad, chance=0.6, reverts=reverts)
    return here.run(world, search=SearchRecipe())


def test_the_bad_end_without_the_culprit_is_run_for_as_long_as_the_odds_ask(lab: Maker) -> None:
    """A commit that takes the culprit back has to stay silent where the bug would hardly have."""
    here = lab(dict(line(10)))
    reverted = "5" * 40
    state = _checked(here, reverted, frozenset())
    assert _culprit(state) == here.history["c06"]
    assert state.reverts[here.history["c06"]].commit == reverted
    assert sum(trial.exposure for trial in state.trials[reverted]) >= 5


def test_a_culprit_that_cant_be_taken_back_is_still_named(lab: Maker) -> None:
    """A revert that conflicts is said, and changes nothing."""
    here = lab(dict(line(10)))
    state = _checked(here, None, frozenset())
    assert _culprit(state) == here.history["c06"]
    assert state.reverts[here.history["c06"]].commit is None


def test_a_bug_that_stays_without_the_culprit_is_seen(lab: Maker) -> None:
    """One fire there ends the check: it is in the journal for the report."""
    here = lab(dict(line(10)))
    reverted = "5" * 40
    state = _checked(here, reverted, frozenset({reverted}))
    assert any(trial.ending is Ending.FIRED for trial in state.trials[reverted])
    assert isinstance(state.judgement(reverted), Judgement)


# --- the budget --------------------------------------------------------------------------------


def test_a_search_out_of_time_pauses_and_goes_on_when_resumed(lab: Maker) -> None:
    """--max-hours is a pause with what is known, never an answer."""
    here = lab(dict(line(10)))
    world = World(bad=here.with_bug_from("c06"), chance=0.5)
    rows: list[Row] = []
    plan = replace(here.plan(search=SearchRecipe(revert=False)), budget=Budget(max_seconds=1e-9))
    bot = here.bot(plan, FakeStages(world), rows)
    bot.clock.sleep(1)
    state = bot.run()
    assert state.paused is not None
    assert state.paused.why == "budget"
    assert state.answered is None


def test_a_plain_range_of_one_commit_needs_no_search(lab: Maker) -> None:
    """Two neighbours: the bad one is it, once both are what they were said to be."""
    here = lab(dict(line(2)))
    state = here.run(World(bad=here.with_bug_from("c01")), Range(here.history["c01"], (here.history["c00"],)), _SEARCH)
    assert _culprit(state) == here.history["c01"]


def test_a_bug_outside_of_the_paths_is_told_as_that(lab: Maker) -> None:
    """With --path the bad end stands for what was left out: if it is the only one to fire, no commit is blamed."""
    here = lab(dict(line(12)))
    range_ = Range(here.history["c11"], (here.history["c00"],), paths=("files/c04", "files/c08"))
    with pytest.raises(ConfigError, match="no commit that touches it brought the bug in"):
        here.run(World(bad=here.with_bug_from("c10")), range_, _SEARCH)


def test_what_keeps_a_revert_from_being_made_stops_nothing(lab: Maker) -> None:
    """A git that is too old for it leaves the check out, and the reason is kept."""
    here = lab(dict(line(6)))
    stages = _NoRevert(World(bad=here.with_bug_from("c03")))
    state = here.bot(here.plan(search=SearchRecipe()), stages, []).run()
    assert _culprit(state) == here.history["c03"]
    assert "this git is too old" in state.reverts[here.history["c03"]].why


class _NoRevert(FakeStages):
    """Stages whose git can't make a revert."""

    def revert(self, bad: str, culprit: str) -> str | None:
        """Refuse."""
        raise ToolMissing("this git is too old", hint=f"for {bad} without {culprit}")


def test_a_mark_that_stops_being_sure_is_taken_back(lab: Maker) -> None:
    """Git's ledger is begun anew without it: what it wants next is then what it would have wanted all along."""
    here = lab(dict(line(10)))
    ledger = GitBisect(here.tree.path)
    plan = here.plan(search=_SEARCH)
    search = Noisy(plan, Beliefs(_SEARCH, past_of(here.graph, plan.range_), listed), ledger, leavable=False)
    middle, upper = here.history["c04"], here.history["c07"]
    search._mark({upper: Verdict.BAD})
    before = ledger.answer()
    search._mark({upper: Verdict.BAD, middle: Verdict.GOOD})
    assert ledger.answer() != before
    search._mark({upper: Verdict.BAD})
    assert ledger.answer() == before
    assert middle not in ledger.log()


def test_an_older_bad_commit_stays_the_one_that_git_knows(lab: Maker) -> None:
    """Git takes the bad commit that was marked last, so a newer one isn't marked after an older one."""
    here = lab(dict(line(10)))
    ledger = GitBisect(here.tree.path)
    plan = here.plan(search=_SEARCH)
    search = Noisy(plan, Beliefs(_SEARCH, past_of(here.graph, plan.range_), listed), ledger, leavable=False)
    search._mark({here.history["c03"]: Verdict.BAD, here.history["c07"]: Verdict.BAD})
    search._mark({**search._marks, here.history["c02"]: Verdict.GOOD})
    assert ledger.answer() == Culprit(here.history["c03"])


def test_a_fault_while_the_revert_is_made_pauses_the_session(lab: Maker) -> None:
    """A full disk doesn't leave the check out: resumed, it is made."""
    here = lab(dict(line(6)))
    world, rows = World(bad=here.with_bug_from("c03"), reverts={here.history["c03"]: "5" * 40}), list[Row]()
    plan = here.plan(search=SearchRecipe())
    paused = here.bot(plan, _FullDisk(world), rows).run()
    assert paused.paused is not None
    assert paused.paused.why == "fault"
    rows.append(Row(2.0, Resumed()))
    ended = here.bot(plan, FakeStages(world), rows).run()
    assert _culprit(ended) == here.history["c03"]
    assert ended.reverts[here.history["c03"]].commit == "5" * 40


class _FullDisk(FakeStages):
    """Stages that have no room for a commit."""

    def revert(self, bad: str, culprit: str) -> str | None:
        """Refuse."""
        raise DiskFull("no space left on device", hint=f"make room for {bad} without {culprit}")
