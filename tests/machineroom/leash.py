"""Ends what a test left running: it waits for its parent's end, be it by SIGKILL, and then follows pid files.

    leash.py FOLDER

A QEMU that is a daemon has no parent that would end it. What may be ended is named in FOLDER: every *.pid file below it
whose process has FOLDER on its command line.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_GRACE = 3.0


def ours(folder: Path) -> list[int]:
    """Return the living processes that pid files below `folder` name, and that are what they say."""
    found = []
    for file in folder.rglob("*.pid"):
        with suppress(OSError, ValueError):
            process = int(file.read_text())
            if str(folder).encode() in Path(f"/proc/{process}/cmdline").read_bytes():
                found.append(process)
    return found


def end(folder: Path) -> None:
    """End them all, with SIGKILL if SIGTERM isn't enough, until none is left: a BMC may have switched something on."""
    deadline = time.monotonic() + _GRACE
    while left := ours(folder):
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.read()  # until the other end of the pipe is closed, by whatever
    end(Path(sys.argv[1]))
