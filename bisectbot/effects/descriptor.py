"""Bytes from a file descriptor, as they come."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

_ROOM = 1 << 16
_GATHER = 0.005  # seconds; an emulated serial port hands over single bytes, and waking for each costs more than this


def unchanged(data: bytes) -> bytes:
    """Return the bytes as they are."""
    return data


class DescriptorWire:
    """Fits reach.Wire. `clean` sees what came and returns what of it is the machine's."""

    def __init__(self, fd: int, clean: Callable[[bytes], bytes] = unchanged) -> None:
        self._fd = fd
        self._clean = clean
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" once it has ended."""
        until = time.monotonic() + patience
        while self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
            time.sleep(_GATHER)
            data = self._take()
            if not data:
                return b""
            if kept := self._clean(data):
                return kept
            if time.monotonic() >= until:
                break
        return None

    def _take(self) -> bytes:
        try:
            return os.read(self._fd, _ROOM)
        except OSError:  # a reset connection, a pty whose other side is closed: an end like any other
            return b""
