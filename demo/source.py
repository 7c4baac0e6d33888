"""Reads a kernel source archive as git sees it: path, mode and bytes of each file, whatever the umask was."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError

_ANY_EXECUTE = 0o111


@dataclass(frozen=True)
class Source:
    """A .tar.xz of kernel sources and the version of the Debian package that it came in."""

    archive: Path
    package: str
    version: str

    @property
    def name(self) -> str:
        """Return what to call it in messages."""
        return f"{self.package} {self.version}"


@dataclass(frozen=True)
class SourceFile:
    """A file in git's terms."""

    path: str
    mode: str
    data: bytes


def checksum(archive: Path) -> str:
    """Return the SHA-256 of an archive, in hex."""
    with archive.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read(source: Source) -> Iterator[SourceFile]:
    """Yield the files below the archive's one top folder, in the archive's order."""
    try:
        with tarfile.open(source.archive, "r|*") as archive:
            for member in archive:
                if not member.isdir():
                    yield _file(archive, member, source.archive)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DemoError(f"{source.archive}: can't be read: {error}") from error


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo, name: Path) -> SourceFile:
    _, _, path = member.name.removeprefix("./").partition("/")
    if not path or path.startswith('"') or "\n" in path:
        raise DemoError(f"{name}: unusable path {member.name!r}")
    if member.issym():
        return SourceFile(path, "120000", member.linkname.encode())
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        raise DemoError(f"{name}: {member.name} is neither a file nor a symbolic link")
    return SourceFile(path, "100755" if member.mode & _ANY_EXECUTE else "100644", stream.read())
