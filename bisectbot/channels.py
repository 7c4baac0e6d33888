"""What is told without being asked for, and over which channels, as hosts.toml says; and one message, ready to go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bisectbot.lab import Secret
from bisectbot.ports import Deadline


class Kind(StrEnum):
    """What a notice tells of. The values are the user's words."""

    START = "start"
    FOUND = "found"  # a culprit, once for each
    ENDED = "ended"  # with another answer, or with the culprit that was told already
    BUDGET = "budget"  # used up before there was an answer
    HAND = "hand"  # stopped by a fault
    QUARANTINED = "quarantined"  # stopped, for its machine could not be brought home
    SILENT = "silent"  # nothing was written for hours


DEFAULT_KINDS = tuple(kind for kind in Kind if kind is not Kind.START)


class Security(StrEnum):
    """How a mail server is talked to. The values are the user's words."""

    STARTTLS = "starttls"
    TLS = "tls"  # from the first byte
    NONE = "none"

    @property
    def port(self) -> int:
        """The port that such servers usually listen on."""
        return {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}[self]


@dataclass(frozen=True)
class Smtp:
    """A mail server."""

    host: str
    port: int
    security: Security = Security.STARTTLS
    user: str = ""
    password: Secret | None = None
    ca: Path | None = None  # None: the system's own certificates


@dataclass(frozen=True)
class Sendmail:
    """A program that takes a mail on stdin, as every mail system on Unix has one."""

    program: Path


@dataclass(frozen=True)
class Mail:
    """Notices by mail."""

    to: tuple[str, ...]
    sender: str
    by: Smtp | Sendmail


@dataclass(frozen=True)
class Webhook:
    """Notices as JSON, sent by POST to a web server."""

    url: str | Secret  # chat services have the password in it
    token: Secret | None = None
    header: str = "Authorization"  # that the token goes into; "Bearer" stands before it in this one only
    ca: Path | None = None
    allow_http: bool = False  # also to other machines, where anybody on the way can read and change it


@dataclass(frozen=True)
class Command:
    """Notices as JSON on the stdin of a program."""

    argv: tuple[str, ...]


Channel = Mail | Webhook | Command
NAMES: Mapping[type[Channel], str] = {Mail: "mail", Webhook: "webhook", Command: "command"}


@dataclass(frozen=True)
class Notices:
    """[notices] of hosts.toml; without any channel nothing is told."""

    on: tuple[Kind, ...] = DEFAULT_KINDS
    silent_hours: float = 6.0
    channels: tuple[Channel, ...] = ()  # at most one of each type

    @property
    def silent_seconds(self) -> float:
        """The time without a fact after which a session that nobody stopped is worth a notice."""
        return self.silent_hours * 3600.0

    def channel(self, name: str) -> Channel | None:
        """Return the channel with that name (see NAMES), None if it isn't configured."""
        return next((one for one in self.channels if NAMES[type(one)] == name), None)


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a mail; `subtype` of text/."""

    name: str
    subtype: str
    text: str


@dataclass(frozen=True)
class Message:
    """One notice, ready to go: every text in it is bounded and harmless."""

    key: str  # the same whenever this notice is sent over this channel: 32 hexadecimal digits
    thread: str  # the same for all notices of a session
    at: float  # of the event, seconds since the epoch
    subject: str
    text: str
    facts: Mapping[str, object]  # for programs, of JSON's own types
    attachments: tuple[Attachment, ...] = ()


class Sender(Protocol):
    """Hands a message over."""

    def send(self, message: Message, deadline: Deadline) -> str:
        """Return "" once it was taken, or what of it wasn't, such as one of several addresses.

        InfraError for what may pass (nobody answers, no network), ConfigError for what a person has to mend. A text
        of an error never holds a secret.
        """
        ...
