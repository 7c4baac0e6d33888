"""A QEMU that stops working in the middle of a session: its guests are silent, until somebody mends it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from night import Night
from real_demo import Demo

from bisectbot import places
from bisectbot.facts import Tried
from bisectbot.model import Verdict

pytestmark = pytest.mark.real

_SOUND = 2  # boots before it breaks
# The real QEMU; once it is broken, its guests have power and never run. It counts in a file what it started.
_WRAPPER = """#!/bin/sh
case "$1" in --version) exec {real} "$@" ;; esac
echo >>{folder}/started
if [ -e {folder}/mended ] || [ "$(wc -l <{folder}/started)" -le {sound} ]; then exec {real} "$@"; fi
exec {real} -S "$@"
"""


def _breaking(folder: Path) -> Path:
    """Return a folder with such a QEMU."""
    real = shutil.which("qemu-system-x86_64")
    assert real is not None
    folder.mkdir()
    program = folder / "qemu-system-x86_64"
    program.write_text(_WRAPPER.format(real=real, folder=folder, sound=_SOUND))
    program.chmod(0o755)
    return folder


def _impatient(folder: Path) -> Path:
    """Return a hosts.toml that waits for the first word of a guest for some seconds only."""
    shipped = places.data("hosts.toml").read_text()
    file = folder / "hosts.toml"
    file.write_text(shipped.replace("\nsilence = 30 ", "\nsilence = 6 "))
    assert file.read_text() != shipped
    return file


def test_a_qemu_that_stops_working_costs_no_commit_its_verdict(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three commits are silent, then one that had booted is, twice: a pause; mended, it ends at the true culprit."""
    broken = _breaking(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(broken), prepend=":")
    night = Night(demo, tmp_path, ("--tries", "1"), hosts=_impatient(tmp_path))
    began = time.monotonic()
    assert night.finish() == 5, night.said()
    state = night.state()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "Doubted")
    assert "the lab is suspected" in state.paused.text
    (doubted,) = state.doubted
    assert len(doubted.boots) == 5
    assert Verdict.SKIP not in [word.verdict for _, word in state.judged()]
    print(f"doubted after {time.monotonic() - began:.0f} s, boots {doubted.boots}")  # noqa: T201  for -s
    (broken / "mended").touch()
    assert night.finish() == 0, night.said()
    night.check()
    silent = [row.fact.trial.boot for row in night.rows() if isinstance(row.fact, Tried)][_SOUND : _SOUND + 5]
    assert tuple(silent) == doubted.boots
    print(f"answered after {time.monotonic() - began:.0f} s")  # noqa: T201  for -s
