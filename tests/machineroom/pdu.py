"""A switched power strip that speaks SNMP: net-snmp's snmpd with the outlet table of APC's."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from pathlib import Path

from machineroom import pdu_pass
from machineroom.machine import Machine
from machineroom.ports import LOOPBACK, free
from machineroom.servers import Server, listens

COMMUNITY = "lab-private"


class Pdu(Server):
    """A PDU at 127.0.0.1:`port` (UDP, v1 and v2c), machines on its outlets 1, 2, ...; can stop() and start()."""

    community = COMMUNITY

    def __init__(self, folder: Path, *machines: Machine) -> None:
        self.port = free(socket.SOCK_DGRAM)
        self.outlets = {machine.name: outlet for outlet, machine in enumerate(machines, 1)}
        place = folder / f"pdu-{self.port}"
        place.mkdir()
        commands = {str(outlet): machine.chassis for outlet, machine in enumerate(machines, 1)}
        (place / "outlets.json").write_text(json.dumps(commands))
        handler = [sys.executable, "-I", "-S", str(Path(pdu_pass.__file__)), str(place / "outlets.json")]
        (place / "snmpd.conf").write_text(
            f"agentaddress udp:{LOOPBACK}:{self.port}\n"
            f"rwcommunity {COMMUNITY} {LOOPBACK}\n"
            f"pass {pdu_pass.TABLE} {shlex.join(handler)}\n"
        )
        argv = ["snmpd", "-f", "-C", "-c", str(place / "snmpd.conf"), "-Lo", "-I", "-smux"]
        super().__init__("snmpd", argv, place, lambda: listens("udp", self.port))

    def oid(self, machine: Machine) -> str:
        """Return the OID of a machine's outlet."""
        return f"{pdu_pass.TABLE}.{self.outlets[machine.name]}"
