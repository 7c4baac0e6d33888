"""An initramfs as bytes: init, the reproducer, its arguments, and nothing of the machine it was made on."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterable
from dataclasses import dataclass

_FOLDERS = ("bisectbot", "dev", "proc", "sys", "tmp")
_BLOCK = 4  # newc pads names and data to it
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class _Entry:
    """One member: its path without a leading slash, st_mode, content, and device number if it is a device."""

    path: str
    mode: int
    content: bytes = b""
    device: tuple[int, int] = (0, 0)


def pack(init: bytes, program: bytes, args: tuple[str, ...] = (), *, compressed: bool = True) -> bytes:
    """Return a newc archive that the kernel unpacks, in gzip or plain: equal arguments give equal bytes.

    `init` becomes /init, `program` /bisectbot/reproducer, `args` what it is run with. Plain is for a machine that
    loads it from this disk: any kernel takes it, and unpacks it 20 ms sooner. ValueError for an argument that holds a
    NUL byte.
    """
    entries = [_Entry(path, stat.S_IFDIR | 0o755) for path in _FOLDERS]
    entries += [
        _Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),  # the kernel opens it for init, before any mount
        _Entry("dev/null", stat.S_IFCHR | 0o666, device=(1, 3)),
        _Entry("init", stat.S_IFREG | 0o755, init),
        _Entry("bisectbot/reproducer", stat.S_IFREG | 0o755, program),
        _Entry("bisectbot/argv", stat.S_IFREG | 0o644, _arguments(args)),
    ]
    archive = _archive(entries)
    return gzip.compress(archive, mtime=0) if compressed else archive


def _arguments(args: tuple[str, ...]) -> bytes:
    for arg in args:
        if "\0" in arg:
            raise ValueError(f"an argument can't hold a NUL byte: {arg!r}")
    return b"".join(arg.encode(errors="surrogateescape") + b"\0" for arg in args)


def _archive(entries: Iterable[_Entry]) -> bytes:
    members = [_member(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*members, _member(0, _Entry(_TRAILER, 0))])


def _member(inode: int, entry: _Entry) -> bytes:
    """Return one member; the fields of its header are told in the kernel's buffer-format documentation."""
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    owner = group = mtime = checksum = 0
    fields = (
        inode,
        entry.mode,
        owner,
        group,
        links,
        mtime,
        len(entry.content),
        0,
        0,
        *entry.device,
        len(name),
        checksum,
    )
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(entry.content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
