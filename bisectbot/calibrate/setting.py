"""What may be set in the reproducer: the delay between two migrations, and how long a run lasts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from bisectbot.errors import ConfigError
from bisectbot.visible import visible

_LONGEST = 5_000_000  # half of the reproducer's patience as microseconds; getcpu(2) calls of a few seconds
_MOST = 60  # settings of one experiment
_WORD = re.compile(r"(?P<kind>[a-z]+):(?P<length>[0-9]{1,9})")
_ACCEPTED = "none, usleep:N (microseconds), getcpu:N (calls), both:N; N from 1 to 5000000"


class Delay(StrEnum):
    """What the reproducer does between two migrations; the values are its own words."""

    NONE = "none"
    USLEEP = "usleep"
    GETCPU = "getcpu"
    BOTH = "both"


@dataclass(frozen=True, order=True)
class Setting:
    """A delay and its length: microseconds to sleep, getcpu(2) calls to make, or so many of each; 0 for none."""

    delay: Delay
    length: int = 0

    def __post_init__(self) -> None:
        lowest, highest = (0, 0) if self.delay is Delay.NONE else (1, _LONGEST)
        if not lowest <= self.length <= highest:
            raise ValueError(f"no such delay: {self.delay}:{self.length}")

    def __str__(self) -> str:
        return f"{self.delay}:{self.length}" if self.length else str(self.delay)

    @property
    def args(self) -> tuple[str, ...]:
        """What the reproducer is run with."""
        length = ("--delay-length", str(self.length)) if self.length else ()
        return ("--delay", str(self.delay), *length)


@dataclass(frozen=True)
class Lasting:
    """How long a run of the reproducer lasts: seconds, or migrations."""

    by: Literal["seconds", "migrations"]
    number: float

    def __str__(self) -> str:
        return f"{self.number:g} s" if self.by == "seconds" else f"{self.number:g} migrations"

    @property
    def args(self) -> tuple[str, ...]:
        """What the reproducer is run with."""
        return (f"--{self.by}", f"{self.number:g}" if self.by == "seconds" else f"{self.number:.0f}")


def read_settings(text: str) -> tuple[Setting, ...]:
    """Return the settings of a list like `none,usleep:10`, each once, in its order; ConfigError tells what is wrong."""
    found = tuple(dict.fromkeys(_setting(word.strip()) for word in text.split(",")))
    if len(found) > _MOST:
        raise ConfigError(f"--delays: {len(found)} settings, {_MOST} are the most", hint="name fewer of them")
    return found


def _setting(word: str) -> Setting:
    match = _WORD.fullmatch(word)
    try:
        return Setting(Delay(match["kind"]), int(match["length"])) if match else Setting(Delay(word))
    except ValueError as error:
        raise ConfigError(f"--delays: no such setting: {visible(word, 60)!r}", hint=f"accepted: {_ACCEPTED}") from error


def of_args(args: Sequence[object]) -> Setting | None:
    """Return the setting that these arguments stand for; None if they are no setting's."""
    words = [str(arg) for arg in args[1::2]]
    try:
        setting = Setting(Delay(words[0]), int(words[1]) if len(words) > 1 else 0)
    except (ValueError, IndexError):
        return None
    return setting if setting.args == tuple(args) else None
