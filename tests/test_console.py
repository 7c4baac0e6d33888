"""Console bytes to what happened: the corpus of logs, and what must hold for any bytes at all.

A case is a file of tests/consoles/: lines of what is expected, an empty line, the log. FROM tells how it was made; ALSO
lines name the other reports, in order. Most are real: kernels that tests/programs/ made fail, booted in QEMU.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bisectbot.console import ConsoleReader, Reading, read_console
from bisectbot.console.reports import TITLE_MAX, read_head
from bisectbot.model import Crash, CrashKind

FOLDER = Path(__file__).parent / "consoles"
FILES = sorted(FOLDER.glob("*.txt"))
KEYS = {"FROM", "KIND", "TITLE", "FRAME", "CRASH", "CUT", "ALSO"}
FIRST = re.compile(rb"panic|BUG|WARN|Oops|fault|error|nable|Insuff|UBSAN|INFO|LOCKUP|Internal|oom-|memory|LOCK|general")
STAMP = re.compile(rb"^\[ *\d+\.\d{6}\]", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """A log and what is to be read in it."""

    name: str
    expected: dict[str, str]
    also: tuple[str, ...]
    log: bytes

    def __str__(self) -> str:
        return self.name


def load(file: Path) -> Case:
    """Return the case in a file."""
    head, _, log = file.read_bytes().partition(b"\n\n")
    pairs = [line.split(": ", 1) for line in head.decode().split("\n")]
    assert {key for key, _ in pairs} <= KEYS, f"{file.name} expects what no test looks at"
    also = tuple(value for key, value in pairs if key == "ALSO")
    return Case(file.stem, {key: value for key, value in pairs if key != "ALSO"}, also, log)


CASES = [load(file) for file in FILES]
each_case = pytest.mark.parametrize("case", CASES, ids=str)


def is_of(crash: Crash) -> str:
    """Return a report as ALSO lines have it."""
    return f"{crash.kind} | {crash.title}"


@each_case
def test_a_log_reads_as_expected(case: Case) -> None:
    """Kind, title, guilty function and the other reports are those that the file's first lines tell."""
    reading = read_console(case.log)
    first = reading.first
    assert first.kind == case.expected["KIND"]
    assert first.title == case.expected.get("TITLE", "")
    assert first.frame == case.expected.get("FRAME", "")
    assert reading.crashed == (case.expected["CRASH"] == "yes")
    assert tuple(is_of(crash) for crash in reading.crashes if crash is not first) == case.also
    if "CUT" in case.expected:
        assert first.cut == (case.expected["CUT"] == "yes")


def test_the_corpus_covers_every_kind_on_both_architectures() -> None:
    """No kind goes without a log, and what isn't x86's own has one of arm64 too."""
    seen = {(case.expected["KIND"], "arm64" in case.name) for case in CASES}
    assert {kind for kind, _ in seen} == set(CrashKind)
    both = {"panic", "oops", "bug", "warning", "soft-lockup", "hung-task", "rcu-stall", "oom", "no-root", "none"}
    assert both <= {kind for kind, arm64 in seen if arm64}


@each_case
def test_a_title_holds_nothing_that_varies(case: Case) -> None:
    """Titles are compared between boots: no addresses, offsets, CPU numbers or process ids, and they are bounded."""
    for crash in read_console(case.log).crashes:
        assert not re.search(r"0x|\+|[0-9a-f]{8}|(?i:cpu|pid)\W?\d|\[#", crash.title)
        assert crash.title.isprintable()
        assert len(crash.title) <= TITLE_MAX


def other_boot(log: bytes) -> bytes:
    """Return the log with other times, addresses, process ids and CPUs, as another boot would have them."""
    log = STAMP.sub(lambda stamp: b"[%12.6f]" % (float(stamp[0].strip(b"[]")) * 1.37), log)
    log = re.sub(rb"\b(ffff[0-9a-f]{12})\b", b"ffff8880deadb000", log)
    log = re.sub(rb"\b(CPU: |CPU#|PID: |pid:|init[:/])\d+", rb"\g<1>5", log)
    return re.sub(rb"\+0x[1-9a-f][0-9a-f]*/0x[0-9a-f]+", b"+0x7/0x77", log)


@each_case
def test_a_title_is_the_same_on_another_boot(case: Case) -> None:
    """What differs between two boots of one kernel changes no title and no guilty function."""
    told = [(crash.kind, crash.title, crash.frame) for crash in read_console(case.log).crashes]
    assert [(one.kind, one.title, one.frame) for one in read_console(other_boot(case.log)).crashes] == told


@each_case
def test_the_line_of_a_report_is_where_it_begins(case: Case) -> None:
    """The line number leads a reader to the report's first line."""
    lines = case.log.split(b"\n")
    for crash in read_console(case.log).crashes:
        if crash.kind is not CrashKind.SILENT_REBOOT:
            assert FIRST.search(lines[crash.line - 1])


@each_case
def test_pieces_make_no_difference(case: Case) -> None:
    """A console that comes byte by byte reads as the whole does."""
    reader = ConsoleReader()
    for at in range(0, len(case.log), 7):
        reader.feed(case.log[at : at + 7])
        if at % 700 == 0:
            reader.reading()
    reader.end()
    assert reader.reading() == read_console(case.log)


@pytest.mark.parametrize("case", [case for case in CASES if case.log and not case.log.startswith(b"[+")], ids=str)
def test_our_own_stamps_make_no_difference(case: Case) -> None:
    """A log that bisectbot saved, each line with its time, reads as the console itself."""
    assert read_console(re.sub(rb"(?m)^", b"[+0012.345] ", case.log)) == read_console(case.log)


# --- what a program prints is never the kernel's ------------------------------------------------


def relayed(seq: int, line: str) -> bytes:
    """Return a line of the reproducer as init relays it."""
    text = json.dumps({"t": "out", "trial": 1, "fd": 1, "line": line[:1000]}).encode()
    return b"@bb %d %08x %s\r\n" % (seq, crc32(text), text)


BOOTS = [case.log for case in CASES if case.name in ("x86-clean", "arm64-clean")]
PRINTED = sorted({line.decode("ascii", "replace") for case in CASES for line in case.log.split(b"\n")})


@given(st.sampled_from(BOOTS), st.booleans(), st.lists(st.one_of(st.sampled_from(PRINTED), st.text()), max_size=30))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_relayed_output_is_never_a_report(boot: bytes, stamped: bool, lines: list[str]) -> None:  # noqa: FBT001  (given)
    """Whatever a reproducer prints, a boot without a fault stays one, with time stamps or without."""
    boot = boot if stamped else re.sub(rb"(?m)^\[ *\d+\.\d+\] ", b"", boot)
    assert not read_console(boot + b"".join(relayed(seq, line) for seq, line in enumerate(lines, 2))).crashed


@given(st.sampled_from(BOOTS), st.lists(st.sampled_from(PRINTED), max_size=30))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_program_on_the_console_is_not_the_kernel(boot: bytes, lines: list[str]) -> None:
    """A program that writes to the console itself has no time stamps; a kernel that uses them is told from it."""
    bare = [re.sub(r"(<\d>)?\[.*?\.\d{6}\]", "", line) for line in lines]
    loud = [line for line in bare if not re.search(r"\d\]|\[\w{3} |kernel: \[", line)]
    assert not read_console(boot + "\n".join(loud).encode("ascii", "replace")).crashed


@given(st.sampled_from([case for case in CASES if STAMP.search(case.log)]), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_facts_between_lines_make_no_difference(case: Case, data: st.DataObject) -> None:
    """Our init goes on talking while the kernel reports; the report reads the same."""
    lines = case.log.split(b"\n")
    places = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=20)), reverse=True)
    for place in places:
        lines.insert(place, relayed(place + 1, "Kernel panic - not syncing: no").rstrip(b"\n"))
    with_facts, without = read_console(b"\n".join(lines)), read_console(case.log)
    assert [is_of(crash) for crash in with_facts.crashes] == [is_of(crash) for crash in without.crashes]
    assert with_facts.first.frame == without.first.frame


# --- any bytes at all ----------------------------------------------------------------------------


def mixed() -> Iterator[bytes]:
    """Yield pieces that logs are made of, and some that they aren't."""
    yield from (
        b"\n",
        b"\r\n",
        b"\x1b[1m",
        b"\x00",
        b"\xff",
        b"[    1.234567] ",
        b"[    1.234567][    T1] ",
        b"<4>",
        b"@bb 1 ",
    )
    for line in PRINTED:
        if read_head(re.sub(r"^\[.*?\] ", "", line)):
            yield line.encode("ascii", "replace")


@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from(sorted(mixed()))), max_size=40).map(b"".join))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_are_read(data: bytes) -> None:
    """Rubbish raises nothing; its titles are printable and bounded, its lines are within the log."""
    reading = read_console(data)
    assert reading.printable or not reading.crashes
    for crash in reading.crashes:
        assert crash.title.isprintable()
        assert len(crash.title) <= TITLE_MAX
        assert 1 <= crash.line <= data.count(b"\n") + 1


PIECES = (
    b"@bb ",
    b"[    1.234567] ",
    b"@bb 1 00000000 {",
    b"WARNING: ",
    b"BUG: a at",
    b"\x1b]",
    b" ]-",
    b"{(",
    b" at: a",
)


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("head", [b"", b"[    1.000000] Kernel panic - not syncing: ", b"@bb [    1.234567] BUG: "])
def test_repetition_is_read(head: bytes, piece: bytes) -> None:
    """A line of one thing over and over neither recurses nor takes for ever."""
    assert len(read_console((head + (piece + b"[    1.234567] ") * 5000 + b"\n") * 3).crashes) <= 200


def test_a_flood_of_reports_is_bounded() -> None:
    """A kernel that warns for ever costs little memory, and the panic at its end isn't lost."""
    warning = b"[    1.000000] WARNING: CPU: 0 PID: 1 at kernel/a.c:1 again+0x1/0x2\n"
    reading = read_console(warning * 5000 + b"[    2.000000] Kernel panic - not syncing: at last\n")
    assert len(reading.crashes) == 101
    assert reading.first.title == "kernel panic: at last"


def test_a_line_without_end_is_bounded() -> None:
    """Megabytes without a newline are read in pieces, and the report behind them is found."""
    reader = ConsoleReader()
    for _ in range(64):
        reader.feed(b"\xff\x00x" * 20_000)
    reader.feed(b"\n[    2.000000] Kernel panic - not syncing: behind it\n")
    assert len(reader._lines._rest) < 20_000
    assert reader.reading().first.title == "kernel panic: behind it"


def test_a_title_is_bounded() -> None:
    """A panic that says too much is cut."""
    assert len(read_console(b"Kernel panic - not syncing: " + b"word " * 999).first.title) == TITLE_MAX


# --- what the boot watcher asks ---------------------------------------------------------------------


def test_a_report_is_cut_until_its_end_has_come() -> None:
    """Who watches a console live can tell a report that still comes from a whole one."""
    log = next(case.log for case in CASES if case.name == "x86-null-write")
    half, rest = log[: log.index(b"Call Trace")], log[log.index(b"Call Trace") :]
    reader = ConsoleReader()
    reader.feed(half)
    assert reader.reading().first.cut
    reader.feed(rest)
    assert not reader.reading().first.cut


def test_kernels_and_tokens_are_told() -> None:
    """Which kernel booted, with which token: the proof that it is the one that was meant."""
    log = next(case.log for case in CASES if case.name == "x86-clean")
    (token,) = re.findall(r"bisectbot\.token=(\w+)", log.decode().split("Kernel command line")[0])
    reading = read_console(log)
    assert (reading.releases, reading.tokens) == (("6.1.192-crash",), (token,))


@pytest.mark.parametrize(
    ("last", "goodbye"),
    [("reboot: Restarting system", True), ("reboot: Power down", True), ("random: crng init done", False)],
)
def test_a_goodbye_is_told(last: str, goodbye: bool) -> None:  # noqa: FBT001  (a column)
    """A console that ends after the kernel said so ended in order."""
    assert (
        read_console(f"[    0.000000] Linux version 6.1.0 (a@b) #1\n[    1.000000] {last}\n".encode()).goodbye
        is goodbye
    )


def test_a_report_of_the_boot_before_is_not_merged() -> None:
    """Each boot starts afresh: an out-of-memory report on either side of a reboot are two."""
    boot = b"[    0.000000] Linux version 6.1.0 (a@b) #1\n[    5.000000] init invoked oom-killer: gfp_mask=0x1\n"
    assert len(read_console(boot * 2).crashes) == 2


def test_fatal_comes_first() -> None:
    """The first fatal report is shown, though a harmless one came before it."""
    warning, bug = Crash(CrashKind.WARNING, "a"), Crash(CrashKind.BUG, "b")
    assert Reading((warning, bug, Crash(CrashKind.PANIC, "c")), printable=True).first is bug
    assert Reading((warning, Crash(CrashKind.UBSAN, "d")), printable=True).first is warning
