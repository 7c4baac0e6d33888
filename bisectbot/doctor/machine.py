"""This machine: Python, memory, and room on the disks that are written to."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from bisectbot.config.hosts import StoreLimits
from bisectbot.doctor.finding import Finding, Status
from bisectbot.lab import Host
from bisectbot.model import QemuHost

_WORKTREE_GIB = 1.5  # measured on 6.1
_FIRST_BUILD_GIB = 3.0  # the builder doesn't begin with less
_LOGS_GIB = 0.1
_COMPILER_MIB = 256  # of one gcc on a large kernel file, with room to spare


class Site(Protocol):
    """What a machine can tell of itself."""

    def machine(self) -> str:
        """Return what `uname -m` prints."""
        ...

    def cpus(self) -> int:
        """Return how many CPUs may be used."""
        ...

    def memory_mib(self) -> int:
        """Return the MiB that can be had without swapping."""
        ...

    def free_gib(self, folder: Path) -> float:
        """Return the GiB left on the disk that a folder is on, or would be."""
        ...

    def writable(self, folder: Path) -> bool:
        """Whether a folder may be written to, or made."""
        ...


def python() -> Finding:
    """Tell which Python runs; its least version is pyproject.toml's to enforce."""
    return Finding("python", Status.OK, ".".join(str(part) for part in sys.version_info[:3]))


def memory(site: Site, hosts: Sequence[Host], jobs: int | None) -> Finding:
    """Tell whether the largest guest fits, and the compilers beside it."""
    there, guest = site.memory_mib(), max((host.memory_mib for host in hosts if isinstance(host, QemuHost)), default=0)
    width = jobs or site.cpus()
    detail = f"{there} MiB available"
    if there < guest:
        return Finding(
            "memory", Status.FAIL, f"{detail}, a guest needs {guest}", "end other programs, or see memory in hosts.toml"
        )
    if there < guest + width * _COMPILER_MIB:
        return Finding(
            "memory", Status.WARN, f"{detail}: little for {width} compilers beside a guest", "lower jobs in hosts.toml"
        )
    return Finding("memory", Status.OK, detail)


def disk(site: Site, cache: Path, logs: Path, limits: StoreLimits) -> Iterator[Finding]:
    """Check the disks of the cache and of the session folders."""
    needed = _WORKTREE_GIB + max(limits.min_free_gib, _FIRST_BUILD_GIB)
    yield _room(site, "cache", cache, needed, needed + limits.max_gib)
    yield _room(site, "logs", logs, _LOGS_GIB, _LOGS_GIB)


def _room(site: Site, name: str, folder: Path, needed: float, wanted: float) -> Finding:
    if not site.writable(folder):
        return Finding(name, Status.FAIL, f"{folder} can't be written to", f"correct its permissions: {folder}")
    free = site.free_gib(folder)
    detail = f"{free:.1f} GiB free for {folder}"
    if free < needed:
        return Finding(name, Status.FAIL, f"{detail}; {needed:.1f} are needed", "free some disk space")
    if free < wanted:
        return Finding(
            name, Status.WARN, f"{detail}; up to {wanted:.1f} may be used", "lower store.max_gib in hosts.toml"
        )
    return Finding(name, Status.OK, detail)
