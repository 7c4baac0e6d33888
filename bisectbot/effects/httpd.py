"""Files handed out over HTTP on one address: what there is, and who may have it, is asked anew for each request."""

from __future__ import annotations

import shutil
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from bisectbot.effects.binding import bound
from bisectbot.errors import HostSick
from bisectbot.visible import visible

_CLIENT_SECONDS = 30.0  # without a byte going through, before a client is given up


@contextmanager
def served(
    address: str,
    port: int,
    *,
    find: Callable[[str], Path | bytes | None],
    sent: Callable[[str], None],
    log: Path,
) -> Iterator[Callable[[], bool]]:
    """Serve until the context ends; yields whether it still does. HostSick if the address can't be listened on.

    `find` gets the path of a request and returns what to send (a file, or the bytes themselves) or None; `sent` is told
    once all of it went out. Neither is called from two threads at a time. `log` gets a line for each request.
    """
    try:
        server = bound(lambda: _Server((address, port), find, sent, log))
    except OSError as error:
        raise HostSick(f"can't serve HTTP on {address}:{port}: {error.strerror}") from error
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield thread.is_alive
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a machine that stopped reading doesn't hold the bot up

    def __init__(
        self,
        place: tuple[str, int],
        find: Callable[[str], Path | bytes | None],
        sent: Callable[[str], None],
        log: Path,
    ) -> None:
        super().__init__(place, _Handler)
        self._find = find
        self._sent = sent
        self._log = log
        self._one = threading.Lock()

    def server_bind(self) -> None:
        """Bind without the name server: the original looks its own name up, for 10 s where there is none."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]  # type: ignore[assignment]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a machine that goes away while it reads is no error of ours."""

    def find(self, path: str) -> Path | bytes | None:
        with self._one:
            return self._find(path)

    def sent(self, path: str) -> None:
        with self._one:
            self._sent(path)

    def note(self, line: str) -> None:
        with self._one, self._log.open("a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {visible(line)}\n")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        # Boot loaders send the colons of a MAC address as %3A.
        path = unquote(self.path.partition("?")[0])
        found = self.server.find(path)
        with suppress(FileNotFoundError), _opened(found) as (source, size):
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(size))
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            shutil.copyfileobj(source, self.wfile)
            self.wfile.flush()
            self.server.sent(path)
            self.server.note(f"{self.client_address[0]} {path}: {size} bytes")
            return
        self.send_error(HTTPStatus.NOT_FOUND)
        self.server.note(f"{self.client_address[0]} {path}: not found")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name is the base class's)
        """Say nothing on stderr: the log has it."""


@contextmanager
def _opened(found: Path | bytes | None) -> Iterator[tuple[BinaryIO, int]]:
    if found is None:
        raise FileNotFoundError
    if isinstance(found, bytes):
        yield BytesIO(found), len(found)
        return
    with found.open("rb") as file:
        yield file, found.stat().st_size
