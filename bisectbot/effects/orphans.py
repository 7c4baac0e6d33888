"""A process that outlives the bot by a moment, to end every child that a killed bot left behind.

Why not PR_SET_PDEATHSIG: it reaches make but not make's children, and it fires when the *thread* that started the
child ends, which a worker thread does all the time. Instead every child carries a random mark in its environment,
which its own children inherit even when they leave the process group. The watcher blocks on a pipe that only the bot
can write to; when the bot is gone, however it went, the pipe ends, and whatever still carries the mark is killed.
"""

from __future__ import annotations

import functools
import os
import secrets
import sys
import threading

VARIABLE = "BISECTBOT_CHILD_OF"

# It ends after three looks in a row that found nothing: a child that was just being started when the bot died shows
# its environment only once its exec is done. Run with -I -S, so it imports nothing of ours and starts in 10 ms.
_WATCHER = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
os.chdir("/")
mark = sys.argv[1].encode()
while os.read(0, 4096):
    pass

def carriers():
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read().split(b"\\0"):
                        yield int(name)
            except OSError:
                continue

quiet = 0
while quiet < 3:
    found = list(carriers())
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    quiet = 0 if found else quiet + 1
    time.sleep(0.05)
"""


class _Watcher:
    """The watcher of one process: there from the first child on, and again if somebody has killed it since."""

    def __init__(self, owner: int) -> None:
        self._mark = f"{owner}-{secrets.token_hex(8)}"
        self._pid = 0
        self._starting = threading.Lock()

    def mark(self) -> str:
        """Return the mark, with a watcher over it."""
        with self._starting:
            if not self._runs():
                self._pid = _started(self._mark)
        return self._mark

    def _runs(self) -> bool:
        if not self._pid:
            return False
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] == 0
        except ChildProcessError:
            return False


@functools.cache
def _watcher_of(pid: int) -> _Watcher:
    """Return this process's watcher (`pid` tells a forked copy of us from ourselves)."""
    return _Watcher(pid)


def _started(mark: str) -> int:
    """Start a watcher and return its pid."""
    reading, writing = os.pipe()  # the writing end is never inherited; it stays open as long as we live
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _WATCHER, f"{VARIABLE}={mark}"],
            {},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_CLOSE, writing),
            ],
            setsid=True,  # a Ctrl-C at the terminal is for the bot
        )
    finally:
        os.close(reading)


def mark() -> tuple[str, str]:
    """Return the environment variable that a child must carry to be ended when this process is gone."""
    return VARIABLE, _watcher_of(os.getpid()).mark()
