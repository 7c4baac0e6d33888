"""Notices to programs: a mail to sendmail, JSON to any command, on stdin; nothing of them stands in a process list."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from bisectbot.channels import Command, Mail, Message, Sendmail
from bisectbot.effects.mail import mime
from bisectbot.errors import ConfigError, InfraError, ToolMissing, os_fault
from bisectbot.ports import Deadline, Proc
from bisectbot.visible import visible

# A fixed text; the program and its arguments come as words behind it, and the input as a file.
_FROM_FILE = ("sh", "-c", 'exec "$@" <"$0"')


class SendmailSender:
    """Fits channels.Sender; recipients are read from the mail's own header."""

    def __init__(self, mail: Mail, by: Sendmail, proc: Proc) -> None:
        self._mail = mail
        self._by = by
        self._proc = proc

    def send(self, message: Message, deadline: Deadline) -> str:
        """Hand it to the mail system of this machine. Raises as Command's, see below."""
        argv = (str(self._by.program), "-i", "-t", "-f", self._mail.sender)
        # sendmail(8) takes lines as Unix has them
        _feed(self._proc, argv, bytes(mime(message, self._mail)).replace(b"\r\n", b"\n"), deadline)
        return ""


class CommandSender:
    """Fits channels.Sender."""

    def __init__(self, command: Command, proc: Proc) -> None:
        self._argv = command.argv
        self._proc = proc

    def send(self, message: Message, deadline: Deadline) -> str:
        """Run it; exit code 0 is taken, any other an InfraError. ConfigError if there is no such program."""
        _feed(self._proc, self._argv, json.dumps({"key": message.key, **message.facts}).encode(), deadline)
        return ""


def _feed(proc: Proc, argv: Sequence[str], data: bytes, deadline: Deadline) -> None:
    if proc.which(argv[0]) is None:
        raise ConfigError(f"the program {argv[0]} of notices isn't installed", hint="correct it in hosts.toml")
    try:
        handle = _held(data)
    except OSError as error:
        raise os_fault(error) from error
    try:
        code, said = proc.output((*_FROM_FILE, f"/proc/{os.getpid()}/fd/{handle}", *argv), deadline=deadline)
    except ToolMissing as error:
        raise ConfigError(str(error)) from None
    finally:
        os.close(handle)
    if code != 0:
        raise InfraError(f"{Path(argv[0]).name} ended with exit code {code}: {visible(said.strip(), 200)}")


def _held(data: bytes) -> int:
    """Return a file with the data that is on no disk: a full one may be what is told."""
    handle = os.memfd_create("notice")
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(data)
    return handle
