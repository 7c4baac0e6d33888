"""A BMC that speaks Redfish over HTTP or HTTPS: sushy-tools' emulator in front of a machine's chassis."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import bcrypt

from machineroom.machine import Machine
from machineroom.ports import LOOPBACK, free
from machineroom.servers import Server, listens

USER = "admin"
PASSWORD = "battery staple"  # noqa: S105  (opens an emulator on the loopback)
_ROUNDS = 4  # of bcrypt, the fewest: it is checked on every request


class Redfish(Server):
    """A BMC at `url` with one system, `system_id`; a context manager that can stop() and start().

    With `tls`, its certificate is self-signed, as on most BMCs: `certificate` is the file to trust.
    """

    user = USER
    password = PASSWORD

    def __init__(self, machine: Machine, *, tls: bool = False) -> None:
        self.port = free()
        self.system_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, machine.name))
        self.url = f"{'https' if tls else 'http'}://{LOOPBACK}:{self.port}"
        folder = machine.folder / f"redfish-{self.port}"
        folder.mkdir()
        self.certificate = folder / "certificate.pem"
        settings = self._settings(machine.name, folder) | (_tls(folder, self.certificate) if tls else {})
        configuration = folder / "emulator.conf"
        configuration.write_text("".join(f"{key} = {value!r}\n" for key, value in settings.items()))
        program = Path(__file__).with_name("redfish_server.py")
        argv = [sys.executable, "-P", str(program), str(configuration), *machine.chassis]
        super().__init__("redfish", argv, folder, lambda: listens("tcp", self.port))

    def _settings(self, name: str, folder: Path) -> dict[str, object]:
        users = folder / "users"
        users.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(_ROUNDS)).decode()}\n")
        system = {"uuid": self.system_id, "name": name, "power_state": "Off", "nics": []}
        return {
            "SUSHY_EMULATOR_LISTEN_IP": LOOPBACK,
            "SUSHY_EMULATOR_LISTEN_PORT": self.port,
            "SUSHY_EMULATOR_STATE_DIR": str(folder),
            "SUSHY_EMULATOR_AUTH_FILE": str(users),
            "SUSHY_EMULATOR_FAKE_SYSTEMS": [system],
        }


def _tls(folder: Path, certificate: Path) -> dict[str, object]:
    key = folder / "tls-key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={LOOPBACK}"]
    argv += ["-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return {"SUSHY_EMULATOR_SSL_CERT": str(certificate), "SUSHY_EMULATOR_SSL_KEY": str(key)}
