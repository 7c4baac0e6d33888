"""Two bisections on different hosts under one keeper: at the same time, and both right."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from night import Night, named
from real_demo import Demo

from bisectbot.effects.lock import holder

pytestmark = pytest.mark.real

_LONG = 1800.0  # seconds
_HOSTS = {"x86": "qemu-x86_64", "arm": "qemu-aarch64"}


@pytest.mark.parametrize("ends", ["culprit and parent", pytest.param("the whole range", marks=pytest.mark.soak)])
def test_two_sessions_on_different_hosts_run_side_by_side(demo: Demo, tmp_path: Path, ends: str) -> None:
    """One host for each architecture: guests of both are up at one moment, and each session names the culprit."""
    culprit, logs = demo.truth["culprit"], tmp_path / "logs"
    logs.mkdir()
    range_ = (f"{culprit}~1", culprit) if ends == "culprit and parent" else ("demo-good", "demo-bad")
    first = Night(demo, logs, ends=range_)
    nights = [replace(first, name=name, words=("--host", host)) for name, host in _HOSTS.items()]
    for night in nights:
        night.queue()
    began = time.monotonic()
    keeper = first.keeper("--until-empty")
    try:
        first.wait(keeper, lambda: all(_has_a_guest(night) for night in nights), _LONG)
        assert keeper.poll() is None, "they were never up at one moment"
        sys.stderr.write(f"{time.monotonic() - began:6.0f} s  a guest of each is up\n")
        assert keeper.wait(timeout=_LONG) == 0, first.said()
    finally:
        keeper.terminate()
        keeper.wait(timeout=60)
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  both have ended\n")
    for night in nights:
        night.check()
        assert {trial.host for known in night.state().trials.values() for trial in known} == {_HOSTS[night.name]}


def _has_a_guest(night: Night) -> bool:
    pid = holder(night.logs / night.name / "lock")
    return pid is not None and bool(named(pid, "qemu-system"))
