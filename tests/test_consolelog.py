"""A console as it is kept: times, bounds, and a full disk."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from bisectbot.effects.consolelog import ConsoleLog, console_log
from bisectbot.effects.fifo import fifo
from bisectbot.errors import DiskFull, InfraError
from bisectbot.ports import Chunk


def kept(*chunks: tuple[float, bytes]) -> bytes:
    """Return the log of these chunks."""
    file = io.BytesIO()
    log = ConsoleLog(file)
    for at, data in chunks:
        log.write(Chunk(at, data))
    return file.getvalue()


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        (((0.0, b"one\n"),), b"[+0000.000] one\n"),
        (((0.5, b"o"), (1.5, b"ne"), (2.5, b"\ntwo\n")), b"[+0000.500] one\n[+0002.500] two\n"),
        (((1.0, b"a\n\nb"),), b"[+0001.000] a\n[+0001.000] \n[+0001.000] b"),
        (((1.0, b""), (2.0, b"\n")), b"[+0002.000] \n"),
        (((12345.6789, b"late\r\n"),), b"[+12345.679] late\r\n"),
        (((1.0, b"\x00\xff\x1b[2J\n"),), b"[+0001.000] \x00\xff\x1b[2J\n"),
    ],
    ids=["line", "in pieces", "empty line", "nothing", "late", "any byte"],
)
def test_each_line_has_the_time_of_its_first_byte(chunks: tuple[tuple[float, bytes], ...], text: bytes) -> None:
    """Lines are stamped once, when they begin; their bytes stay what they were."""
    assert kept(*chunks) == text


def test_a_flood_keeps_its_beginning_and_its_newest() -> None:
    """Beyond the limit the log says what is missing, and keeps both ends, whole lines of them."""
    file = io.BytesIO()
    log = ConsoleLog(file, limit=10_000)
    for number in range(100_000):
        log.write(Chunk(float(number), b"line %d\n" % number))
        assert len(file.getvalue()) <= 10_100
    lines = file.getvalue().splitlines()
    numbers = [int(line.rsplit(b" ", 1)[1]) for line in lines if b"] line " in line]
    gone = [line for line in lines if b"left out" in line]
    assert len(gone) == 1
    assert len(numbers) == len(lines) - 1
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, 99_999)
    assert len(numbers) > 200
    assert int(gone[0].split()[6]) > 1_000_000


def test_one_endless_line_is_bounded_too() -> None:
    """A console that never ends its line stays within the limit."""
    file = io.BytesIO()
    log = ConsoleLog(file, limit=10_000)
    for at in range(1000):
        log.write(Chunk(float(at), b"x" * 1000))
    assert 5_000 < len(file.getvalue()) < 12_000


def test_what_was_written_is_on_disk_at_once(tmp_path: Path) -> None:
    """A reader sees every byte without waiting for the end, in a folder that is made when needed."""
    with console_log(tmp_path / "consoles/001.log") as log:
        log.write(Chunk(0.0, b"Linux"))
        assert (tmp_path / "consoles/001.log").read_bytes() == b"[+0000.000] Linux"


def test_a_full_disk_is_told_by_name() -> None:
    """No room is a fault of ours that lasts, naming the file."""
    with pytest.raises(DiskFull, match="/dev/full"), console_log(Path("/dev/full")) as log:
        log.write(Chunk(0.0, b"Linux"))


def test_a_log_that_cannot_be_is_our_own_fault(tmp_path: Path) -> None:
    """A folder that can't be written to says nothing about a kernel."""
    (tmp_path / "consoles").write_text("in the way")
    with pytest.raises(InfraError, match=r"001\.log"), console_log(tmp_path / "consoles/001.log"):
        pass


def test_a_pipe_tells_silence_from_its_end() -> None:
    """Nothing yet is None, bytes come as they are, and when the writer is gone that is seen at once; no file stays."""
    with fifo() as pipe:
        assert pipe.read(0.0) is None
        with pipe.path.open("wb", buffering=0) as writer:
            assert pipe.read(0.0) is None
            writer.write(b"Linux")
            assert pipe.read(60.0) == b"Linux"
            assert pipe.read(0.0) is None
            writer.write(b"bye")
        assert pipe.read(60.0) == b"bye"
        assert pipe.read(60.0) == b""
    assert not pipe.path.parent.exists()
