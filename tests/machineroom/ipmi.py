"""A BMC that speaks IPMI over the LAN, with Serial over LAN: OpenIPMI's simulator in front of a machine's chassis."""

from __future__ import annotations

import shlex
import socket

from machineroom.machine import Machine
from machineroom.ports import LOOPBACK, free
from machineroom.servers import Server, listens

USER = "admin"
PASSWORD = "correct-horse"  # noqa: S105  (opens a simulator on the loopback; it takes no blanks)
_ADDRESS = 0x20  # of the management controller on its bus, as all of them have it

_LAN = """\
name "{name}"
set_working_mc {address:#x}
startlan 1
  addr {loopback} {port}
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid a123456789abcdefa123456789abcdef
endlan
chassis_control "{chassis}"
sol "{protocol}:{loopback}:{serial}" 115200 history=65536
user 1 true "" "guest" user 10 none md2 md5 straight
user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""
_COMMANDS = """\
mc_setbmc {address:#x}
mc_add {address:#x} 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable {address:#x} 1000 0x0a
mc_enable {address:#x}
"""


class Ipmi(Server):
    """A BMC at 127.0.0.1:`port` (UDP, lanplus, cipher suite 3); a context manager that can stop() and start()."""

    user = USER
    password = PASSWORD

    def __init__(self, machine: Machine) -> None:
        self.port = free(socket.SOCK_DGRAM)
        folder = machine.folder / f"ipmi-{self.port}"
        (folder / "state").mkdir(parents=True)
        words = {
            "name": machine.name,
            "address": _ADDRESS,
            "loopback": LOOPBACK,
            "port": self.port,
            "chassis": shlex.join(machine.chassis),
            "protocol": "telnet" if machine.hardware.console == "telnet" else "tcp",
            "serial": machine.console_port,
            "user": USER,
            "password": PASSWORD,
        }
        lan, commands = folder / "lan.conf", folder / "commands.conf"
        lan.write_text(_LAN.format(**words))
        commands.write_text(_COMMANDS.format(**words))
        argv = ["ipmi_sim", "-c", str(lan), "-f", str(commands), "-s", str(folder / "state"), "-n"]
        super().__init__("ipmi_sim", argv, folder, lambda: listens("udp", self.port))
