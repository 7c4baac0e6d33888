"""The command line: bad input is one clear error with its exit code, --json is one object, nothing is lost."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import run_command
from fakes import a_kernel, a_plan, a_trial
from history import History, git

from bisectbot.facts import Answered, Built, Opened, Paused, Tried
from bisectbot.journal import VERSION, Journal
from bisectbot.model import Culprit, Ending, Range


def _dry(user: History, *words: str | Path) -> int:
    return run_command("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--dry-run", *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "nonsense"), "no host"),
        (("--kconfig", "nonsense"), "no such fragment"),
        (("--base", "nonsense"), "--base nonsense"),
        (("--reproducer", "nonsense"), "nonsense"),
        (("--signature", "("), "--signature"),
        (("--make", "novalue"), "--make"),
        (("--cc", "@main~3..main"), "--cc"),
        (("--fixup", "nonsense"), "nonsense"),
        (("--path", "no/such/file"), "--path"),
        (("--term-bad", "good"), "terms"),
        (("--hosts", "nonsense.toml"), "nonsense.toml"),
        (("--runs", "0"), "--runs"),
        (("--confidence", "1"), "--confidence"),
        (("--max-hours", "0"), "--max-hours"),
        (("--prior", "nonsense"), "--prior"),
        (("--prior", "list:no/such/file"), "--prior"),
        (("--runs", "3", "--prior", "path:kernel/"), "--prior"),
        (("--until", "tomorrow"), "--until"),
        (("--until", "2001-02-03T04:05"), "--until"),
        (("--max-boots", "0"), "--max-boots"),
        (("--runs", "3", "--no-confirm"), "--no-confirm"),
        (("--runs", "3", "--background", "1"), "--background"),
        (("--calibrated", "no/such/file"), "no/such/file"),
    ],
)
def test_a_mistake_is_one_clear_error(
    user: History, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    """Each wrong option ends with code 2, its name and a reason on stderr, nothing on stdout, and no traceback."""
    assert _dry(user, *words) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""
    assert "Traceback" not in err
    assert not Path("logs").exists()


def test_a_mistake_is_json_for_scripts(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json an error is one object on stdout, too, with the reason and the exit code."""
    assert _dry(user, "--host", "nonsense", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["ending"], told["exit_code"]) == ("error", 2)
    assert "nonsense" in told["error"]


def test_swapped_ends_are_named(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Good and bad the wrong way round is told as that."""
    assert run_command("run", "--tree", user.path, "--good", "main", "--bad", "main~3", "--dry-run") == 2
    assert "swapped" in capsys.readouterr().err


def test_a_dry_run_with_a_budget_says_at_a_guess_whether_it_fits(
    user: History, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people with the figures, for scripts as a number; without a budget, or odds, nothing is said."""
    assert _dry(user, "--max-hours", "1000") == 0
    assert "fits: nothing has fired yet, at a guess about" in capsys.readouterr().out
    assert _dry(user, "--max-boots", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fits"] < 0.2
    for words in ((), ("--max-hours", "1", "--runs", "2")):
        assert _dry(user, *words) == 0
        assert "at a guess" not in capsys.readouterr().out


def test_a_dry_run_starts_nothing_and_tells_the_plan(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run resolves everything, says how many steps to expect, and leaves no session; a dirty tree is fine."""
    (user.path / "Makefile").write_text("edited\n")
    assert _dry(user, "--json", "--", "--migrations", "5") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ending"], told["commits"], told["bad"]) == ("dry-run", 5, user["c05"])
    assert not Path("logs").exists()
    assert git(user.path, "status", "--porcelain") == "M Makefile"


def test_the_plan_says_what_comes_first_and_why(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """--plan starts nothing: the bad end comes first, and the suspects add up to all of the range."""
    words = ("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--plan")
    assert run_command(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["proposal"]["commit"] == user["c05"]
    assert len(told["suspects"]) == told["candidates"] == 5
    assert sum(one["probability"] for one in told["suspects"]) + told["older"] == pytest.approx(1)
    assert run_command(*words) == 0
    assert "the bad end has to fire 3 times" in capsys.readouterr().out
    assert not Path("logs").exists()


def test_a_prior_is_seen_in_the_plan(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """What touches the path is likelier, by the factor that was given."""
    words = ("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--plan", "--json")
    assert run_command(*words, "--prior", "none", "--prior", "path:files/c03=8") == 0
    suspects = {one["commit"]: one["probability"] for one in json.loads(capsys.readouterr().out)["suspects"]}
    assert suspects[user["c03"]] == pytest.approx(8 * suspects[user["c02"]])


def test_a_plain_bisection_has_no_plan_of_its_own(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """With --runs git picks: --plan is refused, with what shows the rest."""
    assert run_command("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--plan", "--runs", "2") == 2
    assert "see --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["resume", "log", "report"])
def test_without_a_session_there_is_nothing_to_show(
    user: History, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Commands over a session say that there is none and how to start one."""
    del user
    assert run_command(command) == 2
    assert "no session" in capsys.readouterr().err


def _session(user: History, *more: object) -> Path:
    folder = Path("logs/mine").absolute()
    folder.mkdir(parents=True)
    plan = a_plan(user.path, Range(user["c05"], (user["c00"],)))
    journal = Journal(folder / "journal.db")
    for at, fact in enumerate((Opened(plan, {"git": "2.39"}), Built(a_kernel(user["c05"])), *more)):
        journal.append(1_700_000_000.0 + at, fact)  # type: ignore[arg-type]  # the callers pass facts
    journal.close()
    return folder


def test_status_and_log_tell_a_session(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """A session that was answered shows its culprit; its log has a line a fact and git's own log at the end."""
    fired = Tried(a_trial(user["c05"], 1, Ending.FIRED))
    _session(user, fired, Answered(Culprit(user["c05"]), "git bisect start\ngit bisect bad x"))
    assert run_command("status") == 0
    assert user["c05"] in capsys.readouterr().out
    assert run_command("log") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2023-11-14T22:13:20+00:00 opened: bad")
    assert lines[-1] == "git bisect bad x"
    assert run_command("status", "mine", "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["sessions"]
    assert (told["standing"], told["answer"]["commit"]) == ("answered", user["c05"])


def test_a_session_that_never_began_hides_no_other(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """A journal without a row, left by a kill in the first moment, is told as that, and can't be resumed."""
    _session(user, Paused("interrupted", "SIGTERM"))
    Path("logs/empty").mkdir()
    Journal(Path("logs/empty/journal.db")).close()
    assert run_command("status") == 0
    told = capsys.readouterr().out
    assert "empty: empty; it was killed as it began" in told
    assert "mine: stopped (interrupted)" in told
    assert run_command("resume", "empty") == 2


def test_a_journal_that_can_t_be_read_hides_no_other(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a damaged journal `status` tells why it can't be read, beside all other sessions; alone it is a mistake."""
    _session(user, Paused("interrupted", "SIGTERM"))
    Path("logs/torn").mkdir()
    Path("logs/torn/journal.db").write_bytes(b"SQLite format 3\0" + b"\0" * 5000)
    assert run_command("status") == 0
    told = capsys.readouterr().out
    assert "torn: can't be read: " in told
    assert "mine: stopped (interrupted)" in told
    assert run_command("status", "--json") == 0
    standings = {one["session"]: one["standing"] for one in json.loads(capsys.readouterr().out)["sessions"]}
    assert standings == {"mine": "stopped (interrupted)", "torn": "unreadable"}
    for words in (("status", "torn"), ("resume", "torn"), ("log", "torn")):
        assert run_command(*words) == 2
        assert "not a journal" in capsys.readouterr().err


def test_tidy_says_what_it_would_do_and_does_it(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run touches nothing; for real, old logs of an answered session are packed, and read as they were."""
    folder = _session(user, Answered(Culprit(user["c05"]), ""))
    (folder / "consoles").mkdir()
    log = folder / "consoles/001-abc.log"
    log.write_text("[    1.000000] Kernel panic - not syncing: Attempted to kill init!\n" * 300)
    os.utime(log, (1_600_000_000.0,) * 2)
    assert run_command("tidy", "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dry_run"], told["things"]) == (True, 1)
    assert log.exists()
    assert run_command("tidy", "--dry-run") == 0
    assert "nothing was touched" in capsys.readouterr().out
    assert run_command("tidy", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dry_run"], told["things"], [*told["bytes"]]) == (False, 1, ["logs"])
    assert [path.name for path in log.parent.iterdir()] == ["001-abc.log.gz"]
    assert run_command("console", f"{log}.gz") == 0
    assert "kernel panic" in capsys.readouterr().out
    assert run_command("tidy") == 0
    assert "tidied away: nothing" in capsys.readouterr().out


def test_half_of_a_packed_log_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A packed log that was cut off is told as such."""
    (tmp_path / "1.log.gz").write_bytes(gzip.compress(os.urandom(5000))[:2000])
    assert run_command("console", tmp_path / "1.log.gz") == 2
    assert "not whole" in capsys.readouterr().err


def test_a_missing_compiler_begins_no_session(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the compiler of --cc nothing is begun: exit code 5, its name, and no session folder."""
    code = run_command("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--cc", "no-such-gcc")
    assert code == 5
    assert "no-such-gcc" in capsys.readouterr().err
    assert not Path("logs").exists()


def test_report_is_written_from_the_journal_alone(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """`report` writes all its files again and prints what --json promises."""
    folder = _session(user, Paused("interrupted", "SIGTERM"))
    assert run_command("report", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ending"], told["culprit"], told["candidates"]) == ("interrupted", None, [])
    assert {"steps", "seconds"} <= set(told)
    assert (folder / "report.md").is_file()
    assert (folder / "report.html").is_file()


def test_a_journal_of_a_newer_version_is_refused(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """A session of a newer bisectbot isn't touched."""
    folder = _session(user)
    with sqlite3.connect(folder / "journal.db") as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    assert run_command("resume") == 2
    assert "newer bisectbot" in capsys.readouterr().err


def test_console_tells_crashes_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each file has its own entry: crash or not, kind and title."""
    clean, sick = tmp_path / "clean.log", tmp_path / "sick.log"
    clean.write_text("[    0.000000] Linux version 6.1.0 (a@b)\n[    1.012345] Run /init as init process\n")
    sick.write_text("[    1.012345] Kernel panic - not syncing: sysrq triggered crash\n[    1.012399] CPU: 0 PID: 1\n")
    assert run_command("console", "--json", clean, sick) == 0
    first, second = json.loads(capsys.readouterr().out)["files"]
    assert (first["crash"], first["kind"]) == (False, "none")
    assert (second["crash"], second["kind"]) == (True, "panic")
    assert second["title"]


def test_a_console_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """An unreadable file is a mistake with its name."""
    assert run_command("console", "/no/such.log") == 2
    assert "/no/such.log" in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    """`python -m bisectbot` works, and tells its version."""
    done = subprocess.run([sys.executable, "-m", "bisectbot", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("bisectbot ")
