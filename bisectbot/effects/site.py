"""This machine: its architecture, its free memory and disk space."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


class LocalSite:
    """The machine that bisectbot runs on; fits doctor.machine.Site."""

    def machine(self) -> str:
        """Return what `uname -m` prints."""
        return os.uname().machine

    def cpus(self) -> int:
        """Return how many CPUs this process may use."""
        return len(os.sched_getaffinity(0))

    def memory_mib(self) -> int:
        """Return the MiB that can be had without swapping."""
        found = re.search(r"^MemAvailable:\s*(\d+) kB$", _MEMINFO.read_text(), re.MULTILINE)
        return int(found[1]) >> 10 if found else 0

    def free_gib(self, folder: Path) -> float:
        """Return the GiB left for us on the disk that a folder is on, or would be."""
        return shutil.disk_usage(_there(folder)).free / (1 << 30)

    def writable(self, folder: Path) -> bool:
        """Whether a folder may be written to, or made."""
        there = _there(folder)
        return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
