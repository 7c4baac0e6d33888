"""A network that we answer on ourselves: dnsmasq for DHCP and TFTP, HTTP for the rest."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bisectbot.errors import HostSick, ToolMissing
from bisectbot.lab import PxeNetwork
from bisectbot.netboot import dnsmasq
from bisectbot.netboot.kept import Kept
from bisectbot.netboot.shelf import Lot, Shelf
from bisectbot.ports import Clock, Deadline, Proc, Running
from bisectbot.reach import NetbootJob
from bisectbot.visible import visible

_UP_SECONDS = 10.0  # dnsmasq takes a tenth of one
_LOOK = 0.02
_GOING_SECONDS, _GOING_LOOK = 5.0, 0.1
_TOLD_BYTES = 4096


class Serve(Protocol):
    """An HTTP server, as effects/httpd.py has it."""

    def __call__(
        self,
        address: str,
        port: int,
        *,
        find: Callable[[str], Path | bytes | None],
        sent: Callable[[str], None],
        log: Path,
    ) -> AbstractContextManager[Callable[[], bool]]:
        """Serve until the context ends; yields whether it still does."""
        ...


@dataclass(frozen=True)
class Tools:
    """What serving needs from outside."""

    proc: Proc
    clock: Clock
    serve: Serve
    lock: Callable[[Path, str], AbstractContextManager[object]]
    answered: Callable[[str], bool]  # whether DHCP is answered on an interface, as effects/dhcp.py has it


@dataclass(frozen=True)
class Served:
    """A job on our own shelf; fits reach.Offer."""

    lot: Lot
    well: Callable[[], None]

    def taken(self) -> bool:
        """Whether the machine has fetched all of it."""
        return self.lot.taken

    def withdraw(self) -> None:
        """Offer it no more; files that are being fetched go on."""
        self.lot.handed = True

    def check(self) -> None:
        """HostSick if dnsmasq or the HTTP server is gone."""
        self.well()


class Serving:
    """A network with our own servers, up while anybody is in idle() or offer(); fits reach.Netboot. For one thread.

    Only the listed machines (MAC address -> own address or "") get an answer. `folder` keeps the addresses that were
    given out, and the logs.
    """

    def __init__(self, network: PxeNetwork, machines: Mapping[str, str], tools: Tools, folder: Path) -> None:
        self._up = Kept(lambda: _servers(network, machines, tools, folder))

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Serve without a job: every machine is sent to its local disk.

        Raises ToolMissing without dnsmasq or iPXE, HostSick if the address, the port or the interface can't be used,
        Busy if another bisectbot serves from this folder, ConfigError for an address or a name that is none.
        """
        with self._up.hold():
            yield

    @contextmanager
    def offer(self, job: NetbootJob) -> Iterator[Served]:
        """Lay a job ready until the context ends. Raises as idle(), and ConfigError for words that can't be given."""
        with self._up.hold() as servers:
            servers.mend()
            lot = servers.shelf.put(job, secrets.token_hex(16))
            try:
                yield Served(lot, servers.check)
            finally:
                servers.shelf.remove(lot)


class Servers:
    """A running dnsmasq, and whether HTTP still is there."""

    def __init__(self, shelf: Shelf, alive: Callable[[], bool], start: Callable[[], Running], log: Path) -> None:
        self.shelf = shelf
        self._alive = alive
        self._start = start
        self._log = log
        self._running = start()

    def mend(self) -> None:
        """Start dnsmasq again if it is gone."""
        if self._running.poll() is not None:
            self._running = self._start()

    def check(self) -> None:
        """HostSick if one of them is gone."""
        if (code := self._running.poll()) is not None:
            said = _last_words(self._log)
            raise HostSick(f"dnsmasq ended with exit code {code}: {said}", hint=f"its log: {self._log}")
        if not self._alive():
            raise HostSick("the HTTP server for netboots ended")

    def stop(self) -> None:
        """End dnsmasq."""
        self._running.stop()


@contextmanager
def _servers(network: PxeNetwork, machines: Mapping[str, str], tools: Tools, folder: Path) -> Iterator[Servers]:
    rows = dnsmasq.firmware(dnsmasq.LOADERS)
    if not rows or tools.proc.which("dnsmasq") is None:
        raise ToolMissing("dnsmasq or iPXE is not installed", hint="apt-get install dnsmasq-base ipxe")
    if _taken(network, tools):
        raise HostSick(f"another program of this machine has the DHCP port of {network.interface} in use")
    folder.mkdir(parents=True, exist_ok=True)
    argv = dnsmasq.arguments(network, machines, rows, folder / "leases")
    shelf, log = Shelf(dnsmasq.base_url(network), frozenset(machines)), folder / "dnsmasq.log"
    http = tools.serve(network.address, network.http_port, find=shelf.find, sent=shelf.sent, log=folder / "http.log")
    with tools.lock(folder / "lock", f"the network {network.name}"), http as alive:
        servers = Servers(shelf, alive, lambda: _started(argv, log, tools), log)
        try:
            yield servers
        finally:
            servers.stop()


def _taken(network: PxeNetwork, tools: Tools) -> bool:
    """Whether somebody else answers DHCP there for good; the dnsmasq of a bot that was killed ends within moments."""
    deadline = Deadline.after(tools.clock, _GOING_SECONDS)
    while taken := tools.answered(network.interface):
        if deadline.passed:
            break
        tools.clock.sleep(_GOING_LOOK)
    return taken


def _started(argv: list[str], log: Path, tools: Tools) -> Running:
    """Return dnsmasq when it serves; HostSick with its own words if it doesn't get there."""
    log.unlink(missing_ok=True)
    running = tools.proc.start(argv, log=log)
    deadline = Deadline.after(tools.clock, _UP_SECONDS)
    while dnsmasq.UP not in log.read_text(errors="replace"):
        if running.poll() is not None or deadline.passed:
            running.stop()
            raise HostSick(f"dnsmasq did not start: {_last_words(log)}", hint=f"its log: {log}")
        tools.clock.sleep(_LOOK)
    return running


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TOLD_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return visible("; ".join([line.strip() for line in lines if line.strip()][-3:])) or "no message"
