"""The recovery ladder: from whatever a candidate left behind back to the known-good system, proven, rung by rung.

    wait -> reboot over SSH -> sysrq over SSH -> power cycle -> off, wait, on -> quarantine

Each rung has a deadline, and each ends with the same question: does the known-good system answer and prove itself?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from bisectbot.boot.identity import Identity, identify
from bisectbot.boot.rails import check_machine
from bisectbot.errors import HostSick, InfraError, PowerFailed, Quarantined, Refused, Stranger, Unreachable
from bisectbot.lab import BY_ITSELF, Homed, LabHost, Owner
from bisectbot.ports import Clock, Deadline
from bisectbot.power.switching import Switching
from bisectbot.reach import Door, Switch

_LOOK_EVERY = 1.0  # seconds between two tries to reach a machine that is booting
_TOUCH_EVERY = 5.0  # seconds that one such try may take
_GONE_WITHIN = 60.0  # seconds that a system that was told to reboot may go on answering

# systemd knows how to end services; where it doesn't answer, or isn't there, disks are synced and the machine reset.
_REBOOT = """
PATH=$PATH:/sbin:/usr/sbin
if [ -d /run/systemd/system ]; then systemctl reboot && exit 0; fi
sync
reboot -f
"""
_SYSRQ = "for key in s u b; do echo $key >/proc/sysrq-trigger; sleep 1; done"


class Rung(StrEnum):
    """What brought a machine home."""

    WAIT = BY_ITSELF
    SSH_REBOOT = "by a reboot over SSH"
    SYSRQ = "by sysrq over SSH"
    POWER_CYCLE = "by a power cycle"
    OFF_WAIT_ON = "by power off, a rest, and on"


_OVER_SSH = (Rung.SSH_REBOOT, Rung.SYSRQ)


@dataclass(frozen=True)
class Way:
    """What is needed to bring one machine home."""

    host: LabHost
    door: Door
    switch: Switch | None
    me: Owner
    clock: Clock
    stopping: Callable[[], bool] = lambda: False


def at_home(way: Way, release: str = "") -> Identity:
    """Return who answers if it is the known-good system, healthy and ours to use; it is looked at once.

    Unreachable and Dropped as the door has them; HostSick if a candidate answers, or another release than `release`;
    Refused or Stranger if this isn't a machine that may be used.
    """
    deadline = Deadline.after(way.clock, way.host.patiences.ssh)
    with way.door.open(deadline) as shell:
        seen = identify(shell, way.host.marker, deadline)
    check_machine(way.host, seen, way.me)
    if seen.token:
        raise HostSick(f'host "{way.host.name}" still runs a candidate ({seen.release})')
    if release and seen.release != release:
        raise HostSick(f'host "{way.host.name}" came back with {seen.release}, not with {release} as before')
    return seen


def wait_for_home(way: Way, seconds: float, release: str = "") -> Identity | InfraError:
    """Look until the known-good system answers: who it is, or why it doesn't when the time is over."""
    deadline = Deadline.after(way.clock, seconds)
    while True:
        try:
            return at_home(way, release)
        except (Refused, Stranger):
            raise
        except InfraError as error:
            if deadline.passed or way.stopping():
                return error
        way.clock.sleep(min(_LOOK_EVERY, deadline.remaining))


def bring_home(way: Way, *, release: str = "", expected: bool = True) -> tuple[Identity, Homed]:
    """Climb the ladder until the machine is home; Quarantined if no rung leads there.

    `expected`: whether the machine is on its way home by itself (its kernel said that it restarts, or was left alone).
    A machine that isn't, and has a power switch, isn't waited for.
    """
    began = way.clock.now()
    tried: list[str] = []
    found: Identity | InfraError | None = None
    for rung, seconds, act in _rungs(way, expected=expected):
        if rung in _OVER_SSH and isinstance(found, Unreachable):
            tried.append(f"{rung}: nobody answers")
            continue
        found = _climb(way, act, seconds, release)
        if isinstance(found, Identity):
            return found, Homed(way.host.name, rung.value, way.clock.now() - began, tuple(tried))
        tried.append(f"{rung}: {found.message}")
    raise Quarantined(
        f'host "{way.host.name}" could not be brought back to its known-good system in '
        f"{way.clock.now() - began:.0f} s; tried: {'; '.join(tried)}",
        hint=f"see to the machine, then: bisectbot hosts check {way.host.name}",
    )


def _climb(way: Way, act: Callable[[], None], seconds: float, release: str) -> Identity | InfraError:
    """Do one rung's act and look what comes of it; a machine that isn't ours to touch ends the climb.

    An act that failed may have been done all the same: power that can't be confirmed is given the time of a boot.
    """
    failed: InfraError | None = None
    try:
        act()
    except (Refused, Stranger):
        raise
    except InfraError as error:
        failed = error
    unconfirmed = failed is None or isinstance(failed, PowerFailed)
    found = wait_for_home(way, seconds if unconfirmed else 0.0, release)
    return failed if failed and not isinstance(found, Identity) else found


def _rungs(way: Way, *, expected: bool) -> Iterator[tuple[Rung, float, Callable[[], None]]]:
    """Yield each rung with the seconds that the machine may take after its act, and the act."""
    switch, patiences = way.switch, way.host.patiences
    yield Rung.WAIT, patiences.home if expected or switch is None else 0.0, lambda: None
    yield Rung.SSH_REBOOT, patiences.home, lambda: _tell(way, _REBOOT)
    yield Rung.SYSRQ, patiences.home, lambda: _tell(way, _SYSRQ)
    if switch is not None:
        yield Rung.POWER_CYCLE, patiences.home, lambda: _cycle(way, switch)
        yield Rung.OFF_WAIT_ON, patiences.home, lambda: _rest(way, switch)


def _cycle(way: Way, switch: Switch) -> None:
    Switching(switch, way.clock, way.host.patiences).cycle()


def _rest(way: Way, switch: Switch) -> None:
    Switching(switch, way.clock, way.host.patiences).off_wait_on()


def reboot(way: Way) -> None:
    """Let the system that answers reboot, and see it go; InfraError if nothing answers or it stays."""
    _tell(way, _REBOOT)


def _tell(way: Way, script: str) -> None:
    """Run a script on whatever answers, and wait until that system is gone."""
    deadline = Deadline.after(way.clock, way.host.patiences.ssh)
    with way.door.open(deadline) as shell:
        before = identify(shell, way.host.marker, deadline)
        # the known-good system, or a candidate on its root: either shows the pinned key and the marker
        check_machine(way.host, before, way.me)
        shell.detach(["sh", "-c", script], deadline)
    gone = Deadline.after(way.clock, _GONE_WITHIN)
    while not gone.passed:
        if boot_id(way) != before.boot_id:
            return
        way.clock.sleep(_LOOK_EVERY)
    raise HostSick(f"it still answers {_GONE_WITHIN:.0f} s after it was told to reboot")


def boot_id(way: Way) -> str:
    """Return the boot id of whatever answers now, "" if nothing does."""
    deadline = Deadline.after(way.clock, _TOUCH_EVERY)
    try:
        with way.door.open(deadline) as shell:
            return identify(shell, way.host.marker, deadline).boot_id
    except InfraError:
        return ""
