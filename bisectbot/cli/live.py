"""A session that is worked on: its lock, its journal, the loop, signals, and the end that the user is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisectbot.cli.notifying import messenger_for, send_the_rest
from bisectbot.cli.output import Exit, Output
from bisectbot.cli.progress import Progress, waiting
from bisectbot.cli.signals import Asked
from bisectbot.cli.wiring import Desk, beliefs_for, bench, bring_back, scribe_for, search_for, stages
from bisectbot.crew import Show, Work
from bisectbot.effects.lock import Lock
from bisectbot.effects.sdnotify import Notifier
from bisectbot.effects.worktree import GitBisect
from bisectbot.facts import Row, State, replay
from bisectbot.journal import Journal
from bisectbot.loop import Bot
from bisectbot.model import Culprit, EndUnproven, Kernel, Stuck
from bisectbot.report import plain_lines, summary_json
from bisectbot.search.wanted import Wanted
from bisectbot.session import Folder

_PAUSED = {"fault": Exit.FAULT, "budget": Exit.OUT_OF_TIME}


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
    notifier = Notifier()
    with ExitStack() as stack:
        asked = stack.enter_context(Asked())
        stack.enter_context(Lock(folder.lock, f"session {folder.name}"))
        book = Journal(folder.journal)
        stack.callback(book.close)
        rows = tuple(opening(book))
        state = replay(rows)
        assert state is not None, "an opened session has its first row"  # noqa: S101  opening() wrote it
        taken = stack.enter_context(bench(desk, state.plan.range_.bad))
        # entered before the stages: their children are ended first, or the threads would be waited for
        slots = stack.enter_context(_slots())
        work = stack.enter_context(stages(desk, folder, state.plan, taken, _reference(state)))
        bring_back(state, work.revert)
        with waiting("reading the history", desk.clock):
            beliefs = beliefs_for(desk, state.plan)
        scribe = scribe_for(desk, folder, taken.tree.path, beliefs, rows)
        progress = stack.enter_context(Progress(desk.clock, lambda commit: desk.graph.info(commit).title))
        messenger = messenger_for(desk, folder, scribe, rows, lambda fact: bot.events.put(fact))  # noqa: PLW0108  which comes later
        bot = Bot(
            state=state,
            search=search_for(state.plan, beliefs, GitBisect(taken.tree.path), leavable=work.leavable),
            stages=work,
            facts=book,
            clock=desk.clock,
            show=Both((progress, scribe, messenger)),
            slots=slots,
            pulse=notifier.pulse,
        )
        asked.tell = work.note = scribe.note = bot.events.put
        messenger.start()
        ended = bot.run()
        notifier.stopping()  # for whoever waits for signs of life: the report takes as long as it takes
        drawn = scribe.last(ended)
        asked.tell = None  # what is sent from now on can be left at once
        progress.close()
        send_the_rest(messenger, book, desk.clock, ended)
        told = summary_json(drawn), [*plain_lines(drawn), *scribe.warning], exit_code(ended)
        if bot.flight.abandoned:  # what the context would wait for may never come
            output.leave(*told)
    output.finish(*told)


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
