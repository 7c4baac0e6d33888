"""Crash logs that survived in memory or firmware, put together from pstore's files."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bisectbot.console import read_console
from bisectbot.console.pstore import LIMIT, crash_log
from bisectbot.model import CrashKind

OOPS = b"""\
<1>[    5.000001] BUG: kernel NULL pointer dereference, address: 0000000000000000
<4>[    5.000002] Oops: 0002 [#1] PREEMPT SMP
<4>[    5.000003] RIP: 0010:broken_write+0x9/0x20
<4>[    5.000004] Call Trace:
<4>[    5.000005]  <TASK>
<4>[    5.000006]  do_one_initcall+0x56/0x300
<4>[    5.000007]  </TASK>
<0>[    5.000008] Kernel panic - not syncing: Fatal exception
"""


def parts(text: bytes, number: int) -> list[bytes]:
    """Return a log cut into parts as the kernel does: part 1 is its end."""
    lines = text.splitlines(keepends=True)
    size = -(-len(lines) // number)
    return [b"".join(lines[at : at + size]) for at in range(0, len(lines), size)][::-1]


def efi(time: int, count: int, text: bytes, number: int = 1, backend: str = "efi_pstore") -> dict[str, bytes]:
    """Return the files of one crash as EFI variables give them back."""
    return {
        f"dmesg-{backend}-{(time * 100 + part) * 1000 + count}": b"Panic#%d Part%d\n%b" % (count, part, piece)
        for part, piece in enumerate(parts(text, number), 1)
    }


@pytest.mark.parametrize(
    "files",
    [
        {"dmesg-ramoops-0": b"Panic#1 Part1\n" + OOPS},
        {"dmesg-ramoops-0": b"Panic#1 Part1\n" + OOPS + b"\0" * 100},
        efi(1_700_000_000, 1, OOPS, 4),
        efi(1_700_000_000, 1, OOPS, 4, "efi"),
        {f"dmesg-erst-{(1_700_000_000 << 32) + at}": b"Panic#1 Part%d\n" % at + text for at, text in
         enumerate(parts(OOPS, 3), 1)},
    ],
    ids=["ramoops", "zeros", "efi_pstore", "efi before 4.20", "erst"],
)  # fmt: skip
def test_the_panic_is_found(files: Mapping[str, bytes]) -> None:
    """Whatever kept it, the log comes out in order, and the reader of consoles finds the report."""
    text = crash_log(files)
    head, *lines = text.splitlines(keepends=True)
    assert head.startswith("### bisectbot: pstore: Panic#1 in ")
    assert "".join(lines).encode() == OOPS
    reading = read_console(text.encode())
    assert (reading.first.kind, reading.first.frame) == (CrashKind.OOPS, "broken_write")


def test_the_newest_crash_comes_first() -> None:
    """Crashes of several boots, which count from 1 each, aren't mixed up."""
    files = efi(1_700_000_000, 1, b"old a\nold b\n", 2) | efi(1_700_000_900, 1, b"new a\nnew b\n", 2)
    files |= efi(1_700_000_902, 2, b"newest\n")
    lines = [line for line in crash_log(files).splitlines() if not line.startswith("###")]
    assert lines == ["newest", "new a", "new b", "old a", "old b"]


def test_slots_of_ramoops_are_crashes_of_their_own() -> None:
    """Two dumps with the same number, from two boots, both come out."""
    files = {f"dmesg-ramoops-{slot}": b"Panic#1 Part1\nslot %d\n" % slot for slot in range(2)}
    assert crash_log(files).count("### bisectbot: pstore: Panic#1 in ramoops\nslot ") == 2


def test_what_cant_be_read_is_told() -> None:
    """Compressed and missing parts are named, and the rest is shown."""
    files = efi(1_700_000_000, 1, b"1\n2\n3\n4\n", 4)
    names = sorted(files)
    files[names[0] + ".enc.z"] = b"x\x9c" + files.pop(names[0])
    del files[names[2]]
    text = crash_log(files)
    assert f"### bisectbot: pstore: {names[0]}.enc.z can't be read: compressed" in text
    assert "### bisectbot: pstore: parts are missing: 3\n" in text
    assert [line for line in text.splitlines() if line.isdigit()] == ["1", "3"]


def test_other_files_are_no_crashes() -> None:
    """Nothing there, and what user space or ftrace left, give an empty text."""
    assert crash_log({}) == ""
    assert crash_log({"console-ramoops-0": b"x", "pmsg-ramoops-0": b"x", "../dmesg-ramoops-0": b"x"}) == ""


def test_rubbish_stays_bounded() -> None:
    """Any bytes in any amount give a bounded text, and no exception; of a long log the end stays."""
    rubbish = {f"dmesg-ramoops-{slot}": bytes(range(256)) * 4000 for slot in range(30)}
    assert len(crash_log(rubbish)) < 2 * LIMIT
    text = crash_log({"dmesg-ramoops-0": b"Panic#1 Part1\n" + b"noise\n" * LIMIT + OOPS})
    assert len(text) < LIMIT + 1000
    assert "its beginning is left out" in text
    assert text.encode().endswith(OOPS)
    crash_log({"dmesg-efi_pstore-99999999999999999999": b"Panic#999999 Part99999\n"})
