"""SSH connections to test machines: the pinned host key first, then our key, then a shell."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import paramiko

from bisectbot.effects.hostkeys import ALGORITHMS, HostKey, preference
from bisectbot.effects.sshshell import SshShell
from bisectbot.errors import ConfigError, Refused, Stranger, Unreachable
from bisectbot.lab import Ssh
from bisectbot.ports import Clock, Deadline

logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)  # it prints the trace of every failed banner on stderr

_KEEPALIVE = 2  # seconds
_UNHEARD = 20_000  # milliseconds that sent bytes may stay without an acknowledgement: the machine is gone


@dataclass(frozen=True)
class Wait:
    """Seconds for each step of a connection; short, as a port may be open long before a server is behind it."""

    connect: float = 5.0
    greet: float = 5.0  # version line and key exchange
    login: float = 10.0


class SshDoor:
    """The SSH server of one machine; fits reach.Door."""

    def __init__(self, ssh: Ssh, clock: Clock, wait: Wait | None = None) -> None:
        self._ssh = ssh
        self._clock = clock
        self._wait = wait or Wait()
        self._where = f"{ssh.user}@{ssh.address}:{ssh.port}"

    @contextmanager
    def open(self, deadline: Deadline) -> Iterator[SshShell]:
        """Connect once. Unreachable if nobody answers (yet), Stranger if the server's key isn't a pinned one.

        Raises ConfigError if our own key can't be used, Refused if the server doesn't take it.
        """
        pinned = self._pinned()
        with (
            _identities(self._ssh) as identities,
            _greeted(self._ssh, preference(pinned), deadline, self._wait) as transport,
        ):
            self._recognise(_shown(transport), pinned)
            self._log_in(transport, identities, deadline)
            transport.set_keepalive(_KEEPALIVE)
            yield SshShell(transport, self._clock, self._where)

    def _pinned(self) -> tuple[HostKey, ...]:
        if not self._ssh.host_keys:
            raise ConfigError(f"{self._where}: no host key is pinned", hint=_PIN)
        return tuple(HostKey.parse(line) for line in self._ssh.host_keys)

    def _recognise(self, shown: HostKey, pinned: tuple[HostKey, ...]) -> None:
        if shown not in pinned:
            known = ", ".join(map(str, pinned))
            raise Stranger(f"{self._where}: the server's host key is {shown}, and pinned is {known}", hint=_PIN)

    def _log_in(self, transport: paramiko.Transport, identities: Sequence[paramiko.PKey], deadline: Deadline) -> None:
        for identity in identities:
            if self._let_in(transport, identity, min(self._wait.login, deadline.remaining)):
                return
        with_what = str(self._ssh.key or "any key of the SSH agent")
        raise Refused(
            f"{self._where}: the server doesn't let {self._ssh.user} in with {with_what}",
            hint=f"put the public key into the authorized_keys of {self._ssh.user} on {self._ssh.address}",
        )

    def _let_in(self, transport: paramiko.Transport, identity: paramiko.PKey, patience: float) -> bool:
        answered = threading.Event()
        with suppress(paramiko.SSHException):  # the connection has ended: seen below
            transport.auth_publickey(self._ssh.user, identity, answered)
            answered.wait(patience)
        if not (answered.is_set() and transport.is_active()):
            raise Unreachable(f"{self._where}: the server greets and then doesn't answer the login")
        return transport.is_authenticated()


_PIN = "look at the machine itself; if it is the one that is meant, pin the key that `bisectbot hosts check` shows"


def scan(address: str, port: int, deadline: Deadline) -> tuple[str, ...]:
    """Return the host keys that a server shows, one of each type, as lines to pin. Logs nothing in.

    Nothing proves that it is the right server: a person compares them. Raises Unreachable or Refused.
    """
    server, lines, fault = Ssh(address, host_keys=(), port=port), list[str](), None
    for algorithms in ALGORITHMS.values():
        try:
            with _greeted(server, algorithms, deadline, Wait()) as transport:
                lines.append(_shown(transport).line)
        except (Refused, Unreachable) as error:  # no key of this type: some servers just hang up then
            fault = error
    if fault and not lines:
        raise fault
    return tuple(lines)


# --- up to the server's key ----------------------------------------------------------------------


@contextmanager
def _greeted(server: Ssh, algorithms: tuple[str, ...], deadline: Deadline, wait: Wait) -> Iterator[paramiko.Transport]:
    """Connect and exchange keys; what is yielded is encrypted, and nobody knows yet with whom."""
    with closing(_dial(server, min(wait.connect, deadline.remaining))) as line:
        transport = paramiko.Transport(line)
        try:
            _greet(transport, server, algorithms, min(wait.greet, deadline.remaining))
            yield transport
        finally:
            _end(transport, line)


def _dial(server: Ssh, patience: float) -> socket.socket:
    try:
        line = socket.create_connection((server.address, server.port), max(patience, 0.001))
    except OSError as error:
        raise Unreachable(f"{server.address}:{server.port}: {error.strerror or 'no answer'}") from error
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD)
    return line


def _greet(transport: paramiko.Transport, server: Ssh, algorithms: tuple[str, ...], patience: float) -> None:
    transport.get_security_options().key_types = algorithms
    transport.banner_timeout = transport.handshake_timeout = patience
    done = threading.Event()
    transport.start_client(done)
    if done.wait(patience) and transport.is_active():
        return
    where, error = f"{server.address}:{server.port}", transport.get_exception()
    if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        raise Refused(f"{where}: no common way to encrypt: {error}") from error
    raise Unreachable(
        f"{where}: accepts a connection, but no SSH server answers: {str(error or '') or 'silence'}"
    ) from error


def _shown(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


def _end(transport: paramiko.Transport, line: socket.socket) -> None:
    """Close, and leave no thread behind: neither the connection's nor the timer of its key exchange."""
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)  # wakes the connection's thread at once
    transport.close()
    if transport.is_alive():
        transport.join(5.0)
    transport.packetizer.complete_handshake()


# --- our own key ---------------------------------------------------------------------------------


@contextmanager
def _identities(ssh: Ssh) -> Iterator[Sequence[paramiko.PKey]]:
    """Yield the keys to log in with; the agent's can sign only as long as it is connected."""
    if ssh.key is not None:
        yield [_private_key(ssh)]
        return
    with closing(paramiko.Agent()) as agent:
        keys = agent.get_keys()
        if not keys:
            raise ConfigError(
                f"{ssh.user}@{ssh.address}: no key is given and the SSH agent holds none",
                hint="set `key` of the host's ssh to a private key file, or run ssh-add",
            )
        yield keys


def _private_key(ssh: Ssh) -> paramiko.PKey:
    said = f"the SSH key {ssh.key}"
    try:
        return paramiko.PKey.from_path(str(ssh.key))
    except OSError as error:
        raise ConfigError(f"{said} can't be read: {error.strerror}") from error
    except (TypeError, paramiko.PasswordRequiredException) as error:
        hint = "run ssh-add with it and leave `key` out, or use a key without a passphrase"
        raise ConfigError(f"{said} is encrypted", hint=hint) from error
    except Exception as error:  # the loader lets through what its cryptography library says, of many types
        raise ConfigError(f"{said} isn't a private key that can be used: {error}") from error
