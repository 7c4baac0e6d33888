"""A cable that can be cut: a TCP forwarder on the loopback, with the faults that networks have."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from machineroom.ports import LOOPBACK

_CHUNK = 1 << 14
_TICK = 0.05  # seconds in which a change of the faults is noticed
_CONNECT_SECONDS = 5.0


@dataclass
class _Pair:
    """One connection: both ends, and the thread that carries bytes between them."""

    client: socket.socket
    server: socket.socket
    dead: threading.Event = field(default_factory=threading.Event)

    def cut(self) -> None:
        """Reset both ends, as a router that lost its state does."""
        self.dead.set()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Cutter:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`, until told otherwise; a context manager.

    `delay`: seconds that each piece waits. `stalled`: connections stay open and nothing gets through. `accepted`:
    connections so far; `carried_up` and `carried_down`: bytes so far from the clients and to them.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        self.stalled = False
        self.carried_up = 0
        self.carried_down = 0
        self.accepted = 0
        self._limits: dict[str, int | None] = {"up": None, "down": None}
        self._pairs: list[_Pair] = []
        self._over = threading.Event()
        self._door: socket.socket | None = None
        self.port = self._listen(0)
        self._thread = threading.Thread(target=self._accept_all, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self.cut()
        self.refuse()

    # --- faults ------------------------------------------------------------------------------

    def cut(self) -> None:
        """Cut every connection now; new ones are accepted."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.cut()

    def cut_after(self, *, up: int | None = None, down: int | None = None) -> None:
        """Cut the connection that carries the next `up` bytes from a client, or `down` bytes to one; once."""
        self._limits = {"up": up, "down": down}

    def refuse(self) -> None:
        """Refuse new connections; those that are there stay."""
        door, self._door = self._door, None
        if door is not None:
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)  # close() alone would wait for the thread that is in accept()
            door.close()

    def accept(self) -> None:
        """Take connections again."""
        if self._door is None:
            self._listen(self.port)

    # --- the work ----------------------------------------------------------------------------

    def _listen(self, port: int) -> int:
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((LOOPBACK, port))
        door.listen()
        door.settimeout(_TICK)
        self._door = door
        found: int = door.getsockname()[1]
        return found

    def _accept_all(self) -> None:
        while not self._over.is_set():
            door = self._door
            if door is None:
                time.sleep(_TICK)
                continue
            with suppress(OSError):  # a tick without a caller, or a door that was closed meanwhile
                client, _ = door.accept()
                self.accepted += 1
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((LOOPBACK, self.target), timeout=_CONNECT_SECONDS)
        except OSError:
            client.close()
            return
        pair = _Pair(client, server)
        self._pairs.append(pair)
        threading.Thread(target=self._carry, args=(pair,), daemon=True).start()

    def _carry(self, pair: _Pair) -> None:
        with pair.client, pair.server, selectors.DefaultSelector() as ready:
            ready.register(pair.client, selectors.EVENT_READ, (pair.server, "up"))
            ready.register(pair.server, selectors.EVENT_READ, (pair.client, "down"))
            while ready.get_map() and not pair.dead.is_set() and not self._over.is_set():
                if self.stalled:
                    time.sleep(_TICK)
                    continue
                for key, _ in ready.select(_TICK):
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    if not self._move(source, *key.data):
                        ready.unregister(source)

    def _move(self, source: socket.socket, target: socket.socket, way: str) -> bool:
        """Carry one piece; False when that direction is over."""
        try:
            piece = source.recv(self._allowed(way))
            if piece:
                time.sleep(self.delay)
                target.sendall(piece)
            else:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            self._reset(source, target)
            return False
        if way == "up":
            self.carried_up += len(piece)
        else:
            self.carried_down += len(piece)
        if self._spent(way, len(piece)):
            self._reset(source, target)
            return False
        return bool(piece)

    def _allowed(self, way: str) -> int:
        return min(_CHUNK, self._limits[way] or _CHUNK)

    def _spent(self, way: str, count: int) -> bool:
        left = self._limits[way]
        if left is None:
            return False
        self._limits[way] = left - count if left > count else None
        return left <= count

    def _reset(self, *ends: socket.socket) -> None:
        for pair in self._pairs:
            if pair.client in ends:
                pair.cut()
