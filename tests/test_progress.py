"""Progress as somebody reads it in a log or on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock, a_host, a_kernel, a_plan, a_trial
from lab_samples import LAB
from rich.console import Console

from bisectbot.cli import progress as module
from bisectbot.cli.progress import Progress
from bisectbot.crew import Work
from bisectbot.facts import Built, CameHome, Fact, Faulted, Opened, Row, State, Tried, apply, replay
from bisectbot.fit import Forecast
from bisectbot.lab import Homed, Host
from bisectbot.model import Ending, Range
from bisectbot.plan import Budget, SearchRecipe
from bisectbot.search.wanted import Test, Wanted

_A, _B = "a" * 40, "b" * 40


class _Log:
    """A log that is followed, and the session that it tells of."""

    def __init__(self, *, terminal: bool = False, host: Host | None = None) -> None:
        self.clock = FakeClock()
        self.text = io.StringIO()
        console = Console(file=self.text, force_terminal=terminal, width=200, highlight=False)
        self.progress = Progress(self.clock, lambda _: "evil \x1b[31m title [bold]", console)
        plan = replace(a_plan(Path("/t"), Range(_B, (_A,)), runs=1), host=host or a_host())
        state = replay([Row(0.0, Opened(plan, {}))])
        assert isinstance(state, State)
        self.state = state

    def tell(self, fact: Fact) -> None:
        """Add a fact to the session and tell it."""
        self.state = apply(self.state, Row(self.clock.now(), fact))
        self.progress.happened(self.state, Row(0.0, fact))


def test_a_log_gets_a_line_an_event() -> None:
    """Step, estimate, stage, what was seen and the verdict stand there, with the time since the start."""
    log = _Log()
    with log.progress:
        log.progress.expects(log.state, Wanted((Test(_B, 1),), 5))
        log.progress.began(Work("build", _B, log.clock.now()))
        log.clock.sleep(75)
        log.tell(Built(a_kernel(_B)))
        log.tell(Faulted(_B, "boot", "no route to host"))
        log.tell(Tried(a_trial(_B, 1, Ending.FIRED)))
        log.progress.expects(log.state, Wanted((Test(_B, 1),), 4))
    lines = log.text.getvalue().splitlines()
    assert lines[0] == "[  0:00] step 1 of about 5, time left: unknown until the first step is over"
    assert lines[1] == r"[  0:00]   building bbbbbbbbbbbb evil \x1b[31m title [bold]"
    assert lines[3] == "[  1:15]   boot of bbbbbbbbbbbb failed for a reason of ours, not counted: no route to host"
    assert "bbbbbbbbbbbb is BAD: it fired" in lines[5]
    assert lines[6].startswith("[  1:15] step 2 of about 5, time left:")
    assert "\x1b" not in log.text.getvalue()


def test_whether_the_rest_fits_is_told_in_the_line_and_alone_when_it_changes() -> None:
    """The step's line has the probability; that it won't fit, or fits after all, gets a line of its own, once."""
    log = _Log()
    search = replace(log.state.plan, search=SearchRecipe())
    log.state = replace(log.state, plan=search, budget=Budget(max_seconds=3600.0))

    def expects(seconds: float, *, guess: bool = False) -> str:
        ahead = Forecast(seconds, 0.3, 5.0, guess=guess)
        log.state = replace(log.state, boots=log.state.boots + 1)
        before = len(log.text.getvalue())
        log.progress.expects(log.state, Wanted((Test(_B, 1),), 5, seconds, ahead=ahead))
        return log.text.getvalue()[before:]

    with log.progress:
        assert "won't fit" not in expects(36_000.0, guess=True)
        fits = expects(1200.0)
        assert "time left: 20 min; 60 min of the budget are left: it fits with a probability of 0.99" in fits
        assert len(fits.splitlines()) == 1
        wont = expects(36_000.0).splitlines()
        assert len(wont) == 2
        assert "won't fit: expected about 10 h; 60 min of the budget are left" in wont[1]
        assert len(expects(30_000.0).splitlines()) == 1
        assert "  tight: expected about 60 min" in expects(3600.0)
        assert "  fits: expected about 20 min" in expects(1200.0)


def test_a_resumed_session_tells_no_verdict_twice() -> None:
    """What was judged before the resume isn't said again."""
    log = _Log()
    log.state = apply(log.state, Row(1.0, Tried(a_trial(_B, 1, Ending.FIRED))))
    with log.progress:
        log.progress.expects(log.state, Wanted((Test(_B, 1),), 4))
        log.tell(Tried(a_trial(_A, 2, Ending.CLEAN)))
    assert "is BAD" not in log.text.getvalue()
    assert "aaaaaaaaaaaa is GOOD" in log.text.getvalue()


def test_only_a_homecoming_out_of_the_ordinary_is_told() -> None:
    """A machine that came home by itself is no news; what else it took, and a crash log that it kept, is."""
    log = _Log()
    with log.progress:
        log.tell(CameHome(_B, 1, Homed("rack1", "by itself", 40.0)))
        assert log.text.getvalue() == ""
        log.tell(CameHome(_B, 2, Homed("rack1", "by a power cycle", 41.3, ("by itself: no \x1b answer",))))
        log.tell(CameHome(_B, 3, Homed("rack1", "by itself", 9.0, crash_log=Path("consoles/3.pstore.txt"))))
    first, second = log.text.getvalue().splitlines()
    assert first == r"[  0:00]   rack1 is home again by a power cycle, after 41.3 s (by itself: no \x1b answer)"
    assert second.endswith("rack1 is home again by itself, after 9.0 s; it kept a crash log: consoles/3.pstore.txt")


@pytest.mark.parametrize(("host", "told"), [(LAB, True), (a_host(), False)])
def test_a_machine_on_its_way_home_is_waited_for_aloud(
    monkeypatch: pytest.MonkeyPatch, host: Host, *, told: bool
) -> None:
    """Once a commit is judged a log tells that a real machine is still to come home, until it has."""
    monkeypatch.setattr(module, "_REMIND", 0.001)
    log = _Log(host=host)
    with log.progress:
        log.progress.began(Work("boot", _B, log.clock.now()))
        log.tell(Tried(a_trial(_B, 1, Ending.FIRED)))
        while told and "still bringing the machine home from bbbbbbbbbbbb" not in log.text.getvalue():
            pass
        log.tell(CameHome(_B, 1, Homed("rack1", "by itself", 40.0)))
        log.progress.began(Work("build", _A, log.clock.now()))
        while "still building" not in log.text.getvalue():
            pass
    assert ("bringing" in log.text.getvalue()) == told
    assert "bringing" not in log.text.getvalue().splitlines()[-1]


def test_a_long_build_is_not_silent_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal a line every minute tells what is still going on, and for how long."""
    monkeypatch.setattr(module, "_REMIND", 0.001)
    log = _Log()
    with log.progress:
        log.progress.began(Work("build", _B, log.clock.now()))
        log.clock.sleep(120)
        while "still" not in log.text.getvalue():
            pass
    assert "  still building bbbbbbbbbbbb (2 min)" in log.text.getvalue()


def test_a_terminal_has_a_last_line_that_lives() -> None:
    """On a terminal the step, the estimate and what goes on now are redrawn below the lines."""
    log = _Log(terminal=True)
    with log.progress:
        log.progress.expects(log.state, Wanted((Test(_B, 1),), 5))
        log.progress.began(Work("boot", _B, log.clock.now()))
        log.progress.say("a line")
    assert "booting and probing bbbbbbbbbbbb (0 s)" in log.text.getvalue()
