"""The kernel's own netconsole, received by UDP."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bisectbot.effects.binding import bound
from bisectbot.effects.netconsole import NetReader
from bisectbot.errors import HostSick
from bisectbot.lab import NetConsole
from bisectbot.ports import Deadline

_ROOM = 1 << 16  # no datagram is longer
_KEPT = 4 << 20  # bytes that the kernel may keep for us; a machine that panics sends fast
_MOST_SENDERS = 8


class NetLine:
    """Fits reach.Line. With `source` (an address or a name) only datagrams from there count."""

    def __init__(self, console: NetConsole, source: str = "") -> None:
        self._console = console
        self._source = source
        address = f"[{console.address}]" if ":" in console.address else console.address
        self.what = f"netconsole on {address}:{console.port}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[Datagrams]:
        """Listen on the given address alone; HostSick if it isn't this machine's, or its port is taken."""
        del deadline  # binding takes no time
        try:
            where = (self._console.address, self._console.port)
            family, kind, _, _, here = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
            sources = {str(row[4][0]) for row in socket.getaddrinfo(self._source, 0)} if self._source else None
            listening = socket.socket(family, kind)
        except OSError as error:
            raise HostSick(f"{self.what}: {error.strerror or error}") from error
        with listening:
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KEPT)
                bound(lambda: listening.bind(here))
            except OSError as error:
                raise HostSick(f"{self.what}: {error.strerror or error}") from error
            yield Datagrams(listening, sources)


class Datagrams:
    """Fits reach.Wire; it never ends. Each sender's messages are counted by themselves."""

    def __init__(self, listening: socket.socket, sources: set[str] | None) -> None:
        self.port = int(listening.getsockname()[1])
        self._listening = listening
        self._sources = sources
        self._readers: dict[str, NetReader] = {}
        self._poll = select.poll()
        self._poll.register(listening, select.POLLIN)

    def read(self, patience: float) -> bytes | None:
        """Return lines soon after they came, None after `patience` seconds without any."""
        until = time.monotonic() + patience
        while self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
            if lines := self._take():
                return lines
            if time.monotonic() >= until:
                break
        return b"".join(reader.flush() for reader in self._readers.values()) or None

    def _take(self) -> bytes:
        try:
            datagram, (source, *_) = self._listening.recvfrom(_ROOM, socket.MSG_DONTWAIT)
        except OSError:  # a datagram with a bad checksum is reported and then isn't there
            return b""
        if self._sources is not None and source not in self._sources:
            return b""
        if source not in self._readers and len(self._readers) >= _MOST_SENDERS:
            return b""
        return self._readers.setdefault(source, NetReader()).feed(datagram)
