"""What a machine kept of a crash across its reset (ramoops, EFI variables, ERST), fetched once it is home."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path

from bisectbot.console.pstore import crash_log
from bisectbot.ports import Deadline
from bisectbot.reach import Shell

_FOLDER = "/sys/fs/pstore"
_NAMES = f"mountpoint -q {_FOLDER} || mount -t pstore pstore {_FOLDER} 2>/dev/null; ls -1 {_FOLDER} 2>/dev/null; exit 0"
_FETCH = f"""
cd {_FOLDER} || exit 1
for name in "$@"; do printf '%s ' "$name"; base64 -w 0 "$name"; echo; done
"""
_REMOVE = f'cd {_FOLDER} && rm -f -- "$@"'
_MOST_FILES = 64


def names(shell: Shell, deadline: Deadline) -> frozenset[str]:
    """Return what lies there now."""
    return frozenset(shell.run(["sh", "-c", _NAMES], deadline).text.split())


def collect(shell: Shell, known: frozenset[str], target: Path, deadline: Deadline) -> Path | None:
    """Write what is new there into `target`; None if nothing is.

    It is taken off the machine then, whose room for it is small. What lay there before is its owner's and stays.
    """
    new = sorted(names(shell, deadline) - known)[:_MOST_FILES]
    if not new:
        return None
    said = shell.run(["sh", "-c", _FETCH, "sh", *new], deadline)
    files = dict(_decoded(said.text))
    text = crash_log(files)
    if not text:
        return None
    target.write_text(text)
    shell.run(["sh", "-c", _REMOVE, "sh", *files], deadline)
    return target


def _decoded(text: str) -> Iterator[tuple[str, bytes]]:
    for line in text.splitlines():
        name, _, content = line.partition(" ")
        try:
            yield name, base64.b64decode(content, validate=True)
        except binascii.Error:
            continue
