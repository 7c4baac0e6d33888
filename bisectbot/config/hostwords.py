"""What one value of hosts.toml may be: memory with its unit, kernel command-line words, QEMU arguments."""

from __future__ import annotations

import re

from bisectbot.visible import visible

MEMORY = "a number with its unit, 64M to 1T, such as 512M or 2G"
KERNEL_WORD = (
    "a list of words, printable ASCII without spaces and quotes, but for console=, init=, rdinit=, bisectbot.*"
)
LAB_KERNEL_WORD = f"{KERNEL_WORD}, ip=, netconsole="
QEMU_ARG = "a list of QEMU arguments, other than those that bisectbot gives itself"
PLAIN = "printable ASCII without spaces"

_MEMORY = re.compile(r"([0-9]{1,9}) ?([MGT])(?:iB)?")
_MIB = {"M": 1, "G": 1 << 10, "T": 1 << 20}
_LEAST_MIB, _MOST_MIB = 64, 1 << 20
_PLAIN = re.compile(r"[!-~]+")
_LONGEST_CMDLINE = 1800  # COMMAND_LINE_SIZE is 2048 on x86 and arm64, and bisectbot's own words need some of it

# The facts come over /dev/console (the last console= wins) and are written by our own init.
_OUR_WORDS = ("console=", "init=", "rdinit=", "bisectbot.")
# On a real machine they may also come by network, which the tables network and console set up.
_OUR_LAB_WORDS = ("ip=", "netconsole=", "netconsole.")

_OUR_QEMU_ARGS = {
    "accel": "use the key accel",
    "enable-kvm": "use the key accel",
    "machine": "use the key machine",
    "M": "use the key machine",
    "cpu": "use the key cpu",
    "smp": "use the key cpus",
    "m": "use the key memory",
    "append": "use the key cmdline",
    "kernel": "bisectbot gives the candidate",
    "initrd": "bisectbot gives its own initramfs",
    "serial": "the console is how bisectbot learns what happened",
    "nographic": "the console is how bisectbot learns what happened",
    "display": "bisectbot runs without one",
    "daemonize": "bisectbot must see QEMU end",
    "pidfile": "bisectbot knows its own children",
    "no-reboot": "bisectbot gives it",
    "no-shutdown": "bisectbot must see QEMU end",
    "S": "the guest would never start",
    "incoming": "the guest would never start",
    "loadvm": "each boot starts anew",
}


def memory_mib(value: object) -> int:
    """Return MiB; ValueError tells what is wrong."""
    match = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"is {shown(value)}, which is no number with a known unit")
    mib = int(match[1]) * _MIB[match[2]]
    if not _LEAST_MIB <= mib <= _MOST_MIB:
        raise ValueError(f"is {shown(value)}, out of bounds")
    return mib


def kernel_word(word: str) -> str:
    """Return one word of a kernel command line as it is; ValueError tells what is wrong."""
    if not _PLAIN.fullmatch(word) or '"' in word or "'" in word:
        raise ValueError(f"is {shown(word)}: the kernel would read that as something else than one word")
    if word == "--" or word.startswith(_OUR_WORDS):
        raise ValueError(f"is {shown(word)}, which bisectbot sets itself")
    return word


def lab_kernel_word(word: str) -> str:
    """Return one word of a real machine's kernel command line as it is; ValueError tells what is wrong."""
    if word.startswith(_OUR_LAB_WORDS):
        raise ValueError(f"is {shown(word)}, which bisectbot sets itself: use the table network or console")
    return kernel_word(word)


def kernel_words(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a kernel command line as it is, unless the kernel would cut it short."""
    length = len(" ".join(words))
    if length > _LONGEST_CMDLINE:
        raise ValueError(f"has {length} characters in all; the kernel would cut it, {_LONGEST_CMDLINE} fit")
    return words


def qemu_arg(arg: str) -> str:
    """Return one argument as it is; ValueError tells what is wrong, and which key sets the same thing."""
    if not arg or "\0" in arg:
        raise ValueError(f"is {shown(arg)}, which no program can be given")
    if arg.startswith("-") and (why := _OUR_QEMU_ARGS.get(arg.lstrip("-").partition("=")[0])):
        raise ValueError(f"is {shown(arg)}: {why}")
    return arg


def plain(text: str) -> str:
    """Return a name that QEMU takes as it is."""
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"is {shown(text)}")
    return text


def shown(value: object) -> str:
    """Return a value as TOML would have it, fit for a terminal: bounded, control characters visible."""
    return visible(str(value).lower() if isinstance(value, bool) else repr(value), 60)
