"""What the end of one run of the reproducer means: the contract of docs/reproducers.md, as a table."""

from __future__ import annotations

import errno
import signal
from collections.abc import Mapping

from bisectbot.console.guest import End, How
from bisectbot.model import Ending
from bisectbot.visible import visible

CANT_TELL = 125  # `git bisect run` skips on it
_LAST_SEEN = 127  # as there: 1..127 are bad, beyond that the program itself failed
_MOST = 300


def of_end(end: End, counts: Mapping[str, object]) -> tuple[Ending, str]:
    """Return how the trial ended and why, on one line.

    The same codes as `git bisect run`: 0 not seen, 125 can't tell, 1..127 otherwise seen. They mean this with a
    signature too: a signature adds crashes that are the bug, it takes no exit code away.
    """
    match end.how:
        case How.SIGNAL:
            return Ending.KILLED, f"the reproducer was killed by {_signal(end.code)}"
        case How.EXEC:
            return Ending.KILLED, f"the reproducer could not be executed: {errno.errorcode.get(end.code, end.code)}"
        case How.LIMIT:
            return Ending.HUNG, f"the reproducer did not end by itself and was killed after {(end.ms + 500) // 1000} s"
        case How.EXIT:
            return _of_exit(end.code, _own_words(counts))


def _of_exit(code: int, words: str) -> tuple[Ending, str]:
    if code == 0:
        return Ending.CLEAN, "not seen (exit 0)" + words
    if code == CANT_TELL:
        return Ending.CANT_TELL, "the reproducer can't tell (exit 125)" + words
    if 0 < code <= _LAST_SEEN:
        return Ending.FIRED, f"the reproducer saw it (exit {code})" + words
    return Ending.KILLED, f"the reproducer ended with exit code {code}, which means nothing" + words


def _own_words(counts: Mapping[str, object]) -> str:
    reason = counts.get("reason")
    return f": {visible(reason, _MOST)}" if isinstance(reason, str) and reason else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
