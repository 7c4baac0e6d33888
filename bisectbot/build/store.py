"""The kernel store: what was built, and what was found not to build, by key; nothing is built twice."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import InfraError, os_fault
from bisectbot.model import BrokenBy, BuildBroken, Kernel

DEFAULT_LIMIT = 20 << 30
_FORMAT = 1
_META, _IMAGE, _CONFIG, _LOG, _MODULES = "meta.json", "image", "config", "build.log", "modules.tar.gz"
# What a kernel consists of stands beside the meta data: entries that were made before it was kept are as good, and can
# be completed while somebody boots their image. Raise the format when an older list or digest mustn't be trusted.
_CONTENTS, _SOURCES, _CONTENTS_FORMAT = "contents.json", "sources", 1
_NEW = ".new-"
_ABANDONED = 24 * 3600  # seconds after which a half-made entry is nobody's


@dataclass(frozen=True)
class Built:
    """What a successful build leaves for the store."""

    commit: str
    release: str
    image: Path
    config: str
    log: Path
    modules: Path | None = None
    sources: tuple[str, ...] | None = None  # the files of the tree that went into it; None: can't be told
    digest: str = ""


class Store:
    """Entries below one folder, which several processes may share.

    Whatever get() or a put has returned is in use, and never evicted, until it is let go or this process ends.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        """`limit`: bytes that entries which nobody uses may take; they go in the order of their last use."""
        self._folder = folder
        self._limit = limit
        self._held: dict[str, int] = {}
        self.spared: Callable[[], Collection[str]] = tuple  # the keys of what has to stay though nobody uses it now

    def get(self, key: str, commit: str) -> Kernel | BuildBroken | None:
        """Return what is known of a key, as the build of `commit`; a damaged entry is dropped and counts as none."""
        meta = self._meta(key) if self._hold(key) else None
        if meta is None:
            self.let_go(key)
            self._remove(self._folder / key)
            return None
        os.utime(self._folder / key / _META)  # the time of its last use
        return self._product(key, commit, meta)

    def has(self, key: str) -> bool:
        """Whether a key's kernel can be booted, or its failure be told."""
        return (self._folder / key / _META).is_file()

    def knows_contents(self, key: str) -> bool:
        """Whether it was kept what a kernel consists of, be it that this can't be told."""
        return _contents(self._folder / key) is not None

    def log_of(self, key: str) -> Path:
        """Return the log of the build that made an entry."""
        return self._folder / key / _LOG

    def put_kernel(self, key: str, built: Built) -> Kernel:
        """Keep a kernel; what was there before under this key, if anything, stays, is completed and is returned."""
        with self._entry(key) as folder:
            shutil.copyfile(built.image, folder / _IMAGE)
            (folder / _CONFIG).write_text(built.config)
            shutil.copyfile(built.log, folder / _LOG)
            told = {"kind": "kernel", "commit": built.commit, "release": built.release}
            checked = [_IMAGE, _CONFIG]
            if built.modules is not None:
                shutil.copyfile(built.modules, folder / _MODULES)
                told["modules"] = _MODULES
                checked.append(_MODULES)
            _write_contents(folder, built)
            _write_meta(folder, {**told, "sums": {name: _checksum(folder / name) for name in checked}})
        if not self.knows_contents(key):
            self._complete(key, built)
        kept = self.get(key, built.commit)
        if not isinstance(kept, Kernel):
            raise InfraError(f"{self._folder}: what was just written can't be read back", hint="check the disk")
        return kept

    def put_broken(self, key: str, broken: BuildBroken, log: Path) -> None:
        """Keep that something doesn't build."""
        with self._entry(key) as folder:
            shutil.copyfile(log, folder / _LOG)
            told = {"by": broken.by.value, "title": broken.title, "file": broken.file}
            _write_meta(folder, {"kind": "broken", "commit": broken.commit, "sums": {}, **told})

    def entries(self) -> Iterator[tuple[Path, float, int]]:
        """Yield each entry with the time of its last use (seconds since the epoch) and its bytes."""
        if self._folder.is_dir():
            yield from _entries(self._folder)

    def evict(self, key: str) -> bool:
        """Remove an entry unless this process or another one uses it; whether it is gone."""
        return key not in self._held and self._evict_entry(self._folder / key)

    def let_go(self, key: str) -> None:
        """Say that this process doesn't use an entry any more."""
        with suppress(KeyError):
            os.close(self._held.pop(key))

    # --- entries

    def _product(self, key: str, commit: str, meta: Mapping[str, str]) -> Kernel | BuildBroken:
        folder = self._folder / key
        if meta["kind"] == "kernel":
            modules = folder / _MODULES if "modules" in meta else None
            image, config = folder / _IMAGE, folder / _CONFIG
            known = _contents(folder)
            sources, told = known or (None, "")
            return Kernel(
                commit,
                key,
                meta["release"],
                image,
                config,
                from_store=True,
                modules=modules,
                sources=sources,
                digest=told,
            )
        return BuildBroken(commit, BrokenBy(meta["by"]), meta["title"], meta["file"], from_store=True)

    def _meta(self, key: str) -> dict[str, str] | None:
        """Return an entry's meta data if the entry is whole."""
        folder = self._folder / key
        try:
            meta = json.loads((folder / _META).read_text())
            whole = meta["format"] == _FORMAT and all(
                _checksum(folder / name) == known for name, known in meta["sums"].items()
            )
            texts = {name: value for name, value in meta.items() if isinstance(value, str)}
            self._product(key, "0" * 40, texts)  # raises for what can't be told
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return texts if whole else None

    @contextmanager
    def _entry(self, key: str) -> Iterator[Path]:
        """Give a folder to fill; it becomes the entry in one step."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._folder))
            try:
                yield folder
                self._keep(folder, key)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise os_fault(error) from error
        self._evict()

    def _keep(self, folder: Path, key: str) -> None:
        if self._meta(key) is None:
            self._remove(self._folder / key)
        with suppress(OSError):  # another bisectbot was faster: its entry is as good
            folder.rename(self._folder / key)
        self._hold(key)

    def _complete(self, key: str, built: Built) -> None:
        """Add what a kernel consists of to an entry without."""
        try:
            _write_contents(self._folder / key, built)
        except OSError as error:
            raise os_fault(error) from error

    # --- who uses what: a shared lock on the meta file, which ends with the process

    def _hold(self, key: str) -> bool:
        """Lock an entry for use; False if there is none."""
        path = self._folder / key / _META
        if key in self._held and _same_file(self._held[key], path):
            return True
        self.let_go(key)
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            return False
        fcntl.flock(handle, fcntl.LOCK_SH)
        self._held[key] = handle
        if _same_file(handle, path):
            return True
        self.let_go(key)  # evicted between the two
        return False

    def _remove(self, entry: Path) -> None:
        """Take an entry away, if it is there, in one step: a reader sees all of it or nothing."""
        if not entry.exists():
            return
        try:
            grave = Path(tempfile.mkdtemp(prefix=_NEW, dir=self._folder))
        except OSError:  # no room even for a folder, which is why it goes: without meta data it is no entry
            (entry / _META).unlink(missing_ok=True)
            shutil.rmtree(entry, ignore_errors=True)
            return
        with suppress(OSError):
            entry.rename(grave / "old")
        shutil.rmtree(grave, ignore_errors=True)

    def _evict(self) -> None:
        """Bring the store below its limit, least recently used first; what somebody uses stays."""
        for entry in self._folder.glob(f"{_NEW}*"):
            with suppress(OSError):  # another bot has just made an entry of it
                if entry.stat().st_mtime < time.time() - _ABANDONED:
                    shutil.rmtree(entry, ignore_errors=True)
        entries = sorted(_entries(self._folder), key=lambda entry: entry[1])
        excess = sum(size for _, _, size in entries) - self._limit
        spared = frozenset(self.spared() if excess > 0 else ())
        for path, _, size in entries:
            if excess <= 0:
                return
            if path.name not in spared and self.evict(path.name):
                excess -= size

    def _evict_entry(self, entry: Path) -> bool:
        """Remove an entry unless another process uses it; nobody can begin to as long as the lock is held."""
        with suppress(FileNotFoundError, BlockingIOError), (entry / _META).open("rb") as meta:
            fcntl.flock(meta, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove(entry)
        return not entry.exists()


def _entries(folder: Path) -> Iterator[tuple[Path, float, int]]:
    """Yield each entry with the time of its last use and its bytes."""
    for path in folder.iterdir():
        with suppress(OSError):  # another process has just taken it away
            if not path.name.startswith(_NEW):
                yield path, (path / _META).stat().st_mtime, sum(file.stat().st_size for file in path.iterdir())


def _same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _write_meta(folder: Path, meta: Mapping[str, object]) -> None:
    (folder / _META).write_text(json.dumps({"format": _FORMAT, **meta}, indent=1))


def _write_contents(folder: Path, built: Built) -> None:
    """Write the list and, after it, what makes it valid; each in one step, for others may be reading."""
    known: dict[str, object] = {"format": _CONTENTS_FORMAT, "digest": built.digest, "sources": None}
    if built.sources is not None:
        _replace(folder / _SOURCES, "".join(f"{path}\n" for path in built.sources))
        known["sources"] = _checksum(folder / _SOURCES)
    _replace(folder / _CONTENTS, json.dumps(known, indent=1))


def _replace(path: Path, text: str) -> None:
    handle, new = tempfile.mkstemp(prefix=_NEW, dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(new).replace(path)


def _contents(folder: Path) -> tuple[Path | None, str] | None:
    """Return an entry's list of sources and its digest; None if they weren't kept, or aren't whole."""
    try:
        known = json.loads((folder / _CONTENTS).read_text())
        told, checksum = known["digest"], known["sources"]
        whole = known["format"] == _CONTENTS_FORMAT and isinstance(told, str)
        whole = whole and checksum in (None, _checksum(folder / _SOURCES) if checksum else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (folder / _SOURCES if checksum else None, told) if whole else None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
