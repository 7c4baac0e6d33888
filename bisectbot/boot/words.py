"""The kernel command line of a candidate on a real machine; of words that exclude each other the last one wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bisectbot.arch import traits
from bisectbot.lab import CANDIDATE_WORDS, LabHost, NetConsole, Payload

# What the running system's loader and we ourselves said; the rest (root=, the console ...) holds for a candidate too.
_NOT_KEPT = ("BOOT_IMAGE=", "initrd=", "kexec_jump_back_entry=", "bisectbot.", "panic=", "loglevel=", "crashkernel=")
_NOT_KEPT_WHOLE = ("quiet", "splash")

_SPARE = 60  # seconds beyond what a boot and its trials may take, until somebody may wonder


def candidate_words(host: LabHost, running: str, port: int | None, asked: Sequence[str]) -> tuple[str, ...]:
    """Return all words; `running` is the known-good system's command line, `port` where facts are listened for."""
    base = own_words(running) if host.payload is Payload.HOST else ()
    tty = host.tty or (traits(host.arch).tty if host.console and not base else "")
    console = (f"console={tty}",) if tty else ()
    return (*base, *console, *CANDIDATE_WORDS, *host.cmdline, *_network_words(host, port), *asked)


def own_words(cmdline: str) -> tuple[str, ...]:
    """Return the words of the known-good system's command line that a candidate needs too."""
    words = cmdline.split()
    return tuple(word for word in words if not word.startswith(_NOT_KEPT) and word not in _NOT_KEPT_WHOLE)


def _network_words(host: LabHost, port: int | None) -> Iterator[str]:
    """Yield how a candidate gets its network, where it reports, and where its netconsole goes."""
    network, console = host.network, host.console
    if network is None or port is None or host.payload is Payload.HOST:
        return
    yield f"ip={network.ip}"
    yield f"bisectbot.report={network.address}:{port}"
    if isinstance(console, NetConsole):
        # ip=CLIENT:SERVER:GATEWAY:NETMASK:NAME:DEVICE:...
        fields = [*network.ip.split(":"), *[""] * 6]
        # "+": numbered, so that what is lost is seen
        yield f"netconsole=+@{fields[0]}/{fields[5] or 'eth0'},{console.port}@{console.address}/"


def value(words: Sequence[str], key: str) -> str:
    """Return what follows KEY= among the words, "" if there is no such word."""
    return next((word.partition("=")[2] for word in words if word.startswith(f"{key}=")), "")


def longest(host: LabHost, asked: Sequence[str]) -> int:
    """Return the seconds that a boot and its trials take at the most."""
    most = host.deadlines
    trials = int(value(asked, "bisectbot.trials") or 1)
    return round(most.boot + trials * (most.run + most.heartbeat)) + _SPARE
