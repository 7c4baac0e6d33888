"""A room of machines and their servers: whatever was started in it ends with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from machineroom import leash
from machineroom.base import Base
from machineroom.machine import Hardware, Machine


@dataclass
class Room:
    """Where machines are put; `stack` takes whatever else has to end before they do."""

    folder: Path
    base: Base
    stack: ExitStack
    machines: list[Machine] = field(default_factory=list)

    def machine(self, name: str = "sut", hardware: Hardware = Hardware()) -> Machine:  # noqa: B008  (frozen)
        """Return a new machine, off."""
        made = Machine(name, self.folder / name, self.base, hardware)
        self.machines.append(made)
        self.stack.callback(made.line.close)
        return made


@contextmanager
def opened(folder: Path, base: Base) -> Iterator[Room]:
    """Open a room in a new folder; its processes end with the context, and with this process if that is killed."""
    folder.mkdir()
    argv = [sys.executable, "-I", "-S", leash.__file__, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            with ExitStack() as stack:
                yield Room(folder, base, stack)
        finally:
            guard.communicate(timeout=30)
