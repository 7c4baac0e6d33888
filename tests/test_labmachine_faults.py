"""A machine that isn't ours is left alone, and one that is always comes home, whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakelab import BASE, BOT, WEDGED, FakeSwitch
from labbench import DONE, KERNEL, SERIAL, WORDS, Bench

from bisectbot.boot.home import Rung
from bisectbot.boot.rails import LEASE_SECONDS
from bisectbot.errors import Busy, Dropped, HostSick, InfraError, Quarantined, Refused, Stranger, Unreachable
from bisectbot.lab import Owner, Payload
from bisectbot.reach import Said


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench with a machine that has kexec, a serial console and a switch."""
    return Bench(tmp_path)


# --- who may not be touched --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"marked": False}, Refused),
        ({"marker": "rack2"}, Stranger),
        ({"machine_id": BOT.machine_id}, Stranger),
        ({"door_fault": Stranger("another key")}, Stranger),
        ({"door_fault": Refused("no login")}, Refused),
        ({"held": Said(3, f"1800\n{Owner('bench2', 'm', 'b', 77, 1)}\n")}, Busy),
    ],
)
def test_a_machine_that_isnt_ours_to_use_is_left_alone(
    bench: Bench, change: dict[str, object], error: type[Exception]
) -> None:
    """Nothing is uploaded, nothing rebooted or switched, and a lock that another bot has isn't given back for it."""
    for name, value in change.items():
        setattr(bench.machine, name, value)
    bot = bench.bot()
    with pytest.raises(error):
        bench.boot(bot)
    bot.close()
    assert (bench.machine.acts, bench.machine.files, bench.machine.power) == ([], {}, True)
    assert "give back" not in bench.machine.asked
    assert bot.homed() is None


@pytest.mark.parametrize("known", [False, True])
def test_a_silent_machine_that_we_did_not_leave_so_is_only_waited_for(bench: Bench, *, known: bool) -> None:
    """Somebody else's candidate may be on it: its power isn't touched, however often it showed its marker."""
    if known:
        bench.book.proven(SERIAL, "6.1.0-base")
    bench.machine.running = WEDGED
    began = bench.machine.clock.now()
    with pytest.raises(HostSick, match="not because we left it so") as caught:
        bench.boot()
    assert caught.value.hint == "see to it, or: bisectbot hosts power rack1 cycle"
    assert bench.machine.acts == []
    assert bench.machine.clock.now() - began > SERIAL.deadlines.boot + SERIAL.patiences.home
    bench.machine.up_at = bench.machine.clock.now() + 100
    bench.machine.running = BASE
    assert bench.boot()[0] == KERNEL + DONE


@pytest.mark.parametrize("ago", [60, 2 * LEASE_SECONDS])
def test_a_machine_that_we_left_silent_is_brought_home_first(bench: Bench, ago: int) -> None:
    """A bot that was killed left a hanging candidate: cycled at once, or after a wait once its lock has lapsed."""
    bench.book.proven(SERIAL, "6.1.0-base")
    bench.book.send_away(SERIAL, bench.machine.clock.wall() - ago)
    bench.machine.running = WEDGED
    began = bench.machine.clock.now()
    heard, _ = bench.boot()
    assert heard == KERNEL + DONE
    assert bench.machine.acts == ["cycle", "jump"]
    assert (bench.machine.clock.now() - began > SERIAL.patiences.home) is (ago > LEASE_SECONDS)
    known = bench.book.recall(SERIAL)
    assert known is not None
    assert known.sent_away == 0


def test_a_console_that_cant_be_listened_to_ends_it_before_the_start(bench: Bench) -> None:
    """Without it a boot would tell nothing."""
    bench.recorder.fault = HostSick("the console can't be listened to")
    with pytest.raises(HostSick, match="listened to"):
        bench.boot()
    assert bench.machine.acts == []


def test_a_console_that_brings_nothing_any_more(bench: Bench) -> None:
    """What wasn't said can't be told from what wasn't heard: the boot has a gap, and the next one isn't begun."""
    bot = bench.bot()
    with bot.boot(bench.kernel, bench.initramfs, WORDS, bench.folder / "console.log") as console:
        bench.machine.hears = False
    assert console.gap
    acts = list(bench.machine.acts)
    with pytest.raises(HostSick, match="doesn't bring any more what its kernel says"):
        bench.boot(bot)
    assert bench.machine.acts == acts


def test_a_console_that_never_brought_the_known_good_system(bench: Bench) -> None:
    """Its kernel may not speak there; a candidate does, and nothing follows from that silence."""
    bench.machine.hears = False
    bot = bench.bot()
    with bot.boot(bench.kernel, bench.initramfs, WORDS, bench.folder / "console.log") as console:
        pass
    assert not console.gap


def test_a_machine_that_was_set_aside_isnt_asked(bench: Bench) -> None:
    """Not even over SSH."""
    bench.book.set_aside(SERIAL, "it hung")
    with pytest.raises(Quarantined, match="it hung"):
        bench.boot()
    assert bench.machine.logins == 0


# --- whatever happens, home --------------------------------------------------------------------


def test_a_wedged_candidate_is_cycled(bench: Bench) -> None:
    """It said nothing of a restart, so after its last words it isn't waited for."""
    bench.machine.candidate, bench.machine.leaves = ((1.0, KERNEL),), None
    _, homed = bench.boot()
    assert homed is not None
    assert homed.how == Rung.POWER_CYCLE
    assert bench.machine.acts == ["jump", "cycle"]
    assert bench.machine.running == BASE


def test_a_machine_that_doesnt_come_home_is_set_aside(bench: Bench) -> None:
    """No bot uses it until a person has seen to it; the lock isn't given back to nobody."""
    bench.machine.candidate, bench.machine.leaves = ((1.0, KERNEL),), None
    bench.switch = FakeSwitch(bench.machine, deaf=True)
    bot = bench.bot()
    with pytest.raises(Quarantined, match="could not be brought back"):
        bench.boot(bot)
    assert bot.homed() is None
    known = bench.book.recall(SERIAL)
    assert known is not None
    assert "could not be brought back" in known.quarantined
    assert known.release == "6.1.0-base"
    with pytest.raises(Quarantined):
        bench.boot()
    bot.close()


def test_another_system_than_before_is_no_home(bench: Bench) -> None:
    """A machine that comes back with another kernel than it had is set aside."""

    def upgrade() -> None:
        bench.machine.release = "6.1.0-other"

    with pytest.raises(Quarantined, match=r"6\.1\.0-other, not with 6\.1\.0-base"):
        bench.boot(then=upgrade)


def test_a_bot_that_is_told_to_stop_brings_it_home(bench: Bench) -> None:
    """The boot ends with a fault of ours, and the machine isn't left behind."""
    bench.machine.candidate, bench.machine.leaves = ((1.0, KERNEL),), None
    bot = bench.bot()
    with pytest.raises(InfraError, match="stopping"):
        bench.boot(bot, first=bot.stop, then=lambda: pytest.fail("it was listened to"))
    homed = bot.homed()
    assert homed is not None
    assert homed.how == Rung.POWER_CYCLE
    assert bench.machine.running == BASE


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), Unreachable("gone")])
def test_whatever_is_raised_meanwhile_the_machine_comes_home(bench: Bench, error: BaseException) -> None:
    """A bug of ours, or Ctrl-C: home first, and the error is told."""

    def fail() -> None:
        raise error

    bot = bench.bot()
    with pytest.raises(type(error)):
        bench.boot(bot, then=fail)
    assert bench.machine.running == BASE
    assert bot.homed() is not None


def test_a_fault_before_the_jump_leaves_the_machine_running(bench: Bench) -> None:
    """An upload that is cut: the known-good system never went away, and is seen to be well."""
    bench.machine.cut = HostSick("the connection ended")
    bot = bench.bot()
    with pytest.raises(HostSick, match="connection ended"):
        bench.boot(bot)
    assert (bench.machine.acts, bench.machine.boots) == ([], 1)
    homed = bot.homed()
    assert homed is not None
    assert homed.how == Rung.WAIT


def test_an_old_system_that_doesnt_leave(bench: Bench) -> None:
    """It goes on answering after the jump: a fault of ours after two minutes, and no candidate's silence."""
    bench.machine.enter_candidate = lambda: None  # type: ignore[method-assign]
    with pytest.raises(HostSick, match="still runs its old system 120 s after"):
        bench.boot(seconds=1000)
    assert (bench.machine.acts, bench.machine.running) == (["jump"], BASE)


def test_a_reproducer_that_is_cut_off_is_no_hang(bench: Bench) -> None:
    """The connection that it runs over ends, and the candidate answers another one: the way there is at fault."""
    bench.host = replace(SERIAL, payload=Payload.HOST)
    bench.machine.answers, bench.machine.candidate, bench.machine.leaves = True, ((1.0, KERNEL),), None
    bench.machine.runner, bench.machine.hangs_up = b'@bb 1 0badcafe {"t":"ready"}\n', True
    with pytest.raises(Dropped, match=r"the connection to the reproducer .* broke"):
        bench.boot(seconds=60.0)
    assert bench.machine.acts == ["jump", "reboot"]


def test_a_watchdog_is_stopped_where_the_machine_never_left(bench: Bench) -> None:
    """It would reset the machine in the middle of another boot; one that left is reset or restarted with it."""
    bench.machine.watchdog = "i6300ESB timer, 400 s"
    bench.boot()
    assert "disarm" not in bench.machine.asked
    bench.machine.obeys -= {"jump"}
    with pytest.raises(HostSick, match="still runs its old system"):
        bench.boot(seconds=1000.0)
    assert "disarm" in bench.machine.asked
