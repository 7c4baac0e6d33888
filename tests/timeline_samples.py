"""Journals of whole nights, made up: rows as the loop would have written them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from fakes import a_kernel, a_plan, a_trial

from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Doubted,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Row,
    Tried,
)
from bisectbot.lab import Homed, Host
from bisectbot.model import BrokenBy, BuildBroken, Culprit, Ending, Range
from bisectbot.plan import SearchRecipe

EVENING = 1_795_370_400.0  # a round hour, in seconds since the epoch


def commit(name: object) -> str:
    """Return a full hash, the same one for the same name."""
    return hashlib.sha1(str(name).encode(), usedforsecurity=False).hexdigest()


BAD, GOOD = commit("bad"), commit("good")


@dataclass
class Diary:
    """Rows that are written one after the other, by a clock that a test moves; `tick` is the process's own."""

    at: float = EVENING
    tick: float = 5000.0
    rows: list[Row] = field(default_factory=list)

    def write(self, fact: Fact, after: float = 0.0) -> None:
        """Write a fact, some seconds after the one before."""
        self.pass_(after)
        self.rows.append(Row(self.at, fact, len(self.rows) + 1, self.tick))

    def pass_(self, seconds: float) -> None:
        """Let time pass."""
        self.at, self.tick = self.at + seconds, self.tick + seconds

    def build(self, name: object, seconds: float, *, stored: bool = False) -> None:
        """Build a commit."""
        kernel = replace(a_kernel(commit(name)), seconds=seconds, from_store=stored)
        self.write(Built(kernel), 0.05 if stored else seconds)

    def boot(
        self, name: object, number: int, runs: int = 1, *, ending: Ending = Ending.CLEAN, run: float = 4.0
    ) -> None:
        """Boot a commit for 20 seconds and probe it; all runs but the last are clean."""
        self.write(BootBegan(commit(name), number))
        self.pass_(20.0)
        for turn in range(runs):
            last = turn == runs - 1
            trial = a_trial(commit(name), number, ending if last else Ending.CLEAN)
            self.write(Tried(replace(trial, boot_seconds=20.0, probe_seconds=run, exposure=run)), run)


def opened(host: Host | None = None) -> Diary:
    """Return a diary with its first row."""
    diary = Diary()
    plan = a_plan(Path("/t"), Range(BAD, (GOOD,)), search=SearchRecipe())
    diary.write(Opened(plan if host is None else replace(plan, host=host), {}))
    return diary


def night() -> list[Row]:
    """Return a night with all that can happen: builds, boots, faults, a kill, a stop, a clock that was set, notices."""
    diary = opened()
    diary.build("bad", 540)
    diary.write(Notified(1, "start", "mail"), 2)
    diary.boot("bad", 1, 3, ending=Ending.FIRED, run=40)
    diary.boot("bad", 2, 5, ending=Ending.FIRED, run=40)
    for turn in range(14):
        diary.build(turn, 300 + 20 * turn)
        diary.boot(turn, 2 * turn + 3, 40, ending=Ending.FIRED if turn % 3 == 0 else Ending.CLEAN, run=20)
        diary.boot(turn, 2 * turn + 4, 1, ending=Ending.FIRED if turn % 3 == 0 else Ending.BOOT_CRASHED, run=0)
        _trouble(diary, turn)
    diary.write(Found(Culprit(commit(3))), 1)
    for turn in range(40):
        diary.boot(3 if turn % 2 else 4, 40 + turn, 6, ending=Ending.FIRED if turn % 2 else Ending.CLEAN, run=10)
    diary.write(Answered(Culprit(commit(3), 0.9999), "# log"), 1)
    diary.write(Notified(len(diary.rows), "found", "mail"), 3)
    return diary.rows


def _trouble(diary: Diary, turn: int) -> None:
    match turn:
        case 2:
            diary.write(Built(BuildBroken(commit("x"), BrokenBy.COMPILE, "error: no", seconds=80)), 80)
        case 4:
            diary.write(Faulted(commit(4), "boot", "no route to host", "Unreachable"), 90)
            diary.write(Noted("disk", "the store was cleaned: 3 GiB"), 600)
        case 6:  # killed an hour ago
            diary.pass_(3600)
            diary.tick = 40.0
            diary.write(Resumed())
        case 8:
            diary.write(Paused("fault", "build of 0123: no space left", "DiskFull"), 300)
            diary.pass_(1800)
            diary.write(Resumed())
        case 9:
            diary.write(CameHome(commit(9), 22, Homed("qemu-x86_64", "by a power cycle", 200.0)), 210)
        case 10:
            diary.at += 7200  # the machine slept
            diary.write(Noted("clock", "this machine slept for 2 h 00 min"), 1)
        case 11:
            diary.write(Doubted((25,), "3 commits in a row failed the same way"), 5)


def rare(boots: int = 12, runs: int = 1000) -> list[Row]:
    """Return a session of very many silent runs."""
    diary = opened()
    diary.build("bad", 60)
    for number in range(1, boots + 1):
        diary.boot(number % 7, number, runs, run=0.5)
    return diary.rows


def endless(boots: int = 4000) -> list[Row]:
    """Return three days of very short boots."""
    diary = opened()
    for number in range(1, boots + 1):
        diary.boot(number % 7, number, 1, run=15.0)
        diary.pass_(20)
    return diary.rows
