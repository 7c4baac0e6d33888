"""Real bisections whose processes are killed: the bot itself, make, the compiler and QEMU, again and again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from night import Night, named, shoot
from real_demo import Demo

from bisectbot import places
from bisectbot.facts import BootBegan, Built, Faulted
from bisectbot.model import BuildBroken, Ending

pytestmark = pytest.mark.real

# Fires in two runs of five on a fresh boot: many short boots, so that there are many moments to be killed in.
_RARE = ("--", "--migrations", "1")
_SAMPLE, _ALL = 8, 50  # kills


@pytest.fixture
def night(demo: Demo, tmp_path: Path) -> Callable[..., Night]:
    """Return a maker of nights, each in a folder of its own."""
    count = iter(range(1000))

    def make(*words: str, **more: object) -> Night:
        logs = tmp_path / f"logs{next(count)}"
        logs.mkdir()
        return Night(demo, logs, words, **more)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("kills", [_SAMPLE, pytest.param(_ALL, marks=pytest.mark.soak)])
def test_killed_at_random_moments(night: Callable[..., Night], kills: int) -> None:
    """Killed with -9 at any moment, from its first on, it names the same culprit and loses nothing."""
    dice = random.Random(5)  # noqa: S311  the moments, not a secret
    done = 0
    while done < kills:
        here = night(*_RARE)
        while done < kills:
            process = here.begin()
            here.wait(process, _over(dice.uniform(0.2, 6.0)))
            if process.poll() is not None:
                break
            here.kill(process)
            done += 1
        assert here.finish() == 0, here.said()
        here.check()


def _over(seconds: float) -> Callable[[], bool]:
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment


@pytest.mark.parametrize("times", [2, pytest.param(6, marks=pytest.mark.soak)])
def test_qemu_is_killed(night: Callable[..., Night], times: int) -> None:
    """A QEMU that somebody kills is a fault of ours: tried again, told, and never a verdict."""
    here = night(*_RARE)
    process = here.begin()
    for number in range(1, times + 1):
        here.wait(process, partial(_boot_is_on, here, process.pid, number))
        shoot(named(process.pid, "qemu-system"))
    assert here.finish(process) == 0, here.said()
    here.check(repeats=times)
    faults = [row.fact for row in here.rows() if isinstance(row.fact, Faulted)]
    assert faults
    assert all(fault.stage == "boot" and "SIGKILL" in fault.text for fault in faults)
    lost = [trial for known in here.state().trials.values() for trial in known if trial.ending is Ending.LOST]
    assert lost == []


def _boot_is_on(here: Night, pid: int, number: int) -> bool:
    return _count(here, BootBegan) > number and bool(named(pid, "qemu-system"))


def _count(here: Night, kind: type) -> int:
    return sum(isinstance(row.fact, kind) for row in here.rows())


@pytest.mark.parametrize("victim", ["make", pytest.param("cc1", marks=pytest.mark.soak)])
def test_a_build_is_killed(night: Callable[..., Night], demo: Demo, tmp_path: Path, victim: str) -> None:
    """A make or a compiler that is killed is a fault of ours: the commit is built again, and isn't called broken."""
    cache = _emptied_cache(tmp_path)
    # few commits: each kernel is built anew
    here = night(env={"BISECTBOT_CACHE": str(cache)}, ends=(f"{demo.truth['culprit']}~2", f"{demo.truth['culprit']}"))
    process = here.begin()
    for number in range(2):
        here.wait(process, partial(_build_is_on, here, process.pid, number, victim))
        time.sleep(1.0)  # deep in it
        shoot(named(process.pid, victim))
    assert here.finish(process) == 0, here.said()
    here.check()
    faults = [row.fact for row in here.rows() if isinstance(row.fact, Faulted)]
    assert {fault.stage for fault in faults} == {"build"}
    truly = {commit for commits in demo.truth["untestable"].values() for commit in commits}
    assert {commit for commit, built in here.state().builds.items() if isinstance(built, BuildBroken)} <= truly


def _build_is_on(here: Night, pid: int, number: int, victim: str) -> bool:
    return _count(here, Built) >= number and bool(named(pid, victim))


def _emptied_cache(tmp_path: Path) -> Path:
    """Return a cache without kernels; what has nothing to do with them is shared, so that builds don't take minutes."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("ccache", "programs", "accel.json", "configs"):
        if (places.cache() / name).exists():
            (cache / name).symlink_to(places.cache() / name)
    return cache


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("stage", ["boot", "start"])
def test_asked_to_stop_it_does_so_in_good_order(
    night: Callable[..., Night], number: signal.Signals, stage: str
) -> None:
    """One signal ends it within ten seconds, with its own exit code; nothing is left behind, and it can go on."""
    here = night(*_RARE)
    process = here.begin()
    here.wait(process, partial(_boot_is_on, here, process.pid, 0) if stage == "boot" else here.rows)
    began = time.monotonic()
    process.send_signal(number)
    assert here.finish(process) == 130, here.said()
    assert time.monotonic() - began < 10
    paused = here.state().paused
    if stage == "boot":
        assert paused is not None
        assert (paused.why, paused.text) == ("interrupted", number.name)
    if number == signal.SIGTERM:
        assert here.finish() == 0, here.said()
        here.check(repeats=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_stops_at_once(night: Callable[..., Night], number: signal.Signals) -> None:
    """A second signal doesn't wait for good order; nothing is left behind, and the journal is whole."""
    here = night(*_RARE)
    process = here.begin()
    here.wait(process, partial(_boot_is_on, here, process.pid, 0))
    began = time.monotonic()
    process.send_signal(number)
    process.send_signal(number)
    assert here.finish(process) == 130, here.said()
    assert time.monotonic() - began < 10
    assert here.state().answered is None
