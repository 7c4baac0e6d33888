"""Whether a bisection can run here: every check in turn, none of them able to stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bisectbot import places
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config
from bisectbot.doctor.compilers import compilers, headers
from bisectbot.doctor.finding import Bench, Finding, Status
from bisectbot.doctor.lab import lab
from bisectbot.doctor.machine import Site, disk, memory, python
from bisectbot.doctor.qemu import Kvm, qemu
from bisectbot.doctor.tools import tools
from bisectbot.doctor.tree import tree
from bisectbot.doctor.unattended import notices, queue
from bisectbot.errors import BisectbotError, ConfigError
from bisectbot.lab import Host
from bisectbot.model import Arch, QemuHost
from bisectbot.plan import History

Check = tuple[str, Callable[[], Iterable[Finding]]]


@dataclass(frozen=True)
class Patient:
    """What is examined: a config and the host of it that is wanted, folders, and how to open the tree, if any."""

    config: Config
    wanted: Host
    kvm: Kvm
    cache: Path
    logs: Path
    tree: Path | None
    history: Callable[[Path], History]
    keeper: int | None = None  # its pid, if one works on the queue of `logs`
    queued: int = 0  # sessions that wait there


def read_hosts(chosen: Path | None) -> tuple[Finding, Config]:
    """Return what is to be said of the hosts.toml in force, and its Config; that of the shipped one if it is wrong."""
    try:
        found = config.load(chosen)
    except ConfigError as error:
        return Finding("hosts.toml", Status.FAIL, error.message, error.hint), config.load(places.data("hosts.toml"))
    names = ", ".join(host.name for host in found.hosts)
    return Finding("hosts.toml", Status.OK, f"{found.file}: {names}"), found


def examine(patient: Patient, bench: Bench, site: Site) -> Iterator[Finding]:
    """Yield what is found, each as soon as it is. What the wanted host lacks is a FAIL, what others lack a WARN."""
    for name, check in _checks(patient, bench, site):
        try:
            yield from check()
        except BisectbotError as error:
            yield Finding(name, Status.FAIL, error.message, error.hint)


def _checks(patient: Patient, bench: Bench, site: Site) -> Iterator[Check]:
    hosts, wanted = patient.config.hosts, patient.wanted
    yield "machine", partial(_machine, patient, site)
    yield "tools", partial(tools, bench, frozenset({wanted.arch}))
    for arch in dict.fromkeys([wanted.arch, *(host.arch for host in hosts)]):
        yield f"compiler {arch}", partial(compilers, bench, arch, site.machine(), _absent(arch, wanted.arch))
    yield "headers", partial(headers, bench)
    for host in hosts:
        check = partial(qemu, bench, host, patient.kvm) if isinstance(host, QemuHost) else partial(lab, bench, host)
        yield f"host {host.name}", partial(check, _absent(host, wanted))
    yield "notices", partial(notices, bench, patient.config.notices)
    yield "queue", partial(queue, patient.queued, patient.keeper)
    if patient.tree is not None:
        yield "tree", partial(_tree, patient, bench, patient.tree)


def _absent(one: Host | Arch, wanted: Host | Arch) -> Status:
    return Status.FAIL if one == wanted else Status.WARN


def _machine(patient: Patient, site: Site) -> Iterator[Finding]:
    yield python()
    yield memory(site, patient.config.hosts, patient.config.jobs)
    yield from disk(site, patient.cache, patient.logs, patient.config.store)


def _tree(patient: Patient, bench: Bench, path: Path) -> Iterable[Finding]:
    return tree(bench, path, patient.history(path))
