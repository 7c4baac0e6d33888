"""The lab proves itself: its machines, BMCs, PDU and faults do what tests of bisectbot rely on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sushy  # type: ignore[import-untyped]
from machineroom.faults import Faults, inflict
from machineroom.ipmi import Ipmi
from machineroom.machine import MARKER, Hardware, Machine
from machineroom.pdu import Pdu
from machineroom.redfish import Redfish
from machineroom.room import Room
from sushy import auth

pytestmark = [pytest.mark.real, pytest.mark.lab]

_SECONDS = 60.0


def until(what: Callable[[], bool], seconds: float = _SECONDS) -> bool:
    """Wait for something to become true; tell whether it did."""
    end = time.monotonic() + seconds
    while not (done := what()) and time.monotonic() < end:
        time.sleep(0.1)
    return done


def said(*argv: str, secret: str = "") -> str:
    """Return what a program printed, with its failure in front if it failed."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "IPMI_PASSWORD": secret}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_SECONDS, env=env)
    return done.stdout.strip() if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()}"


def ipmitool_argv(bmc: Ipmi) -> tuple[str, ...]:
    """Return ipmitool and whom it talks to; the password comes by the environment."""
    return ("ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(bmc.port), "-U", bmc.user, "-E")


def ipmi(bmc: Ipmi, *words: str) -> str:
    """Return what ipmitool said to an order."""
    return said(*ipmitool_argv(bmc), "-N", "1", "-R", "2", *words, secret=bmc.password)


def snmp(pdu: Pdu, machine: Machine, value: int | None = None) -> str:
    """Return the last word of what snmpget said, or snmpset with a value."""
    command = ("snmpget", "-v1", "-Ov") if value is None else ("snmpset", "-v1", "-Ov")
    set_to = () if value is None else ("i", str(value))
    return said(*command, "-c", pdu.community, f"127.0.0.1:{pdu.port}", pdu.oid(machine), *set_to)


def redfish(bmc: Redfish) -> sushy.resources.system.system.System:
    """Return the system that a Redfish client sees."""
    verify = str(bmc.certificate) if bmc.certificate.exists() else False
    root = sushy.Sushy(bmc.url, verify=verify, auth=auth.BasicAuth(bmc.user, bmc.password))
    return root.get_system(f"/redfish/v1/Systems/{bmc.system_id}")


@pytest.fixture
def machine(room: Room) -> Iterator[Machine]:
    """Return a machine that is off."""
    made = room.machine("rack1")
    yield made
    made.off()


def test_a_machine_comes_up_and_back(machine: Machine) -> None:
    """A machine answers as itself over SSH; a reboot from inside and a press on reset lead to the same system again."""
    machine.on()
    machine.await_ssh()
    first = machine.boot_id()
    assert machine.ssh(f"uname -r; cat {MARKER}").stdout.decode().split() == [machine.base.release, "rack1"]
    assert machine.ssh("echo kept >/root/kept; sync; reboot").returncode == 0
    assert until(lambda: machine.boot_id() not in ("", first))
    second = machine.boot_id()
    machine.reset()
    assert until(lambda: machine.boot_id() not in ("", first, second))
    assert machine.ssh("cat /root/kept").stdout == b"kept\n"
    log = machine.console_log.read_text(errors="replace")
    assert log.count("Linux version") == log.count("machineroom: rack1 is up") == 3


def test_a_broken_base_stays_away_until_it_is_mended(machine: Machine) -> None:
    """A broken base says so on the console and never answers; mended, it comes up again, here with another key."""
    machine.break_base()
    machine.on()
    assert until(lambda: b"this base system is broken" in machine.console_log.read_bytes())
    with pytest.raises(TimeoutError):
        machine.await_ssh(seconds=3.0)
    old = machine.host_key
    machine.mend_base()
    machine.new_host_key()
    machine.off()
    machine.on()
    machine.await_ssh()
    assert machine.host_key != old
    assert machine.ssh("true").returncode == 0, "it has the key that known_hosts pins"


def test_ipmi(machine: Machine) -> None:
    """Ipmitool switches the machine, sees its state, chooses a boot device for once, and shows its console."""
    with Ipmi(machine) as bmc:
        assert ipmi(bmc, "chassis", "power", "status") == "Chassis Power is off"
        with (machine.folder / "sol").open("wb") as shown:
            argv = ["script", "-qec", " ".join([*ipmitool_argv(bmc), "sol", "activate"]), "/dev/null"]
            env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "IPMI_PASSWORD": bmc.password}
            session = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=shown, stderr=shown, env=env)
            try:
                assert until(lambda: b"SOL Session operational" in (machine.folder / "sol").read_bytes())
                ipmi(bmc, "chassis", "power", "on")
                machine.await_ssh()
                shown_all = (b"Linux version", b"rack1 is up")
                assert until(lambda: all(text in (machine.folder / "sol").read_bytes() for text in shown_all))
            finally:
                session.communicate(b"~.", timeout=_SECONDS)
        ipmi(bmc, "chassis", "bootdev", "pxe")
        assert "Force PXE" in ipmi(bmc, "chassis", "bootparam", "get", "5")
        before = machine.chassis_log.read_text()
        ipmi(bmc, "chassis", "power", "cycle")
        assert until(lambda: "set power 1" in machine.chassis_log.read_text().removeprefix(before))
        assert "Force PXE" not in ipmi(bmc, "chassis", "bootparam", "get", "5"), "it was for once"
        ipmi(bmc, "chassis", "power", "off")
        assert ipmi(bmc, "chassis", "power", "status") == "Chassis Power is off"
        bmc.stop()
        assert "Unable to establish" in ipmi(bmc, "chassis", "power", "status")
        bmc.start()
        assert ipmi(bmc, "chassis", "power", "status") == "Chassis Power is off"


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_redfish(machine: Machine, tls: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    """A Redfish client switches the machine, sees its state, and chooses a boot device for once."""
    with Redfish(machine, tls=tls) as bmc:
        system = redfish(bmc)
        assert system.power_state == sushy.PowerState.OFF
        system.set_system_boot_options(target=sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE)
        system.reset_system(sushy.ResetType.ON)
        system.refresh(force=True)
        assert (system.power_state, machine.is_on()) == (sushy.PowerState.ON, True)
        assert system.boot.target == sushy.BootSource.HDD, "it was for once"
        system.reset_system(sushy.ResetType.FORCE_RESTART)
        system.reset_system(sushy.ResetType.FORCE_OFF)
        system.refresh(force=True)
        assert (system.power_state, machine.is_on()) == (sushy.PowerState.OFF, False)


def test_pdu(room: Room) -> None:
    """Snmpset switches the one outlet that it names, and snmpget sees its state."""
    one, other = room.machine("one"), room.machine("other")
    with Pdu(room.folder, one, other) as pdu:
        assert snmp(pdu, other) == "INTEGER: 2"
        snmp(pdu, other, 1)
        assert (snmp(pdu, one), snmp(pdu, other), one.is_on(), other.is_on()) == (
            "INTEGER: 2",
            "INTEGER: 1",
            False,
            True,
        )
        snmp(pdu, other, 3)
        assert other.is_on()
        snmp(pdu, other, 2)
        assert not other.is_on()
        assert "noSuchName" in said("snmpget", "-v1", "-c", pdu.community, f"127.0.0.1:{pdu.port}", f"{pdu.oid(one)}9")


@pytest.mark.parametrize(
    ("faults", "acted", "is_on", "told"),
    [
        (Faults(), "Chassis Power Control: Up/On", True, "Chassis Power is on"),
        (Faults(fails=True), "exit 1", False, "exit 1"),
        (Faults(lies=True), "Chassis Power Control: Up/On", False, "Chassis Power is off"),
        (Faults(says=False), "Chassis Power Control: Up/On", True, "Chassis Power is off"),
        (Faults(deaf_ons=1), "Chassis Power Control: Up/On", False, "Chassis Power is off"),
    ],
    ids=["healthy", "fails", "lies", "tells a wrong state", "deaf once"],
)
def test_faults_of_a_chassis(machine: Machine, faults: Faults, acted: str, is_on: bool, told: str) -> None:  # noqa: FBT001
    """Each fault shows in what the BMC answers and in what the machine does, and Faults() heals it."""
    with Ipmi(machine) as bmc:
        inflict(machine, faults)
        assert ipmi(bmc, "chassis", "power", "on").startswith(acted)
        assert machine.is_on() is is_on
        assert ipmi(bmc, "chassis", "power", "status").startswith(told)
        if faults.deaf_ons == 0:
            inflict(machine, Faults())
        ipmi(bmc, "chassis", "power", "on")
        assert ipmi(bmc, "chassis", "power", "status") == "Chassis Power is on"


def test_a_late_chassis(machine: Machine) -> None:
    """A chassis that takes its time is waited for by ipmitool, and acts."""
    with Ipmi(machine) as bmc:
        inflict(machine, Faults(late=2.0))
        began = time.monotonic()
        ipmi(bmc, "chassis", "power", "on")
        assert machine.is_on()
        assert time.monotonic() - began >= 2.0


def test_a_watchdog_resets_the_machine(room: Room) -> None:
    """A machine with a watchdog that nobody feeds goes through its firmware, and home."""
    machine = room.machine("rack1", Hardware(watchdog=True))
    machine.on()
    machine.await_ssh()
    first = machine.boot_id()
    armed = machine.ssh("rmmod i6300esb; modprobe i6300esb heartbeat=2 && echo >/dev/watchdog")
    assert armed.returncode == 0, armed
    assert until(lambda: machine.boot_id() not in ("", first))


def test_systemd_as_pid_1(room: Room) -> None:
    """The same image comes up with systemd, whose reboot leads home as well."""
    machine = room.machine("rack1", Hardware(init="systemd"))
    machine.on()
    machine.await_ssh()
    first = machine.boot_id()
    assert machine.ssh("cat /proc/1/comm").stdout == b"systemd\n"
    machine.ssh("systemctl reboot")
    assert until(lambda: machine.boot_id() not in ("", first))


def test_a_killed_test_leaves_nothing_behind(room: Room, tmp_path: Path) -> None:
    """The machines of a process that dies by SIGKILL are ended for it."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from machineroom.base import Base\n"
        "from machineroom.room import opened\n"
        f"base = Base(*map(Path, {[str(room.base.kernel), str(room.base.initrd), str(room.base.disk)]}), 'x',"
        f" Path({str(room.base.key)!r}))\n"
        "with opened(Path(sys.argv[1]), base) as room:\n"
        "    machine = room.machine()\n"
        "    machine.on()\n"
        "    print((machine.folder / 'qemu.pid').read_text(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    argv = [sys.executable, str(program), str(tmp_path / "doomed")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_SECONDS, env=env)
    process = Path("/proc", done.stdout.strip())
    assert done.stdout.strip().isdigit(), done
    assert until(lambda: not process.exists())
