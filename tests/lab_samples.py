"""Sessions on a real machine, whose lab has something to hide in every field, and whose messages tell all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path

from report_samples import FOLDER, STEPS, session, sha

from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    CommandPower,
    ConsoleLine,
    FileConsole,
    Homed,
    IpmiPower,
    LabHost,
    NetConsole,
    Network,
    Payload,
    PowerSwitch,
    Pxe,
    PxeMode,
    PxeNetwork,
    RedfishPower,
    Secret,
    SnmpPower,
    SolConsole,
    Ssh,
    TcpConsole,
)
from bisectbot.model import Arch
from bisectbot.report import Fault, Session, Step
from bisectbot.report.session import Homecoming

_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7VqXh6qQxkP0aY2v0bq5oT7n3l1Wm4c8Zt6Yb9RfGd"
_SECRET = Secret(file=Path("/etc/lab/bmc.password"))
POWERS: tuple[PowerSwitch | None, ...] = (
    IpmiPower("bmc7.lab.example", "opsuser", Secret(env="LAB_BMC_PASSWORD"), port=6623),
    RedfishPower("https://bmc7.lab.example:8443", "opsuser", _SECRET, "/redfish/v1/Systems/7", Path("/etc/lab/ca.pem")),
    SnmpPower("10.66.0.9", "1.3.6.1.4.1.318.1.1.4.4.2.1.3.7", _SECRET),
    CommandPower(("/opt/lab/pdu", "outlet7@pdu3", "on"), ("/opt/lab/pdu", "outlet7@pdu3", "off")),
    None,
)
CONSOLES: tuple[ConsoleLine | None, ...] = (
    SolConsole(),
    TcpConsole("conserver.lab.example", 7107),
    CommandConsole(("/opt/lab/console", "-f", "rack1.console")),
    NetConsole("10.66.0.1"),
    FileConsole(Path("/var/lab/consoles/rack1")),
    None,
)
LAB = LabHost(
    name="rack1",
    arch=Arch.X86_64,
    ssh=Ssh("rack1.lab.example", (_KEY,), port=2222, user="bisect-user", key=Path("/home/kim/.ssh/id_lab")),
    boots=(BootMethod.KEXEC, BootMethod.PXE),
    tty="ttyS1,115200",
    cmdline=("mitigations=off", "nfsroot=10.66.0.2:/srv/rack1"),
    power=POWERS[0],
    console=CONSOLES[0],
    network=Network("10.66.0.7::10.66.0.254:255.255.255.0::eth0:off", "10.66.0.1"),
    pxe=Pxe(
        PxeNetwork(
            "lab",
            PxeMode.FOLDER,
            "eth1",
            "10.67.0.1",
            "10.67.0.100",
            "10.67.0.200",
            folder=Path("/srv/lab-tftp"),
            url="http://boot.lab.example:8080/tftp",
        ),
        "52:54:00:ab:cd:ef",
    ),
)
HOSTS = (
    *(replace(LAB, power=power) for power in POWERS),
    *(replace(LAB, console=console) for console in CONSOLES),
    replace(LAB, payload=Payload.HOST),
    replace(LAB, boots=(BootMethod.PXE,)),
)
_NOT_PRIVATE = {"lab", "eth1", "serve", "1", "on", "off", "-f"}  # names of kinds, and words that tell nothing


def private(host: LabHost) -> set[str]:
    """Return every text in the description of how a machine is reached, switched, listened to and netbooted."""
    parts = (host.ssh, host.power, host.console, host.network, host.pxe)
    found = {text for part in parts for text in _texts(part)} - _NOT_PRIVATE
    return found | {word for text in found for word in text.split()} - {"ssh-ed25519"}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Enum) or value is None:
        return
    if isinstance(value, str | Path):
        yield from [str(value)] if str(value) else []
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _texts(getattr(value, one.name))


def home(boot: int, name: str, how: str, seconds: float, *tried: str, kept: bool = False) -> Homecoming:
    """Return how the machine came home after a boot."""
    kept_at = FOLDER / f"consoles/{boot:03}-{sha(name)[:12]}.pstore.txt" if kept else None
    return Homecoming(sha(name), boot, Homed("rack1", how, seconds, tried, kept_at))


def lab_session(host: LabHost = LAB) -> Session:
    """Return a session that was answered: boots that crashed, one that needed its power cycled, messages that tell."""
    told = ", ".join(f"x {text}: y" for text in sorted(private(host)))
    told += f", {host.ssh.user}@{host.ssh.address}:{host.ssh.port}: no answer from 192.0.2.9:22 or fe80::1:"
    whole = session(steps=tuple(_on(step, host.name, told) for step in STEPS))
    return replace(
        whole,
        host=host.name,
        lab=host,
        boot_argv=(),
        probe=replace(whole.probe, args=("--server", "10.66.0.7")),
        # one text each: nothing is hidden by being cut
        faults=(told[-120:], *(f"boot of {sha('c1')[:12]}: {text}: no" for text in sorted(private(host)))),
        homecomings=(
            home(1, "v5.9-rc1", "by itself", 38.0),
            home(2, "v5.8", "by itself", 41.0),
            home(3, "merge", "by a power cycle", 97.5, f"by itself: {told}", "by a reboot over SSH: nobody answers"),
            home(4, "merge", "by itself", 45.0, kept=True),
            home(5, "merge", "by power off, a rest, and on", 260.0, "by a power cycle: no answer", kept=True),
            home(6, "c3", "by itself", 40.0),
        ),
    )


def _on(step: Step, name: str, told: str) -> Step:
    """Return a step whose trials ran there, each with a reason and a note that tell all of the lab."""
    trials = (replace(trial, host=name, reason=f"{trial.reason}; {told}", notes=(told,)) for trial in step.trials)
    return replace(step, trials=tuple(trials), judgement=replace(step.judgement, why=f"{step.judgement.why}; {told}"))


def quarantined(host: LabHost = LAB) -> Session:
    """Return the same session, stopped since its machine could not be brought home."""
    whole = lab_session(host)
    tried = f"by itself: {host.ssh.user}@{host.ssh.address}:22: no answer; by a power cycle: the switch still says on"
    message = f'boot of {sha("c3")[:12]}: host "rack1" could not be brought back in 900 s; tried: {tried}'
    return replace(whole, outcome=Fault(message, "see to the machine, then: bisectbot hosts check rack1"))
