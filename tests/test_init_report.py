"""Init's second way for its facts, over TCP: all of them arrive, and no peer can hold it up."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guestroot import WORDS, Guest, make_root

from bisectbot.console.guest import Beat, Done, End, Fact, GuestReader, Out, Ready, Start
from csrc import compile_one, hurried, ours

SECONDS = 30.0
KEPT = (Ready, Start, End, Done)  # what must not be lost, but for lines of JSON
Talk = Callable[[socket.socket], None]  # what a peer does with a connection


class Peer:
    """A server on loopback that does with each connection, in turn, what it is told; the last one again and again."""

    def __init__(self, *talks: Talk, buffer: int | None = None) -> None:
        self.heard: list[bytes] = []  # per connection that `hear` had
        self._talks = list(talks) or [self.hear]
        self._server = socket.socket()
        if buffer is not None:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    @property
    def word(self) -> str:
        """Return the word for the command line."""
        return f"bisectbot.report=127.0.0.1:{self._server.getsockname()[1]}"

    @property
    def facts(self) -> list[Fact]:
        """Return what one reader gets of all connections."""
        reader = GuestReader()
        return [fact for data in self.heard for fact in reader.feed(data)]

    @contextmanager
    def serving(self) -> Iterator[Peer]:
        """Serve until the end of the block, or until whoever is connected by then has ended."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown(socket.SHUT_RDWR)
            self._thread.join(SECONDS)
            for connection in (self._server, *self._open):
                connection.close()
            assert not self._thread.is_alive()

    def hear(self, connection: socket.socket) -> None:
        """Read to the end, then end it, too."""
        self.heard.append(b"")
        while data := connection.recv(65536):
            self.heard[-1] += data
        connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # the end of the block
                return
            self._open.append(connection)
            connection.settimeout(SECONDS)
            talk = self._talks.pop(0) if len(self._talks) > 1 else self._talks[0]
            try:
                talk(connection)
            except OSError:
                connection.close()  # init was faster


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the reproducer that is hard on init."""
    return compile_one("misbehave", tmp_path_factory.mktemp("misbehave"))


@pytest.fixture
def guest(tmp_path: Path, program: Path) -> Guest:
    """Return a root folder with init and that reproducer."""
    return make_root(tmp_path / "root", ours().init, program)


@pytest.fixture
def hasty(tmp_path: Path, program: Path) -> Guest:
    """Return the same with an init that waits for nobody longer than two seconds."""
    return make_root(tmp_path / "hasty", hurried().init, program)


def read(console: bytes) -> list[Fact]:
    """Return the facts on a console."""
    return GuestReader().feed(console)


def kept(facts: list[Fact]) -> list[Fact]:
    """Return those that must not be lost."""
    return [fact for fact in facts if isinstance(fact, KEPT) or (isinstance(fact, Out) and fact.line.startswith("{"))]


def test_the_same_facts_on_both_ways(guest: Guest) -> None:
    """Over TCP come the console's lines, each of them once, and the connection ends behind `done`."""
    with Peer().serving() as peer:
        console = guest.boot("lines", "3", words=f"{WORDS} {peer.word}")
    (heard,) = peer.heard
    assert heard.splitlines() == list(dict.fromkeys(console.splitlines()))
    assert peer.facts == read(console)
    assert isinstance(peer.facts[0], Ready)
    assert peer.facts[-1] == Done()


def test_heartbeats_come_in_time(guest: Guest) -> None:
    """A line is sent when it is told, not when there are many: the bot sees each second that the kernel lives."""
    arrived: list[float] = []

    def note(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            arrived.extend(time.monotonic() for fact in read(data) if isinstance(fact, Beat))
        connection.close()

    with Peer(note).serving() as peer:
        guest.boot("hang", words=f"bisectbot.limit=3 {peer.word}")
    assert len(arrived) == 2
    assert 0.5 < arrived[1] - arrived[0] < 1.9


def test_no_console_at_all(guest: Guest) -> None:
    """Without one, descriptors 0 to 2 are closed and /dev/console is missing; all facts arrive over TCP."""
    (guest.root / "dev/null").unlink()
    with Peer().serving() as peer:
        boot = guest.command("lines", "3", words=f"{WORDS} {peer.word}")
        closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *boot]
        subprocess.run(closed, check=False, timeout=SECONDS)
    (_,) = peer.heard
    assert [type(fact) for fact in peer.facts] == [Ready, Start, *[Out] * 4, End, Done]
    assert next(fact for fact in peer.facts if isinstance(fact, End)).code == 0


def test_a_broken_connection_loses_nothing_that_counts(guest: Guest) -> None:
    """The next connection begins with `ready` and has all that must not be lost, told by then or later."""

    def lines(number: int) -> Talk:
        def talk(connection: socket.socket) -> None:
            peer.heard.append(b"")
            while peer.heard[-1].count(b"\n") < number:
                peer.heard[-1] += connection.recv(200)
            connection.close()

        return talk

    peer = Peer()
    peer._talks = [lines(1), lines(4), peer.hear]
    with peer.serving():
        console = guest.boot("lines", "3", words=f"bisectbot.token=ab bisectbot.trials=3 {peer.word}")
    assert len(peer.heard) == 3
    assert all(isinstance(read(data)[0], Ready) for data in peer.heard)
    assert kept(read(peer.heard[-1])) == kept(read(console))
    assert kept(peer.facts) == kept(read(console))


def test_a_peer_that_reads_late(guest: Guest) -> None:
    """More than all buffers hold, read only behind `done`: plain lines are lost, nothing that must not be."""
    done = threading.Event()

    def hear_late(connection: socket.socket) -> None:
        assert done.wait(SECONDS)
        peer.hear(connection)

    peer = Peer(hear_late, buffer=4096)
    words = f"bisectbot.token=ab bisectbot.trials=6 {peer.word}"
    console = b""
    with peer.serving(), subprocess.Popen(guest.command("lines", "5000", words=words), stdout=subprocess.PIPE) as boot:
        assert boot.stdout is not None
        for line in boot.stdout:
            console += line
            if b'"done"' in line:
                done.set()
    assert len(peer.facts) < len(read(console)), "all of it fitted: the test needs more of it"
    assert [fact for fact in kept(read(console)) if fact not in peer.facts] == []


def end_at_once(connection: socket.socket) -> None:
    """Take nobody."""
    connection.close()


def say_nothing(connection: socket.socket) -> None:
    """Neither read nor end."""


def flood(connection: socket.socket) -> None:
    """Send without an end, and read nothing."""
    while True:
        connection.sendall(b"@bb 1 00000000 {}\n" * 4096)


@pytest.mark.parametrize("talk", [end_at_once, say_nothing, flood], ids=lambda talk: talk.__name__)
def test_a_hostile_peer(hasty: Guest, talk: Talk) -> None:
    """Whatever a peer does, the console has all facts, and init ends as soon as it gives up waiting."""
    peer = Peer(talk, buffer=4096)
    started = time.monotonic()
    with peer.serving():
        console = hasty.boot("lines", "5000", words=f"bisectbot.token=ab bisectbot.trials=3 {peer.word}")
    assert [type(fact) for fact in kept(read(console))] == [Ready, *[Start, Out, End] * 3, Done]
    assert time.monotonic() - started < 15


def test_no_bot(hasty: Guest) -> None:
    """Nobody listens: init says so, and goes on without."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        word = f"bisectbot.report=127.0.0.1:{nobody.getsockname()[1]}"
        boot = hasty.command("lines", "1", words=f"{WORDS} {word}")
        done = subprocess.run(boot, check=False, capture_output=True, timeout=SECONDS)
    assert [type(fact) for fact in read(done.stdout)] == [Ready, Start, Out, Out, End, Done]
    assert f"init: no connection to {word}" in done.stderr.decode()


@pytest.mark.parametrize(
    "where",
    ["x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "1.2.3:80", "localhost:80", ":80", "1" * 200],
)
def test_an_address_that_is_none(guest: Guest, where: str) -> None:
    """It is told, at once, and nothing else changes."""
    done = subprocess.run(
        guest.command("lines", "1", words=f"{WORDS} bisectbot.report={where}"),
        check=False,
        capture_output=True,
        timeout=10,
    )
    assert [type(fact) for fact in read(done.stdout)] == [Ready, Start, Out, Out, End, Done]
    assert b"init: no connection to bisectbot.report=" in done.stderr
