"""What a kernel left in memory or firmware when it died, put together from the files of /sys/fs/pstore. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LIMIT = 1 << 20  # bytes of the text; of each crash, and of all, the newest part is kept
_MOST_FILES = 1000

_SAME_DUMP = 30  # seconds between the first and the last part of one crash: each part has its own time

_NAME = re.compile(r"dmesg-(?P<backend>[a-z_]{1,20})-(?P<id>\d{1,20})(?P<packed>\.enc\.z)?")
# The first line of each file. Part 1 holds the newest lines: the kernel writes its log from the end.
_HEAD = re.compile(rb"(?P<why>[A-Z]\w{1,20})#(?P<count>\d{1,6}) Part(?P<part>\d{1,5})\n")


@dataclass(frozen=True)
class _File:
    name: str
    backend: str
    age: tuple[int, int, int]  # time, the how manyth crash of its boot, number: greater is newer
    part: int
    title: str
    text: bytes  # empty: can't be read


def crash_log(files: Mapping[str, bytes]) -> str:
    """Return all crashes in the files (name without its folder, content), newest first, "" if there are none.

    Each begins with a `###` line of ours; what can't be read is told there. At most about 1 MiB.
    """
    read = [file for name in sorted(files)[:_MOST_FILES] if (file := _file(name, files[name]))]
    text, left = "", LIMIT
    for crash in _crashes(read):
        one = _whole(crash, left)
        text, left = text + one, left - len(one)
        if left <= 0:
            break
    return text


def _file(name: str, content: bytes) -> _File | None:
    """Return what a file holds, None if it is no kernel log."""
    named = _NAME.fullmatch(name)
    if named is None:
        return None
    time, part, count = _by_number(named["backend"], int(named["id"]))
    head = _HEAD.match(content)
    if head:
        part, count = int(head["part"]), int(head["count"])
    title = f"{head['why'].decode() if head else 'crash'}#{count} in {named['backend']}"
    text = b"" if named["packed"] else content[head.end() :] if head else content
    return _File(name, named["backend"], (time, count, int(named["id"])), part, title, text.rstrip(b"\0"))


def _by_number(backend: str, number: int) -> tuple[int, int, int]:
    """Return (time, part, count) as far as the number in a name tells: ramoops only counts its slots."""
    if backend in ("efi", "efi_pstore"):
        return number // 100_000, number // 1000 % 100, number % 1000
    return number >> 32, 1, 0  # erst: the time is in the upper half


def _crashes(files: list[_File]) -> list[list[_File]]:
    """Return the parts of each crash, crashes newest first."""
    crashes: list[list[_File]] = []
    for file in sorted(files, key=lambda file: file.age, reverse=True):
        parts = next((parts for parts in crashes if _belongs(file, parts)), None)
        if parts is None:
            crashes.append([file])
        else:
            parts.append(file)
    return crashes


def _belongs(file: _File, parts: list[_File]) -> bool:
    """Whether a file is another part of the same crash. Crashes are counted anew by each boot."""
    first = parts[0]
    same = (file.backend, file.age[1]) == (first.backend, first.age[1])
    return same and first.age[0] - file.age[0] <= _SAME_DUMP and all(file.part != other.part for other in parts)


def _whole(parts: list[_File], room: int) -> str:
    """Return one crash; the oldest lines, those of the last part, come first."""
    ordered = sorted(parts, key=lambda file: file.part, reverse=True)
    numbers = {file.part for file in ordered}
    notes = [f"{file.name} can't be read: compressed, or empty" for file in ordered if not file.text]
    missing = [number for number in range(1, max(numbers)) if number not in numbers]
    notes += [f"parts are missing: {', '.join(map(str, missing[:20]))}"] if missing else []
    text = b"".join(_ended(file.text) for file in ordered).decode(errors="replace")
    if len(text) > room:
        text = text[-room:].partition("\n")[2]
        notes.append("its beginning is left out")
    title = next((file.title for file in ordered if file.text), ordered[0].title)
    return "".join(f"### bisectbot: pstore: {note}\n" for note in (title, *notes[:20])) + text


def _ended(text: bytes) -> bytes:
    return text if text.endswith(b"\n") or not text else text + b"\n"
