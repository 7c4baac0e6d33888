"""A small Redfish service on loopback, which can be told to answer in any odd way."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bisectbot.errors import ConfigError
from bisectbot.lab import Secret

PASSWORD = "pâss-wörd-€"  # noqa: S105  nobody's
SECRET = Secret(env="BMC_PASSWORD")
ROOT: dict[str, Any] = {
    "@odata.id": "/redfish/v1/",
    "Id": "RootService",
    "Name": "Root",
    "RedfishVersion": "1.6.0",
    "Systems": {"@odata.id": "/redfish/v1/Systems"},
}


class OneSecret:
    """Knows one password; fits reach.Secrets."""

    def reveal(self, secret: Secret) -> str:
        """Return it, or refuse."""
        if secret != SECRET:
            raise ConfigError(f"{secret} isn't set")
        return PASSWORD


@dataclass
class Bmc:
    """What the server answers with, and what it was told. `odd` answers a path in its own way."""

    url: str = ""
    state: object = "Off"
    systems: tuple[str, ...] = ("1",)
    odd: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    told: list[tuple[str, str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def page(self, path: str) -> dict[str, Any] | None:
        """Return what is at a path."""
        members = [{"@odata.id": f"/redfish/v1/Systems/{name}"} for name in self.systems]
        if path == "/redfish/v1/":
            return dict(ROOT)
        if path == "/redfish/v1/Systems":
            return {"@odata.id": path, "Name": "Systems", "Members": members, "Members@odata.count": len(members)}
        if path.removeprefix("/redfish/v1/Systems/") not in self.systems:
            return None
        reset: dict[str, object] = {"target": f"{path}/Actions/ComputerSystem.Reset"}
        reset |= {"ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}
        return {
            "@odata.id": path,
            "Id": path[-1],
            "Name": "sut",
            "PowerState": self.state,
            "Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["Pxe", "Hdd"]},
            "Actions": {"#ComputerSystem.Reset": reset},
        }


def _handler(bmc: Bmc) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            if self.command != "GET":
                bmc.told.append((self.command, self.path, body))
            credentials = b64encode(f"root:{PASSWORD}".encode()).decode()
            if self.path in bmc.odd:
                bmc.odd[self.path](self)
            elif self.path != "/redfish/v1/" and self.headers.get("Authorization") != f"Basic {credentials}":
                self.say(401, b"{}")
            elif self.command != "GET":
                self.say(204, b"")
            else:
                page = bmc.page(self.path)
                self.say(404 if page is None else 200, json.dumps(page or {}).encode())

        def say(self, code: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(code)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815  http.server's names

        def log_message(self, *words: object) -> None:
            del words

    return Handler


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Bmc]:
    """Yield a BMC that serves on loopback."""
    made = Bmc()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.over.set()
        server.shutdown()
        thread.join()
