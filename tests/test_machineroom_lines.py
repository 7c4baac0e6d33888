"""The cables of the test lab: a forwarder that can be cut, and a serial line that is always there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from machineroom.cutter import Cutter
from machineroom.line import Line, _Unescaped

_SECONDS = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """Return the port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_serve, args=(door,), daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def _serve(door: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = door.accept()
            threading.Thread(target=_echo, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    with client, suppress(OSError):
        while piece := client.recv(1000):
            client.sendall(piece)


def call(port: int) -> socket.socket:
    """Return a connection to a port of the loopback."""
    return socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)


def heard(end: socket.socket, count: int) -> bytes:
    """Return so many bytes, or what came until the other end hung up."""
    got = b""
    with suppress(ConnectionError):
        while len(got) < count and (piece := end.recv(count - len(got))):
            got += piece
    return got


def test_a_whole_cable_carries_everything(echo: int) -> None:
    """Untouched, all bytes get through both ways, and are counted."""
    with Cutter(echo) as cable, call(cable.port) as end:
        sent = bytes(range(256)) * 400
        threading.Thread(target=end.sendall, args=(sent,), daemon=True).start()
        assert heard(end, len(sent)) == sent
        assert (cable.accepted, cable.carried_up) == (1, len(sent))


def test_a_cut_cable(echo: int) -> None:
    """A cut ends the connections that are there; the next one works."""
    with Cutter(echo) as cable:
        with call(cable.port) as end:
            end.sendall(b"before")
            assert heard(end, 6) == b"before"
            cable.cut()
            assert heard(end, 1) == b""
        with call(cable.port) as end:
            end.sendall(b"after")
            assert heard(end, 5) == b"after"


def _up(cable: Cutter) -> None:
    cable.cut_after(up=1000)


def _down(cable: Cutter) -> None:
    cable.cut_after(down=1000)


@pytest.mark.parametrize("arm", [_up, _down])
def test_a_cable_that_is_cut_after_some_bytes(echo: int, arm: Callable[[Cutter], None]) -> None:
    """Exactly as many bytes get through as were allowed; the cut comes once."""
    with Cutter(echo) as cable:
        arm(cable)
        with call(cable.port) as end:
            with suppress(ConnectionError):
                end.sendall(bytes(5000))
            assert len(heard(end, 5000)) <= 1000
        assert 1000 in (cable.carried_up, cable.carried_down)
        with call(cable.port) as end:
            end.sendall(bytes(5000))
            assert len(heard(end, 5000)) == 5000


def test_a_cable_that_refuses(echo: int) -> None:
    """A closed port refuses, until it is opened again: the same port."""
    with Cutter(echo) as cable:
        cable.refuse()
        with pytest.raises(ConnectionRefusedError):
            call(cable.port)
        cable.accept()
        with call(cable.port) as end:
            end.sendall(b"again")
            assert heard(end, 5) == b"again"


def test_a_stalled_cable(echo: int) -> None:
    """A stalled cable keeps its connections and carries nothing, and loses nothing once it moves again."""
    with Cutter(echo) as cable, call(cable.port) as end:
        cable.stalled = True
        end.sendall(b"late")
        end.settimeout(0.2)
        with pytest.raises(TimeoutError):
            end.recv(1)
        cable.stalled = False
        end.settimeout(_SECONDS)
        assert heard(end, 4) == b"late"


def test_readers_of_a_serial_line_hear_every_life_of_the_machine() -> None:
    """Who listened before the machine was switched on hears all of it, over a power cycle; what is typed arrives."""
    with closing(Line()) as line, call(line.port) as reader, call(line.port) as other:
        for life in (b"first", b"again"):
            with call(line.wire) as machine:
                machine.sendall(life)
                assert heard(reader, 5) == heard(other, 5) == life
                other.sendall(b"typed")
                assert heard(machine, 5) == b"typed"


def test_a_serial_line_by_telnet() -> None:
    """A telnet reader is greeted with options, and a byte 255 of the machine comes doubled."""
    with closing(Line(telnet=True)) as line, call(line.port) as reader, call(line.wire) as machine:
        assert heard(reader, 9)[:3] == bytes((255, 251, 1))
        machine.sendall(b"a\xffb")
        assert heard(reader, 4) == b"a\xff\xffb"
        reader.sendall(b"c" + bytes((255, 253, 1)) + b"d\xff\xff")
        assert heard(machine, 3) == b"cd\xff"


def test_telnet_commands_are_taken_out_wherever_they_are_cut() -> None:
    """Byte by byte or at once, the machine gets the same."""
    typed = b"x" + bytes((255, 253, 3)) + b"y" + bytes((255, 250, 24, 1, 255, 240)) + b"z" + bytes((255, 255, 255, 241))
    whole, piecewise = _Unescaped(), _Unescaped()
    assert whole.feed(typed) == b"".join(piecewise.feed(bytes((byte,))) for byte in typed) == b"xyz\xff"
