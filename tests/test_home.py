"""The recovery ladder on a machine that obeys as told: which rung leads home, how long it takes, and when none does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakelab import BASE, BOT, CANDIDATE, HOST, WEDGED, FakeMachine, FakeSwitch
from fakes import FakeClock

from bisectbot.boot.home import Rung, Way, at_home, bring_home, reboot, wait_for_home
from bisectbot.errors import HostSick, Quarantined, Refused, Stranger, Unreachable
from bisectbot.lab import LabHost
from bisectbot.reach import PowerState

_ALL = frozenset({"reboot", "sysrq", "cycle", "rest"})


def _machine(running: str, obeys: frozenset[str] = _ALL) -> FakeMachine:
    return FakeMachine(FakeClock(), running, obeys)


def _way(machine: FakeMachine, switch: FakeSwitch | None = None, host: LabHost = HOST) -> Way:
    return Way(host, machine, switch, BOT, machine.clock)


# (what runs there, which acts work, is there a switch) -> the rung that leads home, and the acts that were tried
_CLIMBS = {
    "it never left": (BASE, _ALL, True, Rung.WAIT, []),
    "a candidate on its own root obeys": (CANDIDATE, _ALL, True, Rung.SSH_REBOOT, ["reboot"]),
    "a candidate that can't reboot obeys sysrq": (
        CANDIDATE,
        frozenset({"sysrq", "cycle"}),
        True,
        Rung.SYSRQ,
        ["reboot", "sysrq"],
    ),
    "a candidate that obeys nothing is cycled": (
        CANDIDATE,
        frozenset({"cycle"}),
        True,
        Rung.POWER_CYCLE,
        ["reboot", "sysrq", "cycle"],
    ),
    "a wedged one is cycled": (WEDGED, _ALL, True, Rung.POWER_CYCLE, ["cycle"]),
    "a cycle that changes nothing, then a rest": (
        WEDGED,
        frozenset({"rest"}),
        True,
        Rung.OFF_WAIT_ON,
        ["cycle", "rest"],
    ),
    "without a switch a candidate obeys": (CANDIDATE, _ALL, False, Rung.SSH_REBOOT, ["reboot"]),
}


@pytest.mark.parametrize("case", _CLIMBS)
def test_the_lowest_rung_that_works_leads_home(case: str) -> None:
    """Each state of a machine is mended by the gentlest act that mends it, and by nothing beyond."""
    running, obeys, switched, rung, acts = _CLIMBS[case]
    machine = _machine(running, obeys)
    seen, coming = bring_home(_way(machine, FakeSwitch(machine) if switched else None), expected=False)
    assert (coming.how, machine.acts, seen.token) == (rung, acts, "")
    assert len(coming.tried) == len([*Rung][: [*Rung].index(rung)])


def test_a_machine_that_is_on_its_way_is_waited_for() -> None:
    """A candidate that restarts itself is given the time of a boot; nothing is done to the machine."""
    machine = _machine(BASE)
    machine.restart()
    machine.up_at += 100
    _, coming = bring_home(_way(machine, FakeSwitch(machine)), expected=True)
    assert (coming.how, machine.acts) == (Rung.WAIT, [])
    assert 100 < coming.seconds < HOST.patiences.home


@pytest.mark.parametrize("switch", ["none", "dead", "deaf"])
def test_no_rung_leads_home(switch: str) -> None:
    """A machine that can't be brought back is told of with all that was tried, within the sum of the deadlines."""
    machine = _machine(WEDGED)
    ways = {
        "none": None,
        "dead": FakeSwitch(machine, dead=True),
        "deaf": FakeSwitch(machine, deaf=True),
    }
    with pytest.raises(Quarantined, match="could not be brought back") as caught:
        bring_home(_way(machine, ways[switch]), expected=True)
    assert caught.value.lasting
    assert all(rung in caught.value.message for rung in ("by itself", "over SSH", "sysrq"))
    assert ("power cycle" in caught.value.message) is (switch != "none")
    assert machine.clock.now() < 1000 + 7 * HOST.patiences.home


def test_another_system_than_before_is_not_home() -> None:
    """A machine that comes back with another release than it had isn't taken for healthy."""
    machine = _machine(BASE)
    with pytest.raises(Quarantined, match=r"6\.1\.0-base, not with 6\.1\.0-other"):
        bring_home(_way(machine, FakeSwitch(machine)), release="6.1.0-other")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"marked": False}, Refused, "isn't marked"),
        ({"marker": "rack2"}, Stranger, 'names rack2, not "rack1"'),
        ({"machine": "aarch64"}, Stranger, "is aarch64, not x86_64"),
        ({"machine_id": BOT.machine_id}, Stranger, "the machine that bisectbot runs on"),
    ],
)
def test_a_machine_that_is_not_ours_is_never_touched(
    change: dict[str, object], error: type[HostSick], words: str
) -> None:
    """Unmarked, another's, of another architecture or the bot's own: it is left alone at once, power included."""
    machine = replace(_machine(CANDIDATE), **change)  # type: ignore[arg-type]  # the table's values fit
    with pytest.raises(error, match=words):
        bring_home(_way(machine, FakeSwitch(machine)), expected=False)
    with pytest.raises(error, match=words):
        reboot(_way(machine))
    assert machine.acts == []


def test_an_empty_marker_is_enough() -> None:
    """A marker that names nobody marks the machine all the same."""
    machine = _machine(BASE)
    machine.marker = ""
    assert at_home(_way(machine)).marked


def test_one_look_tells_what_is_wrong() -> None:
    """A machine that doesn't answer is unreachable; one that runs a candidate is told as that."""
    with pytest.raises(Unreachable):
        at_home(_way(_machine(WEDGED)))
    with pytest.raises(HostSick, match="still runs a candidate"):
        at_home(_way(_machine(CANDIDATE)))


def test_waiting_ends_when_the_bot_stops() -> None:
    """A bot that is told to stop doesn't wait for a machine that it only wanted to use."""
    machine = _machine(WEDGED)
    way = replace(_way(machine), stopping=lambda: True)
    found = wait_for_home(way, 1e6)
    assert machine.logins == 1
    assert isinstance(found, Unreachable)


def test_a_reboot_is_seen_to_happen() -> None:
    """reboot() comes back once the old system is gone, and says so if it stays."""
    machine = _machine(BASE)
    reboot(_way(machine))
    assert machine.boots == 2
    stubborn = _machine(BASE, frozenset())
    with pytest.raises(HostSick, match="still answers 60 s after"):
        reboot(_way(stubborn))


def test_power_that_nobody_confirms_may_have_come_all_the_same() -> None:
    """A switch that tells a wrong state: the machine itself says that it was cycled, and nothing more is done to it."""
    machine = _machine(WEDGED)
    _, homed = bring_home(_way(machine, FakeSwitch(machine, says=PowerState.OFF)), expected=False)
    assert (homed.how, machine.acts) == (Rung.POWER_CYCLE, ["cycle"])
