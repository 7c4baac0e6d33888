"""Everything that goes wrong with a real machine, done to one: how it ends by type, and that the machine is well again.

No fault may become a good or a bad: an ending is asserted to be one without a verdict, or an error of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from labsite import DEADLINES, PATIENCES, Boot, Site
from machineroom.cutter import Cutter
from machineroom.faults import Faults, inflict
from machineroom.ipmi import Ipmi
from machineroom.machine import Hardware
from machineroom.room import Room

from bisectbot.boot.home import Rung
from bisectbot.boot.rails import give_lock_back, take_lock
from bisectbot.errors import Busy, Dropped, HostSick, InfraError, Quarantined, Refused, Stranger
from bisectbot.lab import IpmiPower, LabHost, Owner, Secret, SolConsole, Ssh, TcpConsole
from bisectbot.model import Arch, Ending, Kernel, Trial
from bisectbot.ports import Deadline
from bisectbot.power.switching import Switching
from csrc import compile_one

pytestmark = [pytest.mark.real, pytest.mark.lab]

_WEDGED = ("rdinit=/nope", "panic=0")  # no init: a panic that lasts
Make = Callable[..., Site]


@pytest.fixture
def make(room: Room, crash_kernel: Callable[[Arch], Kernel], tmp_path: Path) -> Make:
    """Return a maker of a machine that is up, and the bot that uses it."""

    def made(name: str = "sut", **hardware: object) -> Site:
        machine = room.machine(name, Hardware(**hardware))  # type: ignore[arg-type]  # the callers' fields fit
        machine.on()
        machine.await_ssh()
        program = compile_one("provoke", tmp_path, Arch.X86_64)
        return Site(machine, tmp_path / name, crash_kernel(Arch.X86_64), program)

    return made


def _verdictless(boot: Boot, *endings: Ending) -> Trial:
    """Return the one trial of a boot that failed; it says nothing about the bug."""
    (trial,) = boot.trials
    assert trial.ending in endings, (trial, boot.console[-3000:])
    assert trial.ending.verdictless
    return trial


def _behind(bmc: Ipmi, monkeypatch: pytest.MonkeyPatch, site: Site, **changes: object) -> LabHost:
    """Return a machine that is switched by its BMC."""
    monkeypatch.setenv("LAB_PASSWORD", bmc.password)
    power = IpmiPower("127.0.0.1", bmc.user, Secret(env="LAB_PASSWORD"), bmc.port, cipher=3)
    return site.host(power=power, **changes)


def _cmdline(site: Site, *words: str) -> tuple[str, ...]:
    return (*site.host().cmdline, *words)


# --- what a boot without a fault looks like ----------------------------------------------------


def test_a_healthy_machine_gives_trials_and_comes_home(make: Make) -> None:
    """Two clean trials on a proven kernel, and home by itself; the second boot uploads nothing."""
    site = make()
    host = site.host()
    first = site.boot(host, "exit", "0", runs=2)
    assert [trial.ending for trial in first.trials] == [Ending.CLEAN, Ending.CLEAN]
    assert {trial.release for trial in first.trials} == {site.kernel.release}
    assert first.homed is not None
    assert first.homed.how == Rung.WAIT
    site.at_home(host)
    again = site.boot(host, "exit", "0", runs=2)
    assert "bisectbot: 0 bytes uploaded" in again.console
    fired = site.boot(host, "exit", "1", runs=3)
    assert [trial.ending for trial in fired.trials] == [Ending.FIRED]
    assert fired.homed is not None
    assert fired.homed.how == Rung.WAIT
    site.at_home(host)


# --- on the way there --------------------------------------------------------------------------


def test_an_upload_that_is_cut_short(make: Make) -> None:
    """The connection breaks in the middle of a file: an error of ours, nothing is loaded, and the next boot works."""
    site = make()
    with Cutter(site.machine.ssh_port) as cable:
        host = site.host(ssh=replace(site.host().ssh, port=cable.port))
        cable.cut_after(up=800_000)
        with pytest.raises(Dropped):
            site.boot(host, "exit", "0")
        assert site.machine.ssh("cat /sys/kernel/kexec_loaded").stdout.strip() == b"0"
        assert site.machine.ssh("ls /var/lib/bisectbot/kernels").stdout.split() == []
        assert [trial.ending for trial in site.boot(host, "exit", "0").trials] == [Ending.CLEAN]
    site.at_home(site.host())


def test_a_load_that_the_kernel_forbids(make: Make) -> None:
    """kexec_load_disabled: refused before anything is sent, for good, with the reason."""
    site = make()
    assert site.machine.ssh("echo 1 >/proc/sys/kernel/kexec_load_disabled").returncode == 0
    with pytest.raises(Refused, match="kexec_load_disabled is 1"):
        site.boot(site.host(), "exit", "0")
    site.at_home(site.host())


def test_a_load_that_fails_for_itself(make: Make, tmp_path: Path) -> None:
    """What kexec itself refuses is told with its own words, and nothing is jumped to."""
    site = make()
    before = site.machine.boot_id()
    rubbish = tmp_path / "image"
    rubbish.write_bytes(bytes(4096))
    with pytest.raises(Refused, match="kexec refuses to load"):
        site.boot(site.host(), "exit", "0", kernel=replace(site.kernel, image=rubbish))
    assert site.machine.boot_id() == before
    site.at_home(site.host())


def test_a_machine_that_is_locked_down(make: Make) -> None:
    """Lockdown lets only signed kernels in: refused, with the way out."""
    site = make(words=("lockdown=integrity",))
    with pytest.raises(Refused, match="locked down"):
        site.boot(site.host(), "exit", "0")
    site.at_home(site.host())


def test_a_host_key_that_changed(make: Make) -> None:
    """Another host key is another machine: not a word is said to it, and its power isn't touched."""
    site = make()
    before = site.machine.boot_id()
    stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Uw3vHk1Q2Jt3m7hT0f4w9oM0m5n2m0aJv4C2c0t9d"
    with pytest.raises(Stranger, match="host key"):
        site.boot(site.host(ssh=replace(site.host().ssh, host_keys=(stranger,))), "exit", "0")
    assert site.machine.boot_id() == before
    site.at_home(site.host())


def test_a_machine_that_is_not_marked(make: Make) -> None:
    """Without its marker, or with another machine's, a machine is never rebooted."""
    site = make()
    before = site.machine.boot_id()
    for content, error in (("another-machine", Stranger), (None, Refused)):
        command = f"echo {content} >/etc/bisectbot-host" if content else "rm /etc/bisectbot-host"
        assert site.machine.ssh(command).returncode == 0
        with pytest.raises(error):
            site.boot(site.host(), "exit", "0")
    assert site.machine.boot_id() == before


def test_two_sessions_want_one_host(make: Make) -> None:
    """A second bot is refused, on this machine by its own lock and elsewhere by the one on the host."""
    site = make()
    host, deadline = site.host(), Deadline.after(site.clock, 30)
    elsewhere = _Elsewhere()
    with site.lab().way(host).door.open(deadline) as shell:
        take_lock(shell, host, elsewhere, deadline)
        with pytest.raises(Busy, match=r"in use by another bisectbot \(elsewhere, pid 4"):
            site.boot(host, "exit", "0")
        give_lock_back(shell, host, elsewhere, deadline)
    with site.lab().lock(host), pytest.raises(Busy, match="in use by another bisectbot"):
        site.boot(host, "exit", "0")
    assert [trial.ending for trial in site.boot(host, "exit", "0").trials] == [Ending.CLEAN]


class _Elsewhere:
    """A bot on another machine."""

    def owner(self) -> Owner:
        return Owner("elsewhere", "another-machine", "another-boot", 4, 2)

    def gone(self, other: Owner) -> bool:
        raise AssertionError(other)


# --- the candidate -----------------------------------------------------------------------------


def test_a_panic_with_a_restart(make: Make) -> None:
    """A candidate that panics while it is probed, and restarts: a crash with its title; home by itself."""
    site = make()
    boot = site.boot(site.host(), "sysrq", "c")
    trial = _verdictless(boot, Ending.CRASHED)
    assert "sysrq" in trial.reason.lower()
    assert boot.homed is not None
    assert boot.homed.how == Rung.WAIT
    site.at_home(site.host())


def test_a_panic_at_boot_that_lasts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that panics at boot and stays: a crash at boot; IPMI cycles the power, and its SOL is the console."""
    site = make()
    with Ipmi(site.machine) as bmc:
        host = _behind(bmc, monkeypatch, site, console=SolConsole(), cmdline=_cmdline(site, *_WEDGED))
        boot = site.boot(host, "exit", "0")
        _verdictless(boot, Ending.BOOT_CRASHED)
        assert boot.homed is not None
        assert boot.homed.how == Rung.POWER_CYCLE
        site.at_home(host)


def test_a_silent_candidate(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one byte from the candidate, which hangs: no output, whatever the old system said before; power cycle."""
    site = make()
    with Ipmi(site.machine) as bmc:
        words = _cmdline(site, "console=ttyS3", *_WEDGED)
        deadlines = replace(DEADLINES, silence=25)
        host = _behind(bmc, monkeypatch, site, tty="ttyS3", cmdline=words, deadlines=deadlines)
        boot = site.boot(host, "exit", "0")
        _verdictless(boot, Ending.NO_OUTPUT)
        assert boot.homed is not None
        assert boot.homed.how == Rung.POWER_CYCLE
        site.at_home(host)


def test_a_hang_in_the_probe(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that hangs with interrupts off while it is probed: hung, by its missing heartbeat; power cycle."""
    site = make(cpus=1)
    with Ipmi(site.machine) as bmc:
        host = _behind(bmc, monkeypatch, site)
        boot = site.boot(host, "lkdtm", "HARDLOCKUP")
        _verdictless(boot, Ending.HUNG, Ending.CRASHED)
        assert boot.homed is not None
        assert boot.homed.how == Rung.POWER_CYCLE
        site.at_home(host)


def test_a_wrong_kernel(make: Make) -> None:
    """Something else than what was meant boots and proves itself to be: nothing that it says counts."""
    site = make()
    meant = replace(site.kernel, release="6.1.192-bb-another")
    _verdictless(site.boot(site.host(), "exit", "0", kernel=meant), Ending.WRONG_KERNEL)
    site.at_home(site.host())


def test_a_wedge_that_only_the_machines_own_watchdog_ends(make: Make) -> None:
    """No power switch, a panic that lasts: the watchdog that was armed before the jump resets the machine."""
    site = make(watchdog=True, words=("watchdog.stop_on_reboot=0",))
    deadlines = replace(DEADLINES, boot=25, run=1, heartbeat=1)
    patiences = replace(PATIENCES, home=300)
    host = site.host(cmdline=_cmdline(site, *_WEDGED), deadlines=deadlines, patiences=patiences)
    boot = site.boot(host, "exit", "0")
    _verdictless(boot, Ending.BOOT_CRASHED)
    assert "watchdog armed: i6300ESB" in boot.console
    assert boot.homed is not None
    assert boot.homed.how == Rung.WAIT
    site.at_home(host)


# --- the way home ------------------------------------------------------------------------------


def test_a_known_good_system_that_does_not_come_back(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rung leads home: the machine is set aside with all that was tried, refused from then on, and can come back."""
    site = make()
    with Ipmi(site.machine) as bmc:
        host = _behind(bmc, monkeypatch, site, patiences=replace(PATIENCES, home=20))
        site.machine.break_base()
        with pytest.raises(Quarantined, match="could not be brought back") as caught:
            site.boot(host, "exit", "0")
        assert "power cycle" in caught.value.message
        with pytest.raises(Quarantined, match="is set aside"):
            site.boot(host, "exit", "0")
        site.machine.mend_base()
        site.machine.reset()
        site.machine.await_ssh()
        site.lab().book.proven(host, site.at_home(host).release)
        assert [trial.ending for trial in site.boot(host, "exit", "0").trials] == [Ending.CLEAN]


@pytest.mark.parametrize(
    ("faults", "how"),
    [
        (Faults(late=3.0), Rung.POWER_CYCLE),
        (Faults(deaf_ons=1), Rung.POWER_CYCLE),
        (Faults(says=False), Rung.POWER_CYCLE),
        (Faults(lies=True), None),
        (Faults(fails=True), None),
    ],
    ids=["late", "deaf once", "says a wrong state", "lies about its acts", "fails"],
)
def test_a_bmc_that_is_not_to_be_trusted(
    make: Make, monkeypatch: pytest.MonkeyPatch, faults: Faults, how: Rung | None
) -> None:
    """A wedged machine behind a bad BMC: home if its power can be switched at all, else set aside; never a verdict."""
    site = make()
    with Ipmi(site.machine) as bmc:
        patiences = replace(PATIENCES, home=60 if how else 20, power=30 if faults.late else 10)
        host = _behind(bmc, monkeypatch, site, cmdline=_cmdline(site, *_WEDGED), patiences=patiences)
        site.lab().book.proven(host, site.at_home(host).release)
        inflict(site.machine, faults)
        try:
            boot = site.boot(host, "exit", "0")
        except Quarantined:
            assert how is None, "it could have been switched"
            inflict(site.machine, Faults())
            site.machine.reset()
            site.machine.await_ssh()
        else:
            _verdictless(boot, Ending.BOOT_CRASHED)
            assert boot.homed is not None
            assert boot.homed.how == how
        site.at_home(host)


def test_a_bmc_that_is_gone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at the BMC: the wedged machine is set aside, and can be cycled by hand once the BMC is back."""
    site = make()
    with Ipmi(site.machine) as bmc:
        patiences = replace(PATIENCES, home=15)
        host = _behind(bmc, monkeypatch, site, cmdline=_cmdline(site, *_WEDGED), patiences=patiences)
        bmc.stop()
        with pytest.raises(Quarantined):
            site.boot(host, "exit", "0")
        bmc.start()
        switch = site.lab().switch(host)
        assert switch is not None
        Switching(switch, site.clock, PATIENCES).cycle()
        site.machine.await_ssh()
        site.at_home(host)


# --- connections -------------------------------------------------------------------------------


def test_ssh_drops_in_the_middle_of_a_command(make: Make) -> None:
    """The connection ends before a command does: an error of ours, and the next boot works."""
    site = make()
    with Cutter(site.machine.ssh_port) as cable:
        host: LabHost = site.host(ssh=Ssh("127.0.0.1", (site.machine.host_key,), cable.port, key=site.machine.base.key))
        site.boot(host, "exit", "0")
        cable.cut_after(down=9000)
        with pytest.raises(HostSick) as caught:
            site.boot(host, "exit", "0")
        assert not caught.value.lasting
        assert [trial.ending for trial in site.boot(host, "exit", "0").trials] == [Ending.CLEAN]
    site.at_home(site.host())


def test_a_console_that_is_lost_and_back(make: Make) -> None:
    """The console breaks while the candidate is probed: never a wrong verdict, and the next boot hears all."""
    site = make()
    with Cutter(site.machine.console_port) as cable:
        host = site.host(console=TcpConsole("127.0.0.1", cable.port))
        cable.cut_after(down=20_000)
        boot = site.boot(host, "pause", "8", "exit", "0")
        assert "console lost" in boot.console
        assert "console back" in boot.console
        assert [trial.ending for trial in boot.trials] == [Ending.CLEAN], "beats and ends came after the gap"
        cable.cut_after(down=20_000)
        cable.refuse()
        with pytest.raises(HostSick, match=r"the console (was lost during the boot|can't be listened to)"):
            site.boot(host, "exit", "0")
        cable.accept()
        assert [trial.ending for trial in site.boot(host, "exit", "0").trials] == [Ending.CLEAN]
    site.at_home(site.host())


def test_a_console_that_is_not_there(make: Make) -> None:
    """Without its console a machine isn't booted at all: nothing could be learned."""
    site = make()
    before = site.machine.boot_id()
    with pytest.raises(InfraError, match="console can't be listened to"):
        site.boot(site.host(console=TcpConsole("127.0.0.1", 1)), "exit", "0")
    assert site.machine.boot_id() == before
