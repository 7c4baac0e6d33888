"""Processes that have nothing more to do with this one: left running behind our back, or taking our place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from bisectbot.effects import orphans
from bisectbot.effects.sdnotify import ADDRESS
from bisectbot.errors import ToolMissing, os_fault

_READABLE = 0o644


def detach(argv: Sequence[str], log: Path) -> int:
    """Start a program in a session of its own, with our environment and its output appended to `log`; return its pid.

    It outlives us, the terminal and the login. InfraError if that can't be done.
    """
    try:
        return os.posix_spawn(
            argv[0],
            list(argv),
            _surroundings(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, _READABLE),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise os_fault(error) from error


def _surroundings() -> Mapping[str, str]:
    """Return our environment without what would end it with us, or have it speak for us."""
    return {name: value for name, value in os.environ.items() if name not in (orphans.VARIABLE, ADDRESS)}


def ended(pid: int) -> bool:
    """Whether a program that detach() started is over; it is reaped then."""
    try:
        found, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return found == pid


def become(argv: Sequence[str]) -> NoReturn:
    """Let another program take our place, terminal and all; ToolMissing if it isn't there."""
    found = shutil.which(argv[0])
    if found is None:
        raise ToolMissing(f"the program {argv[0]} is not installed")
    os.execv(found, list(argv))  # noqa: S606  no shell is wanted
