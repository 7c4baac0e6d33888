"""Tidying: what was decided on is taken away or packed, unless somebody uses it by then."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import IO

from bisectbot.build.store import Store
from bisectbot.disk.decide import Kind, Thing
from bisectbot.disk.survey import size_of
from bisectbot.errors import BisectbotError, InfraError
from bisectbot.session import Folder

_REPORTS = ("*.md", "*.html", "*.txt", "*.json")
_PIECE = 1 << 20


@dataclass(frozen=True)
class Freed:
    """Bytes that are free again, by kind; and how many things went."""

    size: Mapping[Kind, int] = field(default_factory=dict)
    things: int = 0

    def __str__(self) -> str:
        told = ", ".join(f"{kind} {size / (1 << 20):.0f} MiB" for kind, size in self.size.items())
        return told or "nothing"

    def plus(self, kind: Kind, size: int) -> Freed:
        """Return the sum."""
        return Freed({**self.size, kind: self.size.get(kind, 0) + size}, self.things + 1)


@dataclass(frozen=True)
class Broom:
    """How each kind goes. `lock` raises Busy; `shrink` makes ccache keep to a number of bytes, None: to its limit."""

    store: Store
    lock: Callable[[Path, str], AbstractContextManager[object]]
    shrink: Callable[[Path, int | None], None]
    hard: bool = False  # for want of room, not for age

    def sweep(self, things: Iterable[Thing], enough: Callable[[], bool] = lambda: False) -> Freed:
        """Let things go, one by one, until there is enough; one that can't go is passed over."""
        freed = Freed()
        for thing in things:
            if enough():
                break
            with suppress(OSError, BisectbotError):
                if (size := self._take(thing)) is not None:
                    freed = freed.plus(thing.kind, size)
        return freed

    def _take(self, thing: Thing) -> int | None:
        """Return the bytes that are free now; None if somebody uses it, or there was nothing to do."""
        match thing.kind:
            case Kind.KERNEL:
                return thing.size if self.store.evict(thing.path.name) else None
            case Kind.TREE:
                return self._remove_tree(thing)
            case Kind.CCACHE:
                return self._shrink(thing)
            case Kind.LOG:
                return self._pack(thing)

    def _remove_tree(self, thing: Thing) -> int | None:
        with self.lock(thing.path.parent / "lock", "a worktree"):
            if not thing.path.exists():
                return None
            shutil.rmtree(thing.path)
            return thing.size

    def _shrink(self, thing: Thing) -> int | None:
        self.shrink(thing.path, thing.size // 2 if self.hard else None)
        return (thing.size - size_of(thing.path)) or None

    def _pack(self, thing: Thing) -> int | None:
        with self.lock(Folder(thing.path.parent.parent).lock, "a session"):
            packed = pack(thing.path)
            _relink(thing.path.parent.parent, thing.path)
            return thing.size - packed


def pack(log: Path) -> int:
    """Put `log`.gz in a log's place, in one step, its time kept; return the new one's bytes.

    The old one goes only once the new one was read back and is the same. OSError or InfraError, and all as it was,
    otherwise.
    """
    packed = log.with_name(f"{log.name}.gz")
    new = log.with_name(f".{log.name}.new")
    try:
        with log.open("rb") as plain, gzip.open(new, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out, _PIECE)
        _prove(log, new)
        known = log.stat()
        os.utime(new, (known.st_atime, known.st_mtime))
        new.replace(packed)
        log.unlink()
    finally:
        new.unlink(missing_ok=True)
    return packed.stat().st_size


def _prove(log: Path, packed: Path) -> None:
    with packed.open("rb") as file:
        os.fsync(file.fileno())
    with log.open("rb") as one, gzip.open(packed, "rb") as other:
        if any(left != right for left, right in zip_longest(_pieces(one), _pieces(other))):
            raise InfraError(f"{packed}: isn't what was written", hint="check the disk")


def _pieces(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _relink(session: Path, log: Path) -> None:
    """Let the links of the reports lead to the packed log."""
    name = log.relative_to(session).as_posix()
    plain = re.compile(rf"{re.escape(name)}(?!\.gz|\.qemu|[\w-])")
    for report in (found for kind in _REPORTS for found in session.glob(kind)):
        text = report.read_text(errors="surrogateescape")
        if name in text:
            new = report.with_name(f".{report.name}.new")
            new.write_text(plain.sub(f"{name}.gz", text), errors="surrogateescape")
            new.replace(report)
