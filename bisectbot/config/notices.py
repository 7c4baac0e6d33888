"""[notices] of hosts.toml: what is told, and over which channels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, PlainValidator

from bisectbot.channels import (
    DEFAULT_KINDS,
    Channel,
    Command,
    Kind,
    Mail,
    Notices,
    Security,
    Sendmail,
    Smtp,
    Webhook,
)
from bisectbot.config import addresses, labwords
from bisectbot.config.check import KeyPath, Mistake, check
from bisectbot.config.fields import Address, LocalPathOrNone, Port, SecretPlace
from bisectbot.config.fields import Command as CommandWords
from bisectbot.config.hostwords import shown
from bisectbot.config.labtables import RawTable
from bisectbot.config.labwords import at_least_one, each_once
from bisectbot.config.tables import Table
from bisectbot.lab import Secret

_T = TypeVar("_T", bound=BaseModel)

MAIL_ADDRESS = "a mail address, such as kim@example.org"
HEADER = "the name of an HTTP header"
HOOK = f"an http:// or https:// address without ? and @, or, as it may be a secret, {labwords.SECRET}"
SENDMAIL = "true, or the program's absolute path"
_SENDMAIL = Path("/usr/sbin/sendmail")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(.{1,255})")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_NOT_OURS = ("host", "content-length", "content-type", "transfer-encoding", "idempotency-key", "connection")


def mail_address(text: str) -> str:
    """Return a mail address as it is; one that a header or a program could read otherwise isn't accepted."""
    match = _MAIL_ADDRESS.fullmatch(text)
    if not match or text.startswith(("-", ".")):
        raise ValueError(f"is {shown(text)}")
    addresses.address(match[1])
    return text


def header_name(text: str) -> str:
    """Return the name of a header as it is."""
    if not _HEADER.fullmatch(text) or text.lower() in _NOT_OURS:
        raise ValueError(f"is {shown(text)}")
    return text


def hook_url(value: object) -> str | Secret:
    """Return a URL, or where it is."""
    return addresses.url(value) if isinstance(value, str) else labwords.secret(value)


def mail_program(value: object) -> Path | None:
    """Return the program; None for false."""
    if isinstance(value, bool):
        return _SENDMAIL if value else None
    return labwords.path(value)


_MailAddress = Annotated[str, AfterValidator(mail_address), Field(description=MAIL_ADDRESS)]


class NoticesTable(Table):
    """[notices]."""

    on: Annotated[
        tuple[Annotated[Kind, Field(description=", ".join(Kind))], ...],
        AfterValidator(at_least_one),
        AfterValidator(each_once),
        Field(description=", ".join(Kind)),
    ] = DEFAULT_KINDS
    silent_hours: Annotated[float, Field(strict=True, ge=0.1, le=168, description="hours, 0.1 to 168")] = 6.0
    mail: Annotated[RawTable | None, Field(description="a table")] = None
    webhook: Annotated[RawTable | None, Field(description="a table")] = None
    command: Annotated[RawTable | None, Field(description="a table")] = None


class MailTable(Table):
    """[notices.mail]."""

    to: Annotated[
        tuple[_MailAddress, ...],
        AfterValidator(at_least_one),
        AfterValidator(each_once),
        Field(description=f"a list of mail addresses, {MAIL_ADDRESS.removeprefix('a mail address, ')}"),
    ]
    sender: _MailAddress
    host: Annotated[Address | None, Field(description=addresses.ADDRESS)] = None
    port: Annotated[Port | None, Field(description="an integer, 1 to 65535")] = None
    security: Annotated[Security, Field(description=", ".join(Security))] = Security.STARTTLS
    user: Annotated[str, AfterValidator(addresses.user), Field(description=addresses.USER)] = ""
    password: Annotated[SecretPlace | None, Field(description=labwords.SECRET)] = None
    ca: LocalPathOrNone = None
    sendmail: Annotated[Path | None, PlainValidator(mail_program), Field(description=SENDMAIL)] = None

    def mail(self) -> Mail:
        """Return the channel; ValueError without a way to send."""
        if self.sendmail is not None:
            return Mail(self.to, self.sender, Sendmail(self.sendmail))
        if self.host is None:
            raise ValueError("a table with mistakes is no channel")
        port = self.port or self.security.port
        return Mail(self.to, self.sender, Smtp(self.host, port, self.security, self.user, self.password, self.ca))


class WebhookTable(Table):
    """[notices.webhook]."""

    url: Annotated[str | Secret, PlainValidator(hook_url), Field(description=HOOK)]
    token: Annotated[SecretPlace | None, Field(description=labwords.SECRET)] = None
    header: Annotated[str, AfterValidator(header_name), Field(description=HEADER)] = "Authorization"
    ca: LocalPathOrNone = None
    allow_http: Annotated[bool, Field(strict=True, description="true or false")] = False

    def webhook(self) -> Webhook:
        """Return the channel."""
        return Webhook(self.url, self.token, self.header, self.ca, self.allow_http)


class CommandTable(Table):
    """[notices.command]."""

    argv: CommandWords

    def command(self) -> Command:
        """Return the channel."""
        return Command(self.argv)


def notices(raw: object, mistakes: list[Mistake]) -> Notices:
    """Return what [notices] says; what of it has mistakes, which are added to the list, is left out."""
    if not isinstance(raw, dict):
        return Notices()  # none, or told already

    def part(key: str, table: type[_T]) -> _T | None:
        inner = raw.get(key)
        return check(table, inner, ("notices", key), mistakes) if isinstance(inner, dict) else None

    whole = check(NoticesTable, raw, ("notices",), mistakes)
    mail, webhook, command = part("mail", MailTable), part("webhook", WebhookTable), part("command", CommandTable)
    broken = [*_mail_rules(raw.get("mail")), *_hook_rules(webhook), *_channel_rules(raw)]
    mistakes += broken
    if whole is None or broken:
        return Notices()
    found: list[Channel | None] = [
        mail.mail() if mail else None,
        webhook.webhook() if webhook else None,
        command.command() if command else None,
    ]
    return Notices(whole.on, whole.silent_hours, tuple(one for one in found if one))


# --- what keys demand of each other ------------------------------------------------------------


def _channel_rules(raw: Mapping[str, Any]) -> Iterator[Mistake]:
    if not {"mail", "webhook", "command"} & {*raw}:
        yield Mistake(("notices",), "needs one of the tables mail, webhook and command, or nothing is ever told")


def _mail_rules(raw: object) -> Iterator[Mistake]:
    """Judge what was written: a key that says what is in force anyway is as much a contradiction as any other."""
    if not isinstance(raw, dict):
        return
    at: KeyPath = ("notices", "mail")
    by_program = raw.get("sendmail") not in (None, False)
    if by_program:
        for key in ("host", "port", "security", "user", "password", "ca"):
            if key in raw:
                yield Mistake((*at, key), "is of no use with sendmail, which knows its server itself: leave out one")
        return
    if "host" not in raw:
        yield Mistake(at, "needs host, the mail server's name, or sendmail = true")
    yield from _login_rules(raw, at)


def _login_rules(raw: Mapping[str, Any], at: KeyPath) -> Iterator[Mistake]:
    for key, other in (("user", "password"), ("password", "user")):
        if key in raw and other not in raw:
            yield Mistake((*at, key), f"needs {other} too")
    if raw.get("security") != Security.NONE:
        return
    if "password" in raw and not _is_here(raw.get("host")):
        reason = 'is "none", with which anybody on the way could read the password'
        yield Mistake((*at, "security"), reason, f"{Security.STARTTLS}, {Security.TLS}")
    if "ca" in raw:
        yield Mistake((*at, "ca"), "is of no use without TLS")


def _hook_rules(table: WebhookTable | None) -> Iterator[Mistake]:
    if table is None or not isinstance(table.url, str) or table.url.startswith("https:"):
        return
    at: KeyPath = ("notices", "webhook")
    if not table.allow_http and not _is_here(urlsplit(table.url).hostname):
        yield Mistake((*at, "url"), "is http, which anybody on the way can read: use https, or say allow_http = true")
    if table.ca:
        yield Mistake((*at, "ca"), "is of no use without https in url")


def _is_here(host: object) -> bool:
    """Whether a host is this very machine."""
    try:
        return ip_address(str(host)).is_loopback
    except ValueError:
        return host == "localhost"
