"""The timeline of a session: what its journal's rows say of who worked when, and how that is drawn and told."""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakes import a_host
from hostile import NASTY
from lab_samples import LAB
from report_samples import session
from timeline_samples import EVENING, Diary, commit, endless, night, opened, rare

from bisectbot.facts import Built, Fact, Faulted, Noted, Notified, Opened, Paused, Resumed, Row
from bisectbot.model import BrokenBy, BuildBroken, Culprit, Ending
from bisectbot.report import Working, draw_up, files, summary_json
from bisectbot.report.hours import boundaries, hours, step_for
from bisectbot.report.timeline import BOT, BUILDER, FIRST_HOST, QUEUED, Best, Kind, Sign, Timeline, gaps
from bisectbot.timeline import steady, timeline_of

_HOUR = 3600.0
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let times of day be those of one place."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _spans(line: Timeline, *kinds: Kind) -> list[tuple[int, float, float, str]]:
    """Return spans with their times in seconds since the evening."""
    return [(one.lane, one.start - EVENING, one.end - EVENING, one.outcome) for one in line.of(*kinds)]


def test_a_build_and_a_boot_have_their_lanes_and_times() -> None:
    """A build ends with its row; a boot goes from its beginning to its first trial, all runs of it are one stretch."""
    diary = opened()
    diary.build("bad", 100)
    diary.boot("bad", 1, 3, ending=Ending.FIRED, run=5)
    line = timeline_of(diary.rows)
    assert _spans(line, Kind.BUILD) == [(BUILDER, 0, 100, "built")]
    assert _spans(line, Kind.BOOT) == [(FIRST_HOST, 100, 120, "")]
    assert _spans(line, Kind.PROBE) == [(FIRST_HOST, 120, 135, "fired")]
    assert next(line.of(Kind.PROBE)).count == 3
    assert [(mark.sign, mark.at - EVENING) for mark in line.marks] == [(Sign.FIRED, 135)]
    assert line.lanes == ("builder", "bot", "qemu-x86_64")


def test_a_kernel_of_the_store_takes_no_time() -> None:
    """However long its build once took, it was there at once."""
    diary = opened()
    diary.build("bad", 600, stored=True)
    line = timeline_of(diary.rows)
    assert line.seconds(Kind.BUILD) == 0
    assert [one.seconds for one in line.of(Kind.STORE)] == [0]


def test_a_host_may_be_called_like_a_lane_of_ours() -> None:
    """Its boots don't land on the builder's or the bot's lane, and a session that moved has a lane for each host."""
    diary = opened(replace(a_host(), name="bot"))
    diary.boot("a", 1)
    diary.write(Paused("interrupted", "SIGTERM"))
    diary.write(Resumed(host=replace(LAB, name="builder")), 60)
    diary.boot("a", 2)
    line = timeline_of(diary.rows)
    assert line.lanes == ("builder", "bot", "bot", "builder")
    assert [one.lane for one in line.of(Kind.BOOT)] == [2, 3]


@pytest.mark.parametrize(
    ("stop", "outcome", "counted"),
    [(None, "killed", (1, 0)), (Paused("interrupted", "SIGTERM"), "interrupted: SIGTERM", (0, 1))],
)
def test_a_stop_says_whether_it_was_a_kill(stop: Paused | None, outcome: str, counted: tuple[int, int]) -> None:
    """Without a last word the process was killed; nobody worked from its last row until it was resumed."""
    diary = opened()
    diary.build("bad", 100)
    if stop:
        diary.write(stop, 10)
    worked = diary.at - EVENING
    diary.write(Resumed(), 1000)
    line = timeline_of(diary.rows)
    assert _spans(line, Kind.STOP) == [(BOT, worked, worked + 1000, outcome)]
    assert (line.killed, line.paused) == counted


def test_a_boot_that_was_cut_off_is_no_boot_that_ran() -> None:
    """A boot without a trial by the end of its process is lost, not counted as seen."""
    diary = opened()
    diary.build("bad", 100)
    diary.write(Paused("interrupted", "SIGTERM"), 30)
    rows = [*diary.rows[:2], replace(diary.rows[1], fact=_began()), diary.rows[2]]
    line = timeline_of(rows)
    assert _spans(line, Kind.LOST) == [(FIRST_HOST, 100, 130, "ended with the session")]
    assert not list(line.of(Kind.BOOT, Kind.WAIT))


def _began() -> Fact:
    """Return the fact that a boot began."""
    diary = opened()
    diary.boot("bad", 1)
    return diary.rows[1].fact


def test_waits_are_what_no_lane_worked_at() -> None:
    """A gap between pieces of work is a wait; what a stop ended in the middle had been some work."""
    diary = opened()
    diary.build("a", 50)
    diary.pass_(40)
    diary.boot("a", 1)
    diary.write(Paused("interrupted", "SIGTERM"), 70)
    line = timeline_of(diary.rows)
    assert _spans(line, Kind.WAIT) == [(BOT, 50, 90, "")]
    assert _spans(line, Kind.LOST) == [(BOT, 114, 184, "")]


def test_a_build_that_failed_for_our_reasons_is_lost_time() -> None:
    """It stands on the builder's lane up to the fault, which has its sign there."""
    diary = opened()
    diary.write(Faulted(commit("a"), "build", "killed for memory", "OutOfMemory"), 80)
    line = timeline_of(diary.rows)
    assert _spans(line, Kind.LOST) == [(BUILDER, 0, 80, "failed for a reason of ours")]
    assert [(mark.lane, mark.sign) for mark in line.marks] == [(BUILDER, Sign.FAULT)]


def test_notices_of_the_keeper_are_no_work() -> None:
    """A notice that was sent while nobody worked doesn't shorten the stop."""
    diary = opened()
    diary.write(Paused("fault", "disk full", "DiskFull"), 10)
    diary.write(Notified(2, "needs a hand", "mail"), 100)
    diary.write(Resumed(), 100)
    assert _spans(timeline_of(diary.rows), Kind.STOP) == [(BOT, 10, 210, "fault: disk full")]


# --- clocks ------------------------------------------------------------------------------------


def _set(diary: Diary, seconds: float) -> None:
    """Set the clock, while the process' own goes on."""
    diary.at += seconds


@pytest.mark.parametrize("seconds", [-_HOUR, _HOUR])
def test_a_clock_that_is_set_leaves_spans_in_order(seconds: float) -> None:
    """Whatever is done to it, no stretch has a negative length, none of a lane overlap, and the jump is told."""
    diary = opened()
    diary.build("a", 100)
    _set(diary, seconds)
    diary.build("b", 100)
    diary.boot("b", 1)
    line = timeline_of(diary.rows)
    assert all(span.seconds >= 0 for span in line.spans)
    assert line.ended == diary.at
    assert [round(one.seconds) for one in line.of(Kind.BUILD)] == [100, 100]
    assert line.wall == pytest.approx(224 + max(0.0, seconds))
    assert line.odd == (f"clock: it jumped {'forward' if seconds > 0 else 'back'} by 60 min",)


def test_a_mistake_of_the_clock_that_was_mended_leaves_no_gap() -> None:
    """Set forward for a while and back again: by the steady clock nothing happened."""
    diary = opened()
    diary.build("a", 100)
    _set(diary, _HOUR)
    diary.build("b", 100)
    _set(diary, -_HOUR)
    diary.build("c", 100)
    assert [at - EVENING for at in steady(diary.rows)] == [0, 100, 200, 300]


def test_a_machine_that_slept_is_no_wait() -> None:
    """The time is there, as what it was, and is told once: by whoever noted it."""
    diary = opened()
    diary.build("a", 100)
    _set(diary, 2 * _HOUR)
    diary.write(Noted("clock", "this machine slept for 2 h 00 min"), 1)
    line = timeline_of(diary.rows)
    assert [round(one.seconds) for one in line.of(Kind.ASLEEP)] == [7200]
    assert not [one for one in line.of(Kind.WAIT) if one.seconds > 5]
    assert line.odd == ("clock: this machine slept for 2 h 00 min",)


def test_journals_from_before_ticks_are_read() -> None:
    """Rows without a steady clock are taken by their time of day, put into order."""
    rows = [replace(row, tick=None) for row in night()]
    rows[40] = replace(rows[40], at=rows[39].at - _HOUR)
    times = steady(rows)
    assert times == sorted(times)
    assert timeline_of(rows).seconds(Kind.BUILD) > 0


# --- the tables --------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [601, 3000, 7 * _HOUR, 14 * _HOUR, 30 * _HOUR, 72 * _HOUR, 60 * 24 * _HOUR])
def test_there_are_never_more_than_24_rows(seconds: float) -> None:
    """However long a session is, its table stays readable, and its boundaries are round times of day."""
    edges = boundaries(EVENING + 7, EVENING + 7 + seconds, step_for(EVENING + 7, EVENING + 7 + seconds))
    assert 2 <= len(edges) - 1 <= 24
    assert all(edge % 300 == 0 for edge in edges[1:-1])


def test_the_hours_add_up() -> None:
    """Builds, boots, fires, faults and seconds of all rows are those of the whole."""
    line = timeline_of(night())
    table = hours(line)
    assert sum(row.builds for row in table) == len(list(line.of(Kind.BUILD)))
    assert sum(row.boots for row in table) == len(list(line.of(Kind.BOOT)))
    assert sum(row.faults for row in table) == 1
    assert sum(row.fired for row in table) == sum(mark.sign is Sign.FIRED for mark in line.marks)
    assert sum(row.probe_seconds for row in table) == pytest.approx(line.seconds(Kind.PROBE))
    assert sum(row.stop_seconds for row in table) == pytest.approx(line.seconds(Kind.STOP))


def test_a_short_session_is_told_in_one_row() -> None:
    """Minutes need no table of hours."""
    diary = opened()
    diary.build("a", 200)
    (only,) = hours(timeline_of(diary.rows))
    assert only.when == "18:00:00 to 18:03:20"


def test_who_was_suspected_stands_at_the_end_of_each_row() -> None:
    """Where it is known; other rows have nothing there."""
    line = timeline_of(night())
    ends = boundaries(line.began, line.ended, step_for(line.began, line.ended))[1:]
    table = hours(replace(line, best=(Best(ends[1], "a625406f6977: 0.4"),)))
    assert [row.best for row in table][:3] == ["", "a625406f6977: 0.4", ""]


def _report(rows: list[Row]) -> dict[str, str]:
    """Return the files of a report over these rows."""
    line = timeline_of(rows)
    return dict(files(draw_up(replace(session(), timeline=line, seconds=line.wall))))


def test_the_report_tells_cost_and_oddities() -> None:
    """Both forms have the table, what it cost, and each thing that was out of the ordinary."""
    made = _report(night())
    for name in ("report.md", "report.html"):
        text = made[name].replace("\\_", "_").replace("&#39;", "'")
        assert "What it cost" in text
        assert "16: 16 made, 0 from the store" in text
        assert "20:47: killed, and went on after 1 h 00 min" in text
        assert "stopped (fault: build of 0123: no space left), and went on after 30 min 00 s" in text
        assert "was brought home after boot 22 by a power cycle" in text
        assert "this machine slept for 2 h 00 min" in text
        assert "boots don't count (1): 3 commits in a row failed the same way" in text


def test_a_calm_session_says_that_nothing_was_odd() -> None:
    """An empty list would leave open whether anybody looked."""
    diary = opened()
    diary.build("a", 200)
    made = _report(diary.rows)
    assert "## What was odd\n\nNothing." in made["report.md"]
    assert "<p>Nothing.</p>" in made["report.html"]


def test_many_oddities_are_bounded() -> None:
    """A night of trouble doesn't bury the report."""
    diary = opened()
    for number in range(200):
        diary.write(Noted("disk", f"{number} MiB left"), 5)
    odd = _report(diary.rows)["report.md"].partition("## What was odd")[2].partition("## ")[0]
    assert odd.count("\n- ") == 26
    assert "and 176 more" in odd  # the wait between them is one too


# --- the picture -------------------------------------------------------------------------------


def _shapes(svg: str) -> list[ET.Element]:
    """Return the shapes of a picture, which has to be XML."""
    return [one for one in ET.fromstring(svg).iter() if one.tag in (f"{_SVG}rect", f"{_SVG}path", f"{_SVG}circle")]  # noqa: S314  our own


@pytest.mark.parametrize("rows", [night(), rare(), endless()], ids=["night", "rare", "endless"])
def test_a_picture_is_bounded_and_inside(rows: list[Row]) -> None:
    """Thousands of boots and runs become a bounded number of shapes, none of them outside of the picture."""
    shapes = _shapes(_report(rows)["timeline.svg"])
    assert 5 < len(shapes) < 400
    for one in shapes:
        if one.tag == f"{_SVG}rect" and one.get("height"):
            x, wide = float(one.get("x", 0)), float(one.get("width", 0))
            assert 0 <= x <= x + wide <= 1000


def test_a_picture_of_a_hundred_thousand_rows_is_quick() -> None:
    """One pass: an update of the report doesn't hold up the loop."""
    rows = rare(100)
    before = time.process_time()
    line = timeline_of(rows)
    assert time.process_time() - before < 5
    assert next(line.of(Kind.PROBE)).count == 1000
    assert len(line.spans) < 300


@pytest.mark.parametrize("length", [60, 1800, 14 * _HOUR, 72 * _HOUR, 400 * 24 * _HOUR])
def test_the_axis_has_a_few_ticks_in_times_of_day(length: float) -> None:
    """From a minute to a year there is something to read by, and not too much of it."""
    diary = opened()
    diary.build("a", 5)
    diary.write(Noted("disk", "x"), length)
    svg = _report(diary.rows)["timeline.svg"]
    ticks = re.findall(r">(\d\d:\d\d(?::\d\d)?)</text>", svg)
    assert 2 <= len(ticks) <= 16
    assert re.search(r">Sun 22 Nov</text>|>Mon 23 Nov</text>|>\w{3} \d\d \w{3}</text>", svg)


@pytest.mark.parametrize("text", NASTY)
def test_texts_from_outside_stay_texts(text: str) -> None:
    """A hostile title, fault or host name is shown and not obeyed, in the file of its own as in the page."""
    diary = opened(replace(a_host(), name=text))
    diary.write(Built(BuildBroken(commit("x"), BrokenBy.COMPILE, text, seconds=80)), 80)
    diary.write(Faulted(commit("x"), "boot", text), 5)
    diary.boot("x", 1)
    diary.write(Paused("fault", text), 5)
    diary.write(Resumed(), 500)
    made = _report(diary.rows)
    tags = {one.tag.removeprefix(_SVG) for one in ET.fromstring(made["timeline.svg"]).iter()}  # noqa: S314  our own
    assert tags <= {"svg", "style", "title", "defs", "pattern", "rect", "circle", "line", "text", "path", "g"}
    assert "<script" not in made["report.html"]
    assert "\x1b" not in made["timeline.svg"] + made["report.md"]


def test_what_a_lab_keeps_to_itself_is_not_in_the_timeline() -> None:
    """Addresses in faults and notes are left out of the picture and of the tables."""
    address = LAB.ssh.address
    diary = opened(LAB)
    diary.write(Faulted(commit("x"), "boot", f"no route to {address}"), 5)
    diary.write(Noted("host", f"{address} is silent"), 5)
    line = timeline_of(diary.rows)
    made = files(draw_up(replace(session(), lab=LAB, timeline=line)))
    assert any(address in mark.label for mark in line.marks)
    assert address not in "".join(made.values())


def test_a_report_of_nothing_yet_has_no_picture() -> None:
    """With the plan alone there is no time to draw, and no rows at all are no mistake."""
    assert "timeline.svg" not in _report(opened().rows)
    assert timeline_of([]) == Timeline()
    assert isinstance(opened().rows[0].fact, Opened)


def test_gaps_are_what_nothing_covers() -> None:
    """Overlapping stretches count once, and what lies outside of the two moments doesn't count."""
    diary = opened()
    diary.build("a", 10)
    diary.pass_(10)
    diary.build("b", 10)
    spans = list(timeline_of(diary.rows).of(Kind.BUILD))
    found = [(start - EVENING, end - EVENING) for start, end in gaps(spans, EVENING, EVENING + 40)]
    assert found == [(10, 20), (30, 40)]


# --- an answer that is being confirmed ---------------------------------------------------------


def test_an_answer_that_is_being_confirmed_is_shown_as_such() -> None:
    """The report names it, says that it may change, and doesn't pass it off as the end."""
    whole = session()
    found = replace(whole, outcome=Working("boot of a625406f6977", 3, whole.outcome))  # type: ignore[arg-type]  # a culprit
    report = draw_up(found)
    assert isinstance(whole.outcome, Culprit)
    assert report.meaning.headline.startswith("Found, being confirmed: first bad commit a625406f6977")
    assert "may still change" in " ".join(report.meaning.paragraphs)
    facts = summary_json(report)
    assert (facts["ending"], facts["culprit"], facts["being_confirmed"]) == ("running", None, whole.outcome.commit)


def test_a_session_that_waited_in_the_queue_was_not_killed() -> None:
    """From being queued to the first process nobody works on it, and that is neither a stop nor odd."""
    first, *_ = opened().rows
    rows = [first, Row(first.at + 7200.0, Resumed()), Row(first.at + 7210.0, Paused("interrupted", "SIGTERM"))]
    read = timeline_of(rows)
    assert (read.killed, read.paused) == (0, 1)
    assert [(span.start, span.seconds, span.outcome) for span in read.of(Kind.STOP)] == [(first.at, 7200.0, QUEUED)]
