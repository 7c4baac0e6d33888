"""Free ports of the loopback: the only addresses that anything in the lab listens on."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port nobody listens on, and that wasn't given before by this process."""
    while True:
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind((LOOPBACK, 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
