"""Where a candidate without a console reports: init connects here and sends its facts, one `@bb` line each."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bisectbot.effects.binding import bound
from bisectbot.errors import HostSick

MARK = b"@bb "
MAX_LINE = 16 * 1024  # bytes, as console.guest reads them
_ROOM = 1 << 16
_MOST = 4  # connections at a time; one more takes the place of the one that was silent for longest


@dataclass
class _Sender:
    connection: socket.socket
    heard: int  # what counts up with everything that comes
    rest: bytes = b""
    too_long: bool = False
    known: bool = False  # whether it began with the token that is expected

    def lines(self, data: bytes) -> bytes:
        """Return the whole lines that are facts; nothing else is passed on or kept."""
        *whole, self.rest = (self.rest + data).split(b"\n")
        if whole and self.too_long:
            self.too_long = False
            del whole[0]
        if len(self.rest) > MAX_LINE:
            self.rest, self.too_long = b"", True
        return b"".join(line + b"\n" for line in whole if line.startswith(MARK) and len(line) <= MAX_LINE)


class FactListener:
    """Fits reach.Wire; it never ends. What a sender claims is proven by the token that it must know."""

    def __init__(self, server: socket.socket) -> None:
        self.port = int(server.getsockname()[1])
        self._server = server
        self._senders: dict[int, _Sender] = {}
        self._heard = 0
        self._token = b""
        self._poll = select.poll()
        self._poll.register(server, select.POLLIN)

    def read(self, patience: float) -> bytes | None:
        """Return facts soon after they came, None after `patience` seconds without any."""
        until = time.monotonic() + patience
        while ready := self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
            if facts := b"".join(self._take(fd) for fd, _ in ready):
                return facts
            if time.monotonic() >= until:
                break
        return None

    def expect(self, token: str) -> None:
        """Hang up on everybody, and from now on believe only connections whose first fact tells this token.

        A candidate of an earlier boot may still run, or have reported while nobody listened. Not while it is read.
        """
        self._token = b'"token":"%s"' % token.encode()
        while self._accept():
            pass
        self.close()

    def close(self) -> None:
        """Hang up on everybody."""
        for fd in list(self._senders):
            self._drop(fd)

    def _take(self, fd: int) -> bytes:
        self._heard += 1
        if fd == self._server.fileno():
            self._accept()
        elif (sender := self._senders.get(fd)) is not None:
            sender.heard = self._heard
            return self._receive(sender)
        return b""

    def _receive(self, sender: _Sender) -> bytes:
        try:
            data = sender.connection.recv(_ROOM, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        facts = sender.lines(data)
        sender.known = sender.known or self._token in facts.partition(b"\n")[0]
        if not data or (facts and not sender.known):
            self._drop(sender.connection.fileno())
        return facts if sender.known else b""

    def _accept(self) -> bool:
        try:
            connection, _ = self._server.accept()
        except OSError:  # nobody, or gone again already
            return False
        if len(self._senders) >= _MOST:
            self._drop(min(self._senders, key=lambda fd: self._senders[fd].heard))
        self._senders[connection.fileno()] = _Sender(connection, self._heard)
        self._poll.register(connection, select.POLLIN)
        return True

    def _drop(self, fd: int) -> None:
        sender = self._senders.pop(fd)
        self._poll.unregister(fd)
        sender.connection.close()


@contextmanager
def fact_listener(address: str, port: int = 0) -> Iterator[FactListener]:
    """Listen on this address alone; port 0 is any free one. HostSick if that can't be done."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = bound(lambda: socket.create_server((address, port), family=family, backlog=_MOST))
    except OSError as error:
        raise HostSick(f"facts can't be received on {address} port {port}: {error.strerror or error}") from error
    with server:
        server.setblocking(False)
        listener = FactListener(server)
        try:
            yield listener
        finally:
            listener.close()
