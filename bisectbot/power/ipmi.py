"""Power by a BMC that speaks IPMI, through ipmitool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from bisectbot.errors import HostSick
from bisectbot.lab import IpmiPower
from bisectbot.ports import Deadline, Proc
from bisectbot.reach import PowerState, Secrets
from bisectbot.visible import visible

_Meaning = TypeVar("_Meaning")

# Seconds for one packet's answer and how often it is sent again: ipmitool gives a silent BMC up after about 10 s.
_BOUNDS = ("-N", "2", "-R", "2")
_STATES = {"Chassis Power is on": PowerState.ON, "Chassis Power is off": PowerState.OFF}
_ON = {"Chassis Power Control: Up/On": None}
_OFF = {"Chassis Power Control: Down/Off": None}
_PXE = {"Set Boot Device to pxe": None}


def command(bmc: IpmiPower) -> tuple[str, ...]:
    """Return ipmitool's words for this BMC; the password is read from IPMI_PASSWORD in its environment (-E)."""
    # With a cipher suite given ipmitool doesn't ask for the list of them, which takes many a BMC 10 s to refuse.
    link = ("ipmitool", "-I", "lanplus", "-C", str(bmc.cipher), *_BOUNDS)
    return (*link, "-H", bmc.address, "-p", str(bmc.port), "-U", bmc.user, "-E")


class IpmiSwitch:
    """Fits reach.Switch. The password is fetched anew for each command and only in that child's environment."""

    def __init__(self, bmc: IpmiPower, proc: Proc, secrets: Secrets) -> None:
        self._bmc = bmc
        self._proc = proc
        self._secrets = secrets

    def on(self, deadline: Deadline) -> None:
        """Ask for power; HostSick if the BMC doesn't say yes, Overdue past the deadline."""
        self._ask("power on", _ON, deadline)

    def off(self, deadline: Deadline) -> None:
        """Ask for no power, at once. Raises as on()."""
        self._ask("power off", _OFF, deadline)

    def status(self, deadline: Deadline) -> PowerState:
        """Ask how it is. Raises as on()."""
        return self._ask("power status", _STATES, deadline)

    def cycle(self, deadline: Deadline) -> bool:  # noqa: ARG002  as reach.Switch
        """Say that off and on are to be asked for: a cycle of its own can't be confirmed."""
        return False

    def netboot_once(self, deadline: Deadline) -> bool:
        """Ask for PXE at the next start, and say True. Many a BMC forgets it after 60 s. Raises as on().

        Without options=efiboot: whether the firmware is UEFI can't be known here, and most take the plain flag too.
        """
        self._ask("bootdev pxe", _PXE, deadline)
        return True

    def _ask(self, words: str, meanings: Mapping[str, _Meaning], deadline: Deadline) -> _Meaning:
        password = self._secrets.reveal(self._bmc.password)
        argv = [*command(self._bmc), "chassis", *words.split()]
        code, said = self._proc.output(argv, deadline=deadline, env={"IPMI_PASSWORD": password})
        heard = {line.strip() for line in said.splitlines()} & meanings.keys()
        if code == 0 and len(heard) == 1:
            return meanings[heard.pop()]
        text = visible(said.replace(password, "***").strip(), 200) or "nothing"
        raise HostSick(
            f"the BMC {self._bmc.address} was asked `chassis {words}`: ipmitool says {text} (exit code {code})",
            hint="check its address, port, user, password and cipher",
        )
