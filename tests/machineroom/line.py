"""A machine's serial line: a console server that is there whether the machine is on or not, as ser2net's is."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

from machineroom.ports import LOOPBACK

_CHUNK = 1 << 14
_TICK = 0.1
_ROOM = 1 << 22  # bytes that a slow reader may be behind before it loses some, as from a UART

_IAC, _SB, _SE = 255, 250, 240  # RFC 854
_WILL, _DO, _ECHO, _BINARY = 251, 253, 1, 0
_GREETING = bytes((_IAC, _WILL, _ECHO, _IAC, _WILL, _BINARY, _IAC, _DO, _BINARY))


class Line:
    """Carries bytes between a machine, which connects to `wire`, and whoever connects to `port`, all at once.

    Readers who are there before the machine is switched on get everything. With `telnet` it speaks that to readers.
    """

    def __init__(self, *, telnet: bool = False) -> None:
        self._telnet = telnet
        self._over = threading.Event()
        self._machine: socket.socket | None = None
        self._readers: dict[socket.socket, _Unescaped] = {}
        self._ready = selectors.DefaultSelector()
        self.port = self._open(self._admit)
        self.wire = self._open(self._plug)
        self._thread = threading.Thread(target=self._carry, name="serial line", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody."""
        self._over.set()
        self._thread.join()

    def _open(self, use: object) -> int:
        door = socket.create_server((LOOPBACK, 0))
        self._ready.register(door, selectors.EVENT_READ, use)
        found: int = door.getsockname()[1]
        return found

    def _carry(self) -> None:
        while not self._over.is_set():
            for key, _ in self._ready.select(_TICK):
                key.data(key.fileobj)
        for key in list(self._ready.get_map().values()):
            with suppress(OSError):
                socket.socket.close(key.fileobj)  # type: ignore[arg-type]  # nothing else was registered
        self._ready.close()

    def _admit(self, door: socket.socket) -> None:
        reader, _ = door.accept()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        reader.setblocking(False)
        self._readers[reader] = _Unescaped()
        self._ready.register(reader, selectors.EVENT_READ, self._typed)
        if self._telnet:
            _offer(reader, _GREETING)

    def _plug(self, door: socket.socket) -> None:
        if self._machine is not None:
            self._drop(self._machine)
        self._machine, _ = door.accept()
        self._ready.register(self._machine, selectors.EVENT_READ, self._printed)

    def _printed(self, machine: socket.socket) -> None:
        piece = _received(machine)
        if not piece:
            self._drop(machine)
            self._machine = None
            return
        if self._telnet:
            piece = piece.replace(b"\xff", b"\xff\xff")
        for reader in self._readers:
            _offer(reader, piece)

    def _typed(self, reader: socket.socket) -> None:
        piece = _received(reader)
        if not piece:
            del self._readers[reader]
            self._drop(reader)
            return
        if self._telnet:
            piece = self._readers[reader].feed(piece)
        if self._machine is not None:
            _offer(self._machine, piece)

    def _drop(self, end: socket.socket) -> None:
        self._ready.unregister(end)
        end.close()


class _Unescaped:
    """Takes telnet's commands out of what a reader typed, wherever the network cut it."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """Return the bytes that are meant for the machine."""
        typed = bytearray()
        self._pending += piece
        while self._pending:
            taken, meant = _telnet_token(self._pending)
            if not taken:
                break
            typed += meant
            del self._pending[:taken]
        return bytes(typed)


def _telnet_token(data: bytearray) -> tuple[int, bytes]:
    """Return how many bytes the first token has, 0 if it isn't complete yet, and what it means for the machine."""
    if data[0] != _IAC:
        end = data.find(_IAC)
        end = len(data) if end < 0 else end
        return end, bytes(data[:end])
    if len(data) == 1:
        return 0, b""
    if data[1] == _IAC:
        return 2, b"\xff"
    if data[1] == _SB:
        return data.find(bytes((_IAC, _SE))) + 2 if bytes((_IAC, _SE)) in data else 0, b""
    if data[1] > _SB:  # WILL, WONT, DO, DONT with an option
        return (3 if len(data) > 2 else 0), b""
    return 2, b""


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(_CHUNK)
    except OSError:
        return b""


def _offer(end: socket.socket, piece: bytes) -> None:
    """Send what there is room for; the rest is lost."""
    with suppress(OSError):
        end.send(piece)
