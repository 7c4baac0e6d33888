"""`bisectbot hosts`: who is meant, what may be switched, what scripts get, and how each command ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from fakelab import BOT, CANDIDATE, FakeMachine
from fakes import FakeClock
from labbench import SERIAL
from sshserver import Server, keygen

from bisectbot import places
from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.cli import hosts as command
from bisectbot.cli.completion import completion
from bisectbot.cli.doctor import doctor
from bisectbot.cli.hosts import hosts
from bisectbot.cli.labwiring import Lab
from bisectbot.cli.main import bisectbot, main
from bisectbot.config import hosts as config
from bisectbot.errors import Busy, HostSick, Quarantined, Refused, Stranger
from bisectbot.lab import LabHost, Owner
from bisectbot.reach import Said

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYwq9uLulU+PkhVXjAuUTONhHuQ03A+Hdt/PZI1RDnd"
QEMU = '[hosts.virtual]\nboot = "qemu"\narch = "x86_64"\n'
# port 1: nobody answers there
MACHINE = """
[hosts.{name}]
boot = "kexec"
arch = "x86_64"
tags = ["svm", "{name}-only"]
deadlines = {{ ssh = 2, power = 1 }}
[hosts.{name}.ssh]
address = "127.0.0.1"
port = {port}
host_keys = ["{key}"]
{ssh}
[hosts.{name}.power]
{power}
[hosts.{name}.console]
kind = "tcp"
address = "127.0.0.1"
port = {console}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that commands run in; the home has a key to log in with."""
    monkeypatch.chdir(tmp_path)
    keygen(tmp_path / "home/lab-key", "ed25519")
    return tmp_path


def script(folder: Path, name: str, text: str) -> str:
    """Return the path of a lab's own program, as it stands in TOML."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    return f'["{file}"]'


def switch(folder: Path, *, status: bool = True) -> str:
    """Return the table of a switch that is a file: power is on if it is there."""
    state = folder / "power-is-on"
    rows = {"on": f"touch {state}", "off": f"rm -f {state}"}
    if status:
        rows["status"] = f"test -e {state} && echo on || echo off"
    return 'kind = "command"\n' + "\n".join(f"{act} = {script(folder, act, text)}" for act, text in rows.items())


def machine(name: str = "rack1", **words: object) -> str:
    """Return the tables of a machine that nobody answers for, unless told otherwise."""
    plain: dict[str, object] = {
        "more": "",
        "port": 1,
        "key": KEY,
        "ssh": 'key = "~/lab-key"',
        "power": 'kind = "none"',
        "console": 1,
    }
    return MACHINE.format(**{**plain, "name": name, **words})


def write(folder: Path, *tables: str, default: str = "rack1") -> Path:
    """Write a hosts.toml where it is looked for."""
    file = folder / "hosts.toml"
    file.write_text(f'default = "{default}"\n' + "".join(tables))
    return file


def run(*words: str) -> int:
    """Return the exit code of `bisectbot hosts`."""
    with pytest.raises(SystemExit) as caught:
        main(["hosts", *words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def the(name: str = "rack1") -> LabHost:
    """Return a machine of the hosts.toml in force."""
    host = config.load().host(name)
    assert isinstance(host, LabHost)
    return host


# --- list --------------------------------------------------------------------------------------


def test_list_is_aligned_and_tells_who_is_set_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each column begins at the same place in every line; scripts get every field."""
    write(folder, QEMU, machine(power=switch(folder)), machine("a-machine-with-a-long-name", port=2, console=2))
    HostBook(places.cache() / "hosts").set_aside(the(), "it hung")
    assert run("list") == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    starts = [head.index(word) for word in ("ARCH", "BOOT", "POWER", "CONSOLE", "PAYLOAD", "ABOUT")]
    assert all(line[at - 1] == " " and line[at] != " " for line in lines for at in starts)
    assert "virtual" in lines[0]
    assert lines[1].split()[:6] == ["rack1", "x86_64", "kexec", "command", "tcp", "initramfs"]
    assert lines[1].endswith("127.0.0.1, tags svm rack1-only, default, SET ASIDE: it hung")
    assert run("list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == "hosts.toml"
    assert told["hosts"][1] == {
        "name": "rack1",
        "arch": "x86_64",
        "default": True,
        "boot": ["kexec"],
        "payload": "initramfs",
        "power": "command",
        "console": "tcp",
        "address": "127.0.0.1",
        "tags": ["svm", "rack1-only"],
        "set_aside": "it hung",
    }


# --- who is meant ------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("check",), ("power", "on"), ("console",), ("boot", "HEAD", "--tree", ".")])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("rack2", "did you mean rack1?"),
        ("tag:svn", "did you mean svm?"),
        ("virtual", "played by QEMU"),
    ],
)
def test_a_name_that_cant_be_meant(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], name: str, says: str
) -> None:
    """A typing error or a QEMU host ends with 2, a guess, and the machines that there are; nothing is touched."""
    write(folder, QEMU, machine(power=switch(folder)))
    assert run(words[0], name, *words[1:]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert "hosts.toml" in err
    assert "next: give one of: rack1" in err
    assert out == ""
    assert not (folder / "power-is-on").exists()


def test_a_file_without_real_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`check` of nobody is no success: it says which file, and where to read on; so does a wrong name there."""
    write(folder, QEMU, default="virtual")
    assert run("check") == 2
    assert "hosts.toml has no real machine\n  next: docs/hosts.md" in capsys.readouterr().err
    assert run("check", "--json") == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2
    assert run("power", "virtua", "on") == 2
    assert "next: docs/hosts.md shows how a real machine is described" in capsys.readouterr().err


def test_what_a_machine_lacks_is_named_by_its_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Key, file and the next step."""
    tables = machine().replace('kind = "tcp"\naddress = "127.0.0.1"\nport = 1', 'kind = "none"')
    write(folder, tables.replace('boot = "kexec"', 'boot = "kexec"\npayload = "host"'))
    assert run("power", "rack1", "status") == 2
    assert "has no power switch: hosts.toml has no hosts.rack1.power\n  next: " in capsys.readouterr().err
    assert run("console", "rack1") == 2
    assert "has no console: hosts.toml has no hosts.rack1.console\n  next: " in capsys.readouterr().err


def test_a_machine_is_named_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hosts boot NAME` has no --host besides."""
    write(folder, machine())
    assert run("boot", "rack1", "HEAD", "--tree", ".", "--host", "rack1") == 2
    assert "No such option" in capsys.readouterr().err


# --- check -------------------------------------------------------------------------------------


def test_check_looks_at_all_machines_whatever_one_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is in use, one that nobody answers for: both are told, by name and layer, and the exit status is 5."""
    write(folder, machine(), machine("rack9", port=2, console=2))
    with Lab.here().lock(the()):
        assert run("check", "--json") == 5
        told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    (busy,) = told["hosts"]["rack1"]
    assert (busy["name"], busy["status"]) == ("check", "fail")
    assert 'host "rack1" is in use by another bisectbot (pid' in busy["detail"]
    layers = {layer["name"]: layer for layer in told["hosts"]["rack9"]}
    assert {name: layer["status"] for name, layer in layers.items()} == {"ssh": "fail", "power": "warn"}
    assert layers["ssh"]["mend"]
    assert layers["ssh"]["seconds"] >= 0


def test_check_prints_what_it_finds_with_times(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: the machine, a line a layer with its seconds, the next step, the sum; a name twice counts once."""
    write(folder, machine(power=switch(folder)))
    (folder / "power-is-on").touch()
    assert run("check", "rack1", "tag:svm") == 5
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rack1:"
    assert lines[1].startswith("fail  ssh ")
    assert lines[1].endswith(" s)")
    assert lines[2] == "      mend: see whether it is on: bisectbot hosts power rack1 status"
    assert lines[3].startswith("ok    power ")
    assert lines[4:] == ["1 ok, 0 warn, 1 fail"]


def test_check_never_takes_this_very_machine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real sshd on the bot's own machine: it isn't touched; if another key is pinned, its own are shown."""
    server = Server(folder)
    with server.running():
        ssh = server.ssh()
        login = f'user = "{ssh.user}"\nkey = "{ssh.key}"'
        write(folder, machine(port=ssh.port, ssh=login, key=server.pins[0], power=switch(folder)))
        (folder / "power-is-on").touch()
        assert run("check", "--json") == 5
        layers = {one["name"]: one for one in json.loads(capsys.readouterr().out)["hosts"]["rack1"]}
        assert [*layers] == ["ssh", "marker", "power"]
        assert "is the machine that bisectbot runs on" in layers["marker"]["detail"]
        assert run("power", "rack1", "off") == 5
        assert (folder / "power-is-on").exists()
        capsys.readouterr()
        write(folder, machine(port=ssh.port, ssh=login, power=switch(folder)))
        assert run("check", "--json") == 5
    (first, *_) = json.loads(capsys.readouterr().out)["hosts"]["rack1"]
    assert all(" ".join(pin.split()[:2]) in first["detail"] for pin in server.pins), (first, server.pins)


# --- power -------------------------------------------------------------------------------------


def test_power_is_confirmed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, on, and, for a machine that has shown its marker before, cycle and off; each says what it waits for."""
    write(folder, machine(power=switch(folder)))
    assert run("power", "rack1", "status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"host": "rack1", "power": "off"}
    assert run("power", "tag:svm", "on") == 0
    out, err = capsys.readouterr()
    assert out.startswith("rack1 is on after ")
    assert "rack1: power on (at most 2 s)" in err
    HostBook(places.cache() / "hosts").proven(the(), "6.1.0")
    assert run("power", "rack1", "off", "--json") == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (told["power"], told["confirmed"]) == ("off", True)
    assert not (folder / "power-is-on").exists()
    assert "can't be asked whether a bisectbot elsewhere uses it" in err


def test_a_machine_that_never_showed_its_marker_keeps_its_power(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It doesn't answer, and nothing says that it may be switched off."""
    write(folder, machine(power=switch(folder)))
    (folder / "power-is-on").touch()
    for act in ("off", "cycle"):
        assert run("power", "rack1", act) == 5
        assert "has never shown that it may be switched off" in capsys.readouterr().err
    assert (folder / "power-is-on").exists()
    with Lab.here().lock(the()):
        assert run("power", "rack1", "on") == 2
    assert "in use by another bisectbot" in capsys.readouterr().err


def test_a_switch_that_cant_be_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was done is told as unconfirmed, and its state as unknown."""
    write(folder, machine(power=switch(folder, status=False)))
    assert run("power", "rack1", "status") == 0
    assert capsys.readouterr().out == "rack1: its switch can't be asked\n"
    assert run("power", "rack1", "on", "--json") == 0
    assert json.loads(capsys.readouterr().out)["confirmed"] is False


def test_a_switch_that_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its words are told, and the exit status is 5."""
    table = switch(folder)
    script(folder, "on", "echo outlet 7 is burnt >&2; exit 1")
    write(folder, machine(power=table))
    assert run("power", "rack1", "on", "--json") == 5
    assert "outlet 7 is burnt" in json.loads(capsys.readouterr().out)["error"]


class _Lab(Lab):
    """A lab whose only machine is a fake one."""

    def reaches(self, machine: FakeMachine) -> _Lab:
        """Return it with this machine."""
        object.__setattr__(self, "machine", machine)
        return self

    def way(self, host: LabHost) -> Way:
        """Return the way to that machine."""
        found: FakeMachine = self.machine  # type: ignore[attr-defined]
        return Way(host, found, None, self.me.owner(), found.clock)


@pytest.fixture
def fake() -> tuple[_Lab, FakeMachine]:
    """Return a lab and its machine."""
    here, there = Lab.here(), FakeMachine(FakeClock())
    return _Lab(there.clock, here.proc, here.secrets, here.book, here.me).reaches(there), there  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"marked": False}, Refused),
        ({"marker": "rack2"}, Stranger),
        ({"machine_id": Lab.here().me.owner().machine_id}, Stranger),
        ({"door_fault": Stranger("another key")}, Stranger),
        ({"held": Said(3, f"60\n{Owner('bench2', 'm', 'b', 77, 1)}\n")}, Busy),
        ({"held": Said(3, f"60\n{Owner('bench2', 'm', 'b', 77, 1)}\n"), "running": CANDIDATE}, Busy),
    ],
)
def test_who_may_not_lose_its_power(
    fake: tuple[_Lab, FakeMachine], change: dict[str, object], error: type[Exception]
) -> None:
    """Though it was known before: what it shows now counts, whether its own system answers or a candidate."""
    lab, there = fake
    lab.book.proven(SERIAL, "6.1.0-base")
    for name, value in change.items():
        setattr(there, name, value)
    with pytest.raises(error):
        command._may_switch(lab, SERIAL)


def test_who_may_lose_its_power(fake: tuple[_Lab, FakeMachine]) -> None:
    """One that shows its marker; that is remembered, and doesn't bring a machine that was set aside into service."""
    lab, there = fake
    command._may_switch(lab, SERIAL)
    assert not there.locked
    known = lab.book.recall(SERIAL)
    assert known is not None
    assert known.release == "6.1.0-base"
    lab.book.set_aside(SERIAL, "it hung")
    command._may_switch(lab, SERIAL)
    with pytest.raises(Quarantined):
        lab.book.check(SERIAL)


def test_a_candidate_is_no_proof_of_a_good_system(fake: tuple[_Lab, FakeMachine]) -> None:
    """On the machine's own root it shows the marker too, and may be switched off; its release isn't remembered."""
    lab, there = fake
    there.running = CANDIDATE
    command._may_switch(lab, SERIAL)
    assert lab.book.recall(SERIAL) is None
    there.door_fault = HostSick("silence")
    with pytest.raises(HostSick, match="never shown"):
        command._may_switch(lab, replace(SERIAL, name="rack1"))
    assert lab.me.owner() != BOT


# --- console -----------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_a_console_is_followed_until_ctrl_c(folder: Path, as_json: bool) -> None:  # noqa: FBT001  pytest's call
    """What comes is printed as it comes, or line by line as JSON; Ctrl-C ends it with 130 and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        write(folder, machine(console=server.getsockname()[1]))
        argv = [sys.executable, "-m", "bisectbot", "hosts", "console", "rack1", *(["--json"] if as_json else [])]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder) as following:
            assert following.stdout is not None
            assert following.stderr is not None
            try:
                server.settimeout(30)
                wire, _ = server.accept()
                with wire:
                    wire.sendall(b"[ 1.0] usb 1-1: \x1b[1mnew\x1b[0m\r\n")
                    line = following.stdout.readline()
                    following.send_signal(signal.SIGINT)
                    told = following.stderr.read().decode()
            finally:
                following.kill()
    if as_json:
        said = json.loads(line)
        assert said["line"] == "[ 1.0] usb 1-1: \x1b[1mnew\x1b[0m"
        assert said["seconds"] >= 0
    else:
        assert line == b"[ 1.0] usb 1-1: \x1b[1mnew\x1b[0m\r\n"
    assert following.returncode == 130
    assert "Ctrl-C ends this" in told
    assert told.endswith("bisectbot: interrupted\n")
    assert "Traceback" not in told


def test_a_console_that_cant_be_listened_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with the reason once its time is over."""
    write(folder, machine())
    assert run("console", "rack1") == 5
    assert "the console can't be listened to" in capsys.readouterr().err


# --- help and completion -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [*hosts.commands])
def test_help_explains_every_word(name: str) -> None:
    """Every option has a text, every argument is spoken of, and every way to end is listed."""
    result = CliRunner().invoke(bisectbot, ["hosts", name, "--help"], terminal_width=200)
    assert result.exit_code == 0
    text = result.stdout.partition("Options:")[0]
    for parameter in hosts.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help
        elif parameter.name in ("name", "names", "rev"):
            assert text.count({"rev": "REV"}.get(parameter.name, "NAME")) >= 2  # in the usage, and explained
    codes = {"list": "0 2", "check": "0 2 5", "power": "0 2 5", "console": "2 5 130", "boot": "0 2 5 11 12"}
    endings = " ".join(text.partition("Exit status ")[2].split())
    assert set(re.findall(r"(?:^|; )(\d+):", endings)) == set(codes[name].split())
    assert hosts.commands[name].short_help


def _completed(*words: str) -> list[str]:
    found = ShellComplete(bisectbot, {}, "bisectbot", "_X").get_completions([*words[:-1]], words[-1])
    return [item.value for item in found]


def test_completion_knows_real_machines_and_tags(folder: Path) -> None:
    """Only real machines for `hosts`, all for --host; a tag once; and nothing, silently, from a file that is wrong."""
    file = write(folder, QEMU, machine(), machine("rack2", port=2, console=2))
    assert _completed("hosts", "power", "") == ["rack1", "rack2", "tag:svm", "tag:rack1-only", "tag:rack2-only"]
    assert _completed("hosts", "power", "tag:r") == ["tag:rack1-only", "tag:rack2-only"]
    assert _completed("hosts", "power", "rack1", "c") == ["cycle"]
    assert _completed("hosts", "check", "rack1", "rack2") == ["rack2"]
    for verb in ("check", "console", "boot"):
        assert _completed("hosts", verb, "v") == []
    assert _completed("try", "--host", "v") == ["virtual"]
    assert _completed("try", "--host", "tag:s") == ["tag:svm"]
    other = file.rename(folder / "other.toml")
    assert _completed("hosts", "power", "--hosts", str(other), "rack2") == ["rack2"]
    (folder / "hosts.toml").write_text("[[")
    assert _completed("hosts", "power", "") == []


def test_bash_completes_a_tag_as_one_word() -> None:
    """The script takes the colon out of what parts words; zsh parts none there."""
    root = click.Group("bisectbot", commands=[completion, doctor])
    made = {shell: CliRunner().invoke(root, ["completion", shell]).stdout for shell in ("bash", "zsh")}
    done = subprocess.run(
        ["bash", "-c", f'{made["bash"]}\nprintf %s "$COMP_WORDBREAKS"'],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    assert ":" not in done.stdout
    assert done.stderr == ""
    assert "COMP_WORDBREAKS" not in made["zsh"]
