"""PID 1 of a guest, run as PID 1 of a namespace here: its facts, read by the bot's own reader, for each kind of run."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from guestroot import Guest, make_root

from bisectbot.console.guest import Beat, Done, End, Fact, How, Out, OutCut, Ready, Start
from csrc import HERE, compile_one, ours


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the reproducer that is hard on init."""
    return compile_one("misbehave", tmp_path_factory.mktemp("misbehave"))


@pytest.fixture
def guest(tmp_path: Path, program: Path) -> Guest:
    """Return a root folder with init and that reproducer."""
    return make_root(tmp_path / "root", ours().init, program)


def ends(facts: list[Fact]) -> list[End]:
    """Return how the runs ended."""
    return [fact for fact in facts if isinstance(fact, End)]


def lines(facts: list[Fact], fd: int = 1) -> list[str]:
    """Return what was relayed of a stream."""
    return [fact.line for fact in facts if isinstance(fact, Out) and fact.fd == fd]


def test_a_boot_from_beginning_to_end(guest: Guest) -> None:
    """Who is there, each run with its output, done: in this order, with the token, release and CPUs of the machine."""
    facts = guest.facts("look", words="bisectbot.token=0123abcd bisectbot.trials=2 bisectbot.limit=20")
    ready, *runs, done = facts
    cpus = len(os.sched_getaffinity(0))
    assert ready == Ready(1, os.uname().release, HERE, "0123abcd", cpus)
    assert [type(fact) for fact in runs] == [Start, Out, End] * 2
    assert [(end.trial, end.how, end.code) for end in ends(facts)] == [(1, How.EXIT, 0), (2, How.EXIT, 0)]
    assert done == Done()


def test_what_a_reproducer_finds(guest: Guest) -> None:
    """It runs in /tmp with an empty stdin, a short PATH and exactly its arguments."""
    (line,) = lines(guest.facts("look", "a b", "", "--x=$HOME"))
    assert json.loads(line) == {"cwd": "/tmp", "path": "/bisectbot", "stdin": 0, "args": ["a b", "", "--x=$HOME"]}  # noqa: S108  in the guest


def test_no_arguments(guest: Guest) -> None:
    """An empty list is no list of one empty argument; and no file at all is no argument either."""
    assert [(end.how, end.code) for end in ends(guest.facts())] == [(How.EXIT, 0)]
    (guest.root / "bisectbot/argv").unlink()
    assert [(end.how, end.code) for end in ends(guest.facts())] == [(How.EXIT, 0)]


def test_what_must_not_be_lost_is_repeated(guest: Guest) -> None:
    """Kernel messages cut lines: all but heartbeats and plain output comes three times under one number."""
    console = guest.boot("lines", "1").decode()
    told = re.findall(r'@bb (\d+) [0-9a-f]{8} \{"t":"([a-z]+)"', console)
    numbers = list(dict.fromkeys(number for number, _ in told))
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    times = {number: sum(1 for one, _ in told if one == number) for number in numbers}
    assert [times[number] for number in numbers] == [3, 3, 1, 3, 3, 3]  # ready, start, a line, a JSON line, end, done


@pytest.mark.parametrize(
    ("args", "how", "code"),
    [
        (("signal", str(int(signal.SIGSEGV))), How.SIGNAL, signal.SIGSEGV),
        (("signal", str(int(signal.SIGKILL))), How.SIGNAL, signal.SIGKILL),
    ],
    ids=["SIGSEGV", "SIGKILL"],
)
def test_a_program_that_dies(guest: Guest, args: tuple[str, ...], how: How, code: int) -> None:
    """The signal is told."""
    (end,) = ends(guest.facts(*args))
    assert (end.how, end.code) == (how, code)


def test_a_program_that_doesnt_end(guest: Guest) -> None:
    """A heartbeat each second, then it is killed at the limit; nothing more is run on a kernel where that happened."""
    facts = guest.facts("hang", words="bisectbot.token=cafe bisectbot.trials=2 bisectbot.limit=2")
    assert [fact for fact in facts if isinstance(fact, Beat)] == [Beat(1, 1)]
    assert [(end.trial, end.how) for end in ends(facts)] == [(1, How.LIMIT)]
    assert isinstance(facts[-1], Done)
    assert all(2000 <= end.ms < 12000 for end in ends(facts))


def test_what_a_program_leaves_behind(guest: Guest) -> None:
    """A child that holds on to the output delays nothing and is gone before the next trial."""
    facts = guest.facts("orphan", words="bisectbot.token=cafe bisectbot.trials=2 bisectbot.limit=20")
    assert [(end.trial, end.how, end.code, end.ms < 15000) for end in ends(facts)] == [
        (1, How.EXIT, 0, True),
        (2, How.EXIT, 0, True),
    ]
    assert lines(facts) == ["before", "before"]


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (b"\x7fELF and nothing else", 0o755, errno.ENOEXEC),
        (b"#!/bin/sh\nexit 0\n", 0o755, errno.ENOENT),
        (b"", 0o644, errno.EACCES),
    ],
    ids=["broken", "script", "not executable"],
)
def test_a_program_that_cant_be_executed(guest: Guest, content: bytes, mode: int, code: int) -> None:
    """The errno is told: it never ran, whatever exit code that would look like."""
    file = guest.root / "bisectbot/reproducer"
    file.write_bytes(content)
    file.chmod(mode)
    (end,) = ends(guest.facts())
    assert (end.how, end.code) == (How.EXEC, code)


@pytest.mark.parametrize("args", [["x"] * 2000, ["x" * 70_000]], ids=["many", "long"])
def test_too_many_arguments_are_refused(guest: Guest, args: list[str]) -> None:
    """Half of a command would be another command."""
    facts = guest.facts(*args)
    assert ends(facts) == [End(1, How.EXEC, errno.E2BIG, 0)]
    assert facts[-1] == Done()


def test_any_bytes_are_relayed(guest: Guest) -> None:
    """Each byte comes back as the character of its number, a last line without a newline among them."""
    (line,) = lines(guest.facts("bytes"), fd=2)
    assert line.encode("latin-1") == bytes(byte for byte in range(256) if byte != 10)
    console = guest.boot("bytes")
    assert set(console) <= {10, *range(32, 127)}


def test_a_long_line_is_cut(guest: Guest) -> None:
    """A thousand bytes of it are kept, and what comes after it is a line of its own."""
    assert lines(guest.facts("long")) == ["0" * 1000, "after it"]


def test_much_output_is_cut(guest: Guest) -> None:
    """64 KiB are kept, that there was more is told once, and the counts at the end are kept all the same."""
    facts = guest.facts("lines", "5000")
    *kept, last = lines(facts)
    assert len(kept) == 64 * 1024 // 99
    assert last == '{"lines":5000}'
    assert [fact for fact in facts if isinstance(fact, OutCut)] == [OutCut(1)]
    assert [(end.how, end.code) for end in ends(facts)] == [(How.EXIT, 0)]


@pytest.mark.parametrize(
    ("words", "token", "runs"),
    [
        ("", "", 1),
        ("bisectbot.trials=-1 bisectbot.limit=-4 bisectbot.token=", "", 1),
        ("bisectbot.trials=0", "", 0),
        ("bisectbot.trials=3x bisectbot.token=a bisectbot.token=b", "b", 1),
        ('bisectbot.token="\\\x01 bisectbot.trials=2', '"\\\x01', 2),
        ("xbisectbot.trials=9 bisectbot.trials=2", "", 2),
    ],
    ids=["none", "out of range", "boot only", "no number", "hostile", "another word"],
)
def test_odd_orders(guest: Guest, words: str, token: str, runs: int) -> None:
    """What makes no sense is left at one run; the token is told as it stands, so that a wrong one is seen."""
    facts = guest.facts("look", words=words)
    assert isinstance(facts[0], Ready)
    assert facts[0].token == token
    assert len(ends(facts)) == runs


def test_init_refuses_to_be_anything_else(tmp_path: Path) -> None:
    """Started by mistake on a developer's machine it kills nobody and reboots nothing."""
    done = subprocess.run([str(ours().init)], check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (125, "")
    assert "only as PID 1" in done.stderr
