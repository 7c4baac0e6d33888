"""How a session that was stopped goes on: with another budget or on another host, or as before."""

from __future__ import annotations

from collections.abc import Sequence

from bisectbot.cli.budget import again
from bisectbot.errors import ConfigError
from bisectbot.facts import Resumed, Row, State, apply, replay
from bisectbot.journal import Journal
from bisectbot.keeper.decide import fits
from bisectbot.lab import Host
from bisectbot.plan import Budget
from bisectbot.ports import Clock


def resumed(book: Journal, clock: Clock, given: Budget | None = None, on: Host | None = None) -> Sequence[Row]:
    """Return a session's rows, with that it goes on written down; an answered one is left as it is."""
    rows = book.rows()
    state = replay(rows)
    if state is None or state.answered:
        return rows
    if on is not None:
        check_host(state, on)
    now = clock.wall()
    moved = on if on != state.plan.host else None
    return [*rows, book.append(now, Resumed(given or _renewed(state, now), moved), clock.now())]


def going_on(state: State, clock: Clock, given: Budget | None = None) -> State:
    """Return the state in which a session would go on now; nothing is written."""
    if state.answered:
        return state
    now = clock.wall()
    return apply(state, Row(now, Resumed(given or _renewed(state, now))))


def check_host(state: State, on: Host) -> None:
    """Raise ConfigError unless a session can go on on a host."""
    before = state.plan.host
    if on.arch != before.arch:
        raise ConfigError(
            f"--on {on.name}: is {on.arch}, and the session's kernels are {before.arch}",
            hint=f"give --on a host whose arch is {before.arch}",
        )
    if not fits(on, before):
        raise ConfigError(
            f"--on {on.name}: its payload isn't that of {before.name}, so the session's kernels don't fit it",
            hint="give --on a host with the same payload, or start a new session",
        )


def _renewed(state: State, now: float) -> Budget | None:
    """Return the budget that follows one whose end has come; None where it simply goes on."""
    over = state.paused is not None and state.paused.why == "budget"
    renewed = again(state.budget, now)
    return renewed if over and renewed != state.budget else None
