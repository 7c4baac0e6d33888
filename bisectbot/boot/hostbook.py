"""What is remembered of a real machine: that it was proven ours to reboot, and whether it is set aside."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bisectbot.errors import Quarantined
from bisectbot.lab import LabHost


@dataclass(frozen=True)
class Known:
    """A machine whose marker was seen, at the address and behind the switch that hosts.toml gave then."""

    described: str
    release: str  # of its known-good system, "" if it was never seen
    quarantined: str = ""  # why it is set aside, "" if it isn't
    sent_away: float = 0.0  # when we last sent it into a candidate, in seconds since the epoch; 0 since it came home


@dataclass(frozen=True)
class HostBook:
    """One file a host; a damaged or outdated one only means that the machine has to prove itself again."""

    folder: Path

    def recall(self, host: LabHost) -> Known | None:
        """Return what is known of a host as it is described now, or None."""
        try:
            known = Known(**json.loads(self._path(host).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return known if known.described == _described(host) else None

    def proven(self, host: LabHost, release: str) -> None:
        """Take note that the machine is ours to reboot, and healthy: it is in service again if it was set aside."""
        self._keep(host, Known(_described(host), release))

    def send_away(self, host: LabHost, at: float) -> None:
        """Take note that a candidate is about to be started: if the machine is silent then, we are why."""
        if known := self.recall(host):
            self._keep(host, replace(known, sent_away=at))

    def set_aside(self, host: LabHost, why: str) -> None:
        """Let no bot use the machine until it was seen healthy by `bisectbot hosts check`."""
        known = self.recall(host)
        self._keep(host, Known(_described(host), known.release if known else "", why))

    def check(self, host: LabHost) -> None:
        """Raise Quarantined if the machine is set aside."""
        if (known := self.recall(host)) and known.quarantined:
            raise Quarantined(
                f'host "{host.name}" is set aside: {known.quarantined}',
                hint=f"see to the machine, then: bisectbot hosts check {host.name}",
            )

    def _keep(self, host: LabHost, known: Known) -> None:
        fresh = self._path(host).with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(asdict(known), indent=1))
            fresh.replace(self._path(host))

    def _path(self, host: LabHost) -> Path:
        return self.folder / f"{host.name}.json"


def _described(host: LabHost) -> str:
    """Return what, if it changes, makes it another machine."""
    return f"{host.ssh.address} {host.ssh.port} {' '.join(host.ssh.host_keys)} {host.marker} {host.power}"
