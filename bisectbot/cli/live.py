"""A session that is worked on: its lock, its journal, the loop, signals, and the end that the user is told."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bisectbot.cli.output import Exit, Output
from bisectbot.cli.progress import Progress, waiting
from bisectbot.cli.wiring import Desk, beliefs_for, bench, scribe_for, search_for, stages
from bisectbot.crew import Show, Work
from bisectbot.effects.lock import Lock
from bisectbot.effects.worktree import GitBisect
from bisectbot.facts import Row, State, replay
from bisectbot.journal import Journal
from bisectbot.loop import Bot, Stop
from bisectbot.model import Culprit, EndUnproven, Kernel, Stuck
from bisectbot.report import plain_lines, summary_json
from bisectbot.search.wanted import Wanted
from bisectbot.session import Folder

_PAUSED = {"fault": Exit.FAULT, "budget": Exit.OUT_OF_TIME}
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 8.0  # seconds for good order; whoever sends SIGTERM rarely waits for more than ten


@dataclass(frozen=True)
class Both:
    """Two who follow along; fits loop.Show."""

    shows: Sequence[Show]

    def began(self, work: Work) -> None:
        """Pass it on."""
        for show in self.shows:
            show.began(work)

    def happened(self, state: State, row: Row) -> None:
        """Pass it on."""
        for show in self.shows:
            show.happened(state, row)

    def expects(self, state: State, wanted: Wanted) -> None:
        """Pass it on."""
        for show in self.shows:
            show.expects(state, wanted)


def go_on(output: Output, desk: Desk, folder: Folder, opening: Callable[[Journal], Iterable[Row]]) -> None:
    """Work on a session until it is answered or stops, print the end, and end the command."""
    with ExitStack() as stack:
        stack.enter_context(Lock(folder.lock, f"session {folder.name}"))
        book = Journal(folder.journal)
        stack.callback(book.close)
        state = replay(opening(book))
        assert state is not None, "an opened session has its first row"  # noqa: S101  opening() wrote it
        taken = stack.enter_context(bench(desk, state.plan.range_.bad))
        # entered before the stages: their children are ended first, or the threads would be waited for
        slots = stack.enter_context(_slots())
        work = stack.enter_context(stages(desk, folder, state.plan, taken, _reference(state)))
        with waiting("reading the history", desk.clock):
            beliefs = beliefs_for(desk, state.plan)
        scribe = scribe_for(desk, folder, taken.tree.path, beliefs)
        progress = stack.enter_context(Progress(desk.clock, lambda commit: desk.graph.info(commit).title))
        bot = Bot(
            state=state,
            search=search_for(state.plan, beliefs, GitBisect(taken.tree.path), leavable=work.leavable),
            stages=work,
            facts=book,
            clock=desk.clock,
            show=Both((progress, scribe)),
            slots=slots,
        )
        with _signals(bot):
            ended = bot.run()
        drawn = scribe.update(ended)
        if bot.abandoned:  # what the context would wait for may never come
            progress.close()
            output.leave(summary_json(drawn), plain_lines(drawn), exit_code(ended))
    output.finish(summary_json(drawn), plain_lines(drawn), exit_code(ended))


def _reference(state: State) -> Path | None:
    built = state.builds.get(state.plan.range_.bad)
    return built.config if isinstance(built, Kernel) else None


def exit_code(state: State) -> Exit:
    """Return the exit code of how a session ended."""
    if state.answered:
        match state.answered.answer:
            case Culprit():
                return Exit.DONE
            case Stuck():
                return Exit.ONLY_SKIPPED
            case EndUnproven():
                return Exit.END_UNPROVEN
    return _PAUSED.get(state.paused.why, Exit.INTERRUPTED) if state.paused else Exit.INTERRUPTED


@contextmanager
def _slots() -> Iterator[dict[str, Executor]]:
    with ThreadPoolExecutor(1, "build") as build, ThreadPoolExecutor(1, "boot") as boot:
        yield {"build": build, "boot": boot}


@contextmanager
def _signals(bot: Bot) -> Iterator[None]:
    """Let the first signal pause the session in good order; a second one is a KeyboardInterrupt.

    Somebody at the terminal is there to see a real machine being brought home; whoever else asks gets it done soon, and
    the machine comes home when the session is resumed.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.default_int_handler)
        grace = None if number == signal.SIGINT else _GRACE
        bot.events.put(Stop(signal.Signals(number).name, grace))

    before = {number: signal.signal(number, stop) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
