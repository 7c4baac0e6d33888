"""Signs of life as systemd takes them: sent to who started us, and heard from those whom we start."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

ADDRESS = "NOTIFY_SOCKET"
_PATIENCE = "WATCHDOG_USEC"
_LONGEST = 4096
_MANY = 1000  # at once; more wait for the next time


class Notifier:
    """Tells whoever started us how we are; does nothing if nobody asked for it, and never blocks or raises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Look for the address; @ stands for the zero byte that an abstract one begins with."""
        told = environment.get(ADDRESS, "")
        self._address = "\0" + told[1:] if told.startswith("@") else told
        microseconds = environment.get(_PATIENCE, "")
        self.patience = int(microseconds) / 1e6 if microseconds.isdecimal() else float("inf")  # seconds of silence

    @property
    def wanted(self) -> bool:
        """Whether somebody listens."""
        return self._address.startswith(("/", "\0"))

    def ready(self) -> None:
        """Tell that we are up."""
        self._send("READY=1")

    def pulse(self) -> None:
        """Tell that we are alive."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Tell that we are about to end."""
        self._send("STOPPING=1")

    def failed(self, number: int) -> None:
        """Tell for which reason, in numbers of errno, we are about to end."""
        self._send(f"ERRNO={number}")

    def status(self, text: str) -> None:
        """Tell in a line what we do."""
        self._send(f"STATUS={' '.join(text.split())}")

    def _send(self, text: str) -> None:
        if not self.wanted:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
            # a listener that hangs must not hang us
            door.setblocking(False)
            door.sendto(text.encode(errors="replace")[:_LONGEST], self._address)


class Ear:
    """An address of our own for the signs of life of one child; gone with us, as it is in no folder."""

    def __init__(self) -> None:
        name = f"bisectbot-{os.getpid()}-{secrets.token_hex(8)}"
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._door.setblocking(False)
        self._door.bind(f"\0{name}")
        self.environment = {ADDRESS: f"@{name}"}

    def heard(self) -> frozenset[str]:
        """Return the words that came since the last time, WATCHDOG=1 for one."""
        words: set[str] = set()
        with suppress(BlockingIOError):
            for _ in range(_MANY):
                words.update(self._door.recv(_LONGEST).decode(errors="replace").split("\n"))
        return frozenset(words)

    def close(self) -> None:
        """Hear no more."""
        self._door.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
