"""The journal of a session: append a fact, replay all of them. Only this file knows SQLite and the rows' format."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cattrs.preconf.json import make_converter
from cattrs.strategies import configure_tagged_union

from bisectbot.errors import ConfigError, DiskFull, InfraError
from bisectbot.facts import Fact, Row
from bisectbot.lab import ConsoleLine, Host, PowerSwitch
from bisectbot.model import Answer, BuildBroken, Kernel, QemuHost

VERSION = 3  # of the format: 2 brought real machines, 3 odds; a newer one is refused, an older one read as it is

_TABLE = "CREATE TABLE IF NOT EXISTS facts (seq INTEGER PRIMARY KEY, at REAL NOT NULL, fact TEXT NOT NULL)"


def _make_converter() -> Any:  # noqa: ANN401  cattrs names the type of its JSON converter only at run time
    converter = make_converter()
    converter.register_unstructure_hook(Path, str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    # a reproducer's own counts: JSON already
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    _register_optional(converter, PowerSwitch)
    _register_optional(converter, ConsoleLine)
    # before there were real machines, a host had no tag
    configure_tagged_union(Host, converter, tag_name="is", default=QemuHost)
    for union in (Kernel | BuildBroken, Answer, Fact):
        configure_tagged_union(union, converter, tag_name="is")
    return converter


def _register_optional(converter: Any, union: Any) -> None:  # noqa: ANN401  as above; a union is no class
    """Let a field be one of a union's nouns, with its tag, or None."""
    configure_tagged_union(union, converter, tag_name="is")
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
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        with self._faults():
            # worker threads hand their facts to the loop; it alone writes
            self._db = sqlite3.connect(address, uri=True, isolation_level=None)
            self._check_version()
            if not read_only:
                self._prepare()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_TABLE)
        self._db.execute(f"PRAGMA user_version={VERSION}")

    def _check_version(self) -> None:
        (found,) = self._db.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise ConfigError(
                f"{self.path}: written by a newer bisectbot (journal version {found}, this one reads {VERSION})",
                hint="use the newer bisectbot for this session, or start a new one",
            )

    def append(self, at: float, fact: Fact) -> Row:
        """Write one fact durably. DiskFull or InfraError if that can't be done."""
        text = _CONVERTER.dumps(fact, unstructure_as=Fact)
        with self._faults():
            self._db.execute("INSERT INTO facts (at, fact) VALUES (?, ?)", (at, text))
        return Row(at, fact)

    def rows(self) -> tuple[Row, ...]:
        """Return all facts, oldest first."""
        with self._faults():
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone():
                return ()  # killed before the table was made
            found = self._db.execute("SELECT at, fact FROM facts ORDER BY seq").fetchall()
        try:
            return tuple(Row(at, _CONVERTER.loads(text, Fact)) for at, text in found)
        except Exception as error:
            raise ConfigError(
                f"{self.path}: holds a row that this bisectbot can't read: {str(error)[:200]}",
                hint="start a new session; kernels that were built are still in the store",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise DiskFull(f"{self.path}: {error}", hint="free some disk space, then: bisectbot resume") from error
            raise InfraError(f"{self.path}: {error}", hint="see that the file can be written, then resume") from error
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{self.path}: not a journal: {error}", hint="start a new session") from error


def read(path: Path) -> tuple[Row, ...]:
    """Return the facts of a session that another process may be writing to; ConfigError if there is none."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such journal", hint="`bisectbot status` lists the sessions in --logs")
    journal = Journal(path, read_only=True)
    try:
        return journal.rows()
    finally:
        journal.close()


def as_json(row: Row) -> dict[str, object]:
    """Return a row as JSON's own types, as `bisectbot log --json` prints it."""
    return {"at": row.at, "fact": _CONVERTER.unstructure(row.fact, unstructure_as=Fact)}


def as_json_value(answer: Answer) -> dict[str, object]:
    """Return an answer as JSON's own types."""
    found: dict[str, object] = _CONVERTER.unstructure(answer, unstructure_as=Answer)
    return found
