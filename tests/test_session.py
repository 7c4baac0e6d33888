"""Session folders, their locks, and the estimate to the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial

from bisectbot.effects.lock import Lock, first_free, is_held
from bisectbot.errors import Busy, ConfigError
from bisectbot.facts import Built, CameHome, Fact, Opened, Row, Tried, replay
from bisectbot.forecast import in_words, seconds_left
from bisectbot.lab import Homed
from bisectbot.model import Ending, Range
from bisectbot.session import Folder, all_folders, find_folder, new_folder

_A, _B = "a" * 40, "b" * 40
_HOLDER = """
import sys, time
from pathlib import Path
from bisectbot.effects.lock import Lock
lock = Lock(Path(sys.argv[1]), "it")
print("held", flush=True)
time.sleep(60)
"""


def _session(logs: Path, name: str, age: int) -> Folder:
    folder = Folder(logs / name)
    folder.path.mkdir(parents=True)
    folder.journal.touch()
    os.utime(folder.journal, (1000 - age, 1000 - age))
    return folder


def test_a_new_session_is_named_after_its_time_and_bad_end(tmp_path: Path) -> None:
    """Without a name of the user's the folder tells when, in UTC, and for which bad end."""
    assert new_folder(tmp_path, _B, 1_700_000_000.0).name == "20231114-221320-bbbbbbbb"


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "-x", "x" * 101, "new\nline"])
def test_a_name_that_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    """A session can't be written outside of --logs."""
    with pytest.raises(ConfigError, match="--session"):
        new_folder(tmp_path, _B, 0.0, name)


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    """A second session doesn't write over the first, and the way to go on with that is told."""
    _session(tmp_path, "mine", 0)
    with pytest.raises(ConfigError) as caught:
        new_folder(tmp_path, _B, 0.0, "mine")
    assert caught.value.hint == "bisectbot resume mine"


def test_the_latest_session_is_found_without_a_name(tmp_path: Path) -> None:
    """The session that was written to last is the one that is meant; others are found by name."""
    _session(tmp_path, "z-old", 100)
    new = _session(tmp_path, "a-new", 1)
    assert find_folder(tmp_path, None) == new
    assert find_folder(tmp_path, "z-old").name == "z-old"
    assert [folder.name for folder in all_folders(tmp_path)] == ["z-old", "a-new"]


@pytest.mark.parametrize("name", [None, "nonsense"])
def test_a_missing_session_is_said(tmp_path: Path, name: str | None) -> None:
    """Neither an empty folder nor a wrong name gives a session."""
    if name:
        _session(tmp_path, "other", 1)
    with pytest.raises(ConfigError, match="no session"):
        find_folder(tmp_path, name)


def test_a_lock_keeps_a_second_bot_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    """Another process's lock is respected, its pid is told, and kill -9 leaves nothing to clear."""
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, path], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_held(path)
        with pytest.raises(Busy, match=f"pid {holder.pid}"):
            Lock(path, "session mine")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with Lock(path, "session mine"):
        assert is_held(path)
    assert not is_held(path)


def test_the_first_free_lock_is_taken(tmp_path: Path) -> None:
    """A second session gets the next worktree, and when all are taken that is said."""
    paths = [tmp_path / "0", tmp_path / "1"]
    first, one = first_free(paths, "every worktree")
    second, two = first_free(paths, "every worktree")
    assert (first, second) == (paths[0], paths[1])
    with pytest.raises(Busy, match="every worktree"):
        first_free(paths, "every worktree")
    one.release()
    two.release()


def _took(commit: str, build: float, boots: Sequence[float], *, stored: bool = False) -> list[Fact]:
    kernel = replace(a_kernel(commit), seconds=build, from_store=stored)
    trials = [a_trial(commit, boot, Ending.FIRED) for boot in range(len(boots))]
    timed = [replace(trial, boot_seconds=boots[trial.boot], probe_seconds=1.0) for trial in trials]
    return [Built(kernel), *(Tried(trial) for trial in timed)]


def test_the_estimate_counts_the_way_home() -> None:
    """A real machine's way home belongs to each boot, and one that isn't over yet is taken to last as usual."""
    first, second = _took(_A, 5.0, [2.0]), _took(_B, 5.0, [2.0])
    second[1] = Tried(replace(a_trial(_B, 1, Ending.FIRED), boot_seconds=2.0, probe_seconds=1.0))
    homes = [CameHome(_A, 0, Homed("rack1", "by itself", 40.0)), CameHome(_B, 1, Homed("rack1", "by itself", 60.0))]
    assert _estimate([*first, *second], 3) == pytest.approx(3 * 8.0)
    assert _estimate([*first, homes[0], *second], 3) == pytest.approx(3 * 48.0)
    assert _estimate([*first, homes[0], *second, homes[1]], 3) == pytest.approx(3 * 68.0)


def _estimate(facts: Sequence[Fact], remaining: int) -> float | None:
    opened = Opened(a_plan(Path("/t"), Range(_B, (_A,))), {})
    state = replay(Row(float(at), fact) for at, fact in enumerate((opened, *facts)))
    assert state is not None
    return seconds_left(state, remaining)


def test_the_estimate_comes_from_this_sessions_own_steps() -> None:
    """The first build counts only while it is all that is known; then the median of later steps does."""
    first, later = _took(_A, 200.0, [2.0]), [fact for n in "bcd" for fact in _took(n * 40, 5.0, [2.0, 2.0])]
    assert _estimate([], 3) is None
    assert _estimate(first, 3) == pytest.approx(3 * 203.0)
    assert _estimate([*first, *later], 3) == pytest.approx(3 * 11.0)
    assert _estimate([*first, *later, *_took("e" * 40, 5.0, [60.0, 60.0])], 3) == pytest.approx(3 * 11.0)
    assert _estimate(_took(_A, 200.0, [2.0], stored=True), 3) == pytest.approx(3 * 3.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown until the first step is over"), (42.4, "42 s"), (600.0, "10 min"), (9000.0, "2 h 30 min")],
)
def test_a_span_is_told_as_people_do(seconds: float | None, text: str) -> None:
    """Seconds, minutes and hours read well."""
    assert in_words(seconds) == text
