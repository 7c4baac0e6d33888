"""The systemd unit of the keeper, as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import ConfigError
from bisectbot.render import render

NAME = "bisectbot.service"
_QUOTES = frozenset("\"'\\")  # which systemd wants in no program's path


@dataclass(frozen=True)
class Unit:
    """What differs from unit to unit. Paths are absolute."""

    argv: tuple[str, ...]  # of `bisectbot service run`
    logs: Path
    folder: Path  # that it works in
    environment: tuple[tuple[str, str], ...]  # names and values; nothing secret: anybody may read a unit
    of_system: bool  # or else the user's own
    name: str = NAME

    @property
    def scope(self) -> str:
        """The word by which systemctl knows whose it is."""
        return "--system" if self.of_system else "--user"


def unit_text(unit: Unit) -> str:
    """Return the unit file; ConfigError for a path that none can hold."""
    values = (*unit.argv, str(unit.folder), str(unit.logs), *(value for _, value in unit.environment))
    _check(values)
    if not _QUOTES.isdisjoint(unit.argv[0]):
        raise ConfigError(f"{unit.argv[0]}: systemd starts no such program", hint="install bisectbot elsewhere")
    return render("bisectbot.service.j2", unit)


def _check(values: Iterable[str]) -> None:
    for value in values:
        # surrogates: bytes of a path that are no UTF-8
        if any(not char.isprintable() for char in value) or value.endswith("\\"):
            raise ConfigError(f"{value!r} can't stand in a systemd unit", hint="use a folder with a plain name")
