"""A real server as a child process: started, found ready, stopped by pid and started again on the same port."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_READY_SECONDS = 20.0
_STOP_SECONDS = 5.0
_TICK = 0.05


class Server:
    """A program in the foreground; a context manager. `folder` holds its pid file and log, and is named in `argv`."""

    def __init__(self, name: str, argv: list[str], folder: Path, ready: Callable[[], bool]) -> None:
        self.name = name
        self.argv = argv
        self.folder = folder
        self._ready = ready
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """Return what it printed, over all its lives."""
        return self.folder / f"{self.name}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it listens; nothing if it runs. RuntimeError with its log if it doesn't come up."""
        if self._child is not None:
            return
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        (self.folder / f"{self.name}.pid").write_text(f"{self._child.pid}\n")
        end = time.monotonic() + _READY_SECONDS
        while not self._ready():
            if self._child.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"{' '.join(self.argv)} doesn't serve:\n{self.log.read_text(errors='replace')}")
            time.sleep(_TICK)

    def stop(self) -> None:
        """End it; nothing if it doesn't run."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def listens(protocol: str, port: int) -> bool:
    """Tell whether somebody has bound a port of the loopback: "tcp" or "udp". Asks the kernel, sends nothing."""
    # proc(5): the address is 127.0.0.1 in the CPU's byte order; a TCP socket that listens is in state 0A
    bound = f"0100007F:{port:04X}"
    rows = (line.split() for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:])
    return any(row[1] == bound and (protocol == "udp" or row[3] == "0A") for row in rows)
