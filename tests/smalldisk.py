"""Small file systems of a test's own, without any rights: the test runs once more in a namespace of its own."""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_INSIDE = "SMALL_DISK_INSIDE"
_MOUNT, _UMOUNT = ("mount",), ("umount", "-l")
_ZEROS = bytes(1 << 20)
_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "--kill-child", "--fork")


def with_own_mounts(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test where what it mounts is nobody else's."""

    @functools.wraps(test)
    def run(request: pytest.FixtureRequest, **given: Any) -> None:  # noqa: ANN401  the test's own fixtures
        if os.environ.get(_INSIDE):
            test(**given)
        else:
            _run_inside(f"{request.node.path}::{request.node.name}")

    own = inspect.signature(test)
    asked = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = own.replace(parameters=[asked, *own.parameters.values()])  # type: ignore[attr-defined]
    return run


def _run_inside(node: str) -> None:
    words = [*_NAMESPACE, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", node]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        words, env=environment | {_INSIDE: "1"}, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs with `options` (size=8m, nr_inodes=100 ...) until the context ends."""
    place.mkdir(parents=True)
    subprocess.run([*_MOUNT, "-t", "tmpfs", "-o", options, "small", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run([*_UMOUNT, str(place)], check=True)


def read_only(disk: Path) -> None:
    """Let nobody write to a disk any more."""
    subprocess.run([*_MOUNT, "-o", "remount,ro", str(disk)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Fill a disk up to the last block, or so that `leave` bytes are free; return the file that does it."""
    filler = disk / "filler"
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with suppress(OSError):
            while (left := os.statvfs(disk).f_bfree * os.statvfs(disk).f_frsize - leave) > 0:
                os.write(fd, _ZEROS[:left])
    finally:
        os.close(fd)
    return filler
