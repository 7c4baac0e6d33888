"""A QEMU that stops working in the middle of a session: its guests are silent, until somebody mends it."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest
from night import Night
from real_demo import Demo

from bisectbot import places
from bisectbot.model import Verdict

pytestmark = pytest.mark.real

# The real QEMU; once it is broken, its guests have power and never run. It counts in a file what it started.
_WRAPPER = """#!/bin/sh
case "$1" in --version) exec {real} "$@" ;; esac
echo >>{folder}/started
if [ -e {folder}/mended ] || [ "$(wc -l <{folder}/started)" -le {sound} ]; then exec {real} "$@"; fi
exec {real} -S "$@"
"""


def _breaking(folder: Path, sound: int) -> Path:
    """Return a folder with a QEMU that works for so many boots."""
    real = shutil.which("qemu-system-x86_64")
    assert real is not None
    folder.mkdir()
    program = folder / "qemu-system-x86_64"
    program.write_text(_WRAPPER.format(real=real, folder=folder, sound=sound))
    program.chmod(0o755)
    return folder


def _impatient(folder: Path) -> Path:
    """Return a hosts.toml that waits for the first word of a guest for some seconds only."""
    shipped = places.data("hosts.toml").read_text()
    file = folder / "hosts.toml"
    file.write_text(shipped.replace("\nsilence = 30 ", "\nsilence = 5 "))
    assert file.read_text() != shipped
    return file


# after two boots it is the bad end itself that is silent, after six it is what the search tries next
@pytest.mark.parametrize("sound", [6, pytest.param(2, marks=pytest.mark.soak)])
def test_a_qemu_that_stops_working_costs_no_commit_its_verdict(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: int
) -> None:
    """What is silent is held against a kernel that had booted: a pause; mended, it ends at the true culprit."""
    broken = _breaking(tmp_path / "bin", sound)
    monkeypatch.setenv("PATH", str(broken), prepend=":")
    night = Night(demo, tmp_path, ("--tries", "1"), hosts=_impatient(tmp_path))
    began = time.monotonic()
    assert night.finish() == 5, night.said()
    state = night.state()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "Doubted")
    assert "the lab is suspected" in state.paused.text
    (doubted,) = state.doubted
    assert doubted.boots == tuple(range(sound + 1, state.boots + 1))
    assert len(doubted.boots) <= 8
    truly = {commit for commits in demo.truth["untestable"].values() for commit in commits}
    assert {commit for commit, word in state.judged() if word.verdict is Verdict.SKIP} <= truly
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  the lab is doubted, for boots {doubted.boots}\n")
    (broken / "mended").touch()
    assert night.finish() == 0, night.said()
    night.check()
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  the culprit\n")
