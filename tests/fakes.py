"""Stand-ins for builders and machines that know what each commit does, record what is asked, and refuse the rest."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bisectbot.crew import BootAsk, Work
from bisectbot.errors import InfraError
from bisectbot.facts import Fact, Row, State
from bisectbot.model import (
    Arch,
    BrokenBy,
    BuildBroken,
    BuildRecipe,
    Ending,
    Kernel,
    ProbeRecipe,
    QemuHost,
    Range,
    Trial,
)
from bisectbot.plan import Plan, SearchRecipe
from bisectbot.search.wanted import Wanted


@dataclass
class FakeClock:
    """A clock that moves only when somebody sleeps or a test moves it."""

    time: float = 1000.0

    def now(self) -> float:
        """Return its seconds."""
        return self.time

    def wall(self) -> float:
        """Return its seconds as a time of day."""
        return 1_700_000_000.0 + self.time

    def asleep(self) -> float:
        """Never."""
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.time += seconds


@dataclass(frozen=True)
class World:
    """What is true: which commits have the bug, and what stands in the way of seeing it.

    `endings` gives the ending of each boot of a commit in turn, the last one for ever. `chance`: of a run on a commit
    with the bug to fire. `reverts`: the commit that takes another one back, None where that can't be done.
    """

    bad: AbstractSet[str]
    broken: AbstractSet[str] = frozenset()
    endings: Mapping[str, tuple[Ending, ...]] = field(default_factory=dict)
    build_faults: Mapping[str, tuple[InfraError, ...]] = field(default_factory=dict)
    chance: float = 1.0
    reverts: Mapping[str, str | None] = field(default_factory=dict)
    seed: int = 0


class FakeStages:
    """Builds and boots by a World; fits loop.Stages. Each run is one second of exposure."""

    leavable = False  # a boot is over before it could be left

    def __init__(self, world: World) -> None:
        self.world = world
        self.runs = 0
        self._dice = random.Random(world.seed)  # noqa: S311  a world, not a secret
        self.built: list[str] = []
        self.booted: list[str] = []
        self.stopped = False
        self.lost: set[str] = set()  # kernels that have left the store
        self._faults = {commit: list(faults) for commit, faults in world.build_faults.items()}

    def build(self, commit: str, on_fault: Callable[[InfraError], None]) -> Kernel | BuildBroken:
        """Return the kernel of a commit, or that it is broken."""
        faults = self._faults.get(commit, [])
        while faults:
            fault = faults.pop(0)
            if fault.lasting or not faults:
                raise fault
            on_fault(fault)
        self.built.append(commit)
        self.lost.discard(commit)
        if commit in self.world.broken:
            return BuildBroken(commit, BrokenBy.COMPILE, "error: expected ';'", "kernel/x.c")
        return a_kernel(commit)

    def boot(self, ask: BootAsk, tell: Callable[[Trial], None], on_fault: Callable[[InfraError], None]) -> None:
        """Tell what the world says of this boot."""
        del on_fault
        commit = ask.kernel.commit
        self.booted.append(commit)
        row = self.world.endings.get(commit)
        for _ in range(ask.runs):
            ending = row[min(self.booted.count(commit), len(row)) - 1] if row else self._rolled(commit)
            self.runs += 1
            tell(a_trial(commit, ask.boot, ending))
            if ending is not Ending.CLEAN:
                break

    def _rolled(self, commit: str) -> Ending:
        fires = commit in self.world.bad and self._dice.random() < self.world.chance
        return Ending.FIRED if fires else Ending.CLEAN

    def leave(self, boot: int) -> None:
        """Do nothing: no boot is on when somebody can ask."""

    def revert(self, bad: str, culprit: str) -> str | None:
        """Return what the world says."""
        del bad
        return self.world.reverts.get(culprit)

    def silence(self, stage: str) -> float:
        """Return a time in which no test ends."""
        del stage
        return 3600.0

    def ready(self, built: Kernel | BuildBroken) -> bool:
        """Whether it is still there."""
        return built.commit not in self.lost

    def stop(self) -> None:
        """Take note."""
        self.stopped = True


class Inline(Executor):
    """Runs what it is given at once, so that a whole bisection is one deterministic call."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401  as Executor
        """Return a finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  an executor hands over whatever was raised
            future.set_exception(error)
        return future


class Late(Executor):
    """Keeps the jobs that it is given until somebody lets them run; `noise` is made when one comes."""

    def __init__(self) -> None:
        self._kept: list[tuple[Future[None], Callable[[], None]]] = []
        self.noise: Callable[[], None] = lambda: None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401  as Executor
        """Keep it."""
        del args, kwargs
        future: Future[None] = Future()
        self._kept.append((future, fn))
        self.noise()
        return future

    def let_run(self) -> None:
        """Do what was kept."""
        for future, job in self._kept:
            job()
            future.set_result(None)
        self._kept.clear()


class Quiet:
    """Follows along and keeps what it was shown; fits loop.Show."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.facts: list[Fact] = []
        self.wanted: list[Wanted] = []

    def began(self, work: Work) -> None:
        """Keep it."""
        self.works.append(work)

    def happened(self, state: State, row: Row) -> None:
        """Keep it."""
        del state
        self.facts.append(row.fact)

    def expects(self, state: State, wanted: Wanted) -> None:
        """Keep it."""
        del state
        self.wanted.append(wanted)


class Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


class MortalJournal:
    """Rows in memory; the process is killed right after row number `dies_after`."""

    def __init__(self, rows: list[Row], dies_after: int | None = None) -> None:
        self.written = rows
        self._dies_after = dies_after

    def append(self, at: float, fact: Fact, tick: float | None = None) -> Row:
        """Keep a row, and perhaps die."""
        row = Row(at, fact, len(self.written) + 1, tick)
        self.written.append(row)
        if len(self.written) == self._dies_after:
            raise Killed
        return row


def a_kernel(commit: str) -> Kernel:
    """Return a kernel as the builder would."""
    return Kernel(commit, f"key-{commit[:8]}", f"6.1.0-bb-{commit[:12]}", Path("/k/bzImage"), Path("/k/config"))


def a_trial(commit: str, boot: int, ending: Ending) -> Trial:
    """Return a trial as the probe would."""
    exposure = 1.0 if ending in (Ending.FIRED, Ending.CLEAN) else 0.0
    counts: dict[str, object] = {"mismatches": int(ending is Ending.FIRED)}
    return Trial(commit, boot, ending, f"it {ending}", counts, probe_seconds=1.0, exposure=exposure)


def a_host() -> QemuHost:
    """Return a host that is never started."""
    return QemuHost(name="qemu-x86_64", arch=Arch.X86_64)


def a_plan(tree: Path, range_: Range, *, runs: int = 2, tries: int = 2, search: SearchRecipe | None = None) -> Plan:
    """Return a plan over a range: a plain bisection, or what `search` asks for."""
    probe = ProbeRecipe(Path("/bin/true"), runs=runs, tries=tries)
    return Plan(tree, range_, BuildRecipe(Arch.X86_64), probe, a_host(), search=search)
