"""Consoles over TCP, from programs, BMCs and files: what comes through, what is refused, how they end."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.command import CommandLine
from bisectbot.effects.lines import console_line
from bisectbot.effects.proc import Processes
from bisectbot.effects.sol import Guard, SolLine, ipmitool
from bisectbot.effects.tail import FileLine
from bisectbot.effects.tcp import TcpLine
from bisectbot.effects.telnet import Telnet
from bisectbot.errors import ConfigError, HostSick, Overdue, ToolMissing, Unreachable
from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    ConsoleLine,
    FileConsole,
    IpmiPower,
    LabHost,
    NetConsole,
    Secret,
    SolConsole,
    Ssh,
    TcpConsole,
)
from bisectbot.model import Arch
from bisectbot.ports import Deadline
from bisectbot.reach import Wire
from csrc import lacking

PATIENCE = 20.0  # seconds; only a failing test waits that long


def later(seconds: float = PATIENCE) -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(SystemClock(), seconds)


def read_until(wire: Wire, wanted: bytes) -> bytes:
    """Return all bytes up to the ones that are waited for."""
    got, deadline = b"", later()
    while wanted not in got:
        assert not deadline.passed, got
        data = wire.read(deadline.remaining)
        assert data, got
        got += data
    return got


def read_to_end(wire: Wire) -> bytes:
    """Return all that comes before the end."""
    got, deadline = b"", later()
    while (data := wire.read(deadline.remaining)) != b"":
        assert data is not None, got
        got += data
    return got


# --- telnet ---


@pytest.mark.parametrize(
    ("raw", "kept", "answer"),
    [
        (b"Linux\r\n", b"Linux\r\n", b""),
        (b"a\xff\xfb\x01b", b"ab", b"\xff\xfe\x01"),
        (b"a\xff\xfd\x18b", b"ab", b"\xff\xfc\x18"),
        (b"\xff\xfb\x01\xff\xfb\x01\xff\xfb\x03", b"", b"\xff\xfe\x01\xff\xfe\x03"),
        (b"a\xff\xfc\x01\xff\xfe\x01b", b"ab", b""),
        (b"a\xff\xffb", b"a\xffb", b""),
        (b"a\xff\xf1b\xff\xf9c", b"abc", b""),
        (b"a\xff\xfa\x18\x01\xff\xff\xff\xf0b", b"ab", b""),
        (b"a\xff\nb\xff\x7f", b"a\xff\nb\xff\x7f", b""),
        (b"a\xff\xfa" + b"x" * 2000, b"a\xff\xfa" + b"x" * 2000, b""),
    ],
    ids=["plain", "WILL", "DO", "again", "WONT and DONT", "escaped", "commands", "SB", "noise", "no end of SB"],
)
def test_negotiation_is_refused_and_taken_out(raw: bytes, kept: bytes, answer: bytes) -> None:
    """What the machine printed comes out whole, however the bytes are cut into pieces; each option is refused once."""
    for size in (1, 2, 3, len(raw)):
        telnet = Telnet()
        pairs = [telnet.feed(raw[at : at + size]) for at in range(0, len(raw), size)]
        assert b"".join(pair[0] for pair in pairs) == kept, size
        assert b"".join(pair[1] for pair in pairs) == answer, size


def test_noise_is_held_back_by_no_more_than_a_subnegotiation() -> None:
    """A line of nothing but IAC SB keeps what it holds bounded, and the bytes come out."""
    telnet = Telnet()
    out = sum(len(telnet.feed(b"\xff\xfa" * 512)[0]) for _ in range(64))
    assert out >= 63 * 1024


# --- TCP ---


@contextmanager
def server(family: socket.AddressFamily = socket.AF_INET) -> Iterator[socket.socket]:
    """Listen on a port of the loopback."""
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((address, 0), family=family) as listening:
        listening.settimeout(PATIENCE)
        yield listening


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with server(socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_tcp_brings_what_the_machine_prints(family: socket.AddressFamily) -> None:
    """Bytes come through, options are refused, silence is None and the end is told; over IPv4 and IPv6."""
    if family is socket.AF_INET6 and not has_ipv6():
        lacking("no ::1 on this machine")
    with server(family) as listening:
        address, port = listening.getsockname()[:2]
        with TcpLine(TcpConsole(address, port)).open(later()) as wire:
            peer = listening.accept()[0]
            with peer:
                assert wire.read(0.0) is None
                peer.sendall(b"\xff\xfd\x03Linux\n")
                assert read_until(wire, b"\n") == b"Linux\n"
                peer.settimeout(PATIENCE)
                assert peer.recv(16) == b"\xff\xfc\x03"
                peer.sendall(b"\xff\xfb\x01")  # nothing but negotiation is silence, not the end
                assert wire.read(0.2) is None
                assert peer.recv(16) == b"\xff\xfe\x01"
            assert read_to_end(wire) == b""


def test_a_reset_connection_is_an_end() -> None:
    """A server that vanishes rudely ends the wire like any other."""
    with server() as listening, TcpLine(TcpConsole(*listening.getsockname())).open(later()) as wire:
        peer = listening.accept()[0]
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        peer.close()
        assert wire.read(PATIENCE) == b""


def test_nobody_there_is_unreachable() -> None:
    """A refused connection and an unknown name are the lab's fault, naming the console."""
    with server() as listening:
        where = listening.getsockname()
    with (
        pytest.raises(Unreachable, match=r"TCP 127\.0\.0\.1:\d+: Connection refused"),
        TcpLine(TcpConsole(*where)).open(later()),
    ):
        pass
    with (
        pytest.raises(Unreachable, match=r"TCP no\.such\.host\.invalid:1: "),
        TcpLine(TcpConsole("no.such.host.invalid", 1)).open(later()),
    ):
        pass


# --- commands ---


def test_a_command_sees_a_terminal_and_its_bytes_come_unchanged() -> None:
    """Output comes as it was written, from a program that believes in a terminal; its words are never a shell's."""
    script = 'test -t 0 && test -t 1 && printf "%s\\n\\001\\377" "$1"'
    line = CommandLine(["sh", "-c", script, "sh", "$(id) `id` *"], Processes())
    with line.open(later()) as wire:
        assert read_to_end(wire) == b"$(id) `id` *\n\x01\xff"


def test_a_command_ends_with_its_whole_group() -> None:
    """Leaving the context ends the program and what it started, and the environment reaches it."""
    script = "sleep 1000 & echo $! $$ $SECRET; wait"
    with CommandLine(["sh", "-c", script], Processes(), {"SECRET": "xyzzy"}).open(later()) as wire:
        child, shell, secret = read_until(wire, b"\n").split()
        ends = [os.pidfd_open(int(pid)) for pid in (child, shell)]
        assert secret == b"xyzzy"
        assert wire.read(0.0) is None
    for end in ends:
        assert select.select([end], [], [], PATIENCE)[0]
        os.close(end)


def test_the_last_words_of_a_command_come_before_its_end() -> None:
    """A program that fails at once has its message read, then the end is told and told again."""
    with CommandLine(["sh", "-c", "echo no route >&2; exit 3"], Processes()).open(later()) as wire:
        assert read_to_end(wire) == b"no route\n"
        assert wire.read(0.0) == b""


def test_a_missing_program_is_named() -> None:
    """A console whose program isn't installed lasts until somebody installs it."""
    with (
        pytest.raises(ToolMissing, match="no-such-console"),
        CommandLine(["no-such-console"], Processes()).open(later()),
    ):
        pass


# --- SOL, by a program that stands in for ipmitool ---

POWER = IpmiPower("10.0.0.7", "admin", Secret(env="BMC"), port=9001, cipher=3)


@dataclass
class Revealed:
    """Knows one password and records what it was asked for; fits reach.Secrets."""

    asked: list[Secret] = field(default_factory=list)

    def reveal(self, secret: Secret) -> str:
        """Return the password."""
        self.asked.append(secret)
        return "s3cret"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program named ipmitool first; what it is to do on `sol activate` is in the file `act` beside it.

    And in `whose` what it answers to the question whose session has the console.
    """
    program = tmp_path / "bin/ipmitool"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$IPMITOOL_PASSWORD: $*" >>{tmp_path}/said\n'
        f'case "$*" in *deactivate) echo Info: already; exit 1;; *raw*) . {tmp_path}/whose; exit;; esac\n'
        f". {tmp_path}/act\n"
    )
    program.chmod(0o755)
    (tmp_path / "whose").write_text("echo Invalid command; exit 1")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "said"


def act(said: Path, script: str) -> SolLine:
    """Let the program act so; return the line, which asks without waiting for silence."""
    (said.parent / "act").write_text(script)
    return SolLine(POWER, Revealed(), Processes(), silence=0.0)


def test_sol_begins_behind_ipmitools_own_word(said: Path) -> None:
    """An old session is ended first; the password is in no argument; our tool's greeting isn't the machine's."""
    line = act(said, 'echo "[SOL Session operational.  Use ~? for help]"; printf "Linux\\n"; exec sleep 1000')
    with line.open(later()) as wire:
        assert read_until(wire, b"\n") == b"Linux\n"
    words = "-I lanplus -C 3 -E -H 10.0.0.7 -p 9001 -U admin"
    assert said.read_text().splitlines() == [
        f"s3cret: {words} sol deactivate",
        f"s3cret: {words} -N 2 -R 1 sol activate",
        f"s3cret: {words} -N 2 -R 1 raw 0x06 0x4b 0x01 0x01",
    ]
    assert "s3cret" not in " ".join(ipmitool(POWER))


def test_a_console_that_another_session_took_is_lost(said: Path) -> None:
    """A session that lives on without its console is told from a silent machine, after the bytes that it brought."""
    line = act(said, 'echo "[SOL Session operational.]"; printf "Linux\n"; exec sleep 1000')
    (said.parent / "whose").write_text("test -e $0.asked && echo 00 00 00 00 || echo 82 02 00 00 01; : >$0.asked")
    with line.open(later()) as wire:
        assert read_until(wire, b"\n") == b"Linux\n"
        with pytest.raises(HostSick, match=r"SOL of 10\.0\.0\.7: .* gave the console"):
            read_to_end(wire)


OURS, OTHER, NOBODY = "82020000", "82030000", "00000000"


@pytest.mark.parametrize(
    ("answers", "lost", "asked"),
    [
        ((OURS, OURS, OTHER, OTHER, OURS), True, 4),
        ((OURS, NOBODY, NOBODY, OURS), True, 3),
        ((OURS, OTHER, OURS, None), False, 4),
        ((OURS, OTHER, "82040000", "82050000", "82060000"), False, 5),
        ((OURS, None, None), False, 3),
        ((NOBODY, OTHER), False, 1),
        ((None, OTHER), False, 1),
    ],
    ids=["taken", "ended", "one alone", "at random", "no answer", "never ours", "can't be asked"],
)
def test_only_answers_that_agree_lose_a_console(answers: Sequence[str | None], lost: bool, asked: int) -> None:  # noqa: FBT001
    """A BMC that doesn't tell, or tells nonsense, is no alarm; and is left alone where it never told."""
    told: list[str | None] = []

    def holder() -> str | None:
        told.append(answers[len(told)])
        if len(told) == len(answers):
            guard.end()
        return told[-1]

    guard = Guard(holder)
    guard.watch(silence=0.0)
    assert (guard.lost, len(told)) == (lost, asked)


def test_a_bmc_that_refuses_is_sick(said: Path) -> None:
    """What ipmitool said about it is told."""
    line = act(said, "echo Error: Unable to establish IPMI v2 / RMCP+ session >&2; exit 1")
    with pytest.raises(HostSick, match=r"SOL of 10\.0\.0\.7: Error: Unable to establish"), line.open(later()):
        pass


def test_a_bmc_that_never_answers_is_overdue(said: Path) -> None:
    """The deadline ends it, and the child with it."""
    line = act(said, "echo $$ >$0.pid; exec sleep 1000")
    with pytest.raises(Overdue, match="no session in time"), line.open(later(0.3)):
        pass


# --- files ---


def test_a_file_is_followed_from_its_end(tmp_path: Path) -> None:
    """What was there isn't read; what is appended, truncated and rotated is, each byte once."""
    path = tmp_path / "console"
    path.write_bytes(b"old boot\n")
    with FileLine(FileConsole(path)).open(later()) as wire:
        assert wire.read(0.0) is None
        with path.open("ab") as file:
            file.write(b"one\n")
        assert wire.read(PATIENCE) == b"one\n"
        path.write_bytes(b"two\n")  # shorter than what was read: begun anew
        assert wire.read(PATIENCE) == b"two\n"
        with path.open("ab", buffering=0) as before:
            path.rename(tmp_path / "console.1")
            before.write(b"three\n")
            assert wire.read(PATIENCE) == b"three\n"
            before.write(b"last\n")
            path.write_bytes(b"four\n")
            assert read_until(wire, b"four\n") == b"last\nfour\n"
        path.unlink()
        assert wire.read(0.0) is None


def test_a_file_that_comes_later_is_read_whole(tmp_path: Path) -> None:
    """The file of a machine that is off begins with its first byte."""
    path = tmp_path / "console"
    with FileLine(FileConsole(path)).open(later()) as wire:
        assert wire.read(0.0) is None
        path.write_bytes(b"first\n")
        assert wire.read(PATIENCE) == b"first\n"


def test_what_can_never_be_followed_is_told(tmp_path: Path) -> None:
    """A missing folder and a folder in the file's place are the lab's fault."""
    with pytest.raises(HostSick, match="no such folder"), FileLine(FileConsole(tmp_path / "no/console")).open(later()):
        pass
    with pytest.raises(HostSick, match="regular file"), FileLine(FileConsole(tmp_path)).open(later()):
        pass


# --- which one ---


def host(console: ConsoleLine | None, power: IpmiPower | None = None) -> LabHost:
    """Return a host with this console."""
    ssh = Ssh("10.0.0.6", ("ssh-ed25519 AAAA",))
    return LabHost("rack7", Arch.X86_64, ssh, (BootMethod.KEXEC,), console=console, power=power)


@pytest.mark.parametrize(
    ("console", "what"),
    [
        (TcpConsole("fd00::1", 7001), "TCP [fd00::1]:7001"),
        (CommandConsole(("console", "-f", "rack7")), "command console -f rack7"),
        (FileConsole(Path("/var/log/rack7")), "file /var/log/rack7"),
        (NetConsole("10.0.0.1"), "netconsole on 10.0.0.1:6666"),
        (SolConsole(), "SOL of 10.0.0.7"),
    ],
)
def test_each_description_has_its_line(console: ConsoleLine, what: str) -> None:
    """Every kind of console can be listened to, and is named for people."""
    line = console_line(host(console, POWER), Processes(), Revealed())
    assert line is not None
    assert line.what == what


def test_no_console_has_no_line() -> None:
    """A machine without a console is no mistake; one with SOL and no BMC is."""
    assert console_line(host(None), Processes(), Revealed()) is None
    with pytest.raises(ConfigError, match="needs power of kind ipmi"):
        console_line(host(SolConsole()), Processes(), Revealed())
