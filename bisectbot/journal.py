"""The journal of a session: append a fact, replay all of them. Only this file knows SQLite and the rows' format."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from bisectbot.errors import ConfigError, DiskFull, InfraError
from bisectbot.facts import Fact, Row
from bisectbot.lab import ConsoleLine, Host, PowerSwitch
from bisectbot.model import Answer, BuildBroken, Kernel, QemuHost

# Of the format: 2 brought real machines, 3 odds, 4 budgets. A newer one is refused, an older one read as it is.
VERSION = 4

_FULL = "full"  # SQLite's word for it
_RESERVE = 1 << 20  # bytes; a row takes some KiB
_LOCKS = 1 << 16  # bytes; what SQLite keeps beside a file that is read takes half of it
_DAMAGED = "it was left as it is; start a new session: kernels that were built are still in the store"
_INSERT = "INSERT INTO facts (at, fact, tick) VALUES (?, ?, ?)"
_TABLE = "CREATE TABLE IF NOT EXISTS facts (seq INTEGER PRIMARY KEY, at REAL NOT NULL, fact TEXT NOT NULL, tick REAL)"


def _make_converter() -> Any:  # noqa: ANN401  cattrs names the type of its JSON converter only at run time
    converter = make_converter()
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    # a reproducer's own counts: JSON already
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    for part in (PowerSwitch, ConsoleLine):
        configure_tagged_union(part, converter, tag_name="is")
        _register_optional(converter, part)
    # before there were real machines, a host had no tag
    configure_tagged_union(Host, converter, tag_name="is", default=QemuHost)
    _register_optional(converter, Host)
    for union in (Kernel | BuildBroken, Answer, Fact):
        configure_tagged_union(union, converter, tag_name="is")
    return converter


def _register_optional(converter: Any, union: Any) -> None:  # noqa: ANN401  as above; a union is no class
    """Let a field be one of a union's nouns, with its tag, or None."""
    converter.register_structure_hook_func(
        lambda kind: kind == union | None,
        lambda value, _: None if value is None else converter.structure(value, union),
    )
    converter.register_unstructure_hook_func(
        lambda kind: kind == union | None,
        lambda value: None if value is None else converter.unstructure(value, unstructure_as=union),
    )


_CONVERTER = _make_converter()


class Journal:
    """One session's facts in a SQLite file; each is on the disk when `append` returns."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or make the file. ConfigError if it is no journal of ours or of a newer bisectbot."""
        self.path = path
        self._read_only = read_only
        address = f"{path.absolute().as_uri()}?{_mode(path, read_only=read_only)}"
        with self._faults():
            # worker threads hand their facts to the loop; it alone writes
            self._db = sqlite3.connect(address, uri=True, isolation_level=None)
            try:
                self._check_version()
                if not read_only:
                    self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._check_whole()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_TABLE)
        if "tick" not in self._columns():
            self._db.execute("ALTER TABLE facts ADD COLUMN tick REAL")
        self._db.execute(f"PRAGMA user_version={VERSION}")
        self._reserve()

    def _check_whole(self) -> None:
        """Raise DatabaseError for a file that a power cut or a full disk left damaged, before anything is written."""
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        ((found, *_), *_) = self._db.execute("PRAGMA quick_check(1)").fetchall()
        if self.path.is_file() and self.path.stat().st_size % page:
            found = "cut off"
        if found != "ok":
            raise sqlite3.DatabaseError(f"damaged: {found}")

    def _reserve(self) -> None:
        """Keep some room back, so that what has ended can still be written once the disk is full."""
        with suppress(OSError), self._reserved.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, _RESERVE)

    @property
    def _reserved(self) -> Path:
        return self.path.with_name(f"{self.path.name}-reserve")

    def _columns(self) -> set[str]:
        return {name for _, name, *_ in self._db.execute("PRAGMA table_info(facts)")}

    def _check_version(self) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise ConfigError(
                f"{self.path}: written by a newer bisectbot (journal version {found}, this one reads {VERSION})",
                hint="use the newer bisectbot for this session, or start a new one",
            )

    def append(self, at: float, fact: Fact, tick: float | None = None) -> Row:
        """Write one fact durably; `at`, `tick`: see Row. DiskFull or InfraError if that can't be done."""
        text = _CONVERTER.dumps(fact, unstructure_as=Fact)
        with self._faults():
            done = self._insert((at, text, tick))
        return Row(at, fact, done.lastrowid or 0, tick)

    def _insert(self, row: tuple[float, str, float | None]) -> sqlite3.Cursor:
        try:
            return self._db.execute(_INSERT, row)
        except sqlite3.OperationalError as error:
            if _FULL not in str(error) or not self._reserved.is_file():
                raise
        self._reserved.unlink(missing_ok=True)
        return self._db.execute(_INSERT, row)

    def rows(self, after: int = 0) -> tuple[Row, ...]:
        """Return all facts, oldest first; or those that came after the one with this number."""
        with self._faults():
            columns = self._columns()
            if not columns:
                return ()  # killed before the table was made
            tick = "tick" if "tick" in columns else "NULL"
            asked = f"SELECT at, fact, seq, {tick} FROM facts WHERE seq > ? ORDER BY seq"  # noqa: S608  our own words
            found = self._db.execute(asked, (after,)).fetchall()
        try:
            return tuple(Row(at, _CONVERTER.loads(text, Fact), seq, tick) for at, text, seq, tick in found)
        except Exception as error:
            raise ConfigError(
                f"{self.path}: holds a row that this bisectbot can't read: {str(error)[:200]}",
                hint="start a new session; kernels that were built are still in the store",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        if not self._read_only:
            with suppress(OSError):
                self._reserved.unlink()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if _FULL in str(error):
                raise DiskFull(f"{self.path}: {error}", hint="free some disk space, then: bisectbot resume") from error
            raise InfraError(f"{self.path}: {error}", hint="see that the file can be written, then resume") from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{self.path}: not a journal: {error}", hint=_DAMAGED) from error


def _mode(path: Path, *, read_only: bool) -> str:
    """Return how SQLite is to open the file. Where nothing can be written it can't keep its locks beside it."""
    if not read_only:
        return "mode=rwc"
    alone = not path.with_name(f"{path.name}-wal").exists()
    return "mode=ro&immutable=1" if alone and not _has_room(path.parent) else "mode=ro"


def _has_room(folder: Path) -> bool:
    told = os.statvfs(folder)
    inodes = told.f_favail > 0 or not told.f_files  # not every file system counts them
    return inodes and os.access(folder, os.W_OK) and told.f_bavail * told.f_frsize >= _LOCKS


def read(path: Path, after: int = 0) -> tuple[Row, ...]:
    """Return the facts of a session that another process may be writing to; ConfigError if there is no such session.

    `after`: only those that came after the one with this number.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such journal", hint="`bisectbot status` lists the sessions in --logs")
    journal = Journal(path, read_only=True)
    try:
        return journal.rows(after)
    finally:
        journal.close()


def as_json(row: Row) -> dict[str, object]:
    """Return a row as JSON's own types, as `bisectbot log --json` prints it."""
    return {"at": row.at, "fact": _CONVERTER.unstructure(row.fact, unstructure_as=Fact)}


def as_json_value(answer: Answer) -> dict[str, object]:
    """Return an answer as JSON's own types."""
    found: dict[str, object] = _CONVERTER.unstructure(answer, unstructure_as=Answer)
    return found
