"""Sessions as child processes: their signs of life, and what they say in a file that can't grow without end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bisectbot.effects.proc import Group, Processes
from bisectbot.effects.sdnotify import Ear

_MOST = 8 << 20  # bytes of what a session's processes say, before it is put aside; as much is kept of what was before
_TAIL = 4096
_OURS = "bisectbot: "


class SessionChild:
    """Fits rounds.Child."""

    def __init__(self, group: Group, ear: Ear, log: Path) -> None:
        self.pid = group.pid
        self._group = group
        self._ear = ear
        self._log = log

    def heard(self) -> frozenset[str]:
        """Return the words of sd_notify that came since the last time; keep its log from growing without end."""
        bound(self._log)
        return self._ear.heard()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._group.poll()

    def close(self) -> None:
        """Listen no more."""
        self._ear.close()

    def terminate(self) -> None:
        """Ask it to end."""
        self._group.terminate()

    def kill(self) -> None:
        """End it at once; its own children end with it (orphans.py)."""
        self._group.kill()


class SessionChildren:
    """Starts `bisectbot resume` for a session; fits rounds.Starter."""

    def __init__(self, logs: Path, hosts: Path | None, proc: Processes) -> None:
        self._more = ["--logs", str(logs), *(["--hosts", str(hosts)] if hosts else [])]
        self._proc = proc

    def start(self, name: str, log: Path, on: str | None) -> SessionChild:
        """Start it, on another host if one is given. ToolMissing or DiskFull if that can't be done."""
        argv = [*ourselves(), "resume", *self._more, *(["--on", on] if on else []), "--", name]
        ear = Ear()
        try:
            # all of our environment: a secret may be there
            group = self._proc.start(argv, log=log, env=dict(os.environ) | ear.environment)
        except BaseException:
            ear.close()
            raise
        return SessionChild(group, ear, log)


def ourselves() -> Sequence[str]:
    """Return how this very bisectbot is called, whatever PATH says and wherever we are."""
    return (sys.executable, "-P", "-m", "bisectbot")


def bound(log: Path) -> None:
    """Put aside what stands in a log that has become too long; whoever writes to it goes on in the same file.

    A line that is written meanwhile may be lost: the journal is what counts.
    """
    with suppress(OSError):
        if log.stat().st_size > _MOST:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def last_words(log: Path) -> str:
    """Return the last error in a log, or its last line; empty if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    said = [line.removeprefix(_OURS) for line in lines if line.startswith(_OURS)]
    return (said or lines or [""])[-1].strip()
