"""A UEFI firmware's memory as its owner set it up: network by IPv4, then the disk, and nothing between them."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_BLANK = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le  # EFI_GLOBAL_VARIABLE
_FIRST = 0x48 + 0x1C  # behind the header of the volume and that of the variable store
_USED = b"\xaa\x55"
# StartId, State (added), Reserved, Attributes (kept; at boot, at run time), MonotonicCount, TimeStamp, PubKeyIndex,
# NameSize, DataSize, VendorGuid: an authenticated variable's header, as edk2 keeps it
_HEADER = struct.Struct("<2sBBIQ16sIII16s")
_END = b"\x7f\xff\x04\x00"


def memory(file: Path, slots: tuple[int, int], mac: str) -> None:
    """Write a variable store that boots the card in the first PCI slot by PXE (IPv4), then the disk in the second."""
    card, disk = slots
    address = bytes.fromhex(mac.replace(":", "")).ljust(32, b"\0") + b"\x01"
    pxe = _node(3, 11, address) + _node(3, 12, bytes(23))
    new = (
        _variable("Boot0000", _option("network", _slot(card) + pxe))
        + _variable("Boot0001", _option("disk", _slot(disk)))
        + _variable("BootOrder", struct.pack("<HH", 0, 1))
    )
    blank = _BLANK.read_bytes()
    start = _free(blank)
    if set(blank[start : start + len(new)]) != {0xFF}:
        raise ValueError(f"{_BLANK} has no room where it should")
    file.write_bytes(blank[:start] + new + blank[start + len(new) :])


def _free(store: bytes) -> int:
    place = _FIRST
    while store[place : place + 2] == _USED:
        *_, name, data, _ = _HEADER.unpack_from(store, place)
        place = (place + _HEADER.size + name + data + 3) & ~3
    return place


def _variable(name: str, data: bytes) -> bytes:
    word = f"{name}\0".encode("utf-16-le")
    header = _HEADER.pack(_USED, 0x3F, 0, 7, 0, bytes(16), 0, len(word), len(data), _GLOBAL)
    made = header + word + data
    return made + b"\xff" * (-len(made) % 4)


def _option(title: str, path: bytes) -> bytes:
    whole = path + _END
    return struct.pack("<IH", 1, len(whole)) + f"{title}\0".encode("utf-16-le") + whole


def _slot(number: int) -> bytes:
    return _node(2, 1, struct.pack("<II", 0x0A0341D0, 0)) + _node(1, 1, bytes((0, number)))


def _node(kind: int, sub: int, data: bytes) -> bytes:
    return struct.pack("<BBH", kind, sub, 4 + len(data)) + data
