"""`bisectbot watch`: what is shown of sessions, on any terminal, without leaving a trace in them or in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock, a_host, a_plan
from hostile import NASTY
from lab_samples import LAB
from odds_samples import RARE
from rich.cells import cell_len
from terminal import terminal
from timeline_samples import BAD, GOOD, Diary, commit, night, opened, rare

from bisectbot.cli.main import main
from bisectbot.cli.watch.drawing import Screen, drawn
from bisectbot.cli.watch.minds import Minds
from bisectbot.cli.watch.reading import Watched
from bisectbot.effects.lock import Lock
from bisectbot.effects.peek import holders, is_held, last_bytes
from bisectbot.facts import Answered, BootBegan, CameHome, Found, Opened, Paused, Row, Tried, replay
from bisectbot.fit import Fit, Forecast
from bisectbot.journal import Journal
from bisectbot.lab import Homed
from bisectbot.model import Culprit, Ending, Range
from bisectbot.plan import Budget
from bisectbot.report.chances import OLDER
from bisectbot.session import Folder
from bisectbot.watching.follow import Followed, follow
from bisectbot.watching.views import (
    Close,
    HostLine,
    Known,
    Likely,
    Line,
    View,
    ahead,
    best_of,
    console_boot,
    console_lines,
    doing,
    facts_of,
    hosts_of,
    likely_of,
    line_of,
    standing,
)

_SIZES = [(80, 24), (60, 15), (200, 60), (25, 6), (20, 3), (120, 1)]


def _followed(diary: Diary | Sequence[Row]) -> Followed:
    seen = follow(None, diary.rows if isinstance(diary, Diary) else diary)
    assert seen is not None
    return seen


# --- following ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [night(), rare(2)], ids=["night", "rare"])
def test_rows_may_come_in_any_pieces(rows: list[Row]) -> None:
    """Reading on gives what reading everything anew would give."""
    seen: Followed | None = None
    for start in range(0, len(rows), 7):
        seen = follow(seen, rows[start : start + 7])
    assert seen == follow(None, rows)
    assert seen is not None
    assert seen.state == replay(rows)


def test_silent_runs_of_a_boot_are_one_fact() -> None:
    """A thousand of them don't push everything else out."""
    diary = opened()
    diary.build("a", 60)
    diary.boot("a", 1, 500)
    seen = _followed(diary)
    told = facts_of(seen, {one.row.number: "told" for one in seen.recent})
    assert [words for _, words in told] == ["told", "told", "told", f"{commit('a')[:12]} boot 1: silent in 500 runs"]


def test_a_boot_is_on_until_something_says_otherwise() -> None:
    """Silent runs go on, a fire ends a boot; a real machine is on its way home then, until it is there."""
    diary = opened(LAB)
    diary.boot("a", 1, 3)
    seen = _followed(diary)
    assert (seen.boot is not None, seen.runs, seen.home) == (True, 3, None)
    diary.boot("a", 2, ending=Ending.FIRED)
    seen = _followed(diary)
    assert (seen.boot, seen.home is not None) == (None, True)
    diary.write(CameHome(commit("a"), 2, Homed(LAB.name, "by itself", 9.0)))
    assert _followed(diary).home is None


def test_a_plain_bisection_knows_when_a_boot_is_over() -> None:
    """With a fixed number of runs the last of them ends the boot."""
    plan = a_plan(Path("/t"), Range(BAD, (GOOD,)), runs=2)
    diary = Diary()
    diary.write(Opened(plan, {}))
    diary.boot("a", 1, 1)
    assert _followed(diary).boot is not None
    diary.rows.append(diary.rows[-1])
    assert _followed(diary).boot is None


# --- words -------------------------------------------------------------------------------------


def _ended(*facts: object) -> Followed:
    diary = opened()
    diary.boot("a", 1)
    for fact in facts:
        diary.write(fact)  # type: ignore[arg-type]  # facts, as the parameters below say
    return _followed(diary)


@pytest.mark.parametrize(
    ("known", "facts", "word"),
    [
        (Known("s", running=True), (), "running"),
        (Known("s", running=True), (Found(Culprit(BAD)),), "confirming"),
        (Known("s"), (Answered(Culprit(BAD), ""),), "answered"),
        (Known("s"), (Paused("budget", "x"),), "stopped (budget)"),
        (Known("s", queued=2), (Paused("fault", "x"),), "queued (2)"),
        (Known("s"), (), "stopped (killed)"),
    ],
)
def test_where_a_session_stands(known: Known, facts: tuple[object, ...], word: str) -> None:
    """Whether somebody works on it comes from the lock, everything else from the journal and the queue."""
    assert standing(known, _ended(*facts).state) == word


def test_a_line_has_what_matters() -> None:
    """The step of how many, who is suspected, what it still takes and whether that fits."""
    fit = Fit(Forecast(60.0, 0.3, 2.0), seconds=6000.0)
    known = Known("s", running=True, best=(BAD, 0.93), fit=fit, steps=3.4, seconds=720.0)
    found = line_of(known, _ended())
    assert (found.step, found.best, found.left, found.budget) == ("1 of ~4", f"{BAD[:12]} 0.93", "12 min", "fits")
    assert "budget: fits (1 h 40 min of it left)" in ahead(known, _ended().state)


@pytest.mark.parametrize(
    "odds",
    [
        {},
        {"rate": None},
        {"rate": {"fires": 3}},
        {"rate": {"fires": 3}, "suspects": [7]},
        {"rate": {"fires": 3}, "suspects": [{"commit": 5, "probability": "x"}]},
        {"rate": {"fires": 0}, "suspects": [{"commit": BAD, "probability": 0.5}]},
    ],
)
def test_odds_that_say_nothing_are_no_crash(odds: dict[str, object]) -> None:
    """The file may be old, half of something else, or of a session in which nothing fired yet."""
    assert best_of(odds) is None


@pytest.mark.parametrize("wrong", ["x", None, [], 10**400, float("inf"), float("nan")])
def test_a_forecast_that_isnt_one_is_left_out(tmp_path: Path, wrong: object) -> None:
    """Whatever stands in the file that a session keeps beside its journal, the others are shown too."""
    plan = replace(a_plan(tmp_path, Range(BAD, (GOOD,))), budget=Budget(max_seconds=3600.0))
    folder = _keep(tmp_path, "one", [Row(1.0, Opened(plan, {}), 1)])
    ahead = {"seconds": wrong, "spread": 0.2, "boots": 3.0}
    suspect = {"commit": BAD, "probability": wrong}
    odds = {"ahead": ahead, "steps_left": wrong, "rate": {"fires": 1}, "suspects": [suspect], "older": wrong}
    (folder.path / "odds.json").write_text(json.dumps(odds))
    (line,) = _watched(tmp_path).view(None).sessions
    assert (line.best, line.budget) == ("", "")


def test_odds_nested_without_end_are_none(tmp_path: Path) -> None:
    """A JSON parser gives up on them in its own way."""
    folder = _keep(tmp_path, "one", night()[:5])
    (folder.path / "odds.json").write_text("[" * 500_000)
    assert len(_watched(tmp_path).view(None).sessions) == 1


def test_the_best_of_a_file_of_odds() -> None:
    """The likeliest commit, or that the bug is older if that is likelier."""
    odds = {"rate": {"fires": 3}, "suspects": [{"commit": BAD, "probability": 0.3}], "older": 0.1}
    assert best_of(odds) == (BAD, 0.3)
    assert best_of({**odds, "older": 0.6}) == (OLDER, 0.6)


def test_what_goes_on_is_told_with_its_time() -> None:
    """A boot, its silent runs and a build whose log grows, each with how long it has been on."""
    diary = opened()
    diary.build("a", 60)
    diary.boot("a", 1, 3)
    seen = _followed(diary)
    lines = doing(Known("s", running=True), seen, commit("b")[:12], {commit("a"): "sched: \x1b[2J it"}, diary.at + 5)
    assert lines == (
        rf"boot 1 for 37 s, 3 silent: {commit('a')[:12]} sched: \x1b[2J it",
        f"building for 37 s: {commit('b')[:12]}",
    )
    # a log of a kernel that is there already tells of no build; a name that is no commit's of nothing
    for stem in (commit("a")[:12], "evil"):
        assert len(doing(Known("s", running=True), seen, stem, {}, diary.at)) == 1
    assert doing(Known("s"), seen, "", {}, diary.at) == ("was killed; resume it to go on",)


def test_suspects_come_with_titles_and_the_other_hypothesis() -> None:
    """The likeliest first; that the bug is older than the range is one of them."""
    odds = RARE["culprit"].odds
    assert odds is not None
    found = likely_of(odds, {odds.suspects[0].commit: "a title"})
    assert (found[0].commit, found[0].title) == (odds.suspects[0].commit[:12], "a title")
    assert [one.probability for one in found] == sorted((one.probability for one in found), reverse=True)
    assert likely_of(replace(odds, rate=replace(odds.rate, fires=0)), {}) == ()


def test_machines_that_are_used_or_set_aside() -> None:
    """One line tells who uses which, and what needs a hand; what hosts.toml doesn't know any more is there too."""
    hosts = hosts_of([("rack1", ""), ("rack2", "no \x1b answer")], [("gone", "s1"), ("rack1", "s2"), ("rack1", "s3")])
    assert hosts == (
        HostLine("gone", ("s1",)),
        HostLine("rack1", ("s2", "s3")),
        HostLine("rack2", (), r"no \x1b answer"),
    )


def test_the_console_of_the_newest_boot() -> None:
    """The one that is on, else the last that told something."""
    diary = opened()
    assert console_boot(_followed(diary)) is None
    diary.boot("a", 1, ending=Ending.FIRED)
    assert console_boot(_followed(diary)) == (1, commit("a"))
    diary.write(BootBegan(commit("b"), 2))
    assert console_boot(_followed(diary)) == (2, commit("b"))


@pytest.mark.parametrize("data", [os.urandom(6000), b"\x1b[2J\x1b]0;x\x07" * 500, b"\n" * 6000, b"a" * 6000, b""])
def test_a_console_of_rubbish_is_harmless_and_bounded(data: bytes) -> None:
    """Whatever bytes came over the line, nothing that a terminal would obey is left, and not too much of it."""
    lines = console_lines(data)
    assert len(lines) <= 30
    assert all(line.isprintable() and len(line) <= 300 for line in lines)


def test_a_console_ends_with_its_newest_lines() -> None:
    """Lines that come several times in a row stand there once."""
    data = "".join(f"line {number}\r\n" * 3 for number in range(100)).encode()
    assert console_lines(data)[-2:] == ("line 98", "line 99")


# --- drawing -----------------------------------------------------------------------------------


def _view(sessions: int = 4, text: str = "x86/entry: Tidy up") -> View:
    lines = [
        Line(f"s{number}", "running", "rack1", "4 of ~9", f"{BAD[:12]} 0.930", "12 min", "fits")
        for number in range(sessions)
    ]
    close = Close(
        name="s1" if sessions > 1 else "s0",
        doing=(f"boot 7 for 3 min: {BAD[:12]} {text}",),
        suspects=tuple(Likely(BAD[:12], text, 0.93 / (place + 1)) for place in range(6)),
        ahead="about 3 steps, time left: 12 min; budget: fits",
        facts=tuple((1e9 + place, f"fact {place} {text}") for place in range(10)),
        console_name="007.log",
        console=tuple(f"console {place} {text}" for place in range(30)),
    )
    hosts = (HostLine("rack1", ("s1",)), HostLine("rack2", (), text))
    return View(1e9, "logs", tuple(lines), hosts, close if sessions else None)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("sessions", [0, 1, 4, 300])
@pytest.mark.parametrize("text", ["x86: ok", "日本語のタイトル" * 20, "é" * 300])
def test_a_view_fits_any_terminal(size: tuple[int, int], sessions: int, text: str) -> None:
    """No line is wider than the terminal, wide letters and all, and there are no more than it has."""
    width, height = size
    lines = drawn(_view(sessions, text), Screen(width, height), keys=True)
    assert len(lines) <= height
    assert all(cell_len(line.plain) <= width for line in lines)


def test_a_small_terminal_has_something_of_everything() -> None:
    """On 60 by 15 the table, what goes on, suspects, facts and the console are all there, the newest of each."""
    lines = [line.plain for line in drawn(_view(), Screen(60, 15), keys=True)]
    text = "\n".join(lines)
    for word in ("> s1", "rack2 SET ASIDE", "boot 7 for", " 0.93 ", "fact 9", "console 29", "q quits"):
        assert word in text
    assert len(lines) == 15


@pytest.mark.parametrize("chosen", ["s0", "s150", "s299"])
def test_the_chosen_session_is_always_seen(chosen: str) -> None:
    """Of 300 sessions those around it are shown, and how many there are more."""
    view = _view(300)
    assert view.close is not None
    shown = replace(view, close=replace(view.close, name=chosen))
    lines = [line.plain for line in drawn(shown, Screen(80, 24), keys=True)]
    assert any(line.startswith(f"> {chosen} ") for line in lines)
    assert any("more" in line for line in lines)


@pytest.mark.parametrize("text", ["日本語", "é\u202e", *NASTY])
def test_ascii_is_ascii(text: str) -> None:
    """Where the terminal knows nothing else, nothing else is sent."""
    for line in drawn(_view(2, text.replace("\n", " ")), Screen(80, 24, ascii=True)):
        assert line.plain.isascii()


# --- looking without touching ------------------------------------------------------------------


def test_a_lock_is_seen_without_taking_it(tmp_path: Path) -> None:
    """Who holds it is read from the kernel's list, so that nobody finds it taken because somebody looked."""
    path = tmp_path / "lock"
    assert not is_held(path, holders())
    with Lock(path, "it"):
        assert is_held(path, holders())
    assert not is_held(path, holders())


def test_only_the_end_of_a_file_is_read(tmp_path: Path) -> None:
    """A console of a gigabyte costs as little as a short one; what is no file is nothing, and nobody waits for it."""
    path = tmp_path / "console"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"the end")
    assert last_bytes(path, 10) == b"\0\0\0the end"
    os.mkfifo(tmp_path / "pipe")
    assert [last_bytes(tmp_path / name, 10) for name in ("pipe", "nothing", ".")] == [b"", b"", b""]


def _keep(logs: Path, name: str, rows: Sequence[Row]) -> Folder:
    folder = Folder(logs / name)
    folder.path.mkdir(parents=True)
    book = Journal(folder.journal)
    for row in rows:
        book.append(row.at, row.fact, row.tick)
    book.close()
    return folder


def _watched(logs: Path) -> Watched:
    return Watched(logs, (), FakeClock(), Minds(patient=True))


def test_a_journal_is_read_on(tmp_path: Path) -> None:
    """What is added to it is seen, and a session whose tree is gone is shown without odds."""
    rows = night()
    folder = _keep(tmp_path, "one", rows[:50])
    watched = _watched(tmp_path)
    first = watched.view(None)
    assert (first.sessions[0].standing, first.sessions[0].step) == ("stopped (killed)", "3")
    assert first.close is not None
    assert first.close.note == "--tree /t: no such folder"
    book = Journal(folder.journal)
    for row in rows[50:]:
        book.append(row.at, row.fact, row.tick)
    with Lock(folder.lock, "it"):
        assert (
            watched.view(None).sessions[0].standing == "answered"
            or watched.view(None).sessions[0].standing == "running"
        )
    book.close()
    assert watched.view(None).sessions[0].standing == "answered"


def test_a_session_may_vanish_and_come_back_as_another(tmp_path: Path) -> None:
    """Deleted while it is watched it is gone from the list; a new one of its name isn't taken for the old one."""
    rows = night()
    folder = _keep(tmp_path, "one", rows)
    watched = _watched(tmp_path)
    assert watched.view("one").sessions[0].standing == "answered"
    shutil.rmtree(folder.path)
    gone = watched.view("one")
    assert (gone.sessions, gone.close) == ((), None)
    _keep(tmp_path, "one", rows[:50])
    assert watched.view("one").sessions[0].step == "3"


@pytest.mark.parametrize("data", [b"", b"not a journal" * 100])
def test_a_damaged_journal_is_told_beside_the_others(tmp_path: Path, data: bytes) -> None:
    """It doesn't keep anybody from seeing the rest."""
    _keep(tmp_path, "whole", night())
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd/journal.db").write_bytes(data)
    view = _watched(tmp_path).view(None)
    assert {line.name for line in view.sessions} == {"whole", "odd"}
    assert view.close is not None
    assert view.close.name == "whole"


def test_a_session_that_was_killed_as_it_began_is_told(tmp_path: Path) -> None:
    """Its journal is there and empty, which is no reason to wait for it."""
    Folder(tmp_path / "one").path.mkdir()
    Folder(tmp_path / "one").journal.touch()
    (line,) = _watched(tmp_path).view(None).sessions
    assert line.standing == "nothing was written yet"


def test_the_queue_is_shown(tmp_path: Path) -> None:
    """Sessions that wait have their place."""
    for place, name in enumerate(("b", "a"), start=1):
        _keep(tmp_path, name, night()[:50])
        (tmp_path / name / "queued").write_text(f"{place}\n")
    view = _watched(tmp_path).view(None)
    assert {line.name: line.standing for line in view.sessions} == {"b": "queued (1)", "a": "queued (2)"}


def test_reading_hundreds_of_sessions_is_spread_out(tmp_path: Path) -> None:
    """A frame doesn't wait for all journals: what wasn't read yet says so, and comes with the next ones."""

    class Slow(FakeClock):
        """Time passes whenever it is asked for."""

        def now(self) -> float:
            """Return its seconds, a little later each time."""
            self.time += 0.1
            return self.time

    for number in range(20):
        _keep(tmp_path, f"s{number}", night()[:3])
    watched = Watched(tmp_path, (), Slow(), Minds(patient=True))
    first = watched.view(None, patience=0.5)
    assert 0 < sum(line.standing == "not read yet" for line in first.sessions) < 20
    for _ in range(10):
        last = watched.view(None, patience=0.5)
    assert not any(line.standing == "not read yet" for line in last.sessions)


# --- the command -------------------------------------------------------------------------------


def _run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_without_a_terminal_it_prints_one_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As plain text, with nothing in it that only a terminal understands."""
    _keep(tmp_path, "one", night())
    assert _run("watch", "--logs", tmp_path) == 0
    out = capsys.readouterr().out
    assert "> one" in out
    assert "answered" in out
    assert "\x1b" not in out


def test_a_frame_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json is one object with the same in it."""
    _keep(tmp_path, "one", night())
    assert _run("watch", "--logs", tmp_path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert [line["name"] for line in facts["sessions"]] == ["one"]
    assert facts["close"]["name"] == "one"


def test_a_session_that_isnt_there_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was mistyped is told, with those that there are."""
    _keep(tmp_path, "one", night())
    assert _run("watch", "two", "--logs", tmp_path, "--once") == 2
    assert "the latest are: one" in capsys.readouterr().err


def _prints(logs: Path) -> set[tuple[str, int]]:
    """Return the files of a folder that matter, with their times."""
    files = [path for path in logs.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))]
    return {(str(path), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("leave", ["q", "\x03"])
def test_leaving_leaves_no_trace(tmp_path: Path, leave: str) -> None:
    """Q and Ctrl-C end it with exit code 0, the terminal is as it was, and so are the sessions."""
    _keep(tmp_path, "one", night())
    before = _prints(tmp_path)
    with terminal(["watch", "--logs", tmp_path]) as shown:
        shown.until(lambda text: "> one" in text and "q quits" in text)
        shown.press(leave)
        assert shown.end() == 0
        assert shown.modes() == shown.before
        assert shown.raw.count(b"\x1b[?1049h") == shown.raw.count(b"\x1b[?1049l") == 1
        assert b"Traceback" not in shown.raw
    assert _prints(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(tmp_path: Path, number: int) -> None:
    """Whoever ends it from outside doesn't leave a terminal without echo behind."""
    _keep(tmp_path, "one", night())
    with terminal(["watch", "--logs", tmp_path]) as shown:
        shown.until(lambda text: "> one" in text)
        assert shown.end(number) == 0
        assert shown.modes() == shown.before


def test_a_session_is_followed_live(tmp_path: Path) -> None:
    """What somebody writes into the journal and the console while it is watched appears, and nothing is obeyed."""
    rows = night()
    folder = _keep(tmp_path, "one", rows[:2])
    console = folder.console_log(1, BAD)
    console.parent.mkdir()
    with Lock(folder.lock, "it"), terminal(["watch", "--logs", tmp_path, "--interval", "0.2"], 30, 100) as shown:
        shown.until(lambda text: "running" in text)
        book = Journal(folder.journal)
        book.append(rows[3].at, BootBegan(BAD, 1))
        console.write_bytes(b"\x1b[2J\x1b[31mKernel \xff\xfe panic\r\n\x07done")
        shown.until(lambda text: "boot 1 for" in text and BAD[:12] in text and "done" in text and r"\x1b[2J" in text)
        trial = next(row.fact.trial for row in rows if isinstance(row.fact, Tried))
        book.append(rows[4].at, Tried(replace(trial, reason="\x1b]0;owned\x07", ending=Ending.FIRED)))
        shown.until(lambda text: r"\x1b]0;owned\x07" in text)
        book.append(rows[5].at, Answered(Culprit(BAD), "# log"))
        book.close()
        shown.until(lambda text: "answered: the first bad commit" in text)
        assert b"\x1b]0;" not in shown.raw


def test_keys_choose_and_a_deleted_session_is_no_crash(tmp_path: Path) -> None:
    """n, p and the arrows go round; when the chosen one is deleted another one is shown."""
    for name in ("a", "b", "c"):
        _keep(tmp_path, name, night()[:50])
    with terminal(["watch", "--logs", tmp_path, "--interval", "0.2"], 24, 80) as shown:
        first = _marked(shown.until(lambda text: "> " in text and "not read yet" not in text))
        seen = [first]
        for key in ("n", "\x1b[B"):
            shown.press(key)
            seen.append(_marked(shown.until(lambda text: _marked(text) not in ("", seen[-1]))))
        assert sorted(seen) == ["a", "b", "c"]
        shown.press("p")
        assert _marked(shown.until(lambda text: _marked(text) == seen[1])) == seen[1]
        shutil.rmtree(tmp_path / seen[1])
        shown.until(lambda text: "2 sessions" in text and _marked(text) not in ("", seen[1]))
        shown.press("q")
        assert shown.end() == 0


def _marked(text: str) -> str:
    """Return the session that is chosen."""
    return next((line.split()[1] for line in text.splitlines() if line.startswith("> ")), "")


def test_it_follows_the_window(tmp_path: Path) -> None:
    """A smaller window is filled anew, down to one that hardly holds anything."""
    _keep(tmp_path, "one", night())
    with terminal(["watch", "--logs", tmp_path], 30, 100) as shown:
        shown.until(lambda text: "q quits" in text)
        shown.resize(15, 60)
        shown.until(lambda text: text.splitlines()[-1] == "q quits" and len(text.splitlines()) == 15)
        shown.resize(3, 20)
        shown.until(lambda text: text.splitlines()[-1] == "q quits")
        shown.press("q")
        assert shown.end() == 0


@pytest.mark.parametrize("term", ["vt100", "xterm"])
def test_old_terminals_and_no_color(tmp_path: Path, term: str) -> None:
    """They show the same; with NO_COLOR nothing is coloured, and with an ASCII locale all is ASCII."""
    _keep(tmp_path, "one", night())
    with terminal(["watch", "--logs", tmp_path], TERM=term, NO_COLOR="1", PYTHONIOENCODING="ascii") as shown:
        shown.until(lambda text: "> one" in text and "-- one --" in text)
        shown.press("q")
        assert shown.end() == 0
        assert shown.raw.isascii()
        assert not any(code in shown.raw for code in (b"\x1b[31", b"\x1b[32", b"\x1b[36", b";32m", b";36m"))


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    """Where nothing can be drawn over, a frame is printed when something has changed, without control codes."""
    folder = _keep(tmp_path, "one", night()[:50])
    with terminal(["watch", "--logs", tmp_path, "--interval", "0.2"], 60, 100, TERM="dumb") as shown:
        shown.until(lambda text: "stopped (killed)" in text)
        book = Journal(folder.journal)
        book.append(2e9, Paused("fault", "no space left"))
        book.close()
        shown.until(lambda text: "stopped (fault)" in text)
        shown.press("q")
        assert shown.end() == 0
        assert b"\x1b" not in shown.raw


def test_hosts_of_a_hostile_name(tmp_path: Path) -> None:
    """Whatever a host is called in an old journal, the screen shows it and doesn't obey it."""
    _keep(tmp_path, "one", opened(replace(a_host(), name="\x1b[2Jevil")).rows)
    with terminal(["watch", "--logs", tmp_path]) as shown:
        shown.until(lambda text: r"\x1b[2Jevil" in text)
