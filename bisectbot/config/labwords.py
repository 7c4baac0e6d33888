"""What keys, secrets, paths and commands of hosts.toml may be."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from pathlib import Path, PurePosixPath
from typing import TypeVar

from bisectbot.config.hostwords import shown
from bisectbot.lab import Secret

_Word = TypeVar("_Word", bound=str)

HOST_KEY = 'a list of public keys, at least one, such as "ssh-ed25519 AAAA..."; ssh-keyscan prints them'
PATH = "an absolute path, or one that begins with ~/"
REMOTE_PATH = "an absolute path"
FOLDER = "a folder of bisectbot's own, an absolute path"
COMMAND = 'a list of words, the program first, such as ["pdu", "off", "7"]'
INITRAMFS_COMMAND = (
    'a list of words with {release} and {output}, such as ["mkinitramfs", "-o", "{output}", "{release}"]'
)
SECRET = '{ env = "NAME" } or { file = "~/..." }'  # noqa: S105  (how one is referred to)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOLE = re.compile(r"\{release\}|\{output\}")
_HOST_KEY_TYPES = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
)  # fmt: skip

# What bisectbot calls its own it may empty: never something that a system needs.
_NOT_BELOW = ("bin", "boot", "dev", "efi", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "usr")
_NOT_ITSELF = (
    "/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/var",  # noqa: S108  (refused here)
    "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/spool", "/var/tmp",  # noqa: S108
)  # fmt: skip
_SOMEBODYS_HOME = re.compile(r"/home/[^/]+")


# --- host keys and secrets ---------------------------------------------------------------------


def host_key(text: str) -> str:
    """Return a public key as type and base64, without its comment."""
    kind, blob, *_ = (*text.split(None, 2), "", "")
    if kind not in _HOST_KEY_TYPES:
        raise ValueError(
            f"begins with {shown(kind[:24])}, which is no type of a host key ({', '.join(_HOST_KEY_TYPES)})"
        )
    try:
        inner = _fields(b64decode(blob, validate=True))
    except (binascii.Error, ValueError):  # ValueError: not ASCII, or a field that is cut short
        raise ValueError(f"is a key of type {kind} that is damaged or cut short") from None
    if inner[0] != kind.encode():
        raise ValueError(f"says {kind}, and the key itself says {shown(inner[0].decode('ascii', 'replace')[:24])}")
    return f"{kind} {blob}"


def _fields(raw: bytes) -> list[bytes]:
    """Return the fields of a public key (RFC 4253, 6.6: each has its length before it), of which there are several."""
    fields = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "big")
        if end > len(raw) or end == 4:  # noqa: PLR2004  (an empty field)
            raise ValueError("cut short")
        fields.append(raw[4:end])
        raw = raw[end:]
    if len(fields) < 2:  # noqa: PLR2004  (its type, and the key)
        raise ValueError("no key in it")
    return fields


def secret(value: object) -> Secret:
    """Return where a password is. What was given is never shown: it may be the password."""
    match value:
        case str():
            raise ValueError(
                "is the secret itself, which doesn't belong into this file: others read it, and git keeps it"
            )
        case {"env": str() as env, **rest} if not rest:
            if not _VARIABLE.fullmatch(env):
                raise ValueError("names no environment variable under env")
            return Secret(env=env)
        case {"file": str() as file, **rest} if not rest:
            return Secret(file=_secret_file(file))
        case _:
            raise ValueError("doesn't say where the secret is")


def _secret_file(text: str) -> Path:
    try:
        return path(text)
    except ValueError:
        raise ValueError("names no absolute path under file") from None


# --- paths and commands ------------------------------------------------------------------------


def path(text: object) -> Path:
    """Return a path of this machine, with ~ expanded."""
    if not isinstance(text, str):
        raise ValueError(f"is {shown(text)}")  # noqa: TRY004  (what pydantic collects)
    try:
        found = Path(text).expanduser()
    except RuntimeError:  # no such user
        raise ValueError(f"is {shown(text)}: whose ~ that is isn't known") from None
    if not found.is_absolute():
        raise ValueError(f"is {shown(text)}, which depends on where bisectbot is started")
    return Path(remote_path(str(found)))


def remote_path(text: str) -> str:
    """Return an absolute path without ".." in it."""
    found = PurePosixPath(text)
    if not found.is_absolute() or ".." in found.parts or _CONTROL.search(text):
        raise ValueError(f"is {shown(text)}")
    return "/" + "/".join(found.parts[1:])  # "//x" is another path than "/x", to POSIX


def remote_file(text: str) -> str:
    """Return the absolute path of a file."""
    if remote_path(text) == "/" or text.endswith("/"):
        raise ValueError(f"is {shown(text)}, a folder")
    return remote_path(text)


def remote_folder(text: str) -> str:
    """Return the absolute path of a folder that no system needs."""
    found = remote_path(text)
    if found in _NOT_ITSELF or found.split("/")[1] in _NOT_BELOW or _SOMEBODYS_HOME.fullmatch(found):
        raise ValueError(f"is {shown(text)}, which belongs to the system")
    return found


def folder(text: object) -> Path:
    """Return a folder of this machine that no system needs, with ~ expanded."""
    return Path(remote_folder(str(path(text))))


def at_least_one(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a list as it is, unless it is empty."""
    if not words:  # pydantic's own min_length counts only those of the list that are right
        raise ValueError("is empty")
    return words


def each_once(words: tuple[_Word, ...]) -> tuple[_Word, ...]:
    """Return a list as it is, unless it says something twice."""
    if len({*words}) < len(words):
        raise ValueError("says the same twice")
    return words


def command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command as it is: a program and its arguments, which no shell reads."""
    if not words or not words[0]:
        raise ValueError("names no program")
    if words[0].startswith("-") or " " in words[0]:
        raise ValueError(f"begins with {shown(words[0])}: no shell reads it, so each word stands alone in the list")
    for word in words:
        if _CONTROL.search(word):
            raise ValueError(f"holds {shown(word)}, which has a control character")
    return words


def initramfs_command(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command with its two holes as it is."""
    joined = "\n".join(command(words))
    if {*_HOLE.findall(joined)} != {"{release}", "{output}"}:
        raise ValueError("doesn't hold both {release} and {output}")
    if re.search(r"[{}]", _HOLE.sub("", joined)):
        raise ValueError("holds braces other than those of {release} and {output}")
    return words
