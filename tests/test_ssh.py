"""SSH: against a real OpenSSH server on loopback, a relay that drops connections, and servers that aren't any."""

from __future__ import annotations

import getpass
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sshserver import Relay, Server, free_port, keygen, public, stuck, tool

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.hostkeys import HostKey
from bisectbot.effects.ssh import SshDoor, Wait, scan
from bisectbot.effects.sshshell import SshShell
from bisectbot.errors import BisectbotError, ConfigError, Dropped, InfraError, Overdue, Refused, Stranger, Unreachable
from bisectbot.lab import Ssh
from bisectbot.ports import Deadline
from bisectbot.reach import Door

_CLOCK = SystemClock()
_ODD = ["a b", "it's", '"', "$(id)", "`id`", ";reboot", "a\nb", "\\", "*", "", "-n", "~", "äöü €", "&&", "!!", "#"]


def _within(seconds: float = 10.0) -> Deadline:
    return Deadline.after(_CLOCK, seconds)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start one server for the whole file."""
    one = Server(tmp_path_factory.mktemp("sshd"))
    with one.running():
        yield one


@pytest.fixture(scope="module")
def shell(server: Server) -> Iterator[SshShell]:
    """Open one connection for all tests that do it no harm."""
    with _shell(server.ssh()) as one:
        yield one


@pytest.fixture(autouse=True)
def no_thread_stays(shell: SshShell) -> Iterator[None]:
    """Fail a test that leaves a thread behind."""
    assert shell
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(0.5)  # a cancelled timer's last moments
    assert set(threading.enumerate()) <= before


@contextmanager
def _shell(ssh: Ssh) -> Iterator[SshShell]:
    with SshDoor(ssh, _CLOCK).open(_within()) as shell:
        yield shell


def _fails(ssh: Ssh, kind: type[BisectbotError], wait: Wait | None = None) -> str:
    with pytest.raises(kind) as raised, SshDoor(ssh, _CLOCK, wait).open(_within()):
        pytest.fail("it was let in")
    return str(raised.value)


# --- whom we talk to -----------------------------------------------------------------------------


def test_a_door_is_a_door(server: Server) -> None:
    """The type checker holds the door to its contract."""
    door: Door = SshDoor(server.ssh(), _CLOCK)
    with door.open(_within()) as shell:
        assert shell.run(["echo", "hello"], _within()).text == "hello\n"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_server_with_several_keys_shows_the_pinned_one(server: Server, number: int) -> None:
    """Whichever of its keys is pinned, that one is asked for."""
    with _shell(server.ssh(pins=(server.pins[number],))) as shell:
        assert shell.run(["true"], _within()).code == 0


def test_another_host_key_is_a_stranger(server: Server) -> None:
    """Both fingerprints are named as ssh-keygen prints them, with the next step, and nothing is learnt from it."""
    wrong = public(server.foreign)
    for _ in range(2):
        said = _fails(server.ssh(pins=(wrong,)), Stranger)
        for key in (server.foreign, server.folder / "host_ed25519"):
            listed = tool(["ssh-keygen", "-lf", str(key)])
            assert listed.split()[1] in said
        assert "hosts check" in said


def test_one_right_key_among_the_pinned_is_enough(server: Server) -> None:
    """A key that was pinned for later doesn't lock us out."""
    wrong = public(server.doomed)
    with _shell(server.ssh(pins=(server.pins[0], wrong))) as shell:
        assert shell.run(["true"], _within()).code == 0


@pytest.mark.parametrize("line", ["", "ssh-dss AAAA", "ssh-ed25519 AAAA", "ssh-ed25519 ???", "ssh-rsa"])
def test_a_pin_that_is_no_key_is_the_users_fault(server: Server, line: str) -> None:
    """What can't be a host key is told before anybody is connected to."""
    _fails(server.ssh(pins=(line,), port=1), ConfigError)


def test_no_pin_no_connection(server: Server) -> None:
    """A host without a pinned key is not talked to."""
    assert "hosts check" in _fails(replace(server.ssh(), host_keys=()), ConfigError)


def test_scan_shows_what_to_pin(server: Server) -> None:
    """The keys of all types, as lines that can be pinned as they are."""
    shown = scan("127.0.0.1", server.port, _within())
    assert {HostKey.parse(line) for line in shown} == {HostKey.parse(pin) for pin in server.pins}
    with _shell(server.ssh(pins=shown)) as shell:
        assert shell.run(["true"], _within()).code == 0


def test_scan_of_nobody() -> None:
    """A port that nobody listens on offers no keys."""
    with pytest.raises(Unreachable):
        scan("127.0.0.1", free_port(), _within())


# --- who we are ----------------------------------------------------------------------------------


def test_a_key_that_the_server_does_not_know(server: Server) -> None:
    """It is a lasting refusal that names the user and the key."""
    said = _fails(server.ssh(key=server.foreign), Refused)
    assert getpass.getuser() in said
    assert str(server.foreign) in said
    assert Refused.lasting


@pytest.mark.parametrize(
    ("kind", "says"), [("encrypted", "encrypted"), ("missing", "No such"), ("rubbish", "isn't"), ("public", "isn't")]
)
def test_a_key_that_cannot_be_used(server: Server, tmp_path: Path, kind: str, says: str) -> None:
    """Each way a key file is of no use is the user's fault, told by the file's name."""
    key = tmp_path / kind
    if kind == "encrypted":
        keygen(key, "ed25519", "-N", "secret")
    elif kind != "missing":
        key.write_text(public(server.key) if kind == "public" else "rubbish")
    said = _fails(server.ssh(key=key), ConfigError)
    assert str(key) in said
    assert says in said


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_key_files_of_every_form(server: Server, tmp_path: Path, kind: str, form: str) -> None:
    """OpenSSH's own format and PEM, of each type, get as far as the server's answer."""
    _fails(server.ssh(key=keygen(tmp_path / "key", kind, "-m", form)), Refused)


def test_the_agents_key(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key file the agent signs, and an agent without keys is told of."""
    sock = tmp_path / "agent"
    said = tool(["ssh-agent", "-a", str(sock), "-s"])
    monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
    ssh = replace(server.ssh(), key=None)
    try:
        assert "ssh-add" in _fails(ssh, ConfigError)
        for key in (server.foreign, server.key):
            tool(["ssh-add", "-q", key])
        with _shell(ssh) as shell:
            assert shell.run(["true"], _within()).code == 0
    finally:
        os.kill(int(said.split("SSH_AGENT_PID=")[1].split(";")[0]), 15)


def test_without_key_and_agent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the user's home is looked for."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = Path.home() / ".ssh"
    folder.mkdir()
    (folder / "id_ed25519").write_bytes(server.key.read_bytes())
    _fails(replace(server.ssh(), key=None), ConfigError)


# --- nobody there (yet) --------------------------------------------------------------------------


def _answer(listener: socket.socket, greeting: bytes, *, stay: bool) -> None:
    with suppress(OSError):
        line, _ = listener.accept()
        with line:
            line.sendall(greeting)
            while stay and line.recv(4096):
                pass


@pytest.mark.parametrize(
    ("greeting", "stay"), [(b"", True), (b"", False), (b"SSH-2.0-x\r\n", True), (b"HTTP/1.0 400\r\n", False)]
)
def test_what_accepts_is_no_ssh_server(
    server: Server, capfd: pytest.CaptureFixture[str], greeting: bytes, *, stay: bool
) -> None:
    """A port that is open before its server, and one of another protocol: not there yet, and nothing is printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer, args=(listener, greeting), kwargs={"stay": stay})
        thread.start()
        _fails(server.ssh(port=listener.getsockname()[1]), Unreachable, Wait(greet=0.2))
        thread.join()
    assert capfd.readouterr() == ("", "")


def test_nobody_listens(server: Server) -> None:
    """A closed port is told with its address, and trying again may help."""
    port = free_port()
    assert f"127.0.0.1:{port}" in _fails(server.ssh(port=port), Unreachable)
    assert not Unreachable.lasting


def test_a_name_that_is_none(server: Server) -> None:
    """A name that can't be resolved may be so in a minute: nobody answers there yet."""
    _fails(replace(server.ssh(), address="machine.invalid"), Unreachable)


def test_a_login_that_is_not_answered(server: Server) -> None:
    """A server that greets and then stalls isn't a refusal."""
    _fails(server.ssh(), Unreachable, Wait(login=0.0))


# --- commands ------------------------------------------------------------------------------------


def test_words_arrive_as_they_are(shell: SshShell) -> None:
    """No word is read by a shell, whatever it holds."""
    said = shell.run(["printf", "%s\\0", *_ODD], _within())
    assert said.text.split("\0")[:-1] == _ODD


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143), ("exec no/such", 127)]
)
def test_exit_codes(shell: SshShell, script: str, code: int) -> None:
    """A command's own code, and 128 and the number of the signal that killed it, as a shell tells it."""
    assert shell.run(["sh", "-c", script], _within()).code == code


def test_both_streams_are_one(shell: SshShell) -> None:
    """What a command says and what it complains of come together, in order."""
    assert shell.run(["sh", "-c", "echo a; echo b >&2; echo c"], _within()).text == "a\nb\nc\n"


def test_at_most_a_mebibyte_is_kept(shell: SshShell) -> None:
    """The rest is read and forgotten: the command isn't stopped by it."""
    said = shell.run(["head", "-c", "3000000", "/dev/zero"], _within())
    assert (said.code, len(said.text)) == (0, 1 << 20)


def test_binary_input(shell: SshShell) -> None:
    """Every byte value arrives, in large amounts too, and the end of the input is told."""
    content = bytes(range(256)) * 4096
    said = shell.run(["sha256sum"], _within(), content)
    assert said.text.split()[0] == hashlib.sha256(content).hexdigest()


def test_input_and_output_at_once(shell: SshShell) -> None:
    """A command that fills its output before it reads on doesn't lock up."""
    assert shell.run(["cat"], _within(), bytes(6 << 20)).code == 0


def test_input_that_nobody_reads(shell: SshShell) -> None:
    """A command may end without having read its input."""
    assert shell.run(["sh", "-c", "exit 3"], _within(), bytes(6 << 20)).code == 3


@pytest.mark.parametrize("argv", [["sleep", "1"], ["yes"]])
def test_past_the_deadline(shell: SshShell, argv: list[str]) -> None:
    """Silent or not, a command that takes too long is given up, and the connection is still of use."""
    with pytest.raises(Overdue, match=argv[0]):
        shell.run(argv, _within(0.2))
    assert shell.run(["true"], _within()).code == 0


def test_a_command_that_reads_nothing_in_time(shell: SshShell) -> None:
    """Input that isn't taken is no reason to wait for ever."""
    with pytest.raises(Overdue):
        shell.run(["sleep", "1"], _within(0.3), bytes(6 << 20))


def test_a_connection_that_stands_still(server: Server) -> None:
    """Where even the answer to the start of a command doesn't come, the connection is closed after the deadline."""
    ssh = server.ssh(pins=(public(server.foreign),))
    with stuck(server.foreign) as port, _shell(replace(ssh, port=port)) as shell:
        with pytest.raises(Overdue):
            shell.run(["true"], _within(0.2))
        with pytest.raises(Dropped):
            shell.run(["true"], _within())


def test_a_drop_in_the_middle_of_a_command(server: Server) -> None:
    """It is no exit code."""
    with Relay(server.port, "down", 100_000) as relay, _shell(server.ssh(port=relay.port)) as shell:
        with pytest.raises(Dropped, match="head"):
            shell.run(["head", "-c", "3000000", "/dev/zero"], _within())
        with pytest.raises(Dropped):
            shell.run(["true"], _within())


def test_a_machine_that_dies_under_a_command(server: Server) -> None:
    """The far end of the connection is killed while the command runs: dropped."""
    with _shell(server.ssh(key=server.doomed)) as shell, pytest.raises(Dropped):
        shell.run(["true"], _within())


# --- files ---------------------------------------------------------------------------------------


def test_put(shell: SshShell, tmp_path: Path) -> None:
    """A large file arrives whole, for us alone to read, over an older one, and its progress is told."""
    source, target, told = tmp_path / "vmlinuz", tmp_path / "it's; $(a) name", list[int]()
    source.write_bytes(os.urandom(1 << 20) * 20)
    target.write_text("old")
    target.chmod(0o644)
    shell.put(source, str(target), _within(), told.append)
    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    assert told == sorted(told)
    assert told[-1] == 20 << 20
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize("content", [b"", b"\0\xff\n", b"x" * 100_000])
def test_put_bytes(shell: SshShell, tmp_path: Path, content: bytes) -> None:
    """Small files too, an empty one as well."""
    shell.put_bytes(content, str(tmp_path / "small"), _within())
    assert (tmp_path / "small").read_bytes() == content


def test_a_drop_in_the_middle_of_a_file(server: Server, shell: SshShell, tmp_path: Path) -> None:
    """The other side sees only the end of its input, and still leaves nothing under the target's name."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(5_000_000))
    with (
        Relay(server.port, "up", 1_000_000) as relay,
        _shell(server.ssh(port=relay.port)) as away,
        pytest.raises(Dropped, match="target"),
    ):
        away.put(source, str(target), _within())
    # Until the script over there has ended and taken its part away.
    until = 'while [ -e "$1.new" ]; do sleep 0.02; done; [ -e "$1" ]'
    assert shell.run(["sh", "-c", until, "sh", str(target)], _within()).code == 1


def test_what_cannot_be_written(shell: SshShell, tmp_path: Path) -> None:
    """A folder of that name, or none to hold it, is refused with what the other side says."""
    with pytest.raises(Refused, match="is a folder"):
        shell.put_bytes(b"x", str(tmp_path), _within())
    with pytest.raises(Refused, match=r"no/such"):
        shell.put_bytes(b"x", str(tmp_path / "no/such"), _within())
    assert not list(tmp_path.glob("*.new"))


def test_what_cannot_be_read_here(shell: SshShell, tmp_path: Path) -> None:
    """A source that isn't there is no fault of the machine."""
    with pytest.raises(InfraError, match="nothing") as raised:
        shell.put(tmp_path / "nothing", str(tmp_path / "target"), _within())
    assert type(raised.value) is InfraError


# --- streams and what stays ----------------------------------------------------------------------


def test_a_stream_as_it_comes(shell: SshShell) -> None:
    """Bytes before the end of the command, nothing while it is silent, and an end that stays the end."""
    with shell.stream(["sh", "-c", "echo one; sleep 0.3; echo two >&2"]) as wire:
        assert wire.read(5) == b"one\n"
        assert wire.read(0.05) is None
        assert wire.read(0) is None
        assert wire.read(5) == b"two\n"
        assert wire.read(5) == b""
        assert wire.read(5) == b""
        assert shell.run(["true"], _within()).code == 0


def test_leaving_a_stream_hangs_up(shell: SshShell, tmp_path: Path) -> None:
    """A command that would stay silent for ever gets SIGHUP."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = 'trap "echo hung up >$1; exit" HUP; echo ready; while :; do sleep 0.05; done'
    with shell.stream(["sh", "-c", script, "sh", str(fifo)]) as wire:
        assert wire.read(5) == b"ready\n"
    assert tool(["cat", fifo]) == "hung up\n"


def test_a_stream_that_drops(server: Server) -> None:
    """It just ends."""
    with Relay(server.port, "down", 100_000) as relay, _shell(server.ssh(port=relay.port)) as shell:
        with shell.stream(["yes"]) as wire:
            heard = [b"y\n"]
            while got := wire.read(5):
                heard.append(got)
        assert got == b""
        assert 10_000 < len(b"".join(heard)) < 100_000


def test_a_detached_command_stays(shell: SshShell, tmp_path: Path) -> None:
    """It goes on without the connection, in a session of its own, with its words as they were."""
    to, back = tmp_path / "to it", tmp_path / "from it"
    os.mkfifo(to)
    os.mkfifo(back)
    shell.detach(["sh", "-c", 'read word <"$1"; echo "$word, $2" >"$2"', "sh", str(to), str(back)], _within())
    talk = 'echo hello >"$1"; cat "$2"'
    assert tool(["sh", "-c", talk, "sh", to, back]) == f"hello, {back}\n"


def test_a_machine_that_vanishes_with_a_detached_command(server: Server) -> None:
    """Once it was accepted, a lost connection is what was to be expected."""
    with _shell(server.ssh(key=server.doomed)) as shell:
        shell.detach(["kexec", "-e"], _within())
        with pytest.raises(Dropped):
            shell.detach(["kexec", "-e"], _within())
