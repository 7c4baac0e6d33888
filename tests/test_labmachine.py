"""A boot on a machine without hardware: how it is started, by which way, and with which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakelab import BASE, HOST
from fakewires import FakeRecorded
from labbench import DONE, KERNEL, NETBOOTED, REPORTS, SAYS, SERIAL, WORDS, Bench

from bisectbot.boot.home import Rung
from bisectbot.boot.words import longest
from bisectbot.errors import HostSick, Refused
from bisectbot.lab import BootMethod, NetConsole, Payload
from bisectbot.ports import Chunk


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench with a machine that has kexec, a serial console and a switch."""
    return Bench(tmp_path)


# --- a boot without a fault --------------------------------------------------------------------


def test_a_candidate_is_started_by_kexec(bench: Bench) -> None:
    """Proven, locked, copied, loaded, jumped to, heard; home by itself, which is told once; the lock is given back."""
    bot = bench.bot()
    heard, homed = bench.boot(bot)
    assert heard == KERNEL + DONE
    assert homed is not None
    assert (homed.host, homed.how, homed.tried) == ("rack1", Rung.WAIT, ())
    assert 40 <= homed.seconds <= 45
    assert bot.homed() is None
    assert bench.machine.acts == ["jump"]
    assert bench.machine.asked.index("look") < bench.machine.asked.index("take") < bench.machine.asked.index("load")
    locked = [bench.machine.locked]
    bot.close()
    assert [*locked, bench.machine.locked] == [True, False]
    bot.close()
    assert bench.machine.asked.count("give back") == 1
    assert bench.book.recall(SERIAL) is not None


def test_the_words_of_the_command_line_in_their_order(bench: Bench) -> None:
    """Ours first, then the host's own, then this boot's: of words that exclude each other the last one wins."""
    bench.host = replace(SERIAL, tty="ttyS1,115200", cmdline=("panic=3", "nosmt"))
    bench.boot()
    expected = ["console=ttyS1,115200", "loglevel=7", "panic=10", "panic=3", "nosmt", *WORDS]
    assert bench.machine.cmdline.split() == expected
    bench.host = HOST
    bench.boot()
    assert bench.machine.cmdline.split() == ["loglevel=7", "panic=10", *WORDS]


def test_the_words_of_a_candidate_that_reports_over_the_network(tmp_path: Path) -> None:
    """Its address, where its facts go, and its netconsole, by the device that ip= names."""
    bench = Bench(tmp_path, replace(REPORTS, console=NetConsole("10.0.0.1", 6667)))
    bench.boot()
    words = bench.machine.cmdline.split()
    assert words[-6:-3] == [
        "ip=10.0.0.7::10.0.0.1:255.255.255.0::eth1:off",
        "bisectbot.report=10.0.0.1:4040",
        "netconsole=+@10.0.0.7/eth1,6667@10.0.0.1/",
    ]
    assert bench.facts is not None
    assert bench.facts.expected == ["c0ffee01"]
    assert bench.recorder.ever == ["facts over the network"]
    assert bench.recorder.added == []


def test_facts_over_the_network_are_heard_until_the_machine_is_home(tmp_path: Path) -> None:
    """Init's last one says that it restarts, after the last trial: no machine without a console is cycled for that."""
    bench = Bench(tmp_path, REPORTS)
    sources: list[list[str]] = []

    class Noting(FakeRecorded):
        def chunks(self, patience: float) -> Iterator[Chunk | None]:
            sources.append([*bench.recorder.added])
            return super().chunks(patience)

    bench.recorder.kind = Noting
    bench.machine.candidate = ((1.0, KERNEL), (23.0, DONE))  # after the boot's reader went away
    bench.machine.leaves = 23.0
    _, homed = bench.boot()
    assert homed is not None
    assert homed.how == Rung.WAIT
    assert sources == [["facts over the network"]] * 2  # while it runs, and on its way home
    assert bench.machine.acts == ["jump"]


def test_a_candidate_on_the_machines_own_root(bench: Bench) -> None:
    """Its modules' place and initramfs are made there, the reproducer runs over SSH, and it is rebooted and cleaned."""
    bench.host = replace(SERIAL, payload=Payload.HOST, cmdline=("nosmt",))
    bench.machine.answers, bench.machine.candidate, bench.machine.leaves = True, ((1.0, KERNEL),), None
    bench.machine.runner = b'@bb 1 0badcafe {"t":"ready"}\n'
    heard, homed = bench.boot()
    assert bench.machine.cmdline.split() == ["root=/dev/vda", "loglevel=7", "panic=10", "nosmt", *WORDS]
    assert heard == KERNEL + bench.machine.runner
    assert bench.recorder.ever == ["the reproducer over SSH"]
    assert bench.recorder.added == []
    assert bench.machine.asked.count("runner") == 1
    assert homed is not None
    assert homed.how == Rung.SSH_REBOOT
    assert bench.machine.acts == ["jump", "reboot"]
    asked = bench.machine.asked
    assert asked.index("no modules") < asked.index("make initramfs") < asked.index("load")
    assert "clean" in asked[asked.index("runner") :]
    assert "/boot/config-" + bench.kernel.release in bench.machine.files  # where mkinitramfs looks


def test_a_watchdog_is_armed_for_the_whole_boot(bench: Bench) -> None:
    """Where there is one, and it is noted."""
    bench.machine.watchdog = "i6300ESB timer, 400 s"
    bench.boot()
    assert "watchdog armed: i6300ESB timer, 400 s" in bench.recorder.notes
    assert longest(SERIAL, WORDS) > SERIAL.deadlines.boot + 2 * SERIAL.deadlines.run


def test_what_the_machine_kept_of_a_crash_is_fetched(bench: Bench) -> None:
    """What lay there before the boot isn't: it is its owner's."""
    bench.machine.crash = {"dmesg-ramoops-0": "b2xk"}
    _, none = bench.boot()
    new = {"dmesg-ramoops-1": "UGFuaWMjMSBQYXJ0MQo8Nj5bICAgIDEuMF0gb29wcwo="}
    _, homed = bench.boot(then=lambda: bench.machine.crash.update(new))
    assert none is not None
    assert homed is not None
    assert (none.crash_log, homed.crash_log) == (None, bench.folder / "console.pstore.txt")
    text = (bench.folder / "console.pstore.txt").read_text()
    assert "oops" in text
    assert "old" not in text


# --- other ways to start -----------------------------------------------------------------------


def _netbooted(tmp_path: Path, *boots: BootMethod) -> Bench:
    return Bench(tmp_path, replace(NETBOOTED, boots=boots))


@pytest.mark.parametrize("refusal", ["locked down", "Operation not permitted"])
def test_a_refused_kexec_falls_back_to_the_network(tmp_path: Path, refusal: str) -> None:
    """By what is seen beforehand, or only when it is loaded: the next way is noted, and one job is offered once."""
    bench = _netbooted(tmp_path, BootMethod.KEXEC, BootMethod.PXE)
    if refusal == "locked down":
        bench.machine.kexec["lockdown"] = "none [integrity] confidentiality"
    else:
        bench.machine.refuses = refusal
    heard, homed = bench.boot()
    assert heard == KERNEL + DONE
    (note,) = [note for note in bench.recorder.notes if note.endswith("trying the next way")]
    assert refusal in note
    (offer,) = bench.netboot.offers
    assert (offer.job.mac, offer.fetched, offer.withdrawn) == ("52:54:00:00:00:01", True, True)
    assert offer.job.cmdline[-3:] == WORDS
    assert bench.machine.acts == ["reboot"]
    assert homed is not None
    assert homed.how == Rung.WAIT


def test_a_refused_kexec_without_another_way(bench: Bench) -> None:
    """It is told, the machine is left as it is, and its good health is seen."""
    bench.machine.refuses = "Operation not permitted"
    with pytest.raises(Refused, match="Operation not permitted"):
        bench.boot()
    assert (bench.machine.acts, bench.machine.boots) == ([], 1)


def test_another_fault_than_a_refusal_is_no_reason_for_another_way(tmp_path: Path) -> None:
    """Too little room can be mended; nothing is offered over the network for it."""
    bench = _netbooted(tmp_path, BootMethod.KEXEC, BootMethod.PXE)
    bench.machine.kexec["free"] = "100"
    with pytest.raises(HostSick, match="MiB free"):
        bench.boot()
    assert bench.netboot.offers == []
    assert bench.machine.acts == []


def test_a_machine_that_doesnt_obey_a_reboot_is_cycled_into_the_offer(tmp_path: Path) -> None:
    """The firmware is asked for the network where it can be; without a switch the fault is told."""
    bench = _netbooted(tmp_path, BootMethod.PXE)
    bench.machine.obeys = frozenset({"jump", "cycle"})
    assert bench.switch is not None
    bench.switch.netboots = True
    heard, _ = bench.boot()
    assert heard == KERNEL + DONE
    assert bench.machine.acts == ["reboot", "cycle"]
    assert "the firmware was asked to boot from the network, once" in bench.recorder.notes
    bench.switch = None
    with pytest.raises(HostSick, match="still answers 60 s"):
        bench.boot()
    assert bench.machine.running == BASE


def test_a_machine_that_boots_its_disk_instead(tmp_path: Path) -> None:
    """What was offered wasn't fetched: a fault of ours, told at once, and the machine is home."""
    bench = _netbooted(tmp_path, BootMethod.PXE)
    bench.netboot.ignored = True
    with pytest.raises(HostSick, match="booted its own disk") as caught:
        bench.boot(seconds=1000)
    assert not caught.value.lasting
    assert bench.machine.running == BASE


def test_a_boots_time_begins_with_its_jump(bench: Bench) -> None:
    """However long looking, locking and uploading take, they are no part of the boot that has a deadline."""
    times = []
    with bench.bot().boot(bench.kernel, bench.initramfs, WORDS, bench.folder / "console.log") as console:
        for chunk in console.chunks(0.25):
            if chunk:
                times.append(chunk.at)
                break
    assert 0 <= times[0] <= SAYS[0][0] + 0.5
