"""Addresses that a killed bot has left in use: waited for, and used as soon as they are free."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bisectbot.effects import binding
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.httpd import served
from bisectbot.effects.listener import fact_listener
from bisectbot.effects.udp import NetLine
from bisectbot.errors import HostSick
from bisectbot.lab import NetConsole
from bisectbot.ports import Deadline

_HERE = "127.0.0.1"
_HOLDER = """
import socket, sys, time
kind = getattr(socket, sys.argv[1])
held = socket.socket(socket.AF_INET, kind)
held.bind(("127.0.0.1", 0))
if kind == socket.SOCK_STREAM:
    held.listen()
print(held.getsockname()[1], flush=True)
time.sleep(1000)
"""
_Listen = Callable[[int, Path], AbstractContextManager[object]]


def _http(port: int, folder: Path) -> AbstractContextManager[object]:
    return served(_HERE, port, find=lambda _: None, sent=lambda _: None, log=folder / "http.log")


def _facts(port: int, folder: Path) -> AbstractContextManager[object]:
    del folder
    return fact_listener(_HERE, port)


def _netconsole(port: int, folder: Path) -> AbstractContextManager[object]:
    del folder
    return NetLine(NetConsole(_HERE, port)).open(Deadline.after(SystemClock(), 5))


_LISTENERS = [("SOCK_STREAM", _http), ("SOCK_STREAM", _facts), ("SOCK_DGRAM", _netconsole)]


@pytest.mark.parametrize(("kind", "listen"), _LISTENERS)
def test_a_port_that_is_just_being_given_up_is_waited_for(kind: str, listen: _Listen, tmp_path: Path) -> None:
    """What a killed bot held is taken over once its holder is gone; that is no fault."""
    with subprocess.Popen([sys.executable, "-c", _HOLDER, kind], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        port = int(holder.stdout.readline())
        killing = threading.Timer(0.3, holder.send_signal, (signal.SIGKILL,))
        killing.start()
        with listen(port, tmp_path):
            assert holder.wait(5) == -signal.SIGKILL
        killing.join()


@pytest.mark.parametrize(("kind", "listen"), _LISTENERS)
def test_a_port_that_stays_in_use_is_told(
    kind: str, listen: _Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's port is a fault of the lab with its number, after a bounded time."""
    monkeypatch.setattr(binding, "SECONDS", 0.0)
    with socket.socket(socket.AF_INET, getattr(socket, kind)) as other:
        other.bind((_HERE, 0))
        if kind == "SOCK_STREAM":
            other.listen()
        port = other.getsockname()[1]
        with pytest.raises(HostSick, match=f"{port}.*in use"), listen(port, tmp_path):
            pass


def test_a_port_with_old_connections_is_free_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that the kernel still remembers (TIME_WAIT) don't keep the next bot from listening."""
    monkeypatch.setattr(binding, "SECONDS", 0.0)
    with fact_listener(_HERE) as first:
        port = first.port
        with socket.create_connection((_HERE, port)) as client:
            first.read(0.5)
            first.close()
            assert client.recv(1) == b""
    with fact_listener(_HERE, port) as again:
        assert again.port == port
    with _http(port, tmp_path):
        pass
