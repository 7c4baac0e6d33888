"""The git commands that make the tree, with nothing of the user's configuration in them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from demo import stream
from demo.errors import DemoError
from demo.nodes import History
from demo.plan import TRUNK
from demo.source import SourceFile

_SETTINGS = {
    "gc.auto": "0",  # nothing may run behind a measurement
    "maintenance.auto": "false",
    "core.autocrlf": "false",
    "core.fileMode": "true",
    "core.hooksPath": os.devnull,
}
_FAST = ("-c", "core.compression=1", "-c", "pack.compression=1")  # a larger pack, in half the time


def create(folder: Path, history: History, files: Iterable[SourceFile], sources: str) -> list[str]:
    """Make a repository with this history in a new folder and return its hashes; no file is checked out yet."""
    _run("init", "-q", "--template=", "--object-format=sha1", f"--initial-branch={TRUNK}", str(folder))
    for key, value in _SETTINGS.items():
        _run("-C", str(folder), "config", key, value)
    marks = folder / ".git" / "demo-marks"
    with tempfile.TemporaryFile() as said:
        argv = ("git", *_FAST, "fast-import", "--quiet", "--done", "--depth=0", f"--export-marks={marks}")
        with subprocess.Popen(argv, cwd=folder, env=_environment(), stdin=subprocess.PIPE, stderr=said) as child:
            _feed(child, history, files, sources)
        if child.returncode:
            said.seek(0)
            words = said.read(2000).decode(errors="replace")
            raise DemoError(f"git fast-import ended with {child.returncode}: {words}")
    lines = (line.split() for line in marks.read_text().splitlines())
    hashes = {int(mark[1:]): name for mark, name in lines}
    marks.unlink()
    return [hashes[at + 1] for at in range(len(history.nodes))]


def tag(folder: Path, name: str, commit: str) -> None:
    """Make a light tag."""
    _run("-C", str(folder), "update-ref", f"refs/tags/{name}", commit)


def checkout(folder: Path) -> None:
    """Write out the files of the branch's tip."""
    _run("-C", str(folder), "-c", "checkout.workers=0", "reset", "--quiet", "--hard", TRUNK)


def _feed(child: subprocess.Popen[bytes], history: History, files: Iterable[SourceFile], sources: str) -> None:
    if child.stdin is None:
        raise TypeError
    try:
        with suppress(BrokenPipeError), child.stdin as out:  # git ended before us: its exit code and words tell why
            stream.write(out, history, files, sources)
    except BaseException:
        child.kill()
        raise


def _run(*args: str) -> None:
    argv = ("git", *args)
    done = subprocess.run(argv, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise DemoError(f"git {' '.join(args)} ended with {done.returncode}: {words}")


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
