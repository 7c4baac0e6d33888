"""Telnet negotiation taken out of a stream and refused (RFC 854): what is left is what the machine printed. Pure."""

from __future__ import annotations

_IAC, _SE, _GA, _SB, _WILL, _WONT, _DO, _DONT = 255, 240, 249, 250, 251, 252, 253, 254
_REFUSAL = {_DO: _WONT, _WILL: _DONT}
# A line that isn't telnet at all may hold these bytes as noise: a subnegotiation ends soon, or it never was one.
_LONGEST = 512


class Telnet:
    """One connection. Bytes that look like a command and can't be one stay in the data."""

    def __init__(self) -> None:
        self._rest = b""
        self._refused: set[bytes] = set()  # each once: two that refuse each other's refusals would never end

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return (what the machine printed, what to answer)."""
        data, self._rest = self._rest + data, b""
        kept, answers, at = bytearray(), b"", 0
        while (iac := data.find(_IAC, at)) >= 0:
            kept += data[at:iac]
            length = _length(data, iac)
            if length is None:
                self._rest = data[iac:]
                return bytes(kept), answers
            if length == 1 or data[iac + 1] == _IAC:
                kept.append(_IAC)
            else:
                answers += self._refuse(data[iac : iac + length])
            at = iac + length
        return bytes(kept + data[at:]), answers

    def _refuse(self, command: bytes) -> bytes:
        if command[1] not in _REFUSAL or command in self._refused:
            return b""
        self._refused.add(command)
        return bytes((_IAC, _REFUSAL[command[1]], command[2]))


def _length(data: bytes, iac: int) -> int | None:
    """Return how long the command is that begins here, 1 if it is none, None if its end hasn't come yet."""
    there = len(data) - iac
    if there == 1:
        return None
    second = data[iac + 1]
    if second == _SB:
        end = data.find(bytes((_IAC, _SE)), iac + 2, iac + _LONGEST)
        return end + 2 - iac if end >= 0 else None if there < _LONGEST else 1
    if _WILL <= second <= _DONT:
        return 3 if there > 2 else None  # noqa: PLR2004  (IAC, verb, option)
    return 2 if second == _IAC or _SE <= second <= _GA else 1
