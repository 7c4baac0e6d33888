"""The guest protocol: what our init said is read, and nothing else ever is."""

from __future__ import annotations

import json
from collections import Counter
from zlib import crc32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bisectbot.console.guest import MAX_LINE, Beat, Done, End, Fact, GuestReader, How, Out, OutCut, Ready, Start, find

Fields = dict[str, object]

READY: Fields = {"t": "ready", "v": 1, "release": "6.1.0-bb", "machine": "x86_64", "token": "c0ffee", "cpus": 2}
START: Fields = {"t": "start", "trial": 1}
DONE: Fields = {"t": "done"}
SAID: list[tuple[Fields, Fact]] = [
    (READY, Ready(1, "6.1.0-bb", "x86_64", "c0ffee", 2)),
    ({"t": "start", "trial": 1}, Start(1)),
    ({"t": "beat", "trial": 1, "s": 3}, Beat(1, 3)),
    ({"t": "out", "trial": 1, "fd": 2, "line": 'a "quoted" {brace} \\'}, Out(1, 2, 'a "quoted" {brace} \\')),
    ({"t": "out-cut", "trial": 1}, OutCut(1)),
    ({"t": "out-cut"}, OutCut(0)),
    ({"t": "end", "trial": 1, "how": "exit", "code": 125, "ms": 9}, End(1, How.EXIT, 125, 9)),
    ({"t": "end", "trial": 1, "how": "signal", "code": 11, "ms": 9}, End(1, How.SIGNAL, 11, 9)),
    ({"t": "end", "trial": 1, "how": "limit", "ms": 9}, End(1, How.LIMIT, 0, 9)),
    ({"t": "end", "trial": 1, "how": "exec", "code": 8, "ms": 0}, End(1, How.EXEC, 8, 0)),
    ({"t": "done"}, Done()),
]


def line_of(seq: int, fields: Fields, times: int = 1) -> bytes:
    """Return a fact's line, as often as init prints it."""
    text = json.dumps(fields, separators=(",", ":")).encode()
    return b"@bb %d %08x %s\r\n" % (seq, crc32(text), text) * times


def read(*pieces: bytes) -> list[Fact]:
    """Return the facts in a stream that comes in these pieces."""
    reader = GuestReader()
    return [one for piece in pieces for one in reader.feed(piece)]


@pytest.mark.parametrize(("fields", "expected"), SAID)
def test_each_fact_is_read(fields: Fields, expected: Fact) -> None:
    """Every kind of fact comes out with its fields."""
    assert read(line_of(1, fields)) == [expected]


@pytest.mark.parametrize(
    "fields",
    [
        {"t": "later", "x": 1},
        {"t": "start"},
        {"t": "start", "trial": "1"},
        {"t": "start", "trial": True},
        {"t": "end", "trial": 1, "how": "otherwise", "code": 0, "ms": 1},
        {"t": ["start"], "trial": 1},
        {"trial": 1},
    ],
)
def test_what_this_version_does_not_know_is_no_fact(fields: Fields) -> None:
    """An unknown kind, a missing field or one of a wrong type is dropped, and what follows is read."""
    assert read(line_of(1, fields), line_of(2, DONE)) == [Done()]


def test_a_repeat_counts_once() -> None:
    """Init prints what matters three times; it happened once."""
    assert read(line_of(1, READY, 3), line_of(9, DONE, 3)) == [SAID[0][1], Done()]


def test_equal_output_lines_are_all_there() -> None:
    """A program may print the same line twice: these are two facts."""
    same: Fields = {"t": "out", "trial": 1, "fd": 1, "line": "."}
    assert read(line_of(4, same), line_of(5, same), line_of(5, same)) == [Out(1, 1, ".")] * 2


def test_a_damaged_number_hides_nothing() -> None:
    """The CRC doesn't cover the sequence number: one that took another's must not make that one a repeat."""
    damaged = line_of(1, READY).replace(b"@bb 1 ", b"@bb 7 ")
    assert read(line_of(1, READY), damaged, line_of(7, START)) == [SAID[0][1], Start(1)]


@pytest.mark.parametrize("around", [(b"[    1.234567] Kernel", b""), (b"", b"[    1.2] nic"), (b"@bb 3 0", b"@bb 4")])
def test_an_intact_fact_is_found_within_a_line(around: tuple[bytes, bytes]) -> None:
    """Kernel text or a broken fact before or behind it don't matter."""
    before, behind = around
    assert read(before + line_of(1, DONE).rstrip() + behind + b"\n") == [Done()]


def test_two_facts_on_one_line_are_both_read() -> None:
    """A lost newline loses no fact."""
    assert read(line_of(1, START).rstrip() + line_of(2, DONE)) == [Start(1), Done()]


def test_a_broken_fact_is_none() -> None:
    """A line that the kernel cut into doesn't count, wherever its rest went."""
    line = line_of(1, START)
    assert read(line[:30] + b"[    1.234567] watchdog: BUG\n" + line[30:], line_of(2, DONE)) == [Done()]


def test_output_cannot_forge_a_fact() -> None:
    """A reproducer that prints a fact of its own is quoted, and so harmless."""
    forged = line_of(9, {"t": "end", "trial": 1, "how": "exit", "code": 1, "ms": 1}).decode()
    assert read(line_of(2, {"t": "out", "trial": 1, "fd": 1, "line": forged})) == [Out(1, 1, forged)]


def test_the_place_of_a_fact_is_told() -> None:
    """find() tells which bytes are ours, so that they are never read as the kernel's."""
    line = b"abc" + line_of(12, DONE).rstrip() + b"def"
    (found,) = find(line)
    assert (line[: found.start], line[found.end :], found.seq) == (b"abc", b"def", 12)


def test_a_fact_behind_much_rubbish_is_read() -> None:
    """A flood without a newline keeps little memory, and not at the price of the fact behind it."""
    reader = GuestReader()
    flood = [one for _ in range(100) for one in reader.feed(b"\xff{@bb " * 1000)]
    assert flood == []
    assert len(reader._rest) <= MAX_LINE
    assert reader.feed(b"\n" + line_of(1, DONE)) == [Done()]


NOISE = st.one_of(
    st.binary(max_size=20),
    st.sampled_from([b"[    5.123456] Kernel panic - not syncing: x\r\n", b"@bb 3 ", b"\n", b'{"t":"done"}', b'"}']),
)
WOUNDS = st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(["insert", "delete", "flip"]), NOISE), max_size=12)


def wound(stream: bytes, wounds: list[tuple[int, str, bytes]]) -> bytes:
    """Return `stream` with bytes inserted, lost and changed."""
    for place, how, noise in wounds:
        at = place % (len(stream) + 1)
        match how:
            case "insert":
                stream = stream[:at] + noise + stream[at:]
            case "delete":
                stream = stream[:at] + stream[at + len(noise) :]
            case _:
                stream = stream[:at] + bytes(byte ^ 0x11 for byte in stream[at : at + 2]) + stream[at + 2 :]
    return stream


@given(st.lists(st.sampled_from(SAID), max_size=6), WOUNDS, st.lists(st.integers(0, 2000), max_size=5))
@example([SAID[0]], [(4, "flip", b"")], [])
def test_nothing_is_read_that_was_not_said(
    said: list[tuple[Fields, Fact]], wounds: list[tuple[int, str, bytes]], cuts: list[int]
) -> None:
    """However lines are cut, mixed and damaged: each fact that is read was sent, and no oftener than it was."""
    sent = [(line_of(seq, fields), expected) for seq, (fields, expected) in enumerate(said, 1)]
    stream = wound(b"".join(line for line, _ in sent), wounds)
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert Counter(read(*pieces)) <= Counter(expected for _, expected in sent)


@given(st.lists(st.sampled_from(SAID), max_size=6), st.lists(st.integers(0, 2000), max_size=5))
def test_pieces_make_no_difference(said: list[tuple[Fields, Fact]], cuts: list[int]) -> None:
    """The console may deliver a stream in pieces of any size."""
    stream = b"".join(line_of(seq, fields) for seq, (fields, _) in enumerate(said, 1))
    places = sorted(cut % (len(stream) + 1) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(*pieces) == read(stream)
