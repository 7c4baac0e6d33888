"""What takes room: the kernels of the store, worktrees that nobody uses, the compiler's cache, old sessions' logs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bisectbot import journal
from bisectbot.build.store import Store
from bisectbot.disk.decide import Kind, Thing, evidence
from bisectbot.errors import BisectbotError
from bisectbot.facts import State, replay
from bisectbot.session import Folder, all_folders


@dataclass(frozen=True)
class Places:
    """Where to look. `held`: whether somebody holds a lock."""

    store: Store
    trees: Path
    ccache: Path
    logs: tuple[Path, ...]
    held: Callable[[Path], bool]


def survey(places: Places) -> tuple[Thing, ...]:
    """Return all that could go or be packed, and what has to stay, with the reason."""
    sessions = [(folder, _state(folder)) for logs in places.logs for folder in all_folders(logs)]
    found = [*_kernels(places.store, _needed(sessions)), *_trees(places), *_ccache(places.ccache)]
    return (*found, *(thing for folder, state in sessions for thing in _logs(folder, state, places.held)))


def needed(logs: Path) -> frozenset[str]:
    """Return the keys of the kernels that a session of a folder needs."""
    return frozenset(_needed((folder, _state(folder)) for folder in all_folders(logs)))


def _state(folder: Folder) -> State | None:
    try:
        return replay(journal.read(folder.journal))
    except BisectbotError:
        return None


def _needed(sessions: Iterable[tuple[Folder, State | None]]) -> dict[str, str]:
    """Return the sessions that need kernels, by the kernels' keys."""
    return {key: folder.name for folder, state in sessions if state for key in evidence(state)}


def _kernels(store: Store, needed: dict[str, str]) -> Iterator[Thing]:
    for path, used, size in store.entries():
        kept = f"session {needed[path.name]} rests on it" if path.name in needed else ""
        yield Thing(Kind.KERNEL, path, size, used, _device(path), kept)


def _trees(places: Places) -> Iterator[Thing]:
    """Yield the worktrees; each one's lock file is as old as its last use."""
    for lock in places.trees.glob("*/*/lock"):
        with suppress(OSError):
            path = lock.parent / "src"
            kept = "in use" if places.held(lock) else ""
            yield Thing(Kind.TREE, path, size_of(path), lock.stat().st_mtime, _device(lock.parent), kept)


def _ccache(folder: Path) -> Iterator[Thing]:
    if folder.is_dir():
        yield Thing(Kind.CCACHE, folder, size_of(folder), 0.0, _device(folder))


def _logs(folder: Folder, state: State | None, held: Callable[[Path], bool]) -> Iterator[Thing]:
    kept = _why_kept(folder, state, held)
    for path in sorted(found for part in ("consoles", "builds") for found in (folder.path / part).glob("*.log")):
        with suppress(OSError):
            told = path.lstat()
            if not stat.S_ISREG(told.st_mode):  # no log of ours, and a pipe would be waited for
                continue
            yield Thing(Kind.LOG, path, told.st_size, told.st_mtime, told.st_dev, kept)


def _why_kept(folder: Folder, state: State | None, held: Callable[[Path], bool]) -> str:
    if state is None:
        return "its journal can't be read"
    return "in use" if held(folder.lock) else "" if state.answered else "its session has no answer yet"


def size_of(folder: Path) -> int:
    """Return the bytes that a folder's files take on the disk; what goes away meanwhile doesn't count."""
    return sum(_blocks(Path(at, name)) for at, _, names in os.walk(folder) for name in names)


def _blocks(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_blocks * 512
    return 0


def _device(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_dev
    return 0
