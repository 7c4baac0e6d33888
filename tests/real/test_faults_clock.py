"""Real bisections while somebody sets the clock: the bot's own alone, for what it asks Python for the time of day."""

from __future__ import annotations

from pathlib import Path

import pytest
from night import Night
from real_demo import Demo

from bisectbot.facts import Tried

pytestmark = pytest.mark.real

# Python imports this before anything of ours; the bot's children don't get its path.
_SET_CLOCK = """
import time
from pathlib import Path
_real = time.time
time.time = lambda: _real() + float(Path({offset!r}).read_text() or 0)
"""


@pytest.mark.parametrize(("first", "then"), [(3600, -3600), pytest.param(-3600, 3600, marks=pytest.mark.soak)])
def test_a_clock_that_is_set_changes_nothing_but_the_times(demo: Demo, tmp_path: Path, first: int, then: int) -> None:
    """Set forward and back by an hour while it works, it spends no budget on that, tells it, and ends as ever."""
    offset = tmp_path / "offset"
    offset.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(_SET_CLOCK.format(offset=str(offset)))
    words = ("--max-hours", "0.5", "--no-confirm", "--", "--migrations", "1")
    here = Night(demo, tmp_path, words, {"PYTHONPATH": str(tmp_path)})
    process = here.begin()
    for number, jump in enumerate((first, first + then), 1):
        here.wait(process, lambda number=number: _trials(here) > number)  # type: ignore[misc]
        new = offset.with_suffix(".new")
        new.write_text(f"{jump}")
        new.replace(offset)
    assert here.finish(process) == 0, here.said()
    here.check()
    ways = [note.text for note in here.state().notes if note.what == "clock"]
    told = {True: "the clock was set forward by 60 min", False: "the clock was set back by 60 min"}
    assert ways == [told[first > 0], told[then > 0]]
    assert here.state().worked < 1800


def _trials(here: Night) -> int:
    return sum(isinstance(row.fact, Tried) for row in here.rows())
