"""Power that is switched by a switch that may lie, lag, fail or say nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fakes import FakeClock

from bisectbot.errors import BisectbotError, ConfigError, HostSick, Overdue, PowerFailed, Refused, ToolMissing
from bisectbot.lab import Patiences
from bisectbot.ports import Deadline
from bisectbot.power.switching import Switched, Switching
from bisectbot.reach import PowerState, Switch

ON, OFF, UNKNOWN = PowerState.ON, PowerState.OFF, PowerState.UNKNOWN
PATIENCES = Patiences(power=30.0, rest=10.0)


@dataclass
class FakeSwitch:
    """A switch whose power follows after `lag` seconds, but for the acts that it is deaf to; fits reach.Switch."""

    clock: FakeClock
    state: PowerState = OFF
    lag: float = 0.0
    deaf: int = 0  # acts that are answered and not done
    act_faults: list[BisectbotError] = field(default_factory=list)  # of the next acts, which are done all the same
    look_faults: list[BisectbotError] = field(default_factory=list)
    act_seconds: float = 0.1
    look_seconds: float = 0.1
    blind: bool = False
    log: list[tuple[str, float]] = field(default_factory=list)
    _coming: tuple[float, PowerState] | None = None

    def on(self, deadline: Deadline) -> None:
        """Note it, and do it later."""
        self._act("on", ON, deadline)

    def off(self, deadline: Deadline) -> None:
        """Note it, and do it later."""
        self._act("off", OFF, deadline)

    def status(self, deadline: Deadline) -> PowerState:
        """Tell."""
        self._takes(self.look_seconds, deadline)
        if self.look_faults:
            raise self.look_faults.pop(0)
        return UNKNOWN if self.blind else self.now()

    def cycle(self, deadline: Deadline) -> bool:
        """Say that off and on are to be asked for."""
        del deadline
        return False

    def netboot_once(self, deadline: Deadline) -> bool:
        """Refuse: nobody switches like that."""
        raise NotImplementedError

    def now(self) -> PowerState:
        """Return how it is in truth."""
        if self._coming and self.clock.now() >= self._coming[0]:
            self.state, self._coming = self._coming[1], None
        return self.state

    def _act(self, name: str, wanted: PowerState, deadline: Deadline) -> None:
        self.log.append((name, self.clock.now()))
        if self.deaf:
            self.deaf -= 1
        else:
            self._coming = (self.clock.now() + self.lag, wanted)
        self._takes(self.act_seconds, deadline)
        if self.act_faults:
            raise self.act_faults.pop(0)

    def _takes(self, seconds: float, deadline: Deadline) -> None:
        if seconds >= deadline.remaining:
            self.clock.sleep(deadline.remaining)
            raise Overdue("ipmitool was not done in time")
        self.clock.sleep(seconds)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that moves when somebody sleeps."""
    return FakeClock()


@pytest.fixture
def switch(clock: FakeClock) -> FakeSwitch:
    """Return a good switch of a machine that is off."""
    return FakeSwitch(clock)


def switching(switch: FakeSwitch, patiences: Patiences = PATIENCES) -> Switching:
    """Return what is tested."""
    fits: Switch = switch
    return Switching(fits, switch.clock, patiences)


def names(switch: FakeSwitch) -> list[str]:
    """Return the acts that reached the switch."""
    return [name for name, _ in switch.log]


def test_a_good_switch_is_asked_once_and_looked_at(switch: FakeSwitch) -> None:
    """One act, one look, and the record says so."""
    done = switching(switch).turn_on()
    assert done == Switched((ON,), done.seconds, confirmed=True)
    assert done.seconds == pytest.approx(0.2)
    assert switch.now() is ON
    assert names(switch) == ["on"]


def test_a_slow_machine_is_waited_for(switch: FakeSwitch) -> None:
    """The state is what counts: an act that takes 9 s to show isn't done before, and isn't asked for again."""
    switch.state, switch.lag = ON, 9.0
    done = switching(switch).turn_off()
    assert done.acts == (OFF,)
    assert 9.0 <= done.seconds <= 9.0 + 0.5 + 0.2
    assert switch.now() is OFF


def test_a_cycle_is_two_confirmed_acts(switch: FakeSwitch) -> None:
    """Off is seen before on is asked for, with a brief rest between the two."""
    switch.state, switch.lag = ON, 3.0
    done = switching(switch).cycle()
    assert (done.acts, done.confirmed, switch.now()) == ((OFF, ON), True, ON)
    off, on = (at for _, at in switch.log)
    assert on - off >= 3.0 + 2.0


def test_the_rest_is_without_power(switch: FakeSwitch) -> None:
    """off_wait_on keeps the machine off for the seconds that the host wants."""
    switch.state, switch.lag = ON, 2.0
    assert switching(switch).off_wait_on().acts == (OFF, ON)
    off, on = (at for _, at in switch.log)
    assert 2.0 + 10.0 <= on - off <= 2.0 + 10.0 + 1.0


@pytest.mark.parametrize("fault", [HostSick("Error: no session"), Overdue("ipmitool was not done in time")])
def test_a_failed_command_whose_state_comes_true_is_done(switch: FakeSwitch, fault: BisectbotError) -> None:
    """The answer may be lost on the way back; the machine is on all the same, and the fault is told."""
    switch.act_faults = [fault]
    done = switching(switch).turn_on()
    assert (done.acts, done.confirmed, done.faults) == ((ON,), True, (fault.message,))


def test_a_lie_is_asked_again(switch: FakeSwitch) -> None:
    """A switch that says it did and didn't is asked once more after half the patience."""
    switch.deaf = 1
    done = switching(switch).turn_on()
    assert done.acts == (ON, ON)
    assert switch.log[1][1] - switch.log[0][1] == pytest.approx(15.0, abs=0.5)


def test_a_liar_is_a_fault_and_never_power(switch: FakeSwitch) -> None:
    """Deaf for good: PowerFailed, which is passing, after two acts and the patience that the host has."""
    switch.deaf = 99
    with pytest.raises(PowerFailed, match="power on was asked for twice, and the switch still says off") as caught:
        switching(switch).turn_on()
    assert not caught.value.lasting
    assert names(switch) == ["on", "on"]
    assert 30.0 <= switch.clock.time - 1000.0 <= 45.0


def test_a_cycle_that_lies_never_asks_for_on(switch: FakeSwitch) -> None:
    """Power that doesn't go is found out at off: on would be a success that means nothing."""
    switch.state, switch.deaf = ON, 99
    with pytest.raises(PowerFailed, match="the switch still says on"):
        switching(switch).cycle()
    assert names(switch) == ["off", "off"]


def test_a_state_that_cannot_be_read_is_read_again(switch: FakeSwitch) -> None:
    """Garbled and late answers are passed over while there is time."""
    switch.look_faults = [HostSick("what?"), Overdue("late"), HostSick("what?")]
    done = switching(switch).turn_on()
    assert (done.acts, done.faults) == ((ON,), ("what?", "late"))


def test_a_state_that_is_never_read_is_no_success(switch: FakeSwitch) -> None:
    """A BMC that takes acts and tells nothing leaves the power unknown, which is a fault."""
    switch.look_faults = [HostSick("Chassis Power is purple")] * 999
    with pytest.raises(PowerFailed, match=r"it can't be told that it came \(Chassis Power is purple\)"):
        switching(switch).turn_on()


@pytest.mark.parametrize("seconds", [9.0, 11.0])
def test_a_late_switch_ends_in_time(switch: FakeSwitch, seconds: float) -> None:
    """Answers after 9 s are waited for, answers after a third of the patience are none; both end in bounded time."""
    switch.act_seconds = switch.look_seconds = seconds
    if seconds < 10.0:
        assert switching(switch).turn_on().acts == (ON,)
    else:
        with pytest.raises(PowerFailed, match="not done in time"):
            switching(switch).turn_on()
    assert switch.clock.time - 1000.0 <= 1.5 * 30.0


def test_the_last_look_counts(switch: FakeSwitch) -> None:
    """What is seen decides, not the clock: a state that is right at a look that ends past the deadline is right."""
    switch.act_seconds, switch.look_seconds, switch.lag = 9.0, 9.5, 17.0
    done = switching(switch).turn_on()
    assert done.confirmed
    assert done.acts == (ON,)


def test_a_blind_switch_is_believed_after_a_while(switch: FakeSwitch) -> None:
    """Where the state can't be asked the act is taken as done after a settle time, and told as unconfirmed."""
    switch.blind, switch.state = True, ON
    done = switching(switch).cycle()
    assert (done.acts, done.confirmed) == ((OFF, ON), False)
    off, on = (at for _, at in switch.log)
    assert on - off >= 2.0 + 2.0


def test_a_blind_switch_that_fails_twice_is_a_fault(switch: FakeSwitch) -> None:
    """Without a state a command's failure is all that is known: once more, then PowerFailed with its words."""
    switch.blind = True
    switch.act_faults = [HostSick("pdu: no route"), HostSick("pdu: no route")]
    with pytest.raises(PowerFailed, match="pdu: no route"):
        switching(switch).turn_on()
    assert names(switch) == ["on", "on"]


def test_a_blind_switch_may_fail_once(switch: FakeSwitch) -> None:
    """The second try counts."""
    switch.blind, switch.act_faults = True, [HostSick("busy")]
    assert switching(switch).turn_on().acts == (ON, ON)


@pytest.mark.parametrize("fault", [ToolMissing("no ipmitool"), ConfigError("no password"), Refused("wrong password")])
@pytest.mark.parametrize("where", ["act_faults", "look_faults"])
def test_what_no_patience_mends_is_told_at_once(switch: FakeSwitch, where: str, fault: BisectbotError) -> None:
    """A missing tool, a missing secret or a wrong password isn't tried again: BMCs lock accounts for that."""
    setattr(switch, where, [fault])
    with pytest.raises(type(fault)) as caught:
        switching(switch).turn_on()
    assert caught.value is fault
    assert names(switch) == ["on"]


@pytest.mark.parametrize("lag", [0.0, 0.4, 14.0, 16.0, 29.0])
@pytest.mark.parametrize("turn", [Switching.turn_on, Switching.turn_off, Switching.cycle, Switching.off_wait_on])
def test_whatever_is_returned_is_true(clock: FakeClock, turn: Callable[[Switching], Switched], lag: float) -> None:
    """When a turn returns, the machine's power is what was asked for last."""
    switch = FakeSwitch(clock, state=ON if turn is not Switching.turn_on else OFF, lag=lag)
    try:
        done = turn(switching(switch))
    except PowerFailed:
        assert lag > 15.0  # asked again half-way, and the second act starts the machine's lag anew
    else:
        assert switch.now() is done.acts[-1]
        assert done.confirmed
