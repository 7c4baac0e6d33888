"""A session's folder below logs/: its name, and where its journal, logs and report are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bisectbot.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Folder:
    """Paths of one session; nothing is made by asking."""

    path: Path

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.path.name

    @property
    def journal(self) -> Path:
        """The facts."""
        return self.path / "journal.db"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.path / "lock"

    @property
    def queued(self) -> Path:
        """There while the session is in the queue; see keeper/queued.py."""
        return self.path / "queued"

    @property
    def service_log(self) -> Path:
        """What its processes said that the keeper started."""
        return self.path / "service.log"

    def build_log(self, commit: str) -> Path:
        """Return where the output of a commit's build goes; a build that is repeated is appended."""
        return self.path / "builds" / f"{commit[:12]}.log"

    def console_log(self, boot: int, commit: str) -> Path:
        """Return where a boot's console goes."""
        return self.path / "consoles" / f"{boot:03}-{commit[:12]}.log"


def keeper_lock(logs: Path) -> Path:
    """Return the file that the keeper of a logs folder holds."""
    return logs / "keeper.lock"


def keeper_log(logs: Path) -> Path:
    """Return what the keeper says that runs in the background."""
    return logs / "service.log"


def new_folder(logs: Path, bad: str, now: float, name: str = "") -> Folder:
    """Return the folder of a new session, by default named after its time (UTC) and its bad end.

    ConfigError if the name isn't fit for a folder, or taken.
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")
    chosen = name or f"{stamp}-{bad[:8]}"
    if not _NAME.fullmatch(chosen):
        raise ConfigError(
            f"--session {chosen!r}: not a name for a folder", hint="letters, digits, dot, dash, underscore"
        )
    folder = Folder(logs / chosen)
    if folder.path.exists():
        raise ConfigError(f"--session {chosen}: exists already in {logs}", hint=f"bisectbot resume {chosen}")
    return folder


def all_folders(logs: Path) -> tuple[Folder, ...]:
    """Return every session in `logs`, the one that was written to last at the end."""
    found = [Folder(path.parent) for path in logs.glob("*/journal.db")]
    return tuple(sorted(found, key=lambda folder: (folder.journal.stat().st_mtime, folder.name)))


def find_folder(logs: Path, name: str | None) -> Folder:
    """Return the session called `name`, or the latest; ConfigError if there is none."""
    known = all_folders(logs)
    if not known:
        raise ConfigError(f"no session in {logs}", hint="start one with `bisectbot run`, or give --logs DIR")
    if name is None:
        return known[-1]
    for folder in known:
        if folder.name == name:
            return folder
    names = ", ".join(folder.name for folder in known[-5:])
    raise ConfigError(f"no session {name!r} in {logs}", hint=f"the latest are: {names}")
