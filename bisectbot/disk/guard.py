"""Looks whether there is room before it is needed, and makes some; DiskFull where that isn't enough."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bisectbot.disk.decide import Thing, spare
from bisectbot.disk.tidy import Broom, Freed
from bisectbot.errors import DiskFull, os_fault
from bisectbot.facts import Noted

_INODES = 2000  # a build makes about as many files
_MORE = 2  # times what must be free, once that was too little
_HINT = "free some, or move the cache (BISECTBOT_CACHE) or the logs (--logs), then: bisectbot resume"


@dataclass(frozen=True)
class Need:
    """What must be free on the file system of a folder: bytes, and inodes where it counts them."""

    folder: Path
    size: int
    inodes: int = _INODES

    def lack(self) -> Lack | None:
        """Return what is missing; InfraError if the folder can't be looked at."""
        folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        try:
            told, device = os.statvfs(folder), folder.stat().st_dev
        except OSError as error:
            raise os_fault(error) from error
        free = told.f_bavail * told.f_frsize
        if free < self.size:
            return Lack(device, f"{self.folder}: {free >> 20} MiB are free, {self.size >> 20} MiB are needed")
        if told.f_files and told.f_favail < self.inodes:
            return Lack(device, f"{self.folder}: {told.f_favail} inodes are free, {self.inodes} are needed")
        return None


@dataclass(frozen=True)
class Lack:
    """A file system without room: its device number, and the figures in words."""

    device: int
    text: str


@dataclass(frozen=True)
class Guard:
    """Fits stages.Room. `survey` looks for what could go, `broom` lets it go, `due` is what goes anyway."""

    needs: Sequence[Need]
    survey: Callable[[], Sequence[Thing]]
    due: Callable[[Sequence[Thing]], Sequence[Thing]]
    broom: Broom

    def make(self, note: Callable[[Noted], None]) -> None:
        """Return if there is room, tidying first if there isn't; DiskFull with the figures if that didn't help."""
        if not (lacks := self._lacks()):
            return
        freed = self._tidy({one.device for one in lacks})
        _tell(note, lacks[0].text, freed)
        if left := self._lacks():
            told = "; ".join(one.text for one in left)
            raise DiskFull(f"{told}; tidied away: {freed}", hint=_HINT)

    def after(self, fault: DiskFull, note: Callable[[Noted], None]) -> bool:
        """Tidy after something ran out of room all the same; whether that freed anything."""
        more = replace(self, needs=[replace(need, size=need.size * _MORE, inodes=0) for need in self.needs])
        freed = more._tidy({one.device for one in more._lacks()})  # noqa: SLF001  one of our own
        if freed.things:
            _tell(note, fault.message, freed)
        return freed.things > 0

    def _lacks(self) -> list[Lack]:
        return [lack for need in self.needs if (lack := need.lack())]

    def _tidy(self, devices: set[int]) -> Freed:
        """Let go what is due, then what can be spared, until nothing is lacking."""
        things = self.survey()
        due = (thing for thing in self.due(things) if thing.device in devices)
        return self.broom.sweep(dict.fromkeys((*due, *spare(things, devices))), lambda: not self._lacks())


def _tell(note: Callable[[Noted], None], why: str, freed: Freed) -> None:
    note(Noted("disk", f"{why}; tidied away: {freed}"))
