"""Consoles of machines that really boot: SOL through a BMC, a serial port that is lost and comes back, netconsole."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from machineroom.cutter import Cutter
from machineroom.ipmi import Ipmi
from machineroom.ports import LOOPBACK, free
from machineroom.room import Room

from bisectbot.console import Reading, read_console
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.command import CommandLine
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.proc import Processes
from bisectbot.effects.recorder import RecordedConsole, Recorder, recorder
from bisectbot.effects.sol import SolLine, ipmitool
from bisectbot.effects.tcp import TcpLine
from bisectbot.effects.udp import NetLine
from bisectbot.lab import IpmiPower, NetConsole, Secret, TcpConsole
from bisectbot.model import CrashKind
from bisectbot.ports import Deadline
from bisectbot.reach import Line
from csrc import lacking

pytestmark = [pytest.mark.real, pytest.mark.lab]
CLOCK = SystemClock()
PATIENCE = 30.0
BOOT_SECONDS = 120.0
QUIET_SECONDS = 3.0
LOST_SECONDS = 90.0  # ipmitool's own patience with a BMC that is gone


class Known:
    """Knows the BMC's password; fits reach.Secrets."""

    def reveal(self, secret: Secret) -> str:
        """Return it."""
        assert secret.env == "BMC"
        return Ipmi.password


@contextmanager
def kept(line: Line, folder: Path) -> Iterator[Recorder]:
    """Record a line; what is between boots goes to `between.log`."""
    with console_log(folder / "between.log") as log, recorder(line, log, CLOCK) as rec:
        yield rec


def until(console: RecordedConsole, wanted: bytes, seconds: float = BOOT_SECONDS) -> bytes:
    """Return what is handed out up to what is waited for."""
    got, deadline = b"", Deadline.after(CLOCK, seconds)
    for chunk in console.chunks(0.25):
        got += chunk.data if chunk else b""
        if wanted in got:
            return got
        assert not deadline.passed, got[-2000:]
    raise AssertionError(got)


def reads(log: Path) -> Reading:
    """Return what the reader of consoles makes of a log."""
    return read_console(log.read_bytes())


def needs(*tools: str) -> None:
    """Skip where a program isn't installed."""
    if missing := [tool for tool in tools if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]:
        lacking(f"not installed: {', '.join(missing)}")


def test_sol_is_complete_through_power_cycles(room: Room, tmp_path: Path) -> None:
    """Three power-ons through a real BMC: each log is the machine's own from the first byte, and of that boot alone."""
    needs("ipmi_sim", "ipmitool")
    machine = room.machine()
    bmc = room.stack.enter_context(Ipmi(machine))
    power = IpmiPower(LOOPBACK, bmc.user, Secret(env="BMC"), port=bmc.port, cipher=3)
    said = 0
    with kept(SolLine(power, Known(), Processes()), tmp_path) as rec:
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        for number in range(3):
            log = tmp_path / f"{number}.log"
            with console_log(log) as boot, rec.cut(boot) as console:
                machine.on()
                got = until(console, b"Run /")
                assert console.reset is False
                machine.off()
            truth = machine.console_log.read_bytes()[said:]
            said += len(truth)
            assert truth.startswith(got), (got[:200], truth[:200])
            assert len(reads(log).releases) == 1
            assert not reads(log).crashed
        assert rec.healthy
        assert rec.losses == 0


def test_a_bmc_that_restarts_is_listened_to_again(room: Room, tmp_path: Path) -> None:
    """A BMC that goes away under a session is noticed, though nothing tells it, and its console comes back."""
    needs("ipmi_sim", "ipmitool")
    machine = room.machine()
    bmc = room.stack.enter_context(Ipmi(machine))
    power = IpmiPower(LOOPBACK, bmc.user, Secret(env="BMC"), port=bmc.port, cipher=3)
    line = SolLine(power, Known(), Processes())
    log = tmp_path / "boot.log"
    with kept(line, tmp_path) as rec:
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        with console_log(log) as boot, rec.cut(boot) as console:
            machine.on()
            until(console, b"\n[")
            bmc.stop()
            lost = Deadline.after(CLOCK, LOST_SECONDS)
            while rec.healthy and not lost.passed:
                list(zip(range(1), console.chunks(1.0), strict=False))
            assert rec.losses == 1
            bmc.start()
            rec.ready(Deadline.after(CLOCK, PATIENCE))
            machine.reset()
            until(console, b"Linux version")
    text = log.read_text(errors="replace")
    assert "### bisectbot: console lost: SOL of 127.0.0.1" in text
    assert "### bisectbot: console back after " in text


def test_a_sol_session_outlives_the_bmcs_patience(room: Room, tmp_path: Path) -> None:
    """A BMC that ends a session after 30 s without an IPMI message doesn't end ours, however much it carries."""
    needs("ipmi_sim", "ipmitool")
    machine = room.machine()
    bmc = room.stack.enter_context(Ipmi(machine))
    power = IpmiPower(LOOPBACK, bmc.user, Secret(env="BMC"), port=bmc.port, cipher=3)
    with kept(SolLine(power, Known(), Processes()), tmp_path) as rec:
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        machine.on()
        machine.await_ssh()
        patience = Deadline.after(CLOCK, 2 * PATIENCE)
        while not patience.passed:
            with console_log(tmp_path / "boot.log") as boot, rec.cut(boot) as console:
                machine.reset()
                until(console, b"Run /")
                list(zip(range(1), console.chunks(QUIET_SECONDS), strict=False))
        assert rec.losses == 0


def test_a_sol_console_that_is_taken_away_is_noticed(room: Room, tmp_path: Path) -> None:
    """The session lives and its console is deactivated by somebody: told as a loss, and taken back."""
    needs("ipmi_sim", "ipmitool")
    machine = room.machine()
    bmc = room.stack.enter_context(Ipmi(machine))
    power = IpmiPower(LOOPBACK, bmc.user, Secret(env="BMC"), port=bmc.port, cipher=3)
    log = tmp_path / "boot.log"
    with kept(SolLine(power, Known(), Processes(), silence=1.0), tmp_path) as rec:
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        with console_log(log) as boot, rec.cut(boot) as console:
            machine.on()
            until(console, b"Run /")
            env = {"IPMITOOL_PASSWORD": bmc.password}
            argv = [*ipmitool(power), "sol", "deactivate"]
            assert Processes().output(argv, deadline=Deadline.after(CLOCK, PATIENCE), env=env)[0] == 0
            noticed = Deadline.after(CLOCK, PATIENCE)
            while not rec.losses and not noticed.passed:
                list(zip(range(1), console.chunks(0.1), strict=False))
            assert rec.losses == 1
            rec.ready(Deadline.after(CLOCK, PATIENCE))
            machine.reset()
            until(console, b"Linux version")
    assert "the BMC ended the session or gave the console to another one" in log.read_text(errors="replace")


def test_a_serial_port_is_lost_and_comes_back(room: Room, tmp_path: Path) -> None:
    """A cable cut in the middle of a boot: the gap is told, the rest comes, and nothing looks like another boot."""
    machine = room.machine()
    log = tmp_path / "boot.log"
    with Cutter(machine.console_port) as cable, kept(TcpLine(TcpConsole(LOOPBACK, cable.port)), tmp_path) as rec:
        machine.on()
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        with console_log(log) as boot, rec.cut(boot) as console:
            until(console, b"Linux version")
            cable.cut()
            until(console, b"Run /")
            assert rec.losses >= 1
    text = log.read_text(errors="replace")
    assert text.index("console lost: TCP") < text.index("console back after ") < text.index("Run /")
    assert len(reads(log).releases) == 1
    assert not reads(log).crashed


def test_netconsole_brings_a_real_panic(room: Room, tmp_path: Path) -> None:
    """The panic of a kernel that sends its console by UDP, in the extended format, is found in what is kept."""
    machine = room.machine()
    port = free(socket.SOCK_DGRAM)
    log = tmp_path / "boot.log"
    to = f"+6665@10.0.2.15/eth0,{port}@10.0.2.2/52:55:0a:00:02:02"
    with kept(NetLine(NetConsole(LOOPBACK, port), source=LOOPBACK), tmp_path) as rec:
        rec.ready(Deadline.after(CLOCK, PATIENCE))
        machine.on()
        machine.await_ssh()
        with console_log(log) as boot, rec.cut(boot) as console:
            loaded = machine.ssh(f"dmesg -n 8; modprobe netconsole netconsole={to}")
            assert loaded.returncode == 0, loaded.stderr
            machine.ssh("(sleep 1; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &")
            until(console, b"Kernel panic")
    reading = reads(log)
    assert CrashKind.OOPS in {crash.kind for crash in reading.crashes} or reading.first.kind is CrashKind.PANIC
    assert "netconsole lost" not in log.read_text(errors="replace")


CONSERVER = """\
config * {{ defaultaccess allowed; logfile /dev/null; }}
default full {{ rw *; }}
console sut {{ master localhost; type host; host 127.0.0.1; port {serial}; include full; }}
access * {{ trusted 127.0.0.1; }}
"""


@contextmanager
def serving(argv: Sequence[str], log: Path) -> Iterator[None]:
    """Run a server as long as the context lasts."""
    running = Processes().start(argv, log=log)
    try:
        yield
        assert running.poll() is None, log.read_text()
    finally:
        running.stop()


def test_conserver_and_ser2net_bring_a_boot(room: Room, tmp_path: Path) -> None:
    """Real console servers, each with its usual client: conserver's by command, ser2net's telnet by TCP."""
    needs("conserver", "console", "ser2net")
    conserver, telnet = free(), free()
    machine = room.machine()
    (tmp_path / "conserver.cf").write_text(CONSERVER.format(serial=machine.console_port))
    (tmp_path / "ser2net.yaml").write_text(
        f"connection: &sut\n  accepter: telnet,tcp,{LOOPBACK},{telnet}\n"
        f"  connector: tcp,{LOOPBACK},{machine.console_port}\n"
    )
    with ExitStack() as stack:
        where = ["-M", LOOPBACK, "-p", str(conserver)]
        argv = ["conserver", "-n", "-C", str(tmp_path / "conserver.cf"), *where, "-P", "/dev/null"]
        stack.enter_context(serving(argv, tmp_path / "conserver.log"))
        machine.on()
        command = ["console", *where, "-f", "sut"]
        rec = stack.enter_context(kept(CommandLine(command, Processes()), tmp_path))
        log = stack.enter_context(console_log(tmp_path / "boot.log"))
        until(stack.enter_context(rec.cut(log)), b"Run /")
    machine.off()
    with ExitStack() as stack:
        machine.on()
        argv = ["ser2net", "-n", "-c", str(tmp_path / "ser2net.yaml"), "-P", str(tmp_path / "ser2net.pid")]
        stack.enter_context(serving(argv, tmp_path / "ser2net.log"))
        rec = stack.enter_context(kept(TcpLine(TcpConsole(LOOPBACK, telnet)), tmp_path))
        log = stack.enter_context(console_log(tmp_path / "boot2.log"))
        got = until(stack.enter_context(rec.cut(log)), b"Run /")
        assert b"\xff" not in got
