"""The report: each ending explained, evidence counted, doubts told, commands that work, a log that replays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import (
    CULPRIT,
    ENDINGS,
    FOLDER,
    STEPS,
    broken,
    cant_tell,
    info,
    panics,
    session,
    sha,
)

from bisectbot.model import (
    Culprit,
    EndUnproven,
    Judgement,
    ProbeRecipe,
    Stuck,
    Terms,
    Verdict,
)
from bisectbot.report import MARKDOWN, Report, Session, Step, draw_up, files, plain_lines, summary_json

TINYLINUX = Path(__file__).parent / "tinylinux"


def report_of(ending: str) -> Report:
    """Return the report of a sample session."""
    return draw_up(ENDINGS[ending])


def text_of(report: Report) -> str:
    """Return everything that explains an ending, as one text."""
    return " ".join((report.meaning.headline, *report.meaning.paragraphs, *report.meaning.advice))


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("culprit", 'First bad commit: a625406f6977 ("entry: Let the helper clear the flag")'),
        ("only-skipped", "One of 3 commits: only skipped ones are left to test"),
        ("end-unproven", 'The bad end 8985d46e0f67 ("Linux 5.9-rc1") is not bad but good'),
        ("fault", "no space left on /var."),
        ("interrupted", "no finished build or trial will be repeated"),
        ("running", "Now: building 2f22765d0493; about 2 steps to go."),
    ],
)
def test_each_ending_is_told(ending: str, told: str) -> None:
    """An ending has its own name in JSON and its own words for people."""
    report = report_of(ending)
    assert report.meaning.ending == ending
    assert told in text_of(report)


@pytest.mark.parametrize(
    ("expected", "seen", "told"),
    [
        (Verdict.BAD, Verdict.GOOD, "did not show where it was said to be"),
        (Verdict.GOOD, Verdict.BAD, "older than the range"),
        (Verdict.BAD, Verdict.SKIP, "neither proven nor refuted"),
        (Verdict.GOOD, Verdict.SKIP, "neither proven nor refuted"),
    ],
)
def test_an_unproven_end_is_explained(expected: Verdict, seen: Verdict, told: str) -> None:
    """What it means depends on which end it is and on what was seen there."""
    outcome = EndUnproven(sha("v5.8"), expected, Judgement(seen, "some reason"))
    text = text_of(draw_up(session(outcome)))
    assert told in text
    assert "some reason" in text
    assert "Nothing can be concluded" in text


def test_ends_that_were_not_proven_are_named() -> None:
    """A culprit whose ends weren't both tested is not passed off as one that rests on proof."""
    proven = text_of(report_of("culprit"))
    unproven = text_of(draw_up(session(steps=STEPS[1:])))
    assert "Both ends of the range were proven" in proven
    assert f"Not every end of the range was proven: {sha('v5.9-rc1')[:12]}" in unproven


def test_the_words_of_the_session_are_used() -> None:
    """With `new` and `old` as terms nothing is called bad or good."""
    whole = session()
    report = draw_up(replace(whole, range_=replace(whole.range_, terms=Terms("new", "old"))))
    assert report.meaning.headline.startswith("First new commit")
    assert {row.word for row in report.rows} == {"new", "old", "skip"}
    assert [name for name, _ in report.ends] == ["new end", "old end"]


def test_candidates_say_what_stands_in_the_way() -> None:
    """Each candidate has its reason, the last known bad one says that it is the last resort."""
    last, merge, odd = report_of("only-skipped").candidates
    assert last.why.startswith("it is known to fail, and is the culprit if none of the skipped ones is")
    assert "Attempted to kill init" in merge.why
    assert "kernel/entry/kvm.c" in odd.why


def test_a_candidate_that_was_never_tested() -> None:
    """It is listed as such, with no verdict made up."""
    outcome = Stuck((sha("v5.9-rc1"), sha("c6")))
    assert [(one.word, one.why) for one in draw_up(session(outcome)).candidates][1] == ("not tested", "not tested")


@pytest.mark.parametrize(
    ("steps", "advice"),
    [
        ((broken("c4"),), "Commits that don't build"),
        ((panics("merge", 3),), "Commits that crash or hang"),
        ((cant_tell("c6", 1),), "Commits where the reproducer gave no answer"),
    ],
)
def test_the_way_out_fits_the_obstacle(steps: tuple[Step, ...], advice: str) -> None:
    """Only advice for what really stood in the way is given."""
    report = draw_up(session(Stuck((sha("c4"),)), steps))
    assert [advice in text for text in report.meaning.advice] == [True, False]


@pytest.mark.parametrize("ending", ENDINGS)
def test_json_has_what_it_promises(ending: str) -> None:
    """The summary is JSON, and always has the keys that users build on."""
    found: Mapping[str, object] = json.loads(json.dumps(summary_json(report_of(ending)), allow_nan=False))
    assert found["ending"] == ending
    assert found["culprit"] == (CULPRIT if ending == "culprit" else None)
    assert found["candidates"] == ([sha("v5.9-rc1"), sha("merge"), sha("c4")] if ending == "only-skipped" else [])
    assert found["steps"] == len(ENDINGS[ending].steps)
    assert found["seconds"] == 900.5


@pytest.mark.parametrize("ending", ENDINGS)
def test_plain_lines_are_few(ending: str) -> None:
    """A terminal gets the headline first, the report's path near the end, and at most a dozen lines."""
    lines = plain_lines(report_of(ending))
    assert lines[0] == report_of(ending).meaning.headline
    assert str(FOLDER / "report.html") in "\n".join(lines[-2:])
    assert len(lines) <= 12


def test_plain_lines_carry_the_evidence() -> None:
    """The culprit's author and hash, its own and its parent's verdict, and the rates stand on the terminal."""
    text = "\n".join(plain_lines(report_of("culprit")))
    for told in (CULPRIT, "ada@example.org", "bad: a625406f6977", "good: 6b1f53303a73", "2 of 2 runs", "caution:"):
        assert told in text


def test_a_session_that_only_began() -> None:
    """With nothing known but what was asked for, there is a report already."""
    whole = session()
    bare = Session(
        whole.name, whole.folder, whole.tree, whole.range_, whole.build, ProbeRecipe(Path("/r")), "h", Stuck(()), ()
    )
    assert "Nothing was tested yet." in files(draw_up(bare))[MARKDOWN]
    assert draw_up(bare).began == "1970-01-01T00:00:00+00:00"


def test_an_unknown_culprit_is_still_reported() -> None:
    """A culprit of which the history says nothing is named by its hash."""
    report = draw_up(replace(session(Culprit("f" * 40)), commits=(), steps=()))
    assert report.meaning.headline == "First bad commit: ffffffffffff"
    assert report.culprit is not None
    assert report.culprit.trailers == ()


def test_titles_come_from_anywhere() -> None:
    """A commit is named by its step or by the other commits that the session knows."""
    whole = replace(session(), commits=(info("c6", "elsewhere"),), steps=STEPS[:1])
    assert (whole.title(sha("c6")), whole.title(sha("v5.9-rc1")), whole.title(sha("x"))) == (
        "elsewhere",
        "Linux 5.9-rc1",
        "",
    )
