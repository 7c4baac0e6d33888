"""A real OpenSSH server on loopback, one that starts no command, and a TCP relay that breaks."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import paramiko
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from bisectbot.lab import Ssh

_CONFIG = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_ed25519
HostKey {folder}/host_ecdsa
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitUserRC no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
SetEnv HOME={folder}
"""


class Server:
    """An sshd that lets `key` in, kills its own connection for whoever comes with `doomed`, and refuses `foreign`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.key = keygen(folder / "key", "ed25519")
        self.doomed = keygen(folder / "doomed", "ecdsa")
        self.foreign = keygen(folder / "foreign", "ed25519")
        self.pins = tuple(self._host_key(kind) for kind in ("ed25519", "ecdsa", "rsa"))
        doom = f'command="sleep 0.2; kill -9 $PPID" {public(self.doomed)}'
        (folder / "authorized_keys").write_text(f"{public(self.key)}\n{doom}\n")
        (folder / "config").write_text(_CONFIG.format(port=self.port, folder=folder))

    def ssh(self, *, pins: tuple[str, ...] = (), key: Path | None = None, port: int = 0) -> Ssh:
        """Return how to reach it: by its ed25519 key and with our good key, unless told otherwise."""
        return Ssh("127.0.0.1", pins or self.pins[:1], port or self.port, getpass.getuser(), key or self.key)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start it, and end it by its pid."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled into Debian's; sshd insists on it
        argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "config")]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as sshd:
            try:
                assert sshd.stderr
                line = sshd.stderr.readline()
                assert "listening" in line, line
                log = threading.Thread(target=sshd.stderr.read)  # so that the pipe never fills
                log.start()
                yield
            finally:
                sshd.terminate()
                sshd.wait(5)
                log.join(5)

    def _host_key(self, kind: str) -> str:
        return public(keygen(self.folder / f"host_{kind}", kind))


class Relay:
    """A TCP relay to a port; it breaks once `limit` bytes went through one way, "up" to the server or "down"."""

    def __init__(self, port: int, way: str, limit: int) -> None:
        self._to = port
        self._way = way
        self._left = limit
        self._ends: list[socket.socket] = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._ends[0].getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._break()
        for thread in self._threads:
            thread.join(5)
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client, _ = self._ends[0].accept()
            server = socket.create_connection(("127.0.0.1", self._to))
            self._ends += [client, server]
            for way, source, sink in (("up", client, server), ("down", server, client)):
                self._threads.append(threading.Thread(target=self._pump, args=(way, source, sink)))
                self._threads[-1].start()

    def _pump(self, way: str, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while got := source.recv(4096):
                if way == self._way:
                    self._left -= len(got)
                if self._left > 0:
                    sink.sendall(got)
                else:
                    self._break()

    def _break(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Stuck(paramiko.ServerInterface):
    """Lets everybody in, and takes its time with the first command until `enough` is set."""

    def __init__(self, enough: threading.Event) -> None:
        self._enough = enough

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        assert username
        assert key
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        assert kind == "session"
        assert chanid >= 0
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        assert command
        assert not channel.closed
        self._enough.wait(10)
        return False


@contextmanager
def stuck(host_key: Path) -> Iterator[int]:
    """Serve one connection, up to the start of a command; yields the port."""
    enough = threading.Event()

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            transport = paramiko.Transport(line)
            transport.add_server_key(paramiko.PKey.from_path(host_key))
            transport.start_server(server=_Stuck(enough))
            transport.join(15)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        enough.set()
        thread.join(15)


def tool(argv: Sequence[str | Path]) -> str:
    """Run a program to its end, which must be soon and good, and return what it printed."""
    return subprocess.run(argv, check=True, timeout=5, stdout=subprocess.PIPE, text=True).stdout


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def keygen(path: Path, kind: str, *more: str) -> Path:
    """Make a key pair; without a passphrase unless `more` says otherwise."""
    size = ["-b", "2048"] if kind == "rsa" else []
    phrase = [] if "-N" in more else ["-N", ""]
    tool(["ssh-keygen", "-q", "-t", kind, *size, *phrase, *more, "-f", str(path)])
    return path


def public(key: Path) -> str:
    """Return the public line of a pair."""
    return key.with_name(f"{key.name}.pub").read_text().strip()
