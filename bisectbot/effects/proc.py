"""Child processes: argv lists, a small environment, stdin closed, output to a file, none left behind."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bisectbot.effects import orphans
from bisectbot.errors import InfraError, OutOfMemory, Overdue, ToolMissing, os_fault
from bisectbot.ports import LEFT_OUT, Deadline, Finished

_ANSWER_BYTES = 1 << 20
_LOOK = 0.25  # seconds at most between two looks at a deadline (a clock may be moved) and at the length of the log
LONGEST_LOG = 64 << 20  # bytes of a child's words; of more, the first half stays and the newest
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


def small_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a child gets to see: how to find programs, a home, English messages, and `extra`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {"PATH": os.defpath, "HOME": "/", **kept, "LANG": "C.UTF-8", **(extra or {})}


class Group:
    """A child process in a process group of its own; fits ports.Running. One thread owns it; any may terminate()."""

    def __init__(self, popen: subprocess.Popen[bytes], grace: float, log: Path | None = None) -> None:
        """`log`: where it writes to (appending), kept within bounds for as long as somebody looks after the child."""
        self._log = log
        self.pid = popen.pid
        self._popen = popen
        self._grace = grace
        self._end = os.pidfd_open(popen.pid)
        self._reaping = threading.Lock()  # a signal never goes to a number that isn't ours any more

    @property
    def reaped(self) -> bool:
        """Whether it is over and its exit code known."""
        return self._popen.returncode is not None

    def ended(self, seconds: float) -> bool:
        """Wait at most `seconds` for the child to end (it isn't reaped yet, so its number stays its own)."""
        if self.reaped:
            return True
        if self._log is not None:
            cut(self._log)
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._reap() if self.ended(0) else None

    def stop(self) -> int:
        """End the whole group (TERM, then KILL), reap it and return the exit code. Safe to call twice."""
        if not self.ended(0):
            self.terminate()
            self.ended(self._grace)
        return self._reap()

    def terminate(self) -> None:
        """Ask the whole group to end, and return at once."""
        with self._reaping:
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group at once, and return."""
        with self._reaping:
            self._signal(signal.SIGKILL)

    def _reap(self) -> int:
        with self._reaping:
            if not self.reaped:
                self._signal(signal.SIGKILL)  # what the child left behind in its group, and the child if it hangs on
                self._popen.wait()
                os.close(self._end)
                if self._log is not None:
                    cut(self._log)
        return self._popen.returncode

    def _signal(self, number: signal.Signals) -> None:
        if not self.reaped:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Processes:
    """The real thing; fits ports.Proc. `grace` is the seconds between TERM and KILL."""

    def __init__(self, grace: float = 5.0, *, orphaned: bool = False) -> None:
        """`orphaned`: what a child leaves running on purpose (a power command that starts a machine) outlives us."""
        self._grace = grace
        self._orphaned = orphaned
        self._live: set[Group] = set()
        self._counting = threading.Lock()  # several threads start children
        self._stopping = False

    def __reduce__(self) -> tuple[type[Processes], tuple[float]]:
        """Travel to another process without the children of this one."""
        return Processes, (self._grace,)

    def which(self, tool: str) -> Path | None:
        """Return where a program is, or None."""
        found = shutil.which(tool, path=small_environment()["PATH"])
        return Path(found) if found else None

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run to the end, both streams appended to `log` after a line that a person can paste into a shell.

        Raises ToolMissing, Overdue (the group is killed first), OutOfMemory, DiskFull (the log has no room), or
        InfraError after stop_all().
        """
        started = deadline.clock.now()
        with _log(log) as out:
            out.write(f"$ {command_line(argv, cwd, env)}\n".encode())
            code = self._wait(self._start(argv, out, cwd, env, log), argv, deadline)
            seconds = deadline.clock.now() - started
            out.write(f"# exit {code} after {seconds:.2f} s\n".encode())
        return Finished(code, seconds)

    def output(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run a short question and return (exit code, stdout and stderr together, at most 1 MiB). Raises as run()."""
        with tempfile.TemporaryFile() as out:
            code = self._wait(self._start(argv, out, cwd, env), argv, deadline)
            out.seek(0)
            return code, out.read(_ANSWER_BYTES).decode(errors="replace")

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> Group:
        """Start and return at once. Raises ToolMissing, or DiskFull (the log has no room)."""
        with _log(log) as out:
            return self._start(argv, out, None, env, log)

    def stop_all(self) -> None:
        """Ask every child to end and refuse new ones: the bot is going down. run() raises InfraError then."""
        self._stopping = True
        for group in list(self._live):
            group.terminate()

    def _start(
        self,
        argv: Sequence[str],
        out: IO[bytes],
        cwd: Path | None,
        env: Mapping[str, str] | None,
        log: Path | None = None,
    ) -> Group:
        if self._stopping:
            raise InfraError(f"{argv[0]} isn't started: bisectbot is stopping")
        mark = {} if self._orphaned else dict([orphans.mark()])
        try:
            popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=small_environment(env) | mark,
                start_new_session=True,
            )
        except OSError as error:
            raise _cant_start(argv[0], cwd, error) from error
        group = Group(popen, self._grace, log)
        with self._counting:
            self._live = {one for one in self._live if not one.reaped} | {group}
        return group

    def _wait(self, group: Group, argv: Sequence[str], deadline: Deadline) -> int:
        try:
            while not group.ended(min(_LOOK, deadline.remaining)) and not self._stopping:
                if deadline.passed:
                    raise Overdue(f"{argv[0]} was not done in time and was ended")
        finally:
            code = group.stop()
        if self._stopping:
            raise InfraError(f"{argv[0]} was ended: bisectbot is stopping")
        if code in _KILLED:
            raise OutOfMemory(f"{argv[0]} was killed from outside, most likely because memory ran out")
        return code


def cut(log: Path) -> None:
    """Cut the middle out of a log that grew too long: its writer appends, and goes on at the new end."""
    with suppress(OSError):
        size, kept = log.stat().st_size, LONGEST_LOG // 2
        if size > LONGEST_LOG and log.is_file():
            os.truncate(log, kept)
            with log.open("ab") as file:
                file.write(f"\n{LEFT_OUT}about {size - kept} bytes here\n".encode())


def command_line(argv: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Return the line that does the same in a person's shell."""
    words = [*(f"{name}={value}" for name, value in (env or {}).items()), *argv]
    return (f"cd {shlex.quote(str(cwd))} && " if cwd else "") + shlex.join(["env", *words] if env else words)


@contextmanager
def _log(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("ab", buffering=0) as out:
            yield out
    except OSError as error:
        raise os_fault(error) from error


def _cant_start(tool: str, cwd: Path | None, error: OSError) -> InfraError:
    if cwd is not None and not cwd.is_dir():
        return InfraError(f"{tool} can't be started in {cwd}: there is no such folder")
    if isinstance(error, FileNotFoundError):
        return ToolMissing(f"the program {tool} is not installed")
    return InfraError(f"{tool} can't be started: {error.strerror}")
