"""A conversation over a socket bounded as a whole: timeouts bound each read alone, and a server may drip for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bisectbot.ports import Deadline


@contextmanager
def cut_off(current: Callable[[], socket.socket | None], deadline: Deadline) -> Iterator[None]:
    """Shut down the socket that `current` returns once the deadline is over; whoever uses it gets an OSError."""

    def cut() -> None:
        sock = current()
        if sock is not None:
            with suppress(OSError):
                # not the TLS layer's own: it would want to say goodbye
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(deadline.remaining, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
