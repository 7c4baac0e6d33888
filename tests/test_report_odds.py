"""The report of a noisy search: what is believed, on what that rests, what would change it, and every doubt."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import hostile
import pytest
from hypothesis import example, given, settings
from lab_samples import LAB
from markdown_it import MarkdownIt
from odds_samples import ANSWERED, GOOD, GROUP, OPEN, PARENT, RARE, SEEN, WITHOUT, rare
from report_samples import CULPRIT, ENDINGS, sha

from bisectbot.model import Culprit, Judgement, Verdict
from bisectbot.odds import Odds, Rate, Reverted, Suspect
from bisectbot.report import (
    HTML,
    MAIL,
    MARKDOWN,
    ODDS,
    Session,
    draw_up,
    files,
    odds_json,
    plain_lines,
    plan_lines,
    summary_json,
)
from bisectbot.report.byhand import commands

GOLDEN = Path(__file__).parent / "reports"
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
NAMES = {
    "still fires": "culprit",
    "group": "only-skipped",
    "older": "end-unproven",
    "never fired": "end-unproven",
    "out of time": "out-of-time",
    "begun": "running",
}


def odds_of(whole: Session) -> Odds:
    """Return the odds of a session that has some."""
    assert whole.odds is not None
    return whole.odds


def doubted(odds: Odds, probability: float = 0.99344) -> tuple[str, ...]:
    """Return the cautions about a culprit with these odds."""
    found = draw_up(rare(Culprit(CULPRIT, probability), odds)).culprit
    assert found is not None
    return found.cautions


def sure(**changed: object) -> Odds:
    """Return odds that leave nothing to doubt, changed in one thing."""
    suspects = (Suspect(CULPRIT, 0.9996), Suspect(PARENT, 0.0003))
    return replace(ANSWERED, suspects=suspects, group_probability=0.9996, flat=0.9995, **changed)  # type: ignore[arg-type]


def everything(whole: Session) -> dict[str, str]:
    """Return all that is told of a session, by where."""
    report = draw_up(whole)
    return {**files(report), "json": json.dumps(summary_json(report)), "lines": "\n".join(plain_lines(report))}


# --- each ending -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RARE)
def test_each_ending_is_written(name: str) -> None:
    """Every way in which a noisy search ends or stands has its report, its numbers, and a mail only with a culprit."""
    whole = RARE[name]
    texts = everything(whole)
    report = draw_up(whole)
    assert report.meaning.ending == NAMES.get(name, name)
    assert (MAIL in texts) == (report.meaning.ending == "culprit")
    assert json.loads(texts[ODDS]) == json.loads(texts["json"])["odds"]
    for where in (HTML, MARKDOWN):
        assert "How sure this is" in texts[where]
    assert len(plain_lines(report)) <= 16


def test_a_plain_bisection_says_nothing_of_odds() -> None:
    """Without odds there is no such section, no file of numbers, and null in the summary."""
    texts = everything(ENDINGS["culprit"])
    assert ODDS not in texts
    assert json.loads(texts["json"])["odds"] is None
    for where in (HTML, MARKDOWN, MAIL, "lines"):
        assert "P(" not in texts[where]
    assert "runs for good, boots for skip | 3, 3" in texts[MARKDOWN]


@pytest.mark.parametrize("where", [MARKDOWN, HTML, MAIL, "lines"])
def test_the_culprit_has_its_probability_everywhere(where: str) -> None:
    """Report, mail and terminal say how sure it is, how often it fires, and how the check without the culprit went."""
    text = " ".join(everything(RARE["culprit"])[where].split())
    assert "P(culprit) = 0.9934" in text
    assert "fires once in 33 s (95 %: 15 to 90 s)" in text
    assert "silent for 7 min 30 s of running" in text
    assert "0.0052" in text


def test_who_is_second_and_what_was_seen() -> None:
    """The likeliest commits, the rest together and "older than the range" have their probability, and add up to 1."""
    belief = draw_up(RARE["out of time"]).belief
    assert belief is not None
    assert [(one.probability, one.title or one.commit) for one in belief.likely][3:] == [
        ("0.019", "the other 28 commits together"),
        ("0.011", "older than the range"),
    ]
    assert belief.likely[1].saw == "silent for 7 min 00 s of running (chance of that with the bug: 0.0031)"
    assert sum(float(one.probability) for one in belief.likely) == pytest.approx(1, abs=0.002)


def test_what_it_rests_on() -> None:
    """Bad end, good end, the parent's silence with its chance, the check and what the configuration sees are listed."""
    belief = draw_up(RARE["culprit"]).belief
    assert belief is not None
    told = dict(belief.facts)
    assert told["at the bad end"].startswith("fired 6 times in 3 min 18 s of running: fires once in 33 s")
    assert told[f"at the good end {GOOD[:12]}"].startswith("silent for 4 min 00 s")
    assert told["older than the range"] == "probability 0.00040"
    assert "chance of that with the bug: 0.0031" in told[f"parent {PARENT[:12]}"]
    assert told["this configuration"] == "it sees 14 of 31 commits: about 1.1 steps saved"
    assert told["the bad end without the culprit"].startswith(WITHOUT.commit[:12])


def test_what_would_change_it() -> None:
    """A fire on the parent, more silence on it, and other priors are said with what would be believed then."""
    belief = draw_up(RARE["culprit"]).belief
    assert belief is not None
    fire, silence, priors = belief.changes
    assert fire.startswith(f"One fire on {PARENT[:12]}")
    assert fire.endswith("would rule the culprit out.")
    assert silence.startswith("Another 6.8 min of silence")
    assert silence.endswith("would make it 0.99934.")
    assert "would be 0.9921: the priors hardly matter" in priors
    other = draw_up(rare(Culprit(CULPRIT, 0.99344), replace(ANSWERED, flat=0.93))).belief
    assert other is not None
    assert "would be 0.93: the rest of it comes from the priors" in other.changes[-1]


def test_twins_are_named() -> None:
    """Kernels that are the same byte for byte, the culprit's among them, can't be told apart, and it says so."""
    odds = sure(twins=((CULPRIT, PARENT), (sha("c6"), sha("merge"))))
    belief = draw_up(rare(Culprit(CULPRIT, 0.9996), odds)).belief
    assert belief is not None
    (text,) = [text for name, text in belief.facts if name == "same kernel, byte for byte"]
    assert text == f"{CULPRIT[:12]}, {PARENT[:12]}: which of them it is can't be told by testing"
    (caution,) = doubted(odds, 0.9996)[:1]
    assert "byte for byte that of its parent" in caution


# --- doubts ------------------------------------------------------------------------------------


def test_nothing_to_doubt() -> None:
    """A sure culprit that fired itself, at a known rate, and whose parents were silent for long, has no caution."""
    assert doubted(sure(), 0.9996) == ()


def test_a_bug_that_is_there_without_the_culprit_is_the_first_thing_said() -> None:
    """Headline, first caution, mail and terminal all say so."""
    whole = RARE["still fires"]
    texts = everything(whole)
    report = draw_up(whole)
    assert report.meaning.headline.endswith(", but without it the bad end still fires")
    assert report.culprit is not None
    assert report.culprit.cautions[0].startswith("The bug is still there WITHOUT the culprit")
    for where in (MARKDOWN, HTML, MAIL, "lines"):
        assert "still there WITHOUT the culprit" in " ".join(texts[where].split())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"reverted": Reverted(None)}, "it doesn't revert cleanly on the bad end"),
        ({"reverted": Reverted("f" * 40, problem="it doesn't compile")}, "couldn't be tested: it doesn't compile"),
        ({"reverted": Reverted("f" * 40, 30.0, 0, 0.3)}, "the chance of that with the bug is 0.30"),
        ({"older": 0.006}, "second is that the bug is older than the range"),
        ({"rate": Rate(3, 99.0, 0.0062, 0.088)}, "hardly known: once in 11 s to 2.7 min"),
        ({"rate": Rate(6, 9000.0, 0.0003, 0.0014)}, "The bug is rare: it fires once in 25 min"),
        ({"parents": (replace(ANSWERED.parents[0], chance=0.2),)}, "with a probability of 0.20"),
        ({"flat": 0.95}, "Part of this comes from the priors"),
    ],
)
def test_each_doubt_is_told(changed: Mapping[str, object], told: str) -> None:
    """What makes a culprit less sure than its number looks is said, each thing once."""
    whole = 0.9985 if "older" in changed else 0.9996
    odds = replace(sure(), **changed)  # type: ignore[arg-type]
    (caution,) = doubted(odds, whole)
    assert told in caution


def test_a_culprit_that_never_fired_itself_is_doubted() -> None:
    """It is named for its neighbours' sake, and the report says that."""
    seen = tuple(one for one in SEEN if one[1].commit != CULPRIT)
    found = draw_up(rare(Culprit(CULPRIT, 0.9996), sure(), seen)).culprit
    assert found is not None
    (caution,) = found.cautions
    assert "never fired on the culprit itself" in caution


def test_clean_runs_are_no_measure_here() -> None:
    """What counts trials of a plain bisection is nowhere said: a noisy search has seconds."""
    for name, whole in RARE.items():
        for where, text in everything(whole).items():
            assert "clean run" not in text, (name, where)
            assert "runs for good" not in text, (name, where)
    assert "| confidence asked for, boots for skip | 0.99, 3 |" in everything(RARE["culprit"])[MARKDOWN]


# --- evidence and candidates -------------------------------------------------------------------


def test_the_evidence_has_running_and_chances() -> None:
    """Each commit has its seconds of running and the probability that it has the bug; the check is marked as such."""
    rows = {row.commit: row for row in draw_up(RARE["culprit"]).rows}
    assert (rows[CULPRIT].running, rows[CULPRIT].fired, rows[CULPRIT].has_bug) == (61.0, 2, "1")
    assert (rows[PARENT].running, rows[PARENT].has_bug) == (420.0, "0.0066")
    check = rows[WITHOUT.commit]
    assert check.marks == ("bad end without the culprit",)
    assert (check.word, check.has_bug) == ("check", "")
    assert draw_up(RARE["still fires"]).rows[-1].word == "bad"


def test_a_check_that_could_not_run_is_no_skip_of_the_range() -> None:
    """The bad end without the culprit isn't counted among the commits that were skipped."""
    (*_, (step, tested)) = (*SEEN, (RARE["culprit"].steps[-1], odds_of(RARE["culprit"]).tested[-1]))
    skip = Judgement(Verdict.SKIP, "it doesn't compile")
    seen = (*SEEN, (replace(step, judgement=skip), replace(tested, judgement=skip)))
    report = draw_up(rare(Culprit(CULPRIT, 0.99344), ANSWERED, seen))
    assert [row.commit for row in report.skipped] == [sha("c4")]


def test_candidates_have_their_probability() -> None:
    """Commits that can't be told apart are listed with what each has."""
    report = draw_up(RARE["group"])
    assert [(one.commit, one.probability) for one in report.candidates] == [
        (GROUP[0], "0.32"),
        (GROUP[1], "0.33"),
        (GROUP[2], "0.34"),
    ]
    assert "P(it is one of these 3 commits) = 0.9918" in report.meaning.paragraphs[0]


def test_a_good_end_that_was_only_never_cleared() -> None:
    """Where it didn't fire on the good end itself, the report doesn't claim that it did."""
    whole = RARE["older"]
    assert draw_up(whole).meaning.headline.endswith("fires too")
    silent = tuple(replace(one, fires=0) for one in odds_of(whole).tested)
    told = draw_up(replace(whole, odds=replace(odds_of(whole), tested=silent))).meaning.headline
    assert "couldn't be cleared" in told


# --- what comes next, and numbers --------------------------------------------------------------


def test_the_plan() -> None:
    """--plan names commit, time, reason, bits, chance to fire, forecast, rate, sight and suspects."""
    lines = plan_lines(OPEN, lambda commit: "a <title>\x1b" if commit == PARENT else "")
    assert lines[0] == f'next: {PARENT[:12]} ("a <title>\\x1b"), running for up to 92 s'
    assert lines[1].startswith("why: most bits a second")
    assert lines[2] == "expected: it fires with a probability of 0.31; 0.74 bits in 2 min"
    assert lines[3] == "to go until 0.99: about 4 steps, about 25 min"
    assert "this configuration: it sees 14 of 31 commits: about 1.1 steps saved" in lines
    assert lines[-4].startswith(f"  0.61 {CULPRIT[:12]}: fired 2 times")
    assert lines[-1] == "  0.011 older than the range"


def test_the_first_plan() -> None:
    """Before anything was built the plan says what it assumes, and promises no bits."""
    lines = plan_lines(odds_of(RARE["begun"]))
    assert lines[1:4] == (
        "why: the bad end has to fire 3 times, and did 0 times",
        "expected: at most 62 min",
        "to go until 0.99: about 8 steps",
    )
    assert "the bug: not run yet" in lines
    assert "the range: 31 commits; what the configuration sees of them isn't known yet" in lines


@pytest.mark.parametrize("name", RARE)
def test_numbers_are_json(name: str) -> None:
    """Every number is one that JSON has: what nobody knows is null, probabilities are unrounded, hashes are whole."""
    odds = odds_of(RARE[name])
    found = json.loads(json.dumps(odds_json(odds), allow_nan=False))
    assert [one["probability"] for one in found["suspects"]] == [one.probability for one in odds.suspects]
    assert all(len(one["commit"]) == 40 for one in (*found["suspects"], *found["tested"]))
    assert found["rate"]["mean_seconds"] == odds.rate.mean_seconds
    assert (found["confidence"], found["older"], found["group"]) == (odds.confidence, odds.older, list(odds.group))


def test_numbers_of_a_tested_commit() -> None:
    """A tested commit has seconds, fires, what is believed of it, its verdict, and whose absence it tests."""
    *_, parent, check = json.loads(json.dumps(odds_json(odds_of(RARE["culprit"]))))["tested"]
    assert parent == {
        "commit": PARENT,
        "seconds": 420.0,
        "fires": 0,
        "has_bug": 0.0066,
        "chance": 0.0031,
        "without": None,
        "verdict": "good",
        "why": "silent for 420 s of running",
    }
    assert (check["without"], check["has_bug"], check["verdict"]) == (CULPRIT, None, None)


def test_by_hand_it_is_run_for_long_enough() -> None:
    """The commands say how long to wait for a fire, and start as many runs as a silence that says something takes."""
    script = commands(RARE["culprit"])
    assert "fires once in 33 s (95 %: 15 to 90 s): let it run until it fires" in script
    assert "silence says something only after 5 min of running" in script
    assert f"the same with {PARENT}" in script
    assert "bisectbot.trials=10 " in script


# --- data stays data ---------------------------------------------------------------------------


class Elements(HTMLParser):
    """The elements of a page, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.opened.append((tag, tuple(name for name, _ in attrs)))


@example("```")
@example("\n```\n<b>|")
@example("<script>")
@example("|")
@settings(deadline=None, max_examples=20)
@given(hostile.texts)
def test_no_text_in_the_odds_becomes_markup(text: str) -> None:
    """Page and Markdown keep their shape whatever commits, builds and the search say, with nothing invisible."""
    for tell in (hostile.rare, hostile.rare_at_work):
        ours, wanted = dict(files(draw_up(tell(text)))), dict(files(draw_up(tell("x"))))
        assert Elements(ours[HTML]).opened == Elements(wanted[HTML]).opened
        blocks = [[token.type for token in PARSER.parse(one[MARKDOWN])] for one in (ours, wanted)]
        assert blocks[0] == blocks[1]
        for name in (HTML, MARKDOWN):
            assert {char for char in ours[name] if unicodedata.category(char)[0] == "C"} <= {"\n"}


def test_no_line_of_a_mail_is_too_long() -> None:
    """A mail about a bug that fires only sometimes keeps to 75 columns, whatever was seen."""
    body = files(draw_up(hostile.rare("#regzbot\n" * 50)))[MAIL].partition("\n\n")[2].splitlines()
    assert [line for line in body if len(line) > 75 and not line.startswith("  Fixes: ")] == []
    assert [line for line in body if line.startswith("#")] == [f"#regzbot introduced: {CULPRIT}"]


def test_a_huge_text_is_bounded() -> None:
    """A megabyte in every text of the odds still gives files that a browser opens."""
    huge = files(draw_up(hostile.rare("A <b> | `c` " * 100_000)))
    assert {name for name in (HTML, MARKDOWN, MAIL) if len(huge[name]) >= 500_000} == set()


def test_a_lab_keeps_its_addresses() -> None:
    """What a machine's messages say of its lab is left out of the odds too."""
    address = LAB.ssh.address
    odds = hostile.with_text(odds_of(RARE["culprit"]), f"no answer from {address}")
    for outcome in (RARE["culprit"].outcome, RARE["running"].outcome):
        texts = everything(replace(RARE["culprit"], odds=odds, outcome=outcome, lab=LAB))
        assert {where for where, text in texts.items() if address in text} == set()
        assert "no answer from" in texts[ODDS]


@pytest.mark.parametrize("name", [MARKDOWN, MAIL, ODDS])
def test_golden(name: str) -> None:
    """The sample of a noisy search reads as the file in tests/reports/ (BISECTBOT_UPDATE=1 writes it anew)."""
    text = files(draw_up(RARE["culprit"]))[name]
    golden = GOLDEN / f"odds-{name}"
    if os.environ.get("BISECTBOT_UPDATE"):
        golden.write_text(text)
    assert text == golden.read_text()
