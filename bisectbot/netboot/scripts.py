"""What a boot loader reads, as text: iPXE scripts and pxelinux menus in which no data becomes a command."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bisectbot.errors import ConfigError

MARK = "# Written by bisectbot, which replaces it at will."

# The next boot device. Not plain `exit`: UEFI takes that for a boot that went well, and opens its setup menu.
_HOME = "exit 1"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_BYTES = 2000  # x86 and arm64 kernels take 2047, and iPXE adds words of its own
_IPXE_WORDS = ("||", "&&", ";")


def dashed(mac: str) -> str:
    """Return a MAC address as boot loaders write it in file names; ConfigError if it is none."""
    if not _MAC.fullmatch(mac):
        raise ConfigError(f"{mac!r} is no MAC address in lower case with colons")
    return mac.replace(":", "-")


def ipxe_home() -> str:
    """Return the script of a machine without a job: its firmware's next boot device."""
    return f"#!ipxe\n{MARK}\n{_HOME}\n"


def ipxe_job(kernel: str, initramfs: str | None, cmdline: Sequence[str]) -> str:
    """Return the script that starts a kernel; whatever fails leads to the next boot device, never to a prompt.

    `kernel` and `initramfs` are URLs, or names beside the script. ConfigError for words that iPXE would obey.
    """
    words = _words(cmdline)
    for word in words.split():
        # iPXE knows no quotes: ${} is always filled in, and these words always end a command.
        if "${" in word or word in _IPXE_WORDS or word.startswith("#"):
            raise ConfigError(f"iPXE can't hand the word {word!r} of the kernel command line on as it is")
    lines = ["#!ipxe", MARK, "imgfree"]
    named = "initrd=initramfs " if initramfs else ""  # the EFI stub asks the firmware for it by this name
    lines.append(f"kernel {_place(kernel)} {named}{words} || {_HOME}")
    if initramfs:
        lines.append(f"initrd --name initramfs {_place(initramfs)} || {_HOME}")
    return "\n".join([*lines, f"boot || {_HOME}", _HOME, ""])


def pxelinux_home() -> str:
    """Return the menu of a machine without a job."""
    return _menu("home", "LOCALBOOT 0")


def pxelinux_job(kernel: str, initramfs: str | None, cmdline: Sequence[str]) -> str:
    """Return the menu that starts a kernel at once; the names are relative to where pxelinux.0 lies."""
    initrd = [f"INITRD {_place(initramfs)}"] if initramfs else []
    return _menu("job", f"LINUX {_place(kernel)}", *initrd, f"APPEND {_words(cmdline)}", fails="home")


def ours(text: str) -> bool:
    """Whether a file is one that this module wrote."""
    return MARK in text.splitlines()[:2]


def _menu(label: str, *lines: str, fails: str = "") -> str:
    body = "".join(f"  {line}\n" for line in lines)
    fallback = f"ONERROR {fails}\nLABEL {fails}\n  LOCALBOOT 0\n" if fails else ""
    return f"{MARK}\nDEFAULT {label}\nPROMPT 0\nTIMEOUT 1\nNOESCAPE 1\nLABEL {label}\n{body}{fallback}"


def _words(cmdline: Sequence[str]) -> str:
    line = " ".join(cmdline)
    if not (line.isascii() and line.isprintable()):
        raise ConfigError(f"the kernel command line of a netboot must be printable ASCII on one line: {line!r}")
    if line != " ".join(line.split()):
        raise ConfigError(f"boot loaders make one space of several: {line!r}")
    if len(line) > _BYTES:
        raise ConfigError(f"the kernel command line is {len(line)} bytes long; a netboot's may have {_BYTES}")
    return line


def _place(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]*", name):
        raise ConfigError(f"{name!r} can't be written into a boot loader's script")
    return name
