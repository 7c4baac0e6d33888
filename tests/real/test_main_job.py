"""The main job, for real: the demo tree bisected with real builds, real boots and the real race."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from history import git
from real_demo import Demo

from bisectbot import journal
from bisectbot.facts import State, Tried, replay
from bisectbot.model import Arch, Culprit, Verdict

pytestmark = pytest.mark.real

_HOUR = 3600


def _command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "bisectbot", *map(str, words)]


def _run(*words: str | Path) -> tuple[int, dict[str, Any]]:
    """Return exit code and JSON object of a command; its progress goes to pytest's captured stderr."""
    first, *others = words  # what stands behind a -- is the reproducer's
    done = subprocess.run(
        _command(first, "--json", *others), stdout=subprocess.PIPE, text=True, timeout=_HOUR, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def _bisection(demo: Demo, logs: Path) -> tuple[str | Path, ...]:
    ends = ("--good", "demo-good", "--bad", "demo-bad")
    return ("run", "--tree", demo.path, *ends, "--logs", logs, "--session", "demo")


def _state(logs: Path) -> State:
    state = replay(journal.read(logs / "demo/journal.db"))
    assert state is not None
    return state


@dataclass(frozen=True)
class Bisected:
    """An undisturbed bisection: what it told, where it left its files, and the user's tree before and after."""

    code: int
    told: dict[str, Any]
    logs: Path
    before: list[str]
    after: list[str]


@pytest.fixture(scope="module")
def bisected(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Bisected:
    """Bisect the demo tree once; afterwards all its kernels are in the store."""
    logs = tmp_path_factory.mktemp("logs")
    before = _looks(demo)
    code, told = _run(*_bisection(demo, logs))
    return Bisected(code, told, logs, before, _looks(demo))


def _looks(demo: Demo) -> list[str]:
    return [git(demo.path, *words) for words in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("branch", "-a"))]


def test_the_demo_tree_is_bisected_to_its_culprit(demo: Demo, bisected: Bisected) -> None:
    """The commit that is named is the true one, and no ordinary commit was skipped."""
    told = bisected.told
    assert (bisected.code, told["ending"], told["culprit"]) == (0, "culprit", demo.truth["culprit"])
    assert told["candidates"] == []
    untestable = {commit for commits in demo.truth["untestable"].values() for commit in commits}
    skipped = {row["commit"] for row in told["verdicts"] if row["verdict"] == Verdict.SKIP}
    assert skipped <= untestable
    assert told["steps"] == len(told["verdicts"]) >= 5


def test_the_users_tree_is_untouched(bisected: Bisected) -> None:
    """Status, HEAD and branches of the tree that was bisected are what they were."""
    assert bisected.after == bisected.before


def test_the_report_can_be_sent_and_replayed(demo: Demo, bisected: Bisected, tmp_path: Path) -> None:
    """Report and mail name the culprit, and git itself replays the log to the same commit."""
    folder, culprit = bisected.logs / "demo", demo.truth["culprit"]
    assert culprit in (folder / "report.md").read_text()
    assert culprit in (folder / "report.html").read_text()
    assert f"#regzbot introduced: {culprit}" in (folder / "regression-mail.txt").read_text()
    git(tmp_path, "clone", "-q", "--no-checkout", "--shared", str(demo.path), "clone")
    git(tmp_path / "clone", "bisect", "replay", str(folder / "bisect-log.txt"))
    assert f"first bad commit: [{culprit}]" in git(tmp_path / "clone", "bisect", "log")


def test_killed_again_and_again_it_ends_at_the_same_commit(demo: Demo, bisected: Bisected, tmp_path: Path) -> None:
    """After kill -9 at several moments, resume names the same culprit, repeats no finished trial and builds nothing."""
    assert bisected.code == 0
    process = subprocess.Popen(_command(*_bisection(demo, tmp_path)))
    for finished in (1, 4, 6):
        _kill_after(process, tmp_path, finished)
        kept = _trials(tmp_path)
        process = subprocess.Popen(_command("resume", "--logs", tmp_path, "demo"))
        _wait_for(process, tmp_path, len(kept) + 1)
        assert _trials(tmp_path)[: len(kept)] == kept, "a finished trial was lost"
    assert process.wait(timeout=_HOUR) == 0
    state = _state(tmp_path)
    assert state.answered is not None
    assert isinstance(state.answered.answer, Culprit)
    assert state.answered.answer.commit == demo.truth["culprit"]
    known = _state(bisected.logs).builds
    again = [commit for commit, built in state.builds.items() if not built.from_store and commit in known]
    assert again == [], "a kernel was built twice"


def test_a_rare_bug_is_found_with_the_stated_odds(demo: Demo, bisected: Bisected, tmp_path: Path) -> None:
    """With one migration a run, a bad kernel is silent more often than not: the true commit is named all the same."""
    assert bisected.code == 0
    code, told = _run(*_bisection(demo, tmp_path), "--", "--migrations", "1")
    assert (code, told["culprit"]) == (0, demo.truth["culprit"])
    assert 0.99 <= told["odds"]["suspects"][0]["probability"] <= 1
    assert told["odds"]["rate"]["fires"] >= 3
    assert told["odds"]["reverted"]["fires"] == 0, "the bad end without the culprit still fires"


def test_a_plain_bisection_comes_to_the_same_end(demo: Demo, bisected: Bisected, tmp_path: Path) -> None:
    """--runs asks for git's own picks and a number of clean runs; both ends are tested, and good takes all of them."""
    assert bisected.code == 0
    code, told = _run(*_bisection(demo, tmp_path), "--runs", "2")
    assert (code, told["culprit"], told["odds"]) == (0, demo.truth["culprit"], None)
    state = _state(tmp_path)
    good = [trials for commit, trials in state.trials.items() if state.judgement(commit).why.endswith("clean")]
    assert good
    assert all(len(trials) == 2 for trials in good), "a finished trial was repeated"


def test_a_second_bot_is_kept_off_a_session(demo: Demo, bisected: Bisected, tmp_path: Path) -> None:
    """While one process works on a session another one is refused with its pid, and changes nothing."""
    assert bisected.code == 0
    process = subprocess.Popen(_command(*_bisection(demo, tmp_path)))
    try:
        _wait_for(process, tmp_path, 1)
        second = subprocess.run(
            _command("resume", "--logs", tmp_path, "demo"), capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert f"session demo is in use by another bisectbot (pid {process.pid})" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130, "an interrupted session has its own exit code"


def _trials(logs: Path) -> list[Tried]:
    path = logs / "demo/journal.db"
    return [row.fact for row in journal.read(path) if isinstance(row.fact, Tried)] if path.is_file() else []


def _wait_for(process: subprocess.Popen[bytes], logs: Path, finished: int) -> None:
    deadline = time.monotonic() + _HOUR
    while len(_trials(logs)) < finished and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _kill_after(process: subprocess.Popen[bytes], logs: Path, finished: int) -> None:
    """Kill the bot once so many trials are written down, and see that nothing of it lives on."""
    _wait_for(process, logs, finished)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while children := _children_of(logs):
        assert time.monotonic() < deadline, f"left behind: {children}"
        time.sleep(0.1)


def _children_of(logs: Path) -> list[str]:
    """Return the command lines of processes that work on the session: QEMU has its initramfs in its arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(logs) in words and int(folder.name) != os.getpid():
            found.append(words)
    return found


@pytest.mark.parametrize("arch", list(Arch))
def test_the_regression_and_its_parent_are_told_apart(demo: Demo, tmp_path: Path, arch: Arch) -> None:
    """On each architecture `try` sees the race fire on the culprit and stay away on its parent."""
    words = ("--tree", demo.path, "--host", f"qemu-{arch}", "--logs", tmp_path)
    code, told = _run("try", demo.truth["culprit"], *words)
    assert (code, told["verdict"]) == (10, Verdict.BAD), told
    assert told["trials"][-1]["counts"]["mismatches"] >= 1
    code, told = _run("try", f"{demo.truth['culprit']}^", *words)
    assert (code, told["verdict"]) == (0, Verdict.GOOD), told
    assert [trial["ending"] for trial in told["trials"]] == ["clean"] * 3


def test_swapped_ends_of_another_kind_are_found_out(demo: Demo, tmp_path: Path) -> None:
    """A bad end without the bug is reported as that: exit code 4 and no culprit, from kernels in the store."""
    ends = ("--good", "demo-good", "--bad", f"{demo.truth['culprit']}^")
    code, told = _run("run", "--tree", demo.path, *ends, "--logs", tmp_path, "--show-within", "0.05")
    assert (code, told["ending"], told["culprit"]) == (4, "end-unproven", None)
