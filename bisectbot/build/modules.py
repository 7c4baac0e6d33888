"""Installed modules -> one archive, equal for equal modules, that any machine's tar lays over its root."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

_WHEN = 946684800  # 2000-01-01 UTC: of files from 1970 tar warns
_FAST = 6  # gzip's level; 9 takes twice the time for one percent


def pack(root: Path, release: str, archive: Path) -> bool:
    """Write root/lib/modules/RELEASE as a .tar.gz; False if there is no such folder.

    lib and lib/modules themselves aren't in it: where /lib is a symbolic link, tar would put a folder in its place.
    Nor are symbolic links: `build` and `source` lead to folders of the machine that built.
    """
    top = root / "lib/modules" / release
    if not top.is_dir():
        return False
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", _FAST, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in (top, *sorted(top.rglob("*"))):
            if not path.is_symlink():
                _add(tar, path, str(path.relative_to(root)))
    return True


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add a file or a folder as root's, with a fixed time."""
    entry = tarfile.TarInfo(name)
    entry.mtime = _WHEN
    entry.uname = entry.gname = "root"
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
        return
    entry.size, entry.mode = path.stat().st_size, 0o644
    with path.open("rb") as file:
        tar.addfile(entry, file)
