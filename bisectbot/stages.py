"""The work of the loop's slots, done on this machine: build a commit, boot a kernel and probe it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import contains
from pathlib import Path
from typing import Protocol, TypeVar

from bisectbot.build.builder import Builder
from bisectbot.crew import BootAsk
from bisectbot.errors import DiskFull, InfraError, os_fault
from bisectbot.facts import Noted
from bisectbot.lab import Homed, LabHost, Patiences
from bisectbot.model import BuildBroken, Kernel, Trial
from bisectbot.plan import Plan
from bisectbot.ports import Clock, Deadline, Machine
from bisectbot.probe.trials import trials
from bisectbot.probe.watcher import Asked
from bisectbot.session import Folder

_SLACK = 300.0  # seconds on top of all deadlines before a stage counts as stuck
_RUNGS = 6  # of the ladder that brings a machine home, see boot/home.py; one more for good measure
_Result = TypeVar("_Result")
OnFault = Callable[[InfraError], None]
Tell = Callable[[Trial | Homed], None]


class Patience(Protocol):
    """When a piece of work is tried again."""

    def call(self, work: Callable[[], _Result], on_fault: OnFault) -> _Result:
        """Return what `work` returns; passing faults are told and survived, the last one is raised."""
        ...

    def stop(self) -> None:
        """Let nothing be tried again."""
        ...


class Children(Protocol):
    """The child processes of all stages."""

    def stop_all(self) -> None:
        """End them and start no more."""
        ...


class Room(Protocol):
    """The disks that are worked on."""

    def make(self, note: Callable[[Noted], None]) -> None:
        """Return if there is room to go on, tidying if need be; DiskFull if there is none."""
        ...

    def after(self, fault: DiskFull, note: Callable[[Noted], None]) -> bool:
        """Tidy after something ran out of room; whether that freed anything."""
        ...


class Unwatched:
    """Disks that nobody looks at; fits Room."""

    def make(self, note: Callable[[Noted], None]) -> None:
        """Do nothing."""

    def after(self, fault: DiskFull, note: Callable[[Noted], None]) -> bool:
        """Do nothing."""
        del fault, note
        return False


@dataclass
class LocalStages:
    """Fits loop.Stages."""

    plan: Plan
    folder: Folder
    builder: Builder
    machine: Machine
    initramfs: Path
    clock: Clock
    patience: Patience
    children: Children
    build_seconds: float  # deadline of one build
    reverter: Callable[[str, str], str | None]  # bad end, culprit -> the commit that takes it back
    reference: Path | None = None  # the configuration that drift is told against: the bad end's
    room: Room = field(default_factory=Unwatched)
    note: Callable[[Noted], None] = lambda _: None  # what is out of the ordinary, for the journal; from any thread
    _left: set[int] = field(default_factory=set, init=False, repr=False)  # numbers of boots; each comes only once

    def build(self, commit: str, on_fault: OnFault) -> Kernel | BuildBroken:
        """Build a commit, or take it from the store."""
        return self.patience.call(lambda: self._build(commit), on_fault)

    def _build(self, commit: str) -> Kernel | BuildBroken:
        """Build where there is room; a build that fills the disk all the same is tidied up for once."""
        self.room.make(self.note)
        try:
            return self._make(commit)
        except DiskFull as full:
            if not self.room.after(full, self.note):
                raise
        return self._make(commit)

    def _make(self, commit: str) -> Kernel | BuildBroken:
        deadline = Deadline.after(self.clock, self.build_seconds)
        built = self.builder.build(
            self.plan.build,
            commit,
            log=self.folder.build_log(commit),
            deadline=deadline,
            required=commit in self.plan.range_.ends,
            reference=self.reference,
            sources=self.plan.search is not None and commit in self.plan.range_.ends,
        )
        if commit == self.plan.range_.bad and isinstance(built, Kernel):
            self.reference = built.config
        return built

    def boot(self, ask: BootAsk, tell: Tell, on_fault: OnFault) -> None:
        """Boot a kernel and tell each trial as it ends, and how a real machine came home."""
        try:
            self.patience.call(lambda: self._guarded(ask, tell), on_fault)
        finally:
            self._left.discard(ask.boot)

    def _guarded(self, ask: BootAsk, tell: Tell) -> None:
        self.room.make(self.note)
        try:
            self._boot(ask, tell)
        except OSError as error:  # of a disk, wherever something is written
            raise os_fault(error) from error

    def _boot(self, ask: BootAsk, tell: Tell) -> None:
        host, probe = self.plan.host, self.plan.probe
        asked = Asked(secrets.token_hex(8), host.deadlines, ask.runs, probe.signature)
        log = self.folder.console_log(ask.boot, ask.kernel.commit)
        log.parent.mkdir(parents=True, exist_ok=True)
        left = partial(contains, self._left, ask.boot)
        try:
            for trial in trials(self.machine, ask.kernel, self.initramfs, asked, log, ask.boot, self.clock, left):
                tell(trial)
        finally:
            if homed := self.machine.homed():
                tell(homed)

    @property
    def leavable(self) -> bool:
        """Whether leave() does anything: whether a boot on this machine can be ended early for little."""
        return self.machine.leavable

    def leave(self, boot: int) -> None:
        """Let the boot with this number end soon, without a fault; from any thread, also before it began.

        What had ended by then is told, a run that was on isn't. Nothing happens to a boot that is over, to any other
        boot, or on a machine that isn't leavable.
        """
        if self.leavable:
            self._left.add(boot)

    def revert(self, bad: str, culprit: str) -> str | None:
        """Return the commit that takes `culprit` back on top of `bad`; None if that doesn't go cleanly."""
        return self.reverter(bad, culprit)

    def ready(self, built: Kernel | BuildBroken) -> bool:
        """Whether the kernel of an earlier process is still in the store."""
        return isinstance(built, BuildBroken) or built.image.is_file()

    def silence(self, stage: str) -> float:
        """Return the seconds after which a stage that has told nothing is stuck."""
        host = self.plan.host
        if stage == "build":
            return self.build_seconds + _SLACK
        longest = host.deadlines.boot + host.deadlines.run + host.deadlines.heartbeat
        return longest + (_way_home(host.patiences) if isinstance(host, LabHost) else 0.0) + _SLACK

    def stop(self) -> None:
        """End every child; calls in other threads come back with an InfraError."""
        self.patience.stop()
        self.machine.stop()
        self.children.stop_all()


def _way_home(patiences: Patiences) -> float:
    """Return what a real machine's part of a boot may take: getting the kernel there, and every rung of the ladder."""
    there = patiences.ssh + patiences.upload + patiences.load
    return there + _RUNGS * (patiences.ssh + patiences.home + patiences.power) + patiences.rest
