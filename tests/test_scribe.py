"""The scribe: the rows of the journal and the odds of each hour become the report's timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_plan
from history import History, line, make_history
from timeline_samples import EVENING, Diary

from bisectbot.cli.wiring import beliefs_for, open_desk, scribe_for
from bisectbot.facts import BootBegan, Built, Found, Opened, Paused, Row, State, Tried, replay
from bisectbot.model import Culprit, Ending, Range
from bisectbot.odds import Odds
from bisectbot.plan import SearchRecipe
from bisectbot.scribe import Scribe
from bisectbot.session import Folder


@pytest.fixture
def user(tmp_path: Path) -> History:
    """Return a repository that passes for a kernel's."""
    return make_history(tmp_path / "user", line(6))


def _rows(user: History) -> list[Row]:
    """Return two hours: the bad end fires in the first, a commit within is silent in the second."""
    plan = a_plan(user.path, Range(user["c05"], (user["c00"],)), search=SearchRecipe())
    diary = Diary()
    diary.write(Opened(plan, {}))
    for number, (title, ending) in enumerate([("c05", Ending.FIRED)] * 3 + [("c02", Ending.CLEAN)] * 3, start=1):
        diary.boot(title, number, ending=ending, run=100.0)
        diary.pass_(1000)
    named = {_named(title): user[title] for title in ("c05", "c02")}
    return [replace(row, fact=_of(row, named)) for row in diary.rows]


def _named(title: str) -> str:
    diary = Diary()
    diary.boot(title, 1)
    fact = diary.rows[0].fact
    assert isinstance(fact, BootBegan)
    return fact.commit


def _of(row: Row, named: dict[str, str]) -> Opened | BootBegan | Tried | Built:
    """Return the fact of a row, of a commit that is in the repository."""
    match row.fact:
        case BootBegan(commit):
            return replace(row.fact, commit=named[commit])
        case Tried(trial):
            return Tried(replace(trial, commit=named[trial.commit]))
        case Opened():
            return row.fact
        case _:
            raise AssertionError(row.fact)


def _scribe(user: History, rows: Sequence[Row], tmp_path: Path) -> tuple[Scribe, State]:
    state = replay(rows)
    assert state is not None
    desk = open_desk(user.path, None)
    return scribe_for(desk, Folder(tmp_path / "s"), None, beliefs_for(desk, state.plan), rows), state


def test_each_row_of_the_table_has_who_was_suspected_then(user: History, tmp_path: Path) -> None:
    """What was believed at the end of an earlier hour isn't what is believed now, and is asked for only once."""
    rows = _rows(user)
    scribe, state = _scribe(user, rows, tmp_path)
    asked: list[float] = []
    odds = scribe.odds

    def counted(state: State) -> Odds | None:
        asked.append(state.latest)
        return odds(state)

    scribe.odds = counted
    drawn = scribe.session(state).timeline
    assert drawn.began == EVENING
    assert len({one.text for one in drawn.best}) >= 2
    first = len(asked)
    assert scribe.session(state).timeline == drawn
    assert len(asked) == first + 1  # of now


def test_rows_that_come_are_part_of_it(user: History, tmp_path: Path) -> None:
    """The timeline grows with what happens, and is written beside the report when the session stops."""
    rows = _rows(user)
    scribe, state = _scribe(user, rows[:4], tmp_path)
    (tmp_path / "s").mkdir()
    assert len(scribe.session(state).timeline.spans) < 5
    for row in [*rows[4:], Row(rows[-1].at + 5, Paused("interrupted", "SIGTERM"), 99)]:
        state = replay([*scribe.rows, row]) or state
        scribe.happened(state, row)
    assert "<svg" in (tmp_path / "s/timeline.svg").read_text()
    assert "What it cost" in (tmp_path / "s/report.md").read_text()


def test_an_answer_that_is_being_confirmed(user: History, tmp_path: Path) -> None:
    """While the budget lasts the report names it, and says that it isn't the last word."""
    rows = [*_rows(user), Row(EVENING + 9000, Found(Culprit(user["c03"], 0.99)), 50)]
    scribe, state = _scribe(user, rows, tmp_path)
    drawn = scribe.draw(state)
    assert drawn.meaning.headline.startswith(f"Found, being confirmed: first bad commit {user['c03'][:12]}")
    assert drawn.meaning.ending == "running"
