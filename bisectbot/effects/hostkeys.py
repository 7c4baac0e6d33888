"""Host keys as text: what hosts.toml pins, what a server shows, and how people compare the two."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from bisectbot.errors import ConfigError

# What a key of each type signs with, best first; SHA-1 ("ssh-rsa" as an algorithm) is out of use.
ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}


@dataclass(frozen=True)
class HostKey:
    """A server's public key; its text is what `ssh-keygen -l` shows of it."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> HostKey:
        """Read "TYPE BASE64", perhaps with a comment behind. ConfigError if it isn't such a line."""
        kind, encoded, *_comment = [*line.split(), "", ""]
        if kind not in ALGORITHMS:
            raise ConfigError(f"a host key begins with its type, one of {', '.join(ALGORITHMS)}, not {kind!r}")
        try:
            blob = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            blob = b""
        if not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
            raise ConfigError(f"the {kind} host key is cut or changed: {encoded[:40]!r} can't be read as one")
        return cls(kind, blob)

    @property
    def line(self) -> str:
        """The line to pin."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def __str__(self) -> str:
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"{self.kind} SHA256:{digest}"


def preference(pinned: tuple[HostKey, ...]) -> tuple[str, ...]:
    """Return the signature algorithms to ask a server for: those of the pinned keys before all others.

    The others stay, so that a server without a key of a pinned type shows some key that a person can be told of.
    """
    first = [name for key in pinned for name in ALGORITHMS[key.kind]]
    return tuple(dict.fromkeys([*first, *(name for names in ALGORITHMS.values() for name in names)]))
