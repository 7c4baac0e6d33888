"""Passwords from where hosts.toml says they are, read at the moment they are needed and kept nowhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bisectbot.errors import ConfigError
from bisectbot.lab import Secret

_BYTES = 4096
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SystemSecrets:
    """Fits reach.Secrets: the environment of this process, and files that are readable by their owner alone."""

    def reveal(self, secret: Secret) -> str:
        """Return the password: the variable's value, or the file's first line without its end.

        Raises ConfigError, naming the variable or the file and never what is in it: missing, empty, no line of
        printable UTF-8, or a file that isn't ours alone.
        """
        raw = os.environb.get(secret.env.encode()) if secret.file is None else _first_line(secret.file)
        if raw is None:
            raise ConfigError(f"the environment variable {secret.env} isn't set", hint="it has to hold a password")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = "\0"
        if not text:
            raise ConfigError(f"{_name(secret)} is empty", hint="it has to hold a password")
        if not text.isprintable():
            raise ConfigError(f"{_name(secret)} holds no password: it isn't one line of printable text")
        return text


def _name(secret: Secret) -> str:
    return f"the environment variable {secret.env}" if secret.env else f"the first line of {secret.file}"


def _first_line(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer doesn't hang us
    except OSError as error:
        raise ConfigError(f"the password file {path} can't be read: {error.strerror}") from None
    try:
        _refuse_others(path, os.fstat(handle))
        line = os.read(handle, _BYTES).split(b"\n")[0].removesuffix(b"\r")
    finally:
        os.close(handle)
    if len(line) == _BYTES:
        raise ConfigError(f"the first line of {path} holds no password: it is longer than {_BYTES - 1} bytes")
    return line


def _refuse_others(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"the password file {path} is no regular file")
    if status.st_uid != os.geteuid():
        raise ConfigError(f"the password file {path} belongs to another user", hint=f"chown {os.geteuid()} {path}")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(f"the password file {path} is open to others (mode {mode:04o})", hint=f"chmod 600 {path}")
