"""Files that readers open at any moment: the old text or the new one, nothing between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bisectbot.effects.files import _fault, replace_text
from bisectbot.errors import DiskFull, InfraError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    path = tmp_path / "session"
    path.mkdir()
    return path


def test_the_text_is_replaced(folder: Path) -> None:
    """The file holds the new text, byte for byte, and nothing is left beside it."""
    path = folder / "report.md"
    path.write_text("old")
    replace_text(path, "new\r\nñ\n")
    assert path.read_bytes() == "new\r\nñ\n".encode()
    assert list(folder.iterdir()) == [path]


def test_an_open_reader_keeps_the_old_text(folder: Path) -> None:
    """Who has the file open reads the old text to its end."""
    path = folder / "report.md"
    path.write_text("old")
    with path.open() as reader:
        replace_text(path, "new")
        assert reader.read() == "old"


def test_what_a_killed_run_left_is_overwritten(folder: Path) -> None:
    """A half-written file of a dead run is in nobody's way."""
    (folder / ".report.md.new").write_text("half a rep")
    replace_text(folder / "report.md", "whole")
    assert [path.name for path in folder.iterdir()] == ["report.md"]


def test_a_failure_keeps_the_old_text(folder: Path) -> None:
    """When the new text can't take the place, the old one stays, nothing is left beside it, and it is our fault."""
    path = folder / "report.md"
    (path / "in the way").mkdir(parents=True)
    with pytest.raises(InfraError, match=r"report\.md"):
        replace_text(path, "new")
    assert [found.name for found in folder.iterdir()] == ["report.md"]


def test_a_full_disk_is_told_as_such() -> None:
    """/dev/full gives the error that a full disk gives, and it becomes DiskFull."""
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space") as caught:
        full.write(b"x")
    assert isinstance(_fault(Path("report.md"), caught.value), DiskFull)
    assert not isinstance(_fault(Path("report.md"), OSError(errno.EROFS, os.strerror(errno.EROFS))), DiskFull)
