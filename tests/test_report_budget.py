"""What a report says of a budget: whether the rest fits, and the best statement where it ended too early."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from odds_samples import BAD, GOOD, OPEN, PARENT, rare
from report_samples import CULPRIT, session, sha

from bisectbot.fit import Fit, Forecast
from bisectbot.model import Culprit
from bisectbot.odds import Holding, Odds, Rate, Suspect
from bisectbot.report import ODDS, Interrupted, OutOfTime, Session, Working, draw_up, files, plain_lines, summary_json
from bisectbot.report.session import Narrowed

_AHEAD = Forecast(1500.0, 0.3, 6.0)
_HELD = replace(OPEN, ahead=_AHEAD, holding=Holding(2, (CULPRIT, PARENT), 0.95))
_OUT = OutOfTime("the time that it was given is used up")


def _told(whole: Session) -> str:
    meaning = draw_up(whole).meaning
    return "\n".join((meaning.headline, *meaning.paragraphs, *meaning.advice))


def _spent(odds: Odds = _HELD, fit: Fit | None = None) -> Session:
    return replace(rare(_OUT, odds), fit=fit, ahead=odds.ahead)


def test_the_best_statement_is_the_headline() -> None:
    """Who is likeliest, with P; what holds 95 %; how long the rest takes; how to go on, with which budget."""
    whole = _spent(fit=Fit(_AHEAD, 3600.0, anew=True))
    report = draw_up(whole)
    assert report.meaning.headline.startswith(f"Out of budget: likeliest so far: {CULPRIT[:12]} (")
    assert report.meaning.headline.endswith("P(culprit) = 0.61")
    told = _told(whole)
    assert f"0.95 of the probability is on 2 commits: {CULPRIT[:12]}, {PARENT[:12]}." in told
    assert "To go until 0.99: about 4 steps, about 25 min." in told
    assert "another 60 min would come with a resume: it fits with a probability of 0.99" in told
    assert "(with as much again; --until, --max-hours or --max-boots give another budget)" in told
    assert "what comes next" in files(report)["report.md"].lower() or "next: " in "\n".join(plain_lines(report))


@pytest.mark.parametrize(
    ("changed", "headline"),
    [
        ({"rate": Rate(0, 60.0, 0.0, 0.05), "suspects": (), "holding": None}, "Out of budget: nothing fired so far"),
        (
            {"group": (CULPRIT, PARENT), "group_probability": 0.7},
            "Out of budget: likeliest so far: P(one of 2 commits that can't be told apart) = 0.70",
        ),
        (
            {"suspects": (Suspect(CULPRIT, 0.2),), "older": 0.7},
            "Out of budget: likeliest so far: P(older than the range) = 0.70",
        ),
    ],
)
def test_other_best_statements(changed: dict[str, object], headline: str) -> None:
    """Nothing fired, a group, or an older bug: said as that."""
    odds = replace(_HELD, **changed)  # type: ignore[arg-type]  # fields by name
    assert draw_up(_spent(odds)).meaning.headline == headline


def test_what_holds_most_may_be_older_and_many() -> None:
    """The name of what isn't a commit stands there, too, and a long list ends with how many more there are."""
    many = replace(_HELD, holding=Holding(40, (CULPRIT, PARENT), 0.951, older=True))
    assert f'on 40 commits and "older than the range": {CULPRIT[:12]}, {PARENT[:12]} and 38 more' in _told(_spent(many))
    only = replace(_HELD, holding=Holding(0, (), 0.97, older=True))
    assert '0.97 of the probability is on "older than the range".' in _told(_spent(only))


def test_a_plain_bisection_says_what_is_left_of_the_range() -> None:
    """How many candidates, between which commits, and how long the rest takes."""
    narrowed = Narrowed(13, BAD, (GOOD, sha("c1")))
    whole = replace(session(_OUT), narrowed=narrowed, ahead=_AHEAD, fit=Fit(_AHEAD, 600.0, anew=True))
    report = draw_up(whole)
    assert report.meaning.headline == (
        f"Out of budget: one of 13 commits between good {GOOD[:12]} and 1 more and bad {BAD[:12]}"
    )
    assert "To go: about 25 min." in _told(whole)
    assert "another 10 min would come with a resume: it fits with a probability of 0.01" in _told(whole)
    assert "one of 13 commits" not in _told(session(Culprit(CULPRIT)))


@pytest.mark.parametrize(("seconds", "helps"), [(36_000.0, False), (60.0, True)])
def test_a_running_one_says_whether_it_fits(seconds: float, helps: bool) -> None:  # noqa: FBT001
    """With the probability, and with what would help only if it won't."""
    whole = replace(rare(Working("boot", 4), _HELD), fit=Fit(_AHEAD, seconds), ahead=_AHEAD)
    told = _told(whole)
    assert "of the budget are left: it fits with a probability of 0." in told
    assert ("--kconfig that builds faster" in told) is helps
    assert "The budget:" not in _told(rare(Working("boot", 4), _HELD))


def test_programs_get_it_as_numbers() -> None:
    """odds.json and --json have the probability and what is left; null without a budget."""
    whole = replace(rare(Working("boot", 4), _HELD), fit=Fit(_AHEAD, 3600.0, 7), ahead=_AHEAD)
    odds = json.loads(files(draw_up(whole))[ODDS])
    assert (odds["seconds_of_budget"], odds["boots_of_budget"]) == (3600.0, 7)
    assert 0 < odds["fits"] < 1
    assert odds["ahead"]["seconds"] == 1500.0
    assert summary_json(draw_up(whole))["fits"] == odds["fits"]
    assert json.loads(files(draw_up(rare(Working("boot", 4), _HELD)))[ODDS])["fits"] is None


def test_an_answer_that_is_being_confirmed_is_named_wherever_it_stopped() -> None:
    """Killed or interrupted meanwhile, the report says that there is an answer; one that was refuted isn't it."""
    odds = replace(_HELD, confirmed=CULPRIT, goal=0.999)
    told = _told(rare(Interrupted("SIGTERM"), odds))
    assert f"An answer is there: {CULPRIT[:12]}" in told
    assert "(asked for: 0.99; being confirmed up to 0.999)" in told
    assert "To go until 0.999:" in told
    other = replace(odds, suspects=(Suspect(PARENT, 0.9), Suspect(CULPRIT, 0.05)))
    assert "An answer is there" not in _told(rare(Interrupted("SIGTERM"), other))
    running = draw_up(rare(Working("boot", 4, Culprit(CULPRIT, 0.99)), other)).meaning.headline
    assert running == f"Still running: {CULPRIT[:12]} was found, and what was seen since speaks against it"
