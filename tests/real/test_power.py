"""Power through real servers: what bisectbot says was done is what the machine's own process says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machineroom import chassis
from machineroom.faults import Faults, inflict
from machineroom.ipmi import Ipmi
from machineroom.machine import Hardware, Machine
from machineroom.pdu import Pdu
from machineroom.redfish import Redfish
from machineroom.room import Room
from machineroom.servers import Server

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.effects.redfish import RedfishSwitch
from bisectbot.effects.secrets import SystemSecrets
from bisectbot.errors import HostSick, InfraError, Overdue, PowerFailed, Refused, Stranger, Unreachable
from bisectbot.lab import CommandPower, IpmiPower, Patiences, RedfishPower, Secret, SnmpPower
from bisectbot.ports import Deadline
from bisectbot.power.command import CommandSwitch
from bisectbot.power.ipmi import IpmiSwitch
from bisectbot.power.snmp import SnmpSwitch
from bisectbot.power.switching import Switching
from bisectbot.reach import PowerState, Switch

pytestmark = [pytest.mark.real, pytest.mark.lab]

ON, OFF = PowerState.ON, PowerState.OFF
SECRETS = SystemSecrets()
PROC = Processes()
CLOCK = SystemClock()
KINDS = ("ipmi", "redfish", "redfish over TLS", "snmp", "command")
PATIENCES = Patiences(power=12.0, rest=1.0)
LONG = Patiences(power=30.0)


@dataclass
class Bench:
    """A machine, the switch that is tested, and the server between them (none for plain commands)."""

    machine: Machine
    switch: Switch
    server: Server | None

    @property
    def switching(self) -> Switching:
        """Return the switch as it is used."""
        return Switching(self.switch, CLOCK, PATIENCES)

    def pid(self) -> int | None:
        """Return the process that is the machine, None while it is off."""
        return chassis.pid(self.machine.folder)


Benches = Callable[[str], Bench]


def secret(folder: Path, password: str) -> Secret:
    """Return a reference to a password in a file of its owner's."""
    file = folder / "password"
    file.touch(0o600)
    file.write_text(password + "\n")
    return Secret(file=file)


@pytest.fixture
def benches(room: Room, monkeypatch: pytest.MonkeyPatch) -> Iterator[Benches]:
    """Return a maker of benches. The machine never executes an instruction: only its power matters here."""
    # snmpd keeps what its programs answered in a file, for half a minute and for every snmpd that shares the folder
    monkeypatch.setenv("SNMP_PERSISTENT_DIR", str(room.folder))

    def make(kind: str) -> Bench:
        machine = room.machine("sut", Hardware(memory=128, qemu=("-S",)))
        return {"ipmi": _ipmi, "redfish": _redfish, "snmp": _snmp, "command": _command, "redfish over TLS": _tls}[kind](
            room, machine
        )

    yield make
    for machine in room.machines:
        machine.off()


def _ipmi(room: Room, machine: Machine) -> Bench:
    server = room.stack.enter_context(Ipmi(machine))
    power = IpmiPower("127.0.0.1", server.user, secret(machine.folder, server.password), server.port, cipher=3)
    return Bench(machine, IpmiSwitch(power, PROC, SECRETS), server)


def _redfish(room: Room, machine: Machine, *, tls: bool = False) -> Bench:
    server = room.stack.enter_context(Redfish(machine, tls=tls))
    ca = server.certificate if tls else None
    power = RedfishPower(server.url, server.user, secret(machine.folder, server.password), ca=ca)
    return Bench(machine, RedfishSwitch(power, SECRETS), server)


def _tls(room: Room, machine: Machine) -> Bench:
    return _redfish(room, machine, tls=True)


def _snmp(room: Room, machine: Machine) -> Bench:
    server = room.stack.enter_context(Pdu(room.folder, machine))
    power = SnmpPower("127.0.0.1", server.oid(machine), secret(machine.folder, server.community), server.port)
    return Bench(machine, SnmpSwitch(power, PROC, SECRETS), server)


def _command(room: Room, machine: Machine) -> Bench:
    del room
    words = machine.chassis
    status = machine.folder / "status"  # a lab's own script, as people write them
    status.write_text(
        f"#!/bin/sh\ncase $({' '.join(words)} get power) in power:1) echo on;; power:0) echo off;; esac\n"
    )
    status.chmod(0o700)
    power = CommandPower((*words, "set", "power", "1"), (*words, "set", "power", "0"), status=(str(status),))
    return Bench(machine, CommandSwitch(power, PROC), None)


def later(seconds: float = 20.0) -> Deadline:
    """Return a deadline from now."""
    return Deadline.after(CLOCK, seconds)


@pytest.mark.parametrize("kind", KINDS)
def test_power_is_what_the_machine_has(benches: Benches, kind: str) -> None:
    """On, status, cycle, off-wait-on, off: each time the machine's process is there, another, or gone."""
    bench = benches(kind)
    assert bench.switch.status(later()) is OFF
    assert bench.switching.turn_on().acts == (ON,)
    first = bench.pid()
    assert first is not None
    assert bench.switch.status(later()) is ON
    assert bench.switching.turn_on().confirmed
    assert bench.pid() == first
    assert bench.switching.cycle().acts == (OFF, ON)
    second = bench.pid()
    assert second not in (None, first)
    done = bench.switching.off_wait_on()
    assert (done.acts, done.confirmed) == ((OFF, ON), True)
    assert bench.pid() not in (None, first, second)
    assert bench.switching.turn_off().acts == (OFF,)
    assert bench.pid() is None
    assert bench.switching.turn_off().confirmed


@pytest.mark.parametrize("kind", ["ipmi", "redfish"])
def test_the_next_start_is_from_the_network(benches: Benches, kind: str) -> None:
    """The chassis is told so, and only for one start."""
    bench = benches(kind)
    assert bench.switch.netboot_once(later())
    assert chassis.boot_device(bench.machine.folder) == "pxe"
    bench.switching.turn_on()
    assert b"-boot\0n" in Path(f"/proc/{bench.pid()}/cmdline").read_bytes()
    bench.switching.cycle()
    assert b"-boot\0n" not in Path(f"/proc/{bench.pid()}/cmdline").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_that_lies_is_found_out(benches: Benches, kind: str) -> None:
    """It says that it cycled, and the machine never lost its power: a fault, not a fresh start."""
    bench = benches(kind)
    bench.switching.turn_on()
    before = bench.pid()
    inflict(bench.machine, Faults(lies=True))
    with pytest.raises(PowerFailed, match="power off was asked for twice, and the switch still says on"):
        bench.switching.cycle()
    assert bench.pid() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_that_misses_an_act_is_asked_again(benches: Benches, kind: str) -> None:
    """One deaf moment costs half the patience, and the machine is on."""
    bench = benches(kind)
    inflict(bench.machine, Faults(deaf_ons=1))
    done = bench.switching.turn_on()
    assert done.acts == (ON, ON)
    assert bench.pid() is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_late_switch_is_waited_for(benches: Benches, kind: str) -> None:
    """Each answer takes seconds, longer than some tools wait before they ask again: the machine is on in the end."""
    bench = benches(kind)
    inflict(bench.machine, Faults(late=1.5 if kind == "snmp" else 3.0))  # snmpd asks twice for one act, one by one
    assert Switching(bench.switch, CLOCK, LONG).turn_on().confirmed
    assert bench.pid() is not None


@pytest.mark.parametrize("kind", KINDS)
def test_a_chassis_that_fails_is_a_fault(benches: Benches, kind: str) -> None:
    """Neither a state nor an act comes out of it, and what is said is no success."""
    bench = benches(kind)
    inflict(bench.machine, Faults(fails=True))
    with pytest.raises(HostSick):
        bench.switching.turn_on()
    assert bench.pid() is None


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_nobody_there_is_a_fault(benches: Benches, kind: str) -> None:
    """A BMC or PDU that is gone: a passing fault within the deadline; back again, it works."""
    bench = benches(kind)
    assert bench.server is not None
    bench.server.stop()
    with pytest.raises((HostSick, Overdue)) as caught:
        bench.switch.status(later())
    assert not caught.value.lasting
    bench.server.start()
    assert bench.switching.turn_on().confirmed
    assert bench.pid() is not None


@pytest.mark.parametrize(("kind", "ending"), [("ipmi", HostSick), ("redfish", Refused), ("snmp", HostSick)])
def test_a_wrong_password_is_a_fault(benches: Benches, kind: str, ending: type[InfraError]) -> None:
    """Nothing is switched, and the password that was tried isn't told."""
    bench = benches(kind)
    secret(bench.machine.folder, "not-the-one")
    with pytest.raises(ending) as caught:
        bench.switch.on(later())
    assert "not-the-one" not in str(caught.value)
    assert bench.pid() is None


def test_a_certificate_of_nobodys_is_a_stranger(room: Room) -> None:
    """Without the BMC's own certificate as `ca` it is not talked to."""
    machine = room.machine("sut", Hardware(memory=128, qemu=("-S",)))
    server = room.stack.enter_context(Redfish(machine, tls=True))
    power = RedfishPower(server.url, server.user, secret(machine.folder, server.password))
    with pytest.raises(Stranger):
        RedfishSwitch(power, SECRETS).on(later())
    assert not machine.is_on()


def test_a_port_without_anybody_is_unreachable(room: Room) -> None:
    """A BMC that is gone is told apart from one that answers oddly."""
    machine = room.machine("sut", Hardware(memory=128, qemu=("-S",)))
    power = RedfishPower("http://127.0.0.1:1", "admin", secret(machine.folder, "x"))
    with pytest.raises(Unreachable):
        RedfishSwitch(power, SECRETS).status(later())
