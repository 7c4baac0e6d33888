"""A budget, for real: what is left of it confirms the answer; one that is too small ends with the best statement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from real_demo import Demo

from bisectbot import journal
from bisectbot.facts import Found, Opened, Row, State, replay
from bisectbot.model import Culprit

pytestmark = pytest.mark.real


def _run(demo: Demo, logs: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, JSON object and progress of a bisection of the demo tree, or of its resumption."""
    ends = ("--tree", demo.path, "--good", "demo-good", "--bad", "demo-bad", "--session", "demo")
    command = ("run", *ends) if not (logs / "demo").exists() else ("resume", "demo")
    argv = [sys.executable, "-m", "bisectbot", *map(str, command), "--json", "--logs", str(logs), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=3600, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


def _rows(logs: Path) -> tuple[list[Row], State]:
    rows = list(journal.read(logs / "demo/journal.db"))
    state = replay(rows)
    assert state is not None
    return rows, state


def test_time_that_is_left_confirms_the_answer(demo: Demo, tmp_path: Path) -> None:
    """With some minutes to spare the answer gets ten times surer, or stands as it was when the time is over."""
    code, told, progress = _run(demo, tmp_path, "--max-hours", "0.05")
    rows, state = _rows(tmp_path)
    assert (code, told["culprit"]) == (0, demo.truth["culprit"]), progress
    assert isinstance(rows[0].fact, Opened)
    assert any(isinstance(row.fact, Found) for row in rows)
    assert state.answered is not None
    assert isinstance(state.answered.answer, Culprit)
    assert (state.answered.answer.probability or 0) >= 0.999 or state.worked >= 0.05 * 3600
    assert "it fits with a probability of" in progress


def test_too_few_boots_end_with_the_best_statement_and_a_resume_ends_it(demo: Demo, tmp_path: Path) -> None:
    """After four boots it says who is likeliest and how to go on; a larger budget then brings the answer."""
    code, told, _ = _run(demo, tmp_path, "--max-boots", "4")
    assert (code, told["ending"]) == (6, "out-of-time")
    report = (tmp_path / "demo/report.md").read_text()
    assert "Out of budget: likeliest so far: " in report
    assert "of the probability is on " in report
    assert "bisectbot resume demo (with as much again" in report
    assert told["odds"]["holding"]["number"] > 1
    assert 0 < told["odds"]["fits"] < 1
    code, told, _ = _run(demo, tmp_path, "--max-boots", "200")
    assert (code, told["culprit"]) == (0, demo.truth["culprit"])
