"""How much memory is left for child processes: the machine's, and what our own control groups allow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes that can be used without swapping or being killed; None if that can't be told."""
    known = [*_machine(proc / "meminfo"), *_groups(proc / "self/cgroup", groups)]
    return min(known, default=None)


def _machine(meminfo: Path) -> Iterator[int]:
    for line in _text(meminfo).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield int(value.split()[0]) << 10


def _groups(own: Path, groups: Path) -> Iterator[int]:
    """Yield what each of our groups, from our own up to the root, has left."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _upwards(groups, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            old = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _upwards(groups / "memory", path, *old)


def _upwards(root: Path, path: str, limit: str, used: str, cached: str) -> Iterator[int]:
    own = root / path.lstrip("/")
    for group in (own, *own.parents):
        with suppress(ValueError):  # "max", or no such file
            most, taken = int(_text(group / limit)), int(_text(group / used))
            # what was read from files is given back before anybody is killed
            yield max(0, most - taken + _row(group / "memory.stat", cached))
        if group == root:
            return


def _row(stat: Path, name: str) -> int:
    rows = (line.split() for line in _text(stat).splitlines())
    return next((int(row[1]) for row in rows if row[:1] == [name]), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
