"""A machine's console kept: nothing lost, nothing said twice, no line cut by another source, memory bounded."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.console import read_console
from bisectbot.effects import replay, tape
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import ConsoleLog, console_log
from bisectbot.effects.descriptor import DescriptorWire
from bisectbot.effects.merge import HOLD, Merge
from bisectbot.effects.recorder import RecordedConsole, Recorder, recorder
from bisectbot.effects.replay import replayed
from bisectbot.effects.tape import Tape
from bisectbot.effects.tcp import TcpLine
from bisectbot.errors import DiskFull, Dropped, HostSick, InfraError, ToolMissing
from bisectbot.lab import TcpConsole
from bisectbot.ports import Console, Deadline
from bisectbot.reach import Wire

PATIENCE = 20.0  # seconds; only a failing test waits that long
CLOCK = SystemClock()


# --- one stream of several ---


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text("xy\n", max_size=6)), max_size=40))
def test_no_source_cuts_into_anothers_line(said: Sequence[tuple[str, str]]) -> None:
    """Whoever says what in whatever pieces: every line of each source comes out whole, in its order, once."""
    stream = Merge()
    pieces = [(source, text.replace("x", source).replace("y", source.upper()).encode()) for source, text in said]
    out = b"".join(stream.put(source, data, 0.0) for source, data in pieces)
    out += b"".join(stream.end(source, 0.0) for source in "abc")
    for source in "abc":
        mine = b"".join(data for who, data in pieces if who == source)
        wanted = [line for line in mine.split(b"\n") if line]
        own = {*source.encode(), *source.upper().encode()}
        assert [line for line in out.split(b"\n") if line and {*line} <= own] == wanted
    assert out.replace(b"\n", b"").isalpha() or not out.replace(b"\n", b"")


def test_one_source_comes_through_unchanged_and_at_once() -> None:
    """Nothing is held back from a console that is alone."""
    stream = Merge()
    for piece in (b"Lin", b"ux\nlog", b"in: ", b"\n\n"):
        assert stream.put("console", piece, 0.0) == piece


def test_a_prompt_holds_nobody_up_for_long() -> None:
    """A line that doesn't end is ended after a while, also if it goes on and on, or if much waits for it."""
    stream = Merge()
    assert stream.put("console", b"login: ", 0.0) == b"login: "
    assert stream.put("facts", b"@bb 1\n", 1.0) == b""
    assert stream.put("console", b".", 1.0 + HOLD / 2) == b"."
    assert stream.put("console", b".", 1.0 + HOLD) == b".\n@bb 1\n"
    assert stream.put("console", b"|", 5.0) == b"|"
    assert stream.put("facts", b"x" * 100_000 + b"\n", 5.0) == b"\n" + b"x" * 100_000 + b"\n"


# --- what is said again ---


@pytest.mark.parametrize(
    ("seen", "fresh", "known"),
    [
        (b"a\nb\nc\n", b"b\nc\nd\n", b"b\nc\n"),
        (b"a\nb\nc\n", b"a\nb\nc\n", b"a\nb\nc\n"),
        (b"aaa\nbbb\nccc\n", b"a\nbbb\nccc\nd", b"a\nbbb\nccc\n"),
        (b"a\nb\nKern", b"b\nKernel panic\n", b"b\n"),
        (b"a\nb\nc\n", b"d\ne\n", b""),
        (b"a\nb\nc\n", b"b\nd\n", b""),
        (b"a\na\na\n", b"a\na\nb\n", b"a\na\n"),
        (b"", b"a\n", b""),
        (b"a\n", b"", b""),
        (b"no line end", b"no line end\n", b""),
        (b"a\nb\n", b"b", b""),
    ],
)
def test_the_longest_overlap_is_known(seen: bytes, fresh: bytes, known: bytes) -> None:
    """Whole lines that end what was seen and begin what comes are known; the first may lack its beginning."""
    assert fresh[: replayed(seen, fresh)] == known


@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=50))
def test_a_history_is_known_whatever_the_bytes(seen: bytes, at: int, new: bytes) -> None:
    """A server that repeats any end of what it sent has all whole lines of it recognised, and nothing before them."""
    seen += b"\n"
    known = replayed(seen, seen[at:] + new)
    assert known >= len(seen[at:])
    assert seen.endswith((seen[at:] + new)[:known])


def test_empty_lines_take_no_time() -> None:
    """The worst a console can send is looked at in a moment, and the limits hold."""
    assert replayed(b"\n" * 500_000 + b"a\n", b"\n" * 500_000) == 0
    assert replayed(b"b\n" * 500_000, b"b\n" * 500_000) == replay.LIMIT


# --- the tape ---


def stamped(log: io.BytesIO) -> bytes:
    """Return a log's bytes without the times."""
    return b"".join(line.partition(b"] ")[2] for line in log.getvalue().splitlines(keepends=True))


def test_a_slow_reader_loses_the_oldest_and_is_told() -> None:
    """The queue is bounded, what was left out is counted, the log has it all, and who records never waits."""
    log = io.BytesIO()
    kept = Tape(ConsoleLog(io.BytesIO()), CLOCK)
    kept.begin(ConsoleLog(log))
    for number in range(96):
        kept.put("console", b"%65535d\n" % number)
    got = b""
    while (chunk := kept.take(0.0)) is not None:
        got += chunk.data
    lines = got.splitlines()
    dropped = 96 * 65536 - tape._MOST
    assert lines[:2] == [b"", b"### bisectbot: %d bytes came too fast and are left out here" % dropped]
    assert [int(line) for line in lines[2:]] == list(range(96 - (len(lines) - 2), 96))
    assert len(lines) - 2 == tape._MOST // 65536
    assert stamped(log).count(b"\n") == 96


def test_a_full_disk_reaches_who_watches() -> None:
    """A log that can't be written is a fault of ours, raised where the boot is watched; the next one may do better."""
    kept = Tape(ConsoleLog(io.BytesIO()), CLOCK)
    with Path("/dev/full").open("r+b", buffering=0) as full:
        kept.begin(ConsoleLog(full))
        kept.put("console", b"Linux\n")
        with pytest.raises(DiskFull):
            kept.take(0.0)
    kept.begin(ConsoleLog(io.BytesIO()))
    kept.put("console", b"Linux\n")
    assert kept.take(0.0) is not None


# --- the recorder, on a serial server ---


class SerialServer:
    """A port that one machine's console comes out of; connections can be cut, and history be said again."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(PATIENCE)
        self.port = self.listening.getsockname()[1]
        self.line = TcpLine(TcpConsole("127.0.0.1", self.port))
        self.peer: socket.socket | None = None

    def accept(self) -> None:
        """Wait for somebody who listens."""
        self.peer = self.listening.accept()[0]

    def says(self, data: bytes) -> None:
        """Send to who listens."""
        assert self.peer is not None
        self.peer.sendall(data)

    def cut(self) -> None:
        """Hang up."""
        assert self.peer is not None
        self.peer.close()

    def close(self) -> None:
        """End it."""
        self.listening.close()
        if self.peer:
            self.peer.close()


@pytest.fixture
def serial() -> Iterator[SerialServer]:
    """Return a serial server."""
    made = SerialServer()
    yield made
    made.close()


def later() -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(CLOCK, PATIENCE)


def until(console: RecordedConsole, wanted: bytes) -> bytes:
    """Return all that is handed out up to what is waited for."""
    got, deadline = b"", later()
    for chunk in console.chunks(0.1):
        got += chunk.data if chunk else b""
        if wanted in got:
            return got
        assert not deadline.passed, got
    raise AssertionError(got)


@contextmanager
def recording(serial: SerialServer) -> Iterator[tuple[Recorder, io.BytesIO]]:
    """Record a serial server that is connected; yield the recorder and the log of what is outside of boots."""
    between = io.BytesIO()
    with recorder(serial.line, ConsoleLog(between), CLOCK) as rec:
        serial.accept()
        rec.ready(later())
        yield rec, between


def test_a_boot_is_complete_and_nothing_else(serial: SerialServer) -> None:
    """What came before the cut is in the log of before, all from the cut on in the boot's."""
    boot = io.BytesIO()
    with recording(serial) as (rec, between):
        serial.says(b"old system\nshutting do")
        while b"shutting" not in between.getvalue():
            assert rec.healthy
        with rec.cut(ConsoleLog(boot)) as console:
            port: Console = console
            serial.says(b"Linux version 6\n")
            assert until(console, b"6\n") == b"Linux version 6\n"
            serial.says(b"bye")
            assert until(console, b"bye") == b"bye"
            assert not port.reset
        serial.says(b"old system again\n")
        while b"again" not in between.getvalue():
            assert rec.healthy
    assert stamped(boot) == b"Linux version 6\nbye\n"
    assert stamped(between) == b"old system\nshutting do\nold system again\n"
    assert rec.losses == 0


def test_times_count_from_the_cut(serial: SerialServer) -> None:
    """Chunks and log lines have seconds since the boot began."""
    with recording(serial) as (rec, _), rec.cut(ConsoleLog(io.BytesIO())) as console:
        before = CLOCK.now()
        serial.says(b"Linux\n")
        chunk = next(chunk for chunk in console.chunks(PATIENCE) if chunk)
        assert 0 <= chunk.at <= CLOCK.now() - before + 1.0


def test_a_lost_console_comes_back(serial: SerialServer) -> None:
    """A cut connection is opened again, both told in the log with the time, and the history isn't said twice."""
    boot = io.BytesIO()
    with recording(serial) as (rec, _), rec.cut(ConsoleLog(boot)) as console:
        serial.says(b"[    0.000000] Linux version 6 (x)\n[    1.000000] one\n[    2.000000] tw")
        until(console, b"tw")
        serial.cut()
        serial.accept()
        serial.says(b"version 6 (x)\n[    1.000000] one\n[    2.000000] two\n")
        assert until(console, b"two\n") == b"\n[    2.000000] two\n"
        assert rec.healthy
        assert rec.losses == 1
    log = stamped(boot).decode().splitlines()
    where = f"TCP 127.0.0.1:{serial.port}"
    assert log[:4] == [
        "[    0.000000] Linux version 6 (x)",
        "[    1.000000] one",
        "[    2.000000] tw",
        f"### bisectbot: console lost: {where}: it ended",
    ]
    assert log[4].startswith("### bisectbot: console back after ")
    assert log[5:] == ["### bisectbot: 33 bytes that were said again are left out here", "[    2.000000] two"]
    assert not read_console(boot.getvalue()).crashed


def test_another_boot_after_a_gap_is_seen_whole(serial: SerialServer) -> None:
    """A machine that restarted while nobody listened is told by its banner, which is no repetition."""
    with recording(serial) as (rec, _), rec.cut(ConsoleLog(io.BytesIO())) as console:
        serial.says(b"[    0.000000] Linux version 6 (x)\n[    1.000000] one\n")
        first = until(console, b"one\n")
        serial.cut()
        serial.accept()
        serial.says(b"[    0.000000] Linux version 6 (x)\n[    1.100000] one\n")
        assert read_console(first + until(console, b"one\n")).crashed


def test_nobody_there_is_told_in_time() -> None:
    """A console that can't be opened makes ready() fail with the reason, and it is tried again meanwhile."""
    serial = SerialServer()
    serial.listening.close()
    between = io.BytesIO()
    with recorder(serial.line, ConsoleLog(between), CLOCK) as rec:
        with pytest.raises(HostSick, match="Connection refused"):
            rec.ready(Deadline.after(CLOCK, 0.2))
        assert not rec.healthy
    assert stamped(between).count(b"console not there: TCP") == 1


class Hopeless:
    """A line that can't ever be opened; fits reach.Line."""

    what = "nothing"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def open(self, deadline: Deadline) -> AbstractContextManager[Wire]:
        """Fail."""
        assert not deadline.passed
        raise self._error


@pytest.mark.parametrize(
    ("raised", "expected"), [(ToolMissing("no ipmitool"), ToolMissing), (ZeroDivisionError("a bug"), InfraError)]
)
def test_what_is_hopeless_isnt_waited_for(raised: Exception, expected: type[InfraError]) -> None:
    """A missing program, or a mistake of ours, comes out where the boot is watched instead of as silence."""
    log = ConsoleLog(io.BytesIO())
    with recorder(Hopeless(raised), log, CLOCK) as rec, rec.cut(log) as console, pytest.raises(expected):
        for _ in console.chunks(PATIENCE):
            pass


# --- more wires ---


@pytest.fixture
def pipe() -> Iterator[tuple[DescriptorWire, io.FileIO]]:
    """Return a wire and its other end."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as other:
        yield DescriptorWire(reading), other
    os.close(reading)


def test_a_machine_without_console_has_its_other_wires(pipe: tuple[DescriptorWire, io.FileIO]) -> None:
    """Facts come without any console, and silence is None."""
    wire, other = pipe
    log = io.BytesIO()
    with recorder(None, ConsoleLog(io.BytesIO()), CLOCK) as rec, rec.cut(ConsoleLog(log)) as console:
        rec.ready(later())
        assert next(console.chunks(0.01)) is None
        with rec.adding(wire, "facts"):
            other.write(b"@bb 1\n")
            assert until(console, b"\n") == b"@bb 1\n"
    assert stamped(log) == b"@bb 1\n"


def test_wires_are_merged_by_lines(serial: SerialServer, pipe: tuple[DescriptorWire, io.FileIO]) -> None:
    """A fact that comes in the middle of a console line waits for the line's end."""
    wire, other = pipe
    with recording(serial) as (rec, _), rec.cut(ConsoleLog(io.BytesIO())) as console, rec.adding(wire, "facts"):
        serial.says(b"Kernel pa")
        until(console, b"pa")
        other.write(b"@bb 1\n")
        serial.says(b"nic\n")
        assert until(console, b"@bb 1\n") == b"nic\n@bb 1\n"


class Breaks:
    """A wire whose connection ends; fits reach.Wire."""

    def read(self, patience: float) -> bytes | None:
        """Fail."""
        del patience
        raise Dropped("the connection ended")


def test_a_wire_that_breaks_is_noted_and_the_rest_goes_on(serial: SerialServer) -> None:
    """The end of one source is a line in the log, and the console is still heard."""
    log = io.BytesIO()
    with recording(serial) as (rec, _), rec.cut(ConsoleLog(log)) as console:
        with rec.adding(Breaks(), "SSH"):
            while b"SSH" not in log.getvalue():
                assert rec.healthy
        serial.says(b"Linux\n")
        assert until(console, b"\n") == b"Linux\n"
    assert stamped(log) == b"### bisectbot: SSH ended: the connection ended\nLinux\n"


def test_a_flood_is_drained_while_nobody_reads(serial: SerialServer, tmp_path: Path) -> None:
    """A machine that prints much is never held up by us: 8 MiB go out before anybody takes a byte."""
    with recording(serial) as (rec, _), console_log(tmp_path / "log") as log, rec.cut(log) as console:
        for number in range(128):
            serial.says(b"%65535d\n" % number)
        serial.says(b"end\n")
        got = until(console, b"end\n")
    assert b"came too fast" in got or len(got) > 8 << 20
    assert b"%65535d\n" % 127 in got
