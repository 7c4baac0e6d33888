"""What machines send over the network: netconsole's datagrams put together, and init's facts received."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from bisectbot.console import guest, read_console
from bisectbot.effects import binding, listener
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.listener import FactListener, fact_listener
from bisectbot.effects.netconsole import NetReader
from bisectbot.effects.udp import Datagrams, NetLine
from bisectbot.errors import HostSick
from bisectbot.lab import NetConsole
from bisectbot.model import CrashKind
from bisectbot.ports import Deadline
from bisectbot.reach import Wire

PATIENCE = 20.0  # seconds; only a failing test waits that long
LOOPBACK = "127.0.0.1"


def read_until(wire: Wire, wanted: bytes) -> bytes:
    """Return all bytes up to the ones that are waited for."""
    got, deadline = b"", Deadline.after(SystemClock(), PATIENCE)
    while wanted not in got:
        assert not deadline.passed, got
        got += wire.read(0.1) or b""
    return got


# --- the two formats ---


def read(*datagrams: bytes) -> bytes:
    """Return the lines of one machine's datagrams."""
    reader = NetReader()
    return b"".join(map(reader.feed, datagrams)) + reader.flush()


LOST = b"### bisectbot: netconsole lost %d messages here\n"
HOLE = b"### bisectbot: a part is missing ###"


@pytest.mark.parametrize(
    ("datagrams", "lines"),
    [
        ([b"[    1.000000] plain\n"], b"[    1.000000] plain\n"),
        ([b"[    1.000000] in ", b"pieces\n"], b"[    1.000000] in pieces\n"),
        ([b"6,9,1234567,-;one\n"], b"[    1.234567] one\n"),
        ([b"6,9,12345678901,-,caller=T7;one\n"], b"[12345.678901][    T7] one\n"),
        ([b"6,9,1,-;one\n SUBSYSTEM=pci\n DEVICE=+pci:0\n"], b"[    0.000001] one\n"),
        ([b"6.9.0-rc1+,6,9,1,-;one\n"], b"[    0.000001] one\n"),
        ([b"4,9,1,-;a\\x5cb\\x0aline two\n"], b"[    0.000001] a\\b\n[    0.000001] line two\n"),
        ([b"4,1,1,-;a\n", b"4,2,2,-;b\n"], b"[    0.000001] a\n[    0.000002] b\n"),
        ([b"4,1,1,-;a\n", b"4,4,2,-;b\n"], b"[    0.000001] a\n" + LOST % 2 + b"[    0.000002] b\n"),
        ([b"4,1,1,-;a\n", b"4,1,1,-;a\n"], b"[    0.000001] a\n"),
        (
            [b"4,1,1,-;a\n", b"4,3,3,-;c\n", b"4,2,2,-;b\n", b"4,4,4,-;d\n"],
            b"[    0.000001] a\n" + LOST % 1 + b"[    0.000003] c\n[    0.000002] b\n[    0.000004] d\n",
        ),
        ([b"4,900,90000000,-;a\n", b"4,3,3,-;new\n"], b"[   90.000000] a\n[    0.000003] new\n"),
        ([b"4,1,1,-,ncfrag=0/9;Kern", b"4,1,1,-,ncfrag=4/9;el p\n"], b"[    0.000001] Kernel p\n"),
        ([b"4,1,1,-,ncfrag=3/9;nel pa", b"4,1,1,-,ncfrag=0/9;Ker"], b"[    0.000001] Kernel pa\n"),
        ([b"4,1,1,-,ncfrag=4/8;el p"], b"[    0.000001] " + HOLE + b"el p\n"),
        ([b"4,1,1,-,ncfrag=0/99999;x\n"], b"[    0.000001] x\n"),
        ([b""], b""),
        ([b"\xff\x00;,"], b"\xff\x00;,"),
    ],
    ids=[
        "plain",
        "plain in pieces",
        "extended",
        "caller",
        "dictionary",
        "release",
        "escapes",
        "in order",
        "lost",
        "twice",
        "overtaken",
        "another boot",
        "fragments",
        "fragments overtaken",
        "fragment lost",
        "too long",
        "empty",
        "rubbish",
    ],
)
def test_datagrams_become_console_lines(datagrams: Sequence[bytes], lines: bytes) -> None:
    """Messages look as on a serial console, and what was lost is visible."""
    assert read(*datagrams) == lines


def test_a_panic_is_found_in_what_netconsole_brings() -> None:
    """The reader of serial consoles finds the report, its function included."""
    texts = (
        "BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "Oops: 0002 [#1] PREEMPT SMP",
        "RIP: 0010:broken_write+0x9/0x20",
        "Call Trace:\\x0a <TASK>\\x0a do_one_initcall+0x56/0x300\\x0a </TASK>",
        "---[ end trace 0000000000000000 ]---",
        "Kernel panic - not syncing: Fatal exception",
    )
    sent = [f"1,{300 + at},{5_000_000 + at},-;{text}\n".encode() for at, text in enumerate(texts)]
    reading = read_console(read(*sent))
    assert reading.first.kind is CrashKind.OOPS
    assert reading.first.frame == "broken_write"


def test_hostile_fragments_stay_bounded() -> None:
    """A sender of beginnings without ends gets no more memory than a few messages."""
    reader = NetReader()
    out = b"".join(reader.feed(b"4,%d,1,-,ncfrag=0/8000;" % seq + b"x" * 1000) for seq in range(1000))
    assert len(out) > 990 * 1000
    assert len(reader.flush()) < 10_000


# --- over UDP ---


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    """Return a socket to send from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.bind((LOOPBACK, 0))
        yield sending


def test_netconsole_is_received_on_one_address(sender: socket.socket) -> None:
    """Lines come through, silence is None, and what never becomes whole comes once it is silent."""
    with NetLine(NetConsole(LOOPBACK, 0)).open(Deadline.after(SystemClock(), PATIENCE)) as wire:
        assert isinstance(wire, Datagrams)
        assert wire.read(0.0) is None
        sender.sendto(b"6,1,1,-;Linux\n", (LOOPBACK, wire.port))
        assert read_until(wire, b"\n") == b"[    0.000001] Linux\n"
        sender.sendto(b"6,2,2,-,ncfrag=0/8;Kern", (LOOPBACK, wire.port))
        assert read_until(wire, b"\n") == b"[    0.000002] Kern" + HOLE + b"\n"


def test_only_the_given_sender_counts(sender: socket.socket) -> None:
    """A stranger's datagrams leave no trace."""
    line = NetLine(NetConsole(LOOPBACK, 0), source="127.0.0.2")
    with line.open(Deadline.after(SystemClock(), PATIENCE)) as wire, socket.socket(type=socket.SOCK_DGRAM) as right:
        right.bind(("127.0.0.2", 0))
        sender.sendto(b"[    1.0] Kernel panic\n", (LOOPBACK, wire.port))
        right.sendto(b"[    1.0] fine\n", (LOOPBACK, wire.port))
        assert read_until(wire, b"\n") == b"[    1.0] fine\n"


def test_two_senders_are_counted_apart(sender: socket.socket) -> None:
    """Nobody's sequence numbers make a gap in another's."""
    with NetLine(NetConsole(LOOPBACK, 0)).open(Deadline.after(SystemClock(), PATIENCE)) as wire:
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            sender.sendto(b"6,1,1,-;a\n", (LOOPBACK, wire.port))
            other.sendto(b"6,700,9,-;b\n", (LOOPBACK, wire.port))
            sender.sendto(b"6,2,2,-;c\n", (LOOPBACK, wire.port))
        assert read_until(wire, b"c\n") == b"[    0.000001] a\n[    0.000009] b\n[    0.000002] c\n"


@pytest.mark.parametrize("address", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_isnt_ours_is_told(address: str) -> None:
    """What can't be bound is the lab's fault, naming it."""
    line = NetLine(NetConsole(address))
    with pytest.raises(HostSick, match=rf"netconsole on {address}:6666: "):
        line.open(Deadline.after(SystemClock(), PATIENCE)).__enter__()


# --- facts over TCP ---


@pytest.fixture
def facts() -> Iterator[FactListener]:
    """Return a listener on a free port."""
    with fact_listener(LOOPBACK) as listening:
        yield listening


def dial(facts: FactListener) -> socket.socket:
    """Connect as init does."""
    return socket.create_connection((LOOPBACK, facts.port), timeout=PATIENCE)


def hung_up(call: socket.socket) -> bool:
    """Whether the other side ended it; what it had not read yet makes that a reset."""
    try:
        return call.recv(1) == b""
    except ConnectionResetError:
        return True


def test_only_facts_are_passed_on(facts: FactListener) -> None:
    """Whole lines that are init's come through, in any pieces; nothing else does, and nothing is waited for."""
    assert facts.read(0.0) is None
    with dial(facts) as one, dial(facts) as two:
        one.sendall(b"Kernel panic - not syncing: not really\n@bb 1 00")
        two.sendall(b" @bb 9 11111111 {}\n@bb 2 22222222 {}\n@bb 3 never ended")
        assert read_until(facts, b"\n") == b"@bb 2 22222222 {}\n"
        one.sendall(b"000000 {}\n")
        assert read_until(facts, b"\n") == b"@bb 1 00000000 {}\n"
    assert facts.read(0.0) is None


def test_endless_lines_are_not_kept(facts: FactListener) -> None:
    """A line beyond the limit is dropped whole, and the one after it counts."""
    with dial(facts) as one:
        one.sendall(b"@bb " + b"x" * 3 * listener.MAX_LINE + b"\n" + b"@bb 1 00000000 {}\n")
        assert read_until(facts, b"\n") == b"@bb 1 00000000 {}\n"
        one.sendall(b"y" * listener.MAX_LINE * 8)
        assert facts.read(0.1) is None
        assert sum(len(sender.rest) for sender in facts._senders.values()) <= listener.MAX_LINE + (1 << 16)


def test_a_fifth_connection_takes_the_place_of_the_quietest(facts: FactListener) -> None:
    """Idle connections, stale or hostile, can't keep a candidate out."""
    calls = [dial(facts) for _ in range(4)]
    for call in calls[1:]:
        call.sendall(b"@bb 1 00000000 {}\n")
        assert read_until(facts, b"\n") == b"@bb 1 00000000 {}\n"
    fifth = dial(facts)
    fifth.sendall(b"@bb 2 00000000 {}\n")
    assert read_until(facts, b"\n") == b"@bb 2 00000000 {}\n"
    assert calls[0].recv(1) == b""
    assert len(facts._senders) == 4
    for call in (*calls, fifth):
        call.close()


def test_only_this_boots_candidate_is_believed(facts: FactListener) -> None:
    """What an earlier candidate sent, or still sends, never comes through; strangers are cut off."""
    with dial(facts) as old, dial(facts) as stranger:
        old.sendall(b'@bb 1 00000000 {"t":"ready","token":"aa"}\n')
        facts.expect("bb")
        assert hung_up(old)
        assert hung_up(stranger)
    with dial(facts) as late, dial(facts) as right:
        late.sendall(b'@bb 1 00000000 {"t":"ready","token":"aa"}\n')
        assert facts.read(0.1) is None
        assert hung_up(late)
        right.sendall(b'@bb 1 00000000 {"t":"ready","token":"bb"}\n@bb 2 0')
        right.sendall(b'0000000 {"t":"done"}\n')
        assert len(read_until(facts, b"done").splitlines()) == 2


def test_a_taken_port_is_told(facts: FactListener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two can't listen at the same place; that is the lab's fault."""
    monkeypatch.setattr(binding, "SECONDS", 0.0)
    with pytest.raises(HostSick, match=rf"port {facts.port}: "):
        fact_listener(LOOPBACK, facts.port).__enter__()


def test_the_limits_are_the_readers() -> None:
    """What is passed on is what console.guest reads."""
    assert (listener.MARK, listener.MAX_LINE) == (guest.MARK, guest.MAX_LINE)
