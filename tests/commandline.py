"""The command line run in this process, and sessions laid into ./logs for it to find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import a_plan
from history import History

from bisectbot.cli.main import main
from bisectbot.facts import Fact, Opened
from bisectbot.journal import Journal
from bisectbot.model import Range


def run_command(*words: str | Path) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def told_by(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """Return the JSON object of a command that succeeds."""
    capsys.readouterr()
    assert run_command(*words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def a_session(user: History, name: str, *facts: Fact, queued: str | None = "1\n") -> Path:
    """Return the folder of a session with these facts, in the queue unless `queued` is None."""
    folder = Path("logs", name).absolute()
    folder.mkdir(parents=True)
    book = Journal(folder / "journal.db")
    for at, fact in enumerate((Opened(a_plan(user.path, Range(user["c05"], (user["c00"],))), {}), *facts)):
        book.append(1_700_000_000.0 + at, fact)
    book.close()
    if queued is not None:
        (folder / "queued").write_text(queued)
    return folder
