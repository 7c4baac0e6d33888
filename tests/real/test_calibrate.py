"""The calibration on real kernels of both architectures: the whole command, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from real_demo import Demo

from bisectbot import places
from bisectbot.calibrate.kept import settings_from
from bisectbot.model import Arch

pytestmark = pytest.mark.real

PATIENCE = 1800.0  # seconds: its kernels may have to be built


def command(demo: Demo, logs: Path, *words: str) -> list[str]:
    """Return the command line, with two delays: none at all, and the default one."""
    ends = ("--tree", str(demo.path), "--good", "demo-good", "--bad", "demo-bad")
    where = ("--hosts", str(places.data("hosts.toml")), "--logs", str(logs), "--session", "it")
    what = ("--delays", "none,usleep:500", "--seconds", "1", "--json")
    return [sys.executable, "-m", "bisectbot", "calibrate", *ends, *where, *what, *words]


def told(logs: Path) -> dict[str, Any]:
    """Return what calibration.json says."""
    found: dict[str, Any] = json.loads((logs / "it/calibration.json").read_text())
    return found


def test_both_architectures_are_calibrated(demo: Demo, tmp_path: Path) -> None:
    """No delay sees next to nothing and is never chosen; the good kernel never fires; `run` gets what fires soonest."""
    argv = command(demo, tmp_path, "--runs", "2")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
    # 11: on a busy machine a run may be too short of moves to tell anything, and then nothing is chosen
    assert done.returncode in (0, 11), done.stderr
    kept = told(tmp_path)
    assert kept["ending"] == json.loads(done.stdout)["ending"] == "complete"
    assert {one["arch"] for one in kept["hosts"]} == {*Arch}
    for host in kept["hosts"]:
        none, usleep = host["settings"]
        assert host["good_fired"] == []
        assert none["unfit"]
        assert usleep["bad"]["fires"] == usleep["bad"]["runs"] == 2
        assert usleep["bad"]["mean_seconds"] < 1
        assert usleep["bad_counted"]["mismatches"] > 1
        # per migration: hardly any read gets through without a delay
        share = [one["good_median"]["reads"] / one["good_median"]["migrations"] for one in (none, usleep)]
        assert share[0] < share[1]
    for arch in kept["chosen"]:
        file = tmp_path / "it/calibration.json"
        assert settings_from(file, Arch(arch)) == ("--delay", "usleep", "--delay-length", "500")
    assert "<svg" in (tmp_path / "it/calibration.html").read_text()


def test_an_interrupt_leaves_what_was_measured(demo: Demo, tmp_path: Path) -> None:
    """SIGINT in the middle of a boot: exit code 130, a report of the runs before it, and no QEMU left behind."""
    argv = command(demo, tmp_path, "--host", "qemu-x86_64", "--runs", "100")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        until = time.monotonic() + PATIENCE
        while not (tmp_path / "it/calibration.json").exists():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < until
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    kept = told(tmp_path)
    assert kept["ending"] == json.loads(out)["ending"] == "interrupted"
    assert len(kept["trials"]) >= 1
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert not [line for line in running.splitlines() if "qemu-system" in line and str(tmp_path) in line]
