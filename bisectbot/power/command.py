"""Power by any programs that the lab has for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bisectbot.errors import HostSick
from bisectbot.lab import CommandPower
from bisectbot.ports import Deadline, Proc
from bisectbot.reach import PowerState
from bisectbot.visible import visible

_STATE = re.compile(r"\b(on|off)\b", re.IGNORECASE)


class CommandSwitch:
    """Fits reach.Switch."""

    def __init__(self, commands: CommandPower, proc: Proc) -> None:
        self._commands = commands
        self._proc = proc

    def on(self, deadline: Deadline) -> None:
        """Run its command; HostSick if it doesn't end with 0, Overdue past the deadline."""
        self._run(self._commands.on, deadline)

    def off(self, deadline: Deadline) -> None:
        """Run its command. Raises as on()."""
        self._run(self._commands.off, deadline)

    def status(self, deadline: Deadline) -> PowerState:
        """Return UNKNOWN without a command; else HostSick unless it prints one of the two words. Raises as on()."""
        if not self._commands.status:
            return PowerState.UNKNOWN
        said = self._run(self._commands.status, deadline)
        words = {word.lower() for word in _STATE.findall(said)}
        if len(words) != 1:
            raise HostSick(f"{self._commands.status[0]} says neither on nor off alone: {visible(said.strip(), 200)}")
        return PowerState(words.pop())

    def cycle(self, deadline: Deadline) -> bool:
        """Run its command if there is one. Raises as on()."""
        if self._commands.cycle:
            self._run(self._commands.cycle, deadline)
        return bool(self._commands.cycle)

    def netboot_once(self, deadline: Deadline) -> bool:  # noqa: ARG002  as reach.Switch
        """Say that there is no command for it."""
        return False

    def _run(self, argv: Sequence[str], deadline: Deadline) -> str:
        code, said = self._proc.output(argv, deadline=deadline)
        if code == 0:
            return said
        last = (said.strip().splitlines() or ["nothing"])[-1]
        raise HostSick(f"{argv[0]} ended with exit code {code} and said: {visible(last, 200)}")
