"""Trying again: our own passing faults only, a few times, and never after a stop."""

from __future__ import annotations

import pytest

from bisectbot.effects.retry import Patience
from bisectbot.errors import ConfigError, DiskFull, HostSick, InfraError


class _Work:
    """Fails with each of `errors` in turn, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def _patience() -> Patience:
    return Patience(attempts=3, first_wait=0.0)


def test_a_passing_fault_is_told_and_survived() -> None:
    """Work that fails twice for the lab's sake and then succeeds has succeeded; both faults were told."""
    told: list[InfraError] = []
    work = _Work(HostSick("one"), HostSick("two"))
    assert _patience().call(work, told.append) == "done"
    assert [error.message for error in told] == ["one", "two"]


def test_the_last_fault_is_raised_as_it_is() -> None:
    """After the third failure the fault itself comes out, not a wrapper."""
    with pytest.raises(HostSick, match="three"):
        _patience().call(_Work(HostSick("one"), HostSick("two"), HostSick("three")), lambda _: None)


@pytest.mark.parametrize("error", [DiskFull("no room"), ConfigError("wrong"), ValueError("a bug")])
def test_what_trying_again_cannot_help_is_raised_at_once(error: Exception) -> None:
    """A lasting fault, a user's mistake and a bug of ours are never repeated."""
    work = _Work(error)
    with pytest.raises(type(error)):
        _patience().call(work, lambda _: None)
    assert work.calls == 1


def test_after_a_stop_nothing_is_tried_again() -> None:
    """A bot that is going down raises the first fault instead of waiting."""
    patience = Patience(attempts=3, first_wait=60.0)
    patience.stop()
    work = _Work(HostSick("one"))
    with pytest.raises(HostSick):
        patience.call(work, lambda _: None)
    assert work.calls == 1
