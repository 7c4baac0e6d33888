"""Consoles behind a TCP port: ser2net, terminal servers, QEMU's serial line; raw or telnet."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bisectbot.effects.descriptor import DescriptorWire
from bisectbot.effects.telnet import Telnet
from bisectbot.errors import Unreachable
from bisectbot.lab import TcpConsole
from bisectbot.ports import Deadline

# Seconds of silence, seconds between probes, probes: a server that went away without a word is noticed in half a
# minute. Otherwise a lost console would look like a silent kernel.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 15), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_SHORTEST = 0.01  # a timeout of 0 would mean: don't wait at all


class TcpLine:
    """Fits reach.Line."""

    def __init__(self, console: TcpConsole) -> None:
        self._console = console
        address = f"[{console.address}]" if ":" in console.address else console.address
        self.what = f"TCP {address}:{console.port}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[DescriptorWire]:
        """Connect; Unreachable if nobody answers there. Nothing is ever sent but refusals of telnet options."""
        with self._connected(deadline) as connection:
            telnet = Telnet()

            def clean(data: bytes) -> bytes:
                kept, answer = telnet.feed(data)
                with suppress(OSError):  # then the next read sees the end too
                    connection.send(answer)
                return kept

            yield DescriptorWire(connection.fileno(), clean)

    def _connected(self, deadline: Deadline) -> socket.socket:
        where = (self._console.address, self._console.port)
        try:
            connection = socket.create_connection(where, timeout=max(_SHORTEST, deadline.remaining))
        except OSError as error:  # ConnectionRefusedError, TimeoutError, socket.gaierror ...
            raise Unreachable(f"{self.what}: {error.strerror or error}") from error
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
        return connection
