"""Power as it was asked for: each act is confirmed by the state that follows, not by the switch's answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from bisectbot.errors import HostSick, Overdue, PowerFailed
from bisectbot.lab import Patiences
from bisectbot.ports import Clock, Deadline
from bisectbot.reach import PowerState, Switch

_POLL = 0.5  # seconds between two looks at the state
_SETTLE = 2.0  # seconds that a relay or a BMC gets to act where the state can't be asked
_BRIEF = 2.0  # seconds without power in a cycle: a power supply that sees less may not reset what hangs on it


@dataclass(frozen=True)
class Switched:
    """What was done: each act in order (twice where it was asked for twice), the seconds it all took.

    `confirmed` is False where the switch can't be asked: only the machine itself can tell. `faults` are what commands
    failed with although the state came true.
    """

    acts: tuple[PowerState, ...]
    seconds: float
    confirmed: bool
    faults: tuple[str, ...] = ()


class Switching:
    """One machine's switch, used so that what it says isn't believed but looked at.

    Turning on and turning off take at most one and a half times `patiences.power` seconds each, a single command a
    third of it. They raise PowerFailed if the state doesn't come true though asked for twice, and at once what no
    patience mends: ConfigError, or an InfraError that is lasting or none of the switch's.
    """

    def __init__(self, switch: Switch, clock: Clock, patiences: Patiences) -> None:
        self._switch = switch
        self._clock = clock
        self._patiences = patiences

    def turn_on(self) -> Switched:
        """Give it power; nothing happens to a machine that has it."""
        return self._go(PowerState.ON)

    def turn_off(self) -> Switched:
        """Take its power away, at once."""
        return self._go(PowerState.OFF)

    def cycle(self) -> Switched:
        """Take its power away and give it back: two acts, since a switch's own cycle can't be confirmed.

        Where the lab has a command of its own for it, that is run, and the machine must be on afterwards.
        """
        with suppress(HostSick, Overdue):  # then both are asked for
            if self._switch.cycle(Deadline.after(self._clock, self._patiences.power)):
                return self._go(PowerState.ON)
        return self._go(PowerState.OFF, PowerState.ON, pause=_BRIEF)

    def off_wait_on(self) -> Switched:
        """Do as cycle() does, with `patiences.rest` seconds without power."""
        return self._go(PowerState.OFF, PowerState.ON, pause=self._patiences.rest)

    def _go(self, *wanted: PowerState, pause: float = 0.0) -> Switched:
        started = self._clock.now()
        turns = []
        for number, state in enumerate(wanted):
            if number:
                self._clock.sleep(pause)
            turn = _Turn(self._switch, self._clock, self._patiences.power, state)
            turn.make()
            turns.append(turn)
        return Switched(
            acts=tuple(turn.wanted for turn in turns for _ in range(turn.asked)),
            seconds=self._clock.now() - started,
            confirmed=all(turn.confirmed for turn in turns),
            faults=tuple(fault for turn in turns for fault in turn.faults),
        )


class _Turn:
    """One state that is asked for, and what came of it."""

    def __init__(self, switch: Switch, clock: Clock, patience: float, wanted: PowerState) -> None:
        self.wanted = wanted
        self.asked = 0
        self.confirmed = False
        self.faults: list[str] = []
        self._seen: PowerState | None = None
        self._switch = switch
        self._clock = clock
        self._patience = patience

    def make(self) -> None:
        """Ask, look until half the patience is over, ask once more and look for the other half."""
        half, end = (Deadline.after(self._clock, self._patience * part) for part in (0.5, 1.0))
        if not (self._ask_until(half) or self._ask_until(end)):
            raise PowerFailed(f"power {self.wanted} was asked for twice, and {self._told()}")

    def _ask_until(self, until: Deadline) -> bool:
        taken = self._ask()
        while True:  # at least one look after each act, however long that took
            self._look()
            if self._seen is PowerState.UNKNOWN:
                self._clock.sleep(_SETTLE)
                return taken
            self.confirmed = self._seen is self.wanted
            if self.confirmed or until.passed:
                return self.confirmed
            self._clock.sleep(min(_POLL, until.remaining))

    def _ask(self) -> bool:
        """Ask for the state; False if the command failed, which needn't mean that nothing was done."""
        self.asked += 1
        act = self._switch.on if self.wanted is PowerState.ON else self._switch.off
        try:
            act(self._answer())
        except (HostSick, Overdue) as fault:
            self._keep(fault)
            return False
        return True

    def _look(self) -> None:
        self._seen = None
        try:
            self._seen = self._switch.status(self._answer())
        except (HostSick, Overdue) as fault:
            self._keep(fault)

    def _answer(self) -> Deadline:
        return Deadline.after(self._clock, self._patience / 3)

    def _keep(self, fault: HostSick | Overdue) -> None:
        if fault.lasting:
            raise fault
        if fault.message not in self.faults:
            self.faults.append(fault.message)

    def _told(self) -> str:
        said = f" ({self.faults[-1]})" if self.faults else ""
        if self._seen in (None, PowerState.UNKNOWN):
            return f"it can't be told that it came{said}"
        return f"the switch still says {self._seen}{said}"
