"""The guard over the disks and the broom, put together from the real effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bisectbot import places
from bisectbot.build.kbuild import Ccache
from bisectbot.build.store import Store
from bisectbot.config.hosts import StoreLimits
from bisectbot.disk.decide import Rules, due
from bisectbot.disk.guard import Guard, Need
from bisectbot.disk.survey import Places, survey
from bisectbot.disk.tidy import Broom
from bisectbot.effects.lock import Lock, is_held
from bisectbot.ports import Clock, Deadline, Proc
from bisectbot.session import Folder

_GIB = 1 << 30
_LOGS_SIZE = 64 << 20  # bytes: a few consoles at their longest
_SHRINK_SECONDS = 600.0


@dataclass(frozen=True)
class Premises:
    """The limits, and who works."""

    limits: StoreLimits
    proc: Proc
    clock: Clock

    @property
    def rules(self) -> Rules:
        """What hosts.toml says about age and size."""
        limits = self.limits
        return Rules.of_days(limits.max_age_days, round(limits.max_gib * _GIB), limits.compress_after_days)

    def broom(self, store: Store, *, hard: bool) -> Broom:
        """Return what tidies; `hard`: for want of room."""
        return Broom(store, Lock, self._shrink, hard=hard)

    def _shrink(self, folder: Path, size: int | None) -> None:
        """Let ccache bring its folder down to `size` bytes, or to its own limit."""
        ccache = Ccache(folder) if size is None else Ccache(folder, f"{size >> 20}M")
        if size == 0 or self.proc.which("ccache") is None:
            return
        deadline = Deadline.after(self.clock, _SHRINK_SECONDS)
        self.proc.output(["ccache", "--cleanup"], deadline=deadline, env=ccache.environment())


def places_of(store: Store, logs: Sequence[Path]) -> Places:
    """Return where there may be something to tidy."""
    cache = places.cache()
    return Places(store, cache / "trees", cache / "ccache", tuple(logs), is_held)


def guard(premises: Premises, folder: Folder, store: Store) -> Guard:
    """Return the guard of a session: over the disks of the cache and of its own folder."""
    needed = round(premises.limits.min_free_gib * _GIB)
    return Guard(
        needs=(Need(places.cache(), needed), Need(folder.path, min(needed, _LOGS_SIZE), inodes=min(needed, 100))),
        survey=partial(survey, places_of(store, [folder.path.parent])),
        due=lambda things: due(things, premises.rules, premises.clock.wall()),
        broom=premises.broom(store, hard=True),
    )
