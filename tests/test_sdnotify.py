"""Signs of life over real sockets: heard as they were sent, and never in anybody's way."""

from __future__ import annotations

import socket
from pathlib import Path

from bisectbot.effects.sdnotify import Ear, Notifier


def test_a_child_is_heard() -> None:
    """What is sent to an ear's address is heard once, all of it."""
    with Ear() as ear:
        child = Notifier(ear.environment)
        assert child.wanted
        child.ready()
        child.pulse()
        child.status("two words\nWATCHDOG=1 is no line of its own")
        child.failed(16)
        told = {"READY=1", "WATCHDOG=1", "STATUS=two words WATCHDOG=1 is no line of its own", "ERRNO=16"}
        assert ear.heard() == told
        assert ear.heard() == frozenset()


def test_a_path_is_an_address_too(tmp_path: Path) -> None:
    """Systemd gives a path in /run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).stopping()
        assert systemd.recv(100) == b"STOPPING=1"


def test_who_isnt_heard_goes_on(tmp_path: Path) -> None:
    """No address, one that nobody listens at, and one whose listener hangs: nothing blocks, nothing is raised."""
    assert not Notifier({}).wanted
    assert not Notifier({"NOTIFY_SOCKET": "nonsense"}).wanted
    Notifier({}).pulse()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).pulse()
    with Ear() as ear:
        child = Notifier(ear.environment)
        for _ in range(5000):  # far more than a socket holds
            child.pulse()
        assert ear.heard() == {"WATCHDOG=1"}


def test_the_patience_of_who_listens_is_known() -> None:
    """Systemd tells it in microseconds; what isn't a number is no deadline."""
    assert Notifier({"WATCHDOG_USEC": "6000000"}).patience == 6.0
    assert Notifier({"WATCHDOG_USEC": "soon"}).patience == float("inf")
