"""Which process of which machine this is, so that a lock tells who holds it and whether that process still runs."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bisectbot.lab import Owner

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_STARTED = 19  # of the fields behind the program's name in /proc/PID/stat


class ThisProcess:
    """Fits reach.Me."""

    def owner(self) -> Owner:
        """Return who we are."""
        return Owner(platform.node(), _text(_MACHINE_ID), _text(_BOOT_ID), os.getpid(), _started(os.getpid()))

    def gone(self, other: Owner) -> bool:
        """Whether an owner was a process of this machine that doesn't run any more."""
        me = self.owner()
        if other.boot_id == me.boot_id:
            return _started(other.pid) != other.started
        # another boot of the same installation: nothing of then runs now
        return bool(me.machine_id) and other.machine_id == me.machine_id


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 if there is none."""
    try:
        text = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[_STARTED])
