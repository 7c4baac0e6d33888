"""Every layer of a machine: what is ok, what only warns, what fails and how to mend it; and who may return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakelab import BOT, CANDIDATE, HOST, WEDGED, FakeMachine, FakeSwitch
from fakes import FakeClock
from fakewires import FakeNetboot, FakeRecorded, FakeRecorder
from labbench import NETBOOTED, NETWORK, SERIAL, Me
from test_doctor import FakeProc, bench, by_name

from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.doctor.finding import Finding, Status
from bisectbot.doctor.host import Reach, Timed, examine_host
from bisectbot.doctor.lab import lab
from bisectbot.errors import HostSick, Quarantined, Refused, Stranger, ToolMissing, Unreachable
from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    CommandPower,
    IpmiPower,
    LabHost,
    NetConsole,
    Network,
    Owner,
    Payload,
    Pxe,
    PxeMode,
    RedfishPower,
    Secret,
    SnmpPower,
)
from bisectbot.ports import Deadline
from bisectbot.reach import Said

OK, WARN, FAIL = Status.OK, Status.WARN, Status.FAIL
PASSWORD = Secret(env="NOT_SET")


def shown(address: str, port: int, deadline: Deadline) -> tuple[str, ...]:
    """Return the keys that the server shows now."""
    assert (address, port) == ("192.0.2.7", 22)
    assert not deadline.passed
    return "ssh-ed25519 NEW1", "ssh-rsa NEW2"


def silent(address: str, port: int, deadline: Deadline) -> tuple[str, ...]:
    """Show nothing."""
    raise Unreachable(f"{address}:{port} {deadline.passed}")


@dataclass
class Room:
    """One machine, all that it is looked at with, and what became of a look."""

    folder: Path
    machine: FakeMachine = field(default_factory=lambda: FakeMachine(FakeClock()))

    def __post_init__(self) -> None:
        self.book = HostBook(self.folder / "hosts")
        self.switch: FakeSwitch | None = FakeSwitch(self.machine)
        self.recorder = FakeRecorder(self.machine)
        self.recorded = FakeRecorded(self.machine)
        self.netboot: FakeNetboot | None = None
        self.scan: Callable[[str, int, Deadline], tuple[str, ...]] = shown

    def look(self, host: LabHost = SERIAL) -> dict[str, Timed]:
        """Look at the machine."""
        way = Way(host, self.machine, self.switch, BOT, self.machine.clock)
        reach = Reach(way, Me(), self.book, self.scan, self.recorder, self.recorded, self.netboot)
        found = list(examine_host(reach))
        assert list(by_name(found).values()) == found
        return {finding.name: finding for finding in found}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    """Return a room where all is well."""
    return Room(tmp_path)


def states(found: dict[str, Timed]) -> dict[str, Status]:
    """Return the status of each layer."""
    return {name: finding.status for name, finding in found.items()}


def test_a_machine_that_is_well(room: Room) -> None:
    """Each layer is ok, in the order from the address to the power switch, with what was seen and the seconds."""
    room.machine.kexec["watchdog"] = "i6300ESB timer"
    found = room.look()
    assert states(found) == dict.fromkeys(["ssh", "marker", "lock", "kexec", "console", "power"], OK)
    assert found["ssh"].detail == "root@192.0.2.7:22: Linux 6.1.0-base, x86_64, up 4711 s"
    assert "says rack1" in found["marker"].detail
    assert found["kexec"].detail == "/usr/sbin/kexec, 878 MiB free, watchdog i6300ESB timer"
    assert found["power"].detail == "is on"
    assert [found[name].seconds for name in ("ssh", "marker", "lock", "power")] == [1.0, 0.0, 1.0, 0.3]
    known = room.book.recall(SERIAL)
    assert known is not None
    assert (known.release, known.quarantined) == ("6.1.0-base", "")
    assert (room.machine.acts, room.machine.locked) == ([], False)


# --- who answers -------------------------------------------------------------------------------


def test_nobody_answers(room: Room) -> None:
    """What is behind SSH isn't asked, the power is, and the next step depends on whether there is a switch."""
    room.machine.running = WEDGED
    found = room.look()
    assert states(found) == {"ssh": FAIL, "power": OK}
    assert found["ssh"].mend == "see whether it is on: bisectbot hosts power rack1 status"
    room.switch = None
    assert room.look()["ssh"].mend == "see whether it is on, and reachable from here"
    assert room.book.recall(SERIAL) is None


def test_another_host_key_is_told_with_what_the_server_shows(room: Room) -> None:
    """A person can compare the keys and pin one; nothing is done on that machine."""
    room.machine.door_fault = Stranger("its host key isn't the pinned one", hint="pin it")
    found = room.look()
    assert found["ssh"].detail == "its host key isn't the pinned one; it shows ssh-ed25519 NEW1; ssh-rsa NEW2"
    assert (found["ssh"].status, found["ssh"].mend) == (FAIL, "pin it")
    assert room.machine.asked == []
    room.scan = silent
    assert room.look()["ssh"].detail == "its host key isn't the pinned one"


def test_a_login_that_is_refused(room: Room) -> None:
    """It is told as the door tells it, and nothing more is tried there."""
    room.machine.door_fault = Refused("no login", hint="authorized_keys")
    found = room.look()
    assert (found["ssh"].status, found["ssh"].detail, found["ssh"].mend) == (FAIL, "no login", "authorized_keys")
    assert "lock" not in found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"marked": False}, "isn't marked"),
        ({"marker": "rack2"}, "another machine answers"),
        ({"machine": "aarch64"}, "is aarch64"),
        ({"machine_id": BOT.machine_id}, "the machine that bisectbot runs on"),
        ({"running": CANDIDATE}, "a candidate runs there"),
    ],
)
def test_nothing_is_written_on_a_machine_that_isnt_ours(room: Room, change: dict[str, object], words: str) -> None:
    """No lock, no folder, no word on its console; the book doesn't take it for ours."""
    room.machine = replace(room.machine, **change)  # type: ignore[arg-type]  # the table's values fit
    room.switch = FakeSwitch(room.machine)
    found = room.look()
    assert states(found) == {"ssh": OK, "marker": FAIL, "power": OK}
    assert words in found["marker"].detail
    assert found["marker"].mend
    assert room.machine.asked == ["uptime", "look"]
    assert room.book.recall(SERIAL) is None


# --- what it can do ----------------------------------------------------------------------------


def test_another_bot_uses_it(room: Room) -> None:
    """Its lock is told, and no word of ours comes into its console."""
    room.machine.held = Said(3, f"1800\n{Owner('bench2', 'm', 'b', 77, 1)}\n")
    found = room.look()
    assert states(found) == {"ssh": OK, "marker": OK, "lock": FAIL, "kexec": OK, "power": OK}
    assert "bench2, pid 77; its lock lapses in 30 min" in found["lock"].detail
    assert "say" not in room.machine.asked


def test_our_folder_cant_be_written_to(room: Room) -> None:
    """A full or read-only disk fails."""
    room.machine.held = Said(4, "No space left on device")
    assert "No space left" in room.look()["lock"].detail


def test_kexec_that_is_refused_fails_only_without_another_way(room: Room) -> None:
    """With PXE behind it the machine can be used, so it warns."""
    room.machine.kexec["disabled"] = "1"
    room.machine.kexec["tool"] = ""
    alone = room.look()["kexec"]
    assert alone.status is FAIL
    assert "isn't installed there" in alone.detail
    assert "kexec_load_disabled is 1" in alone.detail
    room.netboot = FakeNetboot(room.machine)
    assert room.look(NETBOOTED)["kexec"].status is WARN
    assert "kexec" not in room.look(replace(NETBOOTED, boots=(BootMethod.PXE,)))


def test_a_console_that_stays_silent_warns(room: Room) -> None:
    """A word that the kernel there was made to say is waited for, and then the command line is shown."""
    room.machine.hears = False
    found = room.look()
    assert (found["console"].status, found["power"].status) == (WARN, OK)
    assert "doesn't come within 10 s" in found["console"].detail
    assert "root=/dev/vda quiet" in found["console"].mend
    assert 10 <= found["console"].seconds <= 12


def test_a_console_that_ends_or_cant_be_listened_to(room: Room) -> None:
    """The one warns as a silent one does; the other fails with its reason, before anything is said on it."""
    room.recorded.over = True
    assert room.look()["console"].status is WARN
    room.machine.asked.clear()
    room.recorder.fault = HostSick("the console can't be listened to: refused")
    assert (found := room.look()["console"]).status is FAIL
    assert found.detail == "the console can't be listened to: refused"
    assert "say" not in room.machine.asked


def test_a_console_in_pieces_is_heard(room: Room) -> None:
    """The word may come after other words, and cut in two."""
    said = room.machine.tape

    class Slow(FakeRecorded):
        def chunks(self, patience: float):  # type: ignore[no-untyped-def]  # noqa: ANN202  as its parent
            for chunk in super().chunks(patience):
                yield from (replace(chunk, data=half) for half in _halves(chunk.data)) if chunk else [None]

    room.recorded = Slow(room.machine)
    said += [(0.0, b"usb 1-1: new device\n")] * 3
    assert room.look()["console"].status is OK


def _halves(data: bytes) -> tuple[bytes, bytes]:
    return data[: len(data) // 2], data[len(data) // 2 :]


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        (HOST, FAIL, "nothing tells what a candidate does"),
        (replace(HOST, network=Network("dhcp", "192.0.2.1")), OK, "over the network"),
        (replace(HOST, payload=Payload.HOST), OK, "over the network"),
        (replace(HOST, console=NetConsole("192.0.2.1"), network=Network("dhcp", "192.0.2.1")), OK, "netconsole"),
    ],
)
def test_machines_whose_kernel_isnt_heard(room: Room, host: LabHost, status: Status, words: str) -> None:
    """A machine without a console needs another way to tell its facts; netconsole can only be proven by a boot."""
    found = room.look(host)
    assert found["console"].status is status
    assert words in found["console"].detail
    assert ("network" in found) is (host.network is not None)
    assert "say" not in room.machine.asked


# --- power and network boot --------------------------------------------------------------------


def test_power(room: Room) -> None:
    """Off fails with the command that mends it; a switch that can't be asked, or none, warns; a dead one fails."""
    room.switch = FakeSwitch(room.machine, mute=True)
    assert room.look()["power"].status is WARN
    room.switch = FakeSwitch(room.machine, dead=True)
    assert room.look()["power"].detail == "the BMC doesn't answer"
    room.switch = None
    assert (none := room.look()["power"]).status is WARN
    assert "needs a person" in none.detail
    room.switch = FakeSwitch(room.machine)
    room.machine.power = False
    assert (off := room.look()["power"]).status is FAIL
    assert off.mend == "bisectbot hosts power rack1 on"


def test_a_network_is_served_while_the_machine_is_looked_at(room: Room) -> None:
    """Its known-good system may have its address from us; nothing is offered to it."""
    room.netboot = netboot = FakeNetboot(room.machine)
    served: list[bool] = []

    def door(deadline: Deadline):  # type: ignore[no-untyped-def]  # noqa: ANN202  as FakeMachine.open
        served.append(netboot.idling)
        return FakeMachine.open(room.machine, deadline)

    room.machine.open = door  # type: ignore[method-assign]
    found = room.look(NETBOOTED)
    assert next(iter(found)) == "pxe"
    assert found["pxe"].detail == "serve on lab can be served"
    assert set(served) == {True}
    assert not netboot.idling
    assert netboot.offers == []


@pytest.mark.parametrize("fault", [HostSick("port in use", hint="free it"), ToolMissing("no dnsmasq", hint="free it")])
def test_a_network_that_cant_be_served(room: Room, fault: HostSick) -> None:
    """It fails with the reason, and the other layers are looked at all the same."""
    room.netboot = FakeNetboot(room.machine, fault=fault)
    found = room.look(NETBOOTED)
    assert (found["pxe"].status, found["pxe"].detail, found["pxe"].mend) == (FAIL, fault.message, "free it")
    assert found["console"].status is OK


# --- a machine that was set aside --------------------------------------------------------------


def test_a_machine_that_passes_is_in_service_again(room: Room) -> None:
    """It was set aside, all is well, and sessions may use it; warnings don't keep it out."""
    room.book.set_aside(SERIAL, "it hung")
    room.switch = None
    found = room.look()
    assert found["service"].detail == "was set aside (it hung), and is in service again"
    room.book.check(SERIAL)
    assert "service" not in room.look()


@pytest.mark.parametrize(
    "damage",
    [
        {"running": WEDGED},
        {"running": CANDIDATE},
        {"marked": False},
        {"held": Said(4, "read-only")},
        {"kexec": {"root": "1000"}},
        {"power": False},
        {"door_fault": Stranger("another key")},
    ],
)
def test_a_machine_that_fails_stays_set_aside(room: Room, damage: dict[str, object]) -> None:
    """One layer that fails is enough, whichever it is."""
    room.machine = replace(room.machine, **damage)  # type: ignore[arg-type]  # the table's values fit
    room.switch = FakeSwitch(room.machine)
    room.book.set_aside(SERIAL, "it hung")
    found = room.look()
    assert FAIL in states(found).values()
    assert "service" not in found
    with pytest.raises(Quarantined, match="it hung"):
        room.book.check(SERIAL)


def test_a_book_that_cant_be_written_is_told(room: Room) -> None:
    """A machine that stays set aside for that reason isn't told to be in service."""
    room.book.set_aside(SERIAL, "it hung")
    kept = room.book

    class Stuck(HostBook):
        def proven(self, host: LabHost, release: str) -> None:
            assert kept.recall(host) is not None
            assert release

    room.book = Stuck(kept.folder)
    assert room.look()["service"].status is FAIL


# --- what this machine needs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "tools"),
    [
        (HOST, {}),
        (replace(HOST, power=IpmiPower("a", "b", PASSWORD)), {"ipmitool": "ipmitool"}),
        (replace(HOST, power=RedfishPower("https://a", "b", PASSWORD)), {}),
        (replace(HOST, power=SnmpPower("a", "1.2", PASSWORD)), {"snmpset": "snmp", "snmpget": "snmp"}),
        (
            replace(HOST, power=CommandPower(("pdu", "1"), ("pdu", "0"), status=("pdu-state",))),
            {"pdu": "", "pdu-state": ""},
        ),
        (replace(HOST, console=CommandConsole(("console", "-f", "rack1"))), {"console": ""}),
        (NETBOOTED, {"dnsmasq": "dnsmasq-base"}),
        (replace(NETBOOTED, pxe=Pxe(replace(NETWORK, mode=PxeMode.FOLDER), "52:54:00:00:00:01")), {}),
    ],
)
def test_the_programs_that_a_machine_needs_here(host: LabHost, tools: dict[str, str]) -> None:
    """Each kind of power, console and network wants its own; what is missing names its package or itself."""
    (there,) = lab(bench(FakeProc(programs=set(tools))), host, FAIL)
    assert (there.status, there.mend) == (OK, "see the machine: bisectbot hosts check rack1")
    missing = list(lab(bench(FakeProc(programs=set())), host, WARN))
    if tools:
        assert [finding.status for finding in missing] == [WARN] * len(tools)
        assert [finding.detail for finding in missing] == [f"{tool} is not installed" for tool in tools]
        assert [finding.packages for finding in missing] == [(name,) if name else () for name in tools.values()]
        assert all(finding.mend for finding in missing)
    else:
        assert missing == [there]


def test_seconds_are_for_scripts_too() -> None:
    """A timed finding is a finding, so that doctor's printing and summing up hold for it."""
    assert isinstance(Timed("ssh", OK, "fine", seconds=1.5), Finding)
