"""Commands, files and streams over one SSH connection; nothing but a POSIX shell is needed on the other side."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import paramiko

from bisectbot.errors import BisectbotError, Dropped, Overdue, Refused, os_fault
from bisectbot.ports import Clock, Deadline
from bisectbot.reach import Said

_KEPT = 1 << 20  # bytes of a command's output
_BLOCK = 32_000  # bytes; fits one packet of every server
_LOOK = 0.1  # seconds between looks at the output while the command doesn't read its input
_GRACE = 1.0  # seconds after a deadline until the whole connection is closed: something of it is stuck
_START = 20.0  # seconds until a stream's command must have begun
_BEGUN = 3.0  # seconds to hear that a detached command has begun
_LOST = (paramiko.SSHException, OSError, EOFError)

# Each script gets its words as positional parameters. A drop in the middle looks like the end of the input to the
# other side, so only the size tells whether it was the whole file.
_WRITE = """
umask 077
if [ -d "$1" ]; then echo "$1 is a folder"; exit 1; fi
rm -f "$1.new"
cat >"$1.new" && [ "$(wc -c <"$1.new")" -eq "$2" ] && sync "$1.new" && mv -f "$1.new" "$1" && exit 0
rm -f "$1.new"
exit 1
"""
# Without a terminal nothing is told of a hang-up: a command that prints nothing would stay for ever. Our input ends
# with the connection, so whoever waits for that can tell.
_HELD = """
exec 3<&0
"$@" </dev/null 3<&- &
job=$!
{ cat <&3; kill -HUP "$job"; } >/dev/null 2>&1 &
wait "$job"
code=$?
kill "$!" 2>/dev/null
exit "$code"
"""
# The second gives our answer the time to get out of a machine that the command may well stop.
_ALONE = """
trap '' HUP
if command -v setsid >/dev/null; then set -- setsid "$@"; fi
{ sleep 1; exec "$@"; } </dev/null >/dev/null 2>&1 &
"""


class SshShell:
    """One SSH connection; fits reach.Shell. After Overdue it may be closed: open another one."""

    def __init__(self, transport: paramiko.Transport, clock: Clock, where: str) -> None:
        self._transport = transport
        self._clock = clock
        self._where = where

    def run(self, argv: Sequence[str], deadline: Deadline, stdin: bytes = b"") -> Said:
        """Run one command to its end. Each word arrives as it is: none is read by a shell as anything but a word.

        Dropped if the connection (or the shell that started it) ends before the command does; Overdue past the
        deadline, and the command is left to itself.
        """
        return self._converse(argv, argv[0], deadline, _cut(stdin))

    def put(self, source: Path, target: str, deadline: Deadline, tell: Callable[[int], None] | None = None) -> None:
        """Copy a file there (0600, whole or not at all); `tell` gets the bytes sent so far.

        Raises as run(), and Refused if it can't be written there.
        """
        try:
            size = source.stat().st_size
        except OSError as error:
            raise os_fault(error) from error
        self._write(target, size, _told(_read(source), tell), deadline)

    def put_bytes(self, content: bytes, target: str, deadline: Deadline) -> None:
        """Write a small file there, as put()."""
        self._write(target, len(content), _cut(content), deadline)

    @contextmanager
    def stream(self, argv: Sequence[str]) -> Iterator[SshWire]:
        """Start a command and read what it prints as it comes; leaving the context hangs up (SIGHUP).

        Its own input is empty. Dropped or Overdue if it can't be started.
        """
        deadline = Deadline.after(self._clock, _START)
        with self._bounded(argv[0], deadline):
            channel = self._start(_script(_HELD, *argv), deadline)
        try:
            yield SshWire(channel)
        finally:
            with suppress(*_LOST):
                channel.close()

    def detach(self, argv: Sequence[str], deadline: Deadline) -> None:
        """Start a command that outlives the connection (and may well end it), and return at once.

        It begins a second later. Once the other side has taken it, a lost connection is no error any more; Refused
        if there is no shell that could start it.
        """
        with self._bounded(argv[0], deadline):
            channel = self._start(_script(_ALONE, *argv), deadline)
        with suppress(*_LOST), closing(channel):
            channel.status_event.wait(min(_BEGUN, deadline.remaining))
        if channel.exit_status > 0:
            raise Refused(f"{self._where}: {argv[0]} could not be started, the shell says {channel.exit_status}")

    def _write(self, target: str, size: int, blocks: Iterable[bytes], deadline: Deadline) -> None:
        said = self._converse(_script(_WRITE, target, str(size)), f"the copy to {target}", deadline, blocks)
        if said.code:
            raise Refused(f"{self._where}: {target} can't be written: {said.text.strip() or f'exit {said.code}'}")

    def _converse(self, argv: Sequence[str], what: str, deadline: Deadline, blocks: Iterable[bytes]) -> Said:
        with self._bounded(what, deadline), closing(self._start(argv, deadline)) as channel:
            heard = _Heard()
            _feed(channel, blocks, heard, deadline)
            _listen(channel, heard, deadline)
            return Said(_status(channel, deadline), heard.text)

    def _start(self, argv: Sequence[str], deadline: Deadline) -> paramiko.Channel:
        channel = self._transport.open_session(timeout=deadline.remaining)
        channel.set_combine_stderr(True)
        # One pipe for both streams keeps their order. A second command keeps the far shell there, which then says 128+n
        # of a command that a signal killed.
        channel.exec_command(f"{shlex.join(argv)} 2>&1; exit $?")
        return channel

    @contextmanager
    def _bounded(self, what: str, deadline: Deadline) -> Iterator[None]:
        """Turn what paramiko raises into faults, and end its few waits that have no end of their own."""
        fuse = threading.Timer(deadline.remaining + _GRACE, self._transport.close)
        fuse.daemon = True
        fuse.start()
        try:
            yield
        except _LOST as error:
            raise self._fault(what, deadline, error) from error
        finally:
            fuse.cancel()
            fuse.join()

    def _fault(self, what: str, deadline: Deadline, error: Exception) -> BisectbotError:
        if deadline.passed or (isinstance(error, TimeoutError) and error.errno is None):
            return Overdue(f"{self._where}: {what} was not done in time")
        return Dropped(f"{self._where}: the connection ended before {what} did")


class SshWire:
    """What a command prints, both streams; fits reach.Wire."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self, patience: float) -> bytes | None:
        """Return bytes soon after they came, None after `patience` seconds without any, b"" once it has ended."""
        self._channel.settimeout(patience)
        try:
            return self._channel.recv(_BLOCK)
        except TimeoutError:
            return None
        except _LOST:
            return b""


class _Heard:
    """The beginning of a command's output."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, got: bytes) -> None:
        self._kept += got[: _KEPT - len(self._kept)]

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")


def _script(text: str, *words: str) -> tuple[str, ...]:
    return ("sh", "-c", text.strip(), "sh", *words)


def _cut(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _BLOCK):
        yield content[start : start + _BLOCK]


def _read(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
    except OSError as error:
        raise os_fault(error) from error


def _told(blocks: Iterable[bytes], tell: Callable[[int], None] | None) -> Iterator[bytes]:
    sent = 0
    for block in blocks:
        yield block
        sent += len(block)
        if tell:
            tell(sent)


def _feed(channel: paramiko.Channel, blocks: Iterable[bytes], heard: _Heard, deadline: Deadline) -> None:
    """Send the command's input, and hear it meanwhile: it may fill its output before it reads on.

    A command may also end without having read it all; how it ended tells what that means.
    """
    for block in blocks:
        left = block
        while left and not channel.closed:
            left = left[_send(channel, left, deadline) :]
            while channel.recv_ready():
                heard.add(channel.recv(_BLOCK))
    with suppress(OSError):
        channel.shutdown_write()


def _send(channel: paramiko.Channel, block: bytes, deadline: Deadline) -> int:
    channel.settimeout(min(_LOOK, deadline.remaining))
    try:
        return channel.send(block)
    except TimeoutError:
        if deadline.passed:
            raise
        return 0
    except OSError:
        return 0  # closed just now


def _listen(channel: paramiko.Channel, heard: _Heard, deadline: Deadline) -> None:
    channel.settimeout(deadline.remaining)
    while got := channel.recv(_BLOCK):
        heard.add(got)
        if deadline.passed:
            raise TimeoutError
        channel.settimeout(deadline.remaining)


def _status(channel: paramiko.Channel, deadline: Deadline) -> int:
    if not channel.status_event.wait(deadline.remaining):
        raise TimeoutError
    if channel.exit_status < 0:
        raise EOFError
    return channel.exit_status
