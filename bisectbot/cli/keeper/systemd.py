"""systemd, asked through its own programs: whose the keeper's unit is, where it stands, what it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.errors import ConfigError, InfraError, ToolMissing
from bisectbot.keeper.unit import NAME
from bisectbot.ports import Deadline

_SECONDS = 60.0  # for a question; a stop may take 15
_BOOTED = Path("/run/systemd/system")
_WITHOUT = (
    "without systemd: `bisectbot service run` inside tmux, or `bisectbot run --daemon`, and in crontab "
    "`@reboot bisectbot service run --logs DIR --until-empty`"
)
_SHOWN = ("ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "ActiveEnterTimestamp", "StatusText")


@dataclass(frozen=True)
class Systemd:
    """The system's, or the one of this user's login."""

    of_system: bool

    @property
    def scope(self) -> str:
        """The option that means it."""
        return "--system" if self.of_system else "--user"

    @property
    def unit(self) -> Path:
        """Where the keeper's unit is."""
        if self.of_system:
            return Path("/etc/systemd/system", NAME)
        own = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
        return Path(own, "systemd/user", NAME)

    def check(self) -> None:
        """Raise ConfigError, with the ways that are left, unless it runs."""
        if not _BOOTED.is_dir():
            raise ConfigError("systemd doesn't run on this machine", hint=_WITHOUT)
        if not self.of_system:
            code, said = self._ask(["systemctl", "--user", "show-environment"])
            if code != 0:
                raise ConfigError(f"there is no systemd of this user: {said}", hint=f"log in anew; {_WITHOUT}")

    def control(self, *words: str) -> str:
        """Have systemctl do something and return what it said; InfraError if it can't."""
        code, said = self._ask(["systemctl", self.scope, *words])
        if code != 0:
            raise InfraError(
                f"systemctl {self.scope} {' '.join(words)}: {said or f'exit code {code}'}",
                hint=" ".join(self.logs_argv()),
            )
        return said

    def standing(self) -> Mapping[str, str]:
        """Return the unit's properties that matter, as systemctl names them."""
        said = self.control("show", NAME, *(f"--property={name}" for name in _SHOWN))
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def logs_argv(self, *more: str) -> list[str]:
        """Return the command that shows the keeper's log."""
        return ["journalctl", *([] if self.of_system else ["--user"]), f"--unit={NAME}", *more]

    def logs(self, *more: str) -> str:
        """Return the keeper's log."""
        code, said = self._ask([*self.logs_argv(*more), "--no-pager"])
        if code != 0:
            raise InfraError(f"journalctl: {said}")
        return said

    def lingers(self) -> bool:
        """Whether what this user started goes on after logout, and is started when the machine is."""
        if self.of_system:
            return True
        try:
            code, said = self._ask(["loginctl", "show-user", f"{os.getuid()}", "--property=Linger"])
        except ToolMissing:
            return False
        return code == 0 and said == "Linger=yes"

    def _ask(self, argv: list[str]) -> tuple[int, str]:
        names = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")
        bus = {name: os.environ[name] for name in names if name in os.environ}
        code, said = Processes().output(argv, deadline=Deadline.after(SystemClock(), _SECONDS), env=bus)
        return code, said.strip()
