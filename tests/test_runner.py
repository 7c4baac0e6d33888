"""Runner, init's part on a machine's own root: the same facts on stdout, and only its own children are ever killed."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bisectbot.console.guest import Beat, Done, End, Fact, GuestReader, How, Out, OutCut, Ready, Start
from csrc import HERE, compile_one, hurried, ours

SECONDS = 30.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the reproducer that is hard on whoever runs it."""
    return compile_one("misbehave", tmp_path_factory.mktemp("misbehave"))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Return a command line of a kernel."""
    file = tmp_path / "cmdline"
    file.write_text("console=ttyS0 bisectbot.token=cafe bisectbot.trials=7 bisectbot.limit=9 quiet\n")
    return file


def command(words: Path, *args: object) -> list[str]:
    """Return the command that runs runner."""
    return [str(ours().runner), "--cmdline", str(words), *map(str, args)]


def run(words: Path, *args: object, cwd: Path | None = None) -> list[Fact]:
    """Return the facts of a runner that ends by itself."""
    done = subprocess.run(command(words, *args), check=True, capture_output=True, timeout=SECONDS, cwd=cwd)
    assert done.stderr == b""
    return GuestReader().feed(done.stdout)


def running(program: Path) -> list[int]:
    """Return the processes that execute a program."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "exe").readlink() == program:
                found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def nothing_stays(program: Path) -> Iterator[None]:
    """Hold each test to it: no process of the reproducer's outlives runner."""
    yield
    left = running(program)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert left == []


@pytest.fixture
def sprawl(tmp_path: Path, program: Path) -> Path:
    """Return a program that doesn't end, and has a child in a session of its own that doesn't either."""
    script = tmp_path / "sprawl"
    script.write_text(f"#!/bin/sh\nsetsid {program} hang &\nexec {program} hang\n")
    script.chmod(0o755)
    return script


def test_the_facts_of_init(words: Path, program: Path, tmp_path: Path) -> None:
    """Who is there, each run with its output, done: each line once, in the folder it was started in."""
    done = subprocess.run(
        command(words, 2, 20, program, "look", "a b", ""), check=True, capture_output=True, cwd=tmp_path
    )
    ready, *runs, last = GuestReader().feed(done.stdout)
    assert ready == Ready(1, os.uname().release, HERE, "cafe", len(os.sched_getaffinity(0)))
    assert [type(fact) for fact in runs] == [Start, Out, End] * 2
    assert last == Done()
    assert isinstance(runs[1], Out)
    found = json.loads(runs[1].line)
    assert (found["cwd"], found["stdin"], found["args"]) == (str(tmp_path), 0, ["a b", ""])
    assert "/usr/bin" in found["path"]
    assert done.stdout.count(b"\n") == 8


def test_no_trial(words: Path, program: Path) -> None:
    """A plain boot test: who is there, done."""
    assert [type(fact) for fact in run(words, 0, 1, program)] == [Ready, Done]


def test_the_machines_own_command_line(program: Path) -> None:
    """Without --cmdline it is the running kernel's; a token that isn't there is empty, so nothing proves it."""
    done = subprocess.run([ours().runner, "0", "1", program], check=True, capture_output=True)
    (ready, _) = GuestReader().feed(done.stdout)
    assert isinstance(ready, Ready)
    told = [word for word in Path("/proc/cmdline").read_text().split() if word.startswith("bisectbot.token=")]
    assert ready.token == (told[-1].removeprefix("bisectbot.token=") if told else "")


def test_each_end_by_its_name(words: Path, program: Path, tmp_path: Path) -> None:
    """A signal, a limit with its heartbeat, a program that isn't there; signals are at their defaults."""
    (tmp_path / "die").write_text("#!/bin/sh\nkill -PIPE $$\n")
    (tmp_path / "die").chmod(0o755)
    ends = [
        fact
        for args in ((5, tmp_path / "die"), (2, program, "hang"), (5, "/nowhere/at/all"))
        for fact in run(words, 1, *args)
        if isinstance(fact, (End, Beat))
    ]
    assert [(fact.how, fact.code) if isinstance(fact, End) else fact for fact in ends] == [
        (How.SIGNAL, signal.SIGPIPE),
        Beat(1, 1),
        (How.LIMIT, signal.SIGKILL),
        (How.EXEC, 2),
    ]


def test_much_output_is_cut(words: Path, program: Path) -> None:
    """As init does it: 64 KiB, and the counts at the end."""
    facts = run(words, 1, 20, program, "lines", "5000")
    assert OutCut(1) in facts
    assert [fact.line for fact in facts if isinstance(fact, Out)][-1] == '{"lines":5000}'


def test_what_a_program_leaves_behind_and_nothing_else(words: Path, program: Path) -> None:
    """A child in a session of its own is gone before the next trial; a stranger of the same user lives on."""
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        facts = run(words, 2, 20, program, "orphan")
        alive = stranger.poll() is None
        stranger.kill()
    assert alive
    assert [(fact.trial, fact.how, fact.ms < 15000) for fact in facts if isinstance(fact, End)] == [
        (1, How.EXIT, True),
        (2, How.EXIT, True),
    ]


def test_a_family_of_many_generations(words: Path, program: Path, tmp_path: Path) -> None:
    """Each generation falls to runner when the one before it dies, and dies next."""
    script = tmp_path / "family"
    script.write_text(
        f"#!/bin/sh\nfor n in 1 2 3; do setsid sh -c '{program} orphan; {program} hang' & done\nsleep 0.2\n"
    )
    script.chmod(0o755)
    assert [fact.how for fact in run(words, 1, 20, script) if isinstance(fact, End)] == [How.EXIT]


def started(process: subprocess.Popen[bytes]) -> None:
    """Read until the reproducer runs."""
    assert process.stdout is not None
    reader = GuestReader()
    while not any(isinstance(fact, Beat) for fact in reader.feed(process.stdout.readline())):
        assert process.poll() is None


def test_a_dropped_connection_ends_it(words: Path, sprawl: Path) -> None:
    """Nobody reads its stdout any more: it kills the reproducer and all that it left, and ends."""
    with subprocess.Popen(command(words, 9, 60, sprawl), stdout=subprocess.PIPE) as process:
        started(process)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(10) == 1


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_it(words: Path, sprawl: Path, number: signal.Signals) -> None:
    """Likewise when it is asked to."""
    with subprocess.Popen(command(words, 9, 60, sprawl), stdout=subprocess.PIPE) as process:
        started(process)
        process.send_signal(number)
        assert process.wait(10) == 1


def test_a_reader_that_reads_nothing(words: Path, program: Path) -> None:
    """A connection that hangs can't make the reproducer outlive its limit for ever."""
    patient = command(words, 1000, 20, program, "lines", "5000")
    with subprocess.Popen([str(hurried().runner), *patient[1:]], stdout=subprocess.PIPE) as process:
        assert process.wait(SECONDS) == 1


def test_a_killed_runner_takes_the_reproducer_along(words: Path, program: Path) -> None:
    """SIGKILL leaves it no time; the kernel ends the reproducer then."""
    with subprocess.Popen(command(words, 1, 60, program, "hang"), stdout=subprocess.PIPE) as process:
        started(process)
        (child,) = running(program)
        watched = os.pidfd_open(child)
        process.kill()
        assert select.select([watched], [], [], 10)[0]
        os.close(watched)


@pytest.mark.parametrize(
    "args",
    [
        (), ("1",), ("1", "1"), ("1", "1", "relative"), ("-1", "1", "/bin/true"), ("1", "0", "/bin/true"),
        ("1x", "1", "/bin/true"), ("1", "", "/bin/true"), ("--cmdline", "1", "1", "/bin/true"),
    ],
)  # fmt: skip
def test_wrong_usage_is_125(args: tuple[str, ...]) -> None:
    """Never 0 or 1, nothing on stdout, and how it is used on stderr."""
    done = subprocess.run([ours().runner, *args], check=False, capture_output=True)
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"usage: runner" in done.stderr
