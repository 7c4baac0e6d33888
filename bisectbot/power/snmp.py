"""Power by an outlet of a PDU that speaks SNMP, through net-snmp's snmpget and snmpset."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bisectbot.errors import HostSick, os_fault
from bisectbot.lab import SnmpPower
from bisectbot.ports import Deadline, Proc
from bisectbot.reach import PowerState, Secrets
from bisectbot.visible import visible

# No log (errors are told all the same), no MIB files, values alone and as numbers; 4 s for an answer, asked twice.
_OPTIONS = ("-Ln", "-m", "", "-Oqve", "-t", "4", "-r", "1")


class SnmpSwitch:
    """Fits reach.Switch. The community is in a file that only its owner can read, for as long as a command runs."""

    def __init__(self, outlet: SnmpPower, proc: Proc, secrets: Secrets) -> None:
        self._outlet = outlet
        self._proc = proc
        self._secrets = secrets

    def on(self, deadline: Deadline) -> None:
        """Ask for power; HostSick if the PDU doesn't take it, Overdue past the deadline."""
        self._tool("snmpset", deadline, "i", str(self._outlet.on))

    def off(self, deadline: Deadline) -> None:
        """Ask for no power, at once. Raises as on()."""
        self._tool("snmpset", deadline, "i", str(self._outlet.off))

    def status(self, deadline: Deadline) -> PowerState:
        """Ask how it is; HostSick if the value is neither that of on nor that of off. Raises as on()."""
        said = self._tool("snmpget", deadline)
        states = {str(self._outlet.on): PowerState.ON, str(self._outlet.off): PowerState.OFF}
        if said in states:
            return states[said]
        raise HostSick(f"the outlet {self._where} is neither on nor off: {visible(said, 200)}")

    def cycle(self, deadline: Deadline) -> bool:  # noqa: ARG002  as reach.Switch
        """Say that off and on are to be asked for: a cycle of its own can't be confirmed."""
        return False

    def netboot_once(self, deadline: Deadline) -> bool:  # noqa: ARG002  as reach.Switch
        """Say that an outlet can't ask a firmware for anything."""
        return False

    @property
    def _where(self) -> str:
        return f"{self._outlet.oid} of {self._outlet.address}"

    def _tool(self, tool: str, deadline: Deadline, *value: str) -> str:
        at = self._outlet
        community = self._secrets.reveal(at.community)
        agent = f"udp6:[{at.address}]:{at.port}" if ":" in at.address else f"udp:{at.address}:{at.port}"
        argv = [tool, f"-v{at.version}", *_OPTIONS, agent, "." + at.oid.removeprefix("."), *value]
        with _configured(community) as folder:
            env = {"SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder}
            code, said = self._proc.output(argv, deadline=deadline, env=env)
        said = said.strip()
        if code == 0:
            return said
        text = visible(said.replace(community, "***"), 200) or "nothing"
        raise HostSick(
            f"the outlet {self._where}: {tool} says {text} (exit code {code})",
            hint="check its address, port and community (a PDU doesn't answer a wrong one)",
        )


@contextmanager
def _configured(community: str) -> Iterator[str]:
    """Yield a private folder with a snmp.conf that holds the community: -c would show it to everybody who runs ps."""
    try:
        with tempfile.TemporaryDirectory(prefix="bisectbot-snmp-") as folder:  # 0700
            conf = Path(folder, "snmp.conf")
            conf.touch(0o600)
            conf.write_text(f"defCommunity {_quoted(community)}\n")
            yield folder
    except OSError as error:
        raise os_fault(error) from error


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
