"""Notices by HTTP, through http.client: it asks no proxy and follows no redirection, so a token stays on its way."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from bisectbot.channels import Message, Webhook
from bisectbot.effects.cutoff import cut_off
from bisectbot.errors import ConfigError, InfraError, Overdue
from bisectbot.lab import Secret
from bisectbot.ports import Deadline
from bisectbot.reach import Secrets
from bisectbot.visible import visible

_CONNECTION_SECONDS = 30.0
_ANSWER_BYTES = 4096  # of what a server says beyond its status
_TAKEN = range(200, 300)
# 4xx are the caller's fault, but for these: too slow, too early, too often
_MAY_PASS = (408, 425, 429, *range(500, 600))


class WebhookSender:
    """Fits channels.Sender."""

    def __init__(self, hook: Webhook, secrets: Secrets) -> None:
        self._hook = hook
        self._secrets = secrets

    def send(self, message: Message, deadline: Deadline) -> str:
        """POST it; any 2xx is taken."""
        hook = self._hook
        token = self._secrets.reveal(hook.token) if hook.token else ""
        if not token.isascii():
            raise ConfigError(f"{hook.token} has more than ASCII in it, which a header of HTTP can't carry")
        url = _checked(self._secrets.reveal(hook.url) if isinstance(hook.url, Secret) else hook.url, hook)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "bisectbot",
            "Idempotency-Key": message.key,
        }
        if token:
            headers[hook.header] = f"Bearer {token}" if hook.header == "Authorization" else token
        body = json.dumps({"key": message.key, **message.facts}).encode()
        try:
            with _connected(url, hook, deadline) as connection:
                connection.request("POST", _target(url), body, headers)
                with closing(connection.getresponse()) as response:
                    _judge(response, url, None if isinstance(hook.url, Secret) else token)
        except (OSError, HTTPException, ValueError) as error:
            raise _fault(url, error, deadline) from None  # its context may hold the token
        return ""


def _checked(text: str, hook: Webhook) -> SplitResult:
    """Return the parts of a URL that may be talked to; ConfigError, which doesn't show it, for any other."""
    try:
        url = urlsplit(text)
        # without them urlsplit takes anything; asking for the port checks it
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None or any(not "!" <= char <= "~" for char in text):
        raise ConfigError("notices.webhook.url: no http or https address (it isn't shown: it may be a secret)")
    if url.scheme == "http" and not (hook.allow_http or _here(url.hostname or "")):
        raise ConfigError(
            f"notices.webhook.url: {_where(url)} would be told over http, which anybody on the way can read",
            hint="use https, or say allow_http = true",
        )
    return url


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _where(url: SplitResult) -> str:
    """Return the part of a URL that is no secret."""
    return f"the web server {visible(url.hostname or '', 100)}"


@contextmanager
def _connected(url: SplitResult, hook: Webhook, deadline: Deadline) -> Iterator[HTTPConnection]:
    seconds = max(0.1, min(_CONNECTION_SECONDS, deadline.remaining))
    host = url.hostname or ""
    # always with a port: without one the end of an IPv6 address is taken for it
    if url.scheme == "https":
        connection: HTTPConnection = HTTPSConnection(host, url.port or 443, timeout=seconds, context=_context(hook))
    else:
        connection = HTTPConnection(host, url.port or 80, timeout=seconds)
    try:
        connection.connect()
        sock = connection.sock  # which an answer takes over when it is the last one
        with cut_off(lambda: sock, deadline):
            yield connection
    finally:
        connection.close()


def _context(hook: Webhook) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=hook.ca)
    except OSError as error:
        why = f"notices.webhook.ca: {hook.ca} can't be used: {error}"
        raise ConfigError(why, hint="it has to be a PEM file") from None


def _judge(response: HTTPResponse, url: SplitResult, hidden: str | None) -> None:
    """Raise for what isn't taken. `hidden` isn't quoted; None: nothing is, as pages of errors repeat the URL."""
    if response.status in _TAKEN:
        return
    why = f"{_where(url)} answers {response.status}" + ("" if hidden is None else _said(response, hidden))
    if response.status in _MAY_PASS:
        raise InfraError(why)
    raise ConfigError(why, hint="check notices.webhook.url and token; redirections aren't followed")


def _said(response: HTTPResponse, hidden: str) -> str:
    said = response.read(_ANSWER_BYTES).decode(errors="replace").strip()
    told = f"{response.reason[:80]}: {said}" if said else response.reason[:80]
    return f" {visible(told.replace(hidden, '***') if hidden else told)}"


def _fault(url: SplitResult, error: Exception, deadline: Deadline) -> InfraError | ConfigError:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the certificate of {_where(url)} isn't trusted: {visible(error.verify_message, 200)}"
        return ConfigError(why, hint="give the one that signed it as notices.webhook.ca")
    if deadline.passed or isinstance(error, TimeoutError):
        return Overdue(f"{_where(url)} didn't answer in time")
    return InfraError(f"{_where(url)} can't be reached: {visible(str(error) or type(error).__name__, 200)}")
