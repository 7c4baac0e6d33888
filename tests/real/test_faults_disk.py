"""Real bisections whose disks fill up in the middle of a build and of a boot, each on a small disk of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from night import Night, named
from real_demo import Demo
from smalldisk import fill, small_disk, with_own_mounts

from bisectbot import places
from bisectbot.facts import BootBegan, Built, Tried

pytestmark = [pytest.mark.real, pytest.mark.soak]

_SHARED = ("ccache", "programs", "accel.json", "configs")  # has nothing to do with which kernels there are


def _sparing(folder: Path) -> Path:
    """Return a hosts.toml that is content with a small disk."""
    shipped = places.data("hosts.toml").read_text()
    file = folder / "hosts.toml"
    file.write_text(shipped.replace("\nmin_free_gib = 2 ", "\nmin_free_gib = 0.05 "))
    assert file.read_text() != shipped
    return file


def _paused_and_resumed(night: Night, disk: Path, when: Callable[[subprocess.Popen[bytes]], object]) -> None:
    """Fill the disk at a moment, see the pause, make room, and see the culprit."""
    began = time.monotonic()
    process = night.begin()
    night.wait(process, lambda: when(process))
    fill(disk)
    assert night.finish(process) == 5, night.said()
    state = night.state()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "DiskFull"), state.paused
    assert state.answered is None
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  paused: {state.paused.text.splitlines()[0]}\n")
    known = [row.fact for row in night.rows() if isinstance(row.fact, Built | Tried)]
    (disk / "filler").unlink()
    assert night.finish() == 0, night.said()
    night.check(repeats=1)
    again = [row.fact for row in night.rows() if isinstance(row.fact, Built | Tried)]
    assert again[: len(known)] == known
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  the culprit\n")


def _count(night: Night, kind: type) -> int:
    return sum(isinstance(row.fact, kind) for row in night.rows())


@with_own_mounts
def test_the_disk_of_the_builds_fills_up(demo: Demo, tmp_path: Path) -> None:
    """In the middle of a compile, without one kernel in the store: paused, no commit is called broken, and goes on."""
    culprit = demo.truth["culprit"]
    with small_disk(tmp_path / "disk", "size=5g") as disk:  # a first build asks for 3 GiB beside its tree
        for name in _SHARED:
            if (places.cache() / name).exists():
                (disk / name).symlink_to(places.cache() / name)
        logs = tmp_path / "logs"
        logs.mkdir()
        night = Night(
            demo, logs, (), {"BISECTBOT_CACHE": str(disk)}, (f"{culprit}~2", culprit), hosts=_sparing(tmp_path)
        )
        _paused_and_resumed(night, disk, lambda process: _count(night, Built) >= 1 and named(process.pid, "make"))


@with_own_mounts
def test_the_disk_of_the_logs_fills_up(demo: Demo, tmp_path: Path) -> None:
    """In the middle of a boot: what had ended is in the journal, at most one boot is repeated, and it goes on."""
    with small_disk(tmp_path / "disk", "size=150m") as disk:
        night = Night(demo, disk, ("--", "--migrations", "1"), hosts=_sparing(tmp_path))
        _paused_and_resumed(
            night, disk, lambda process: _count(night, BootBegan) > 3 and named(process.pid, "qemu-system")
        )
