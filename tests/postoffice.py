"""A mail server and a web server on loopback, with certificates of their own, which can be told to refuse."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bisectbot.channels import Message
from bisectbot.errors import ConfigError
from bisectbot.lab import Secret

PASSWORD = "correct horse"  # noqa: S105  nobody's
SECRET = Secret(env="NOTICE_PASSWORD")


class OneSecret:
    """Knows one password, and whatever else it was given; fits reach.Secrets."""

    def __init__(self, password: str = PASSWORD) -> None:
        self._password = password

    def reveal(self, secret: Secret) -> str:
        """Return it, or refuse."""
        if secret != SECRET:
            raise ConfigError(f"{secret} isn't set")
        return self._password


@cache
def certificate(name: str) -> tuple[Path, Path]:
    """Return a self-signed certificate for a name, and its key; made once in a test run."""
    folder = Path(mkdtemp(prefix="postoffice-"))
    pair = folder / "cert.pem", folder / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*argv, "-out", str(pair[0]), "-keyout", str(pair[1])], check=True, capture_output=True)
    return pair


def server_tls(name: str = "localhost") -> ssl.SSLContext:
    """Return what a server shows its certificate with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(name))
    return context


# --- mail --------------------------------------------------------------------------------------


@dataclass
class MailServer:
    """What came in, and what is answered."""

    port: int = 0
    tls: bool = False  # from the first byte
    mails: list[EmailMessage] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)  # of each mail
    refused: dict[str, str] = field(default_factory=dict)  # addresses that aren't taken, and what is said
    answer: str = "250 OK"  # after the mail itself

    # aiosmtpd's names

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take an address or not."""
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a mail or not."""
        del server
        if self.answer.startswith("2"):
            content = envelope.original_content or b""
            self.mails.append(message_from_bytes(content, policy=policy.default))
            self.encrypted.append(self.tls or session.ssl is not None)
        return self.answer

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, kind: str, data: object) -> AuthResult:
        """Take one user."""
        del server, session, envelope, kind
        right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        if isinstance(data, LoginPassword):
            self.logins.append(data.login.decode())
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(
    mode: str = "none", *, login: bool = False, port: int = 0, name: str = "localhost"
) -> Iterator[MailServer]:
    """Yield a mail server on localhost: "starttls", "tls" or "none"."""
    made = MailServer(port or free_port(), mode == "tls")
    more: dict[str, Any] = {"auth_require_tls": False, "authenticator": made.authenticate if login else None}
    if mode == "starttls":
        more |= {"tls_context": server_tls(name), "require_starttls": True}
    controller = Controller(
        made, "127.0.0.1", made.port, ssl_context=server_tls(name) if mode == "tls" else None, **more
    )
    controller.start()
    try:
        yield made
    finally:
        controller.stop()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


# --- web ---------------------------------------------------------------------------------------


@dataclass
class WebServer:
    """What came in, and what is answered."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)  # path, headers, body
    drips: bool = False  # answers a byte at a time, for ever
    over: threading.Event = field(default_factory=threading.Event)


def _handler(web: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            web.requests.append((self.path, dict(self.headers), body))
            while web.drips and not web.over.wait(0.05):
                self.wfile.write(b"H")
            self.send_response(web.status)
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(f"{self.path}: token {self.headers.get('Authorization')} \x1b[31m".encode())

        def log_message(self, *words: object) -> None:
            del words

    return Handler


@contextmanager
def web_server(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[WebServer]:
    """Yield a web server on localhost."""
    web = WebServer()
    with ThreadingHTTPServer(("127.0.0.1", port), _handler(web)) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        web.url = f"http{'s' if tls else ''}://localhost:{server.server_port}/hooks/7"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            web.over.set()
            server.shutdown()
            thread.join()


def a_message(subject: str = "bisectbot night: found a2916409a700", text: str = "It was found.") -> Message:
    """Return a message."""
    return Message("0" * 31 + "1", "f" * 32, 1_700_000_000.0, subject, text, {"kind": "found", "text": text})
