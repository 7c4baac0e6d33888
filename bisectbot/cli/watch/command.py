"""`bisectbot watch`: sessions, hosts, belief, forecast and console on one screen, from the journals alone."""

from __future__ import annotations

import codecs
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from bisectbot.cli.completion import session_names
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.cli.watch.drawing import Screen, drawn
from bisectbot.cli.watch.minds import Minds
from bisectbot.cli.watch.reading import Watched
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.keys import Keys, pressed
from bisectbot.session import find_folder
from bisectbot.watching.views import View

_READING = 0.3  # seconds that a frame may wait for journals
_WIDTH = 100  # where there is no terminal
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@click.command(short_help="Follow sessions live, in a terminal.")
@click.argument("sessions", nargs=-1, metavar="[SESSION...]", shell_complete=session_names)
@click.option("--once", is_flag=True, help="Print one frame and end, as it is done where there is no terminal.")
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True, metavar="S", help="Of the screen."
)
@logs_option
@json_option
@click.pass_obj
def watch(output: Output, sessions: tuple[str, ...], logs: Path, interval: float, *, once: bool) -> None:
    """Follow the sessions of a folder: what goes on, who is suspected, how long it will take, and the console.

    Only reads, so any number may watch. Keys: q quits, n and p (or the arrows) choose a session.
    """
    for name in sessions:
        find_folder(logs, name)
    console = Console(highlight=False, soft_wrap=False)
    once = once or output.as_json or not console.is_terminal
    clock, minds = SystemClock(), Minds(patient=once)
    watched = Watched(logs, sessions, clock, minds)
    if once:
        view = watched.view(None)
        output.finish({"at": view.at, **asdict(view)}, _plain(view))
    with suppress(KeyboardInterrupt), _ended_by_signals():
        _Show(watched, console, interval).run()
    if minds.busy:
        output.leave({}, [], Exit.DONE)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let whoever ends us leave the terminal as it was."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _plain(view: View) -> list[str]:
    screen = Screen(_WIDTH, None, ascii=not _speaks_unicode(sys.stdout.encoding))
    return [line.plain.rstrip() for line in drawn(view, screen)]


def _speaks_unicode(encoding: str | None) -> bool:
    with suppress(LookupError):
        return codecs.lookup(encoding or "ascii").name == "utf-8"
    return False


@dataclass
class _Show:
    """The live screen."""

    watched: Watched
    console: Console
    interval: float
    chosen: str | None = None  # None: whatever runs

    def run(self) -> None:
        """Show until somebody presses q."""
        with pressed() as keys:
            if self.console.is_dumb_terminal:
                self._scroll(keys)
                return
            with Live(console=self.console, screen=True, auto_refresh=False, transient=True) as live:
                while True:
                    view = self.watched.view(self.chosen, _READING)
                    if self._show(live, view, keys):
                        return

    def _show(self, live: Live, view: View, keys: Keys) -> bool:
        """Show a view until it is time for the next; return whether that is the end."""
        live.update(self._frame(view), refresh=True)
        before, until = self.console.size, self.watched.clock.now() + self.interval
        while (left := until - self.watched.clock.now()) > 0:
            key = keys(min(0.25, left))
            if key in ("q", "Q", "\x04"):
                return True
            if self._choose(key, view) or self.console.size != before:
                return False
        return False

    def _frame(self, view: View) -> Text:
        size = self.console.size
        screen = Screen(size.width, size.height, ascii=not _speaks_unicode(self.console.encoding))
        return Text("\n", no_wrap=True).join(drawn(view, screen, self.chosen, keys=True))

    def _choose(self, key: str, view: View) -> bool:
        """Go to the next or the previous session."""
        step = {"n": 1, "j": 1, "down": 1, "p": -1, "k": -1, "up": -1}.get(key)
        names = [line.name for line in view.sessions]
        if step is None or not names:
            return False
        shown = view.close.name if view.close else self.chosen
        place = names.index(shown) if shown in names else 0
        self.chosen = names[(place + step) % len(names)]
        return True

    def _scroll(self, keys: Keys) -> None:
        """Where nothing can be drawn over, print what has changed, one frame below the other."""
        before: list[str] = []
        while True:
            view = self.watched.view(self.chosen, _READING)
            size = self.console.size
            lines = [line.plain for line in drawn(view, Screen(size.width, None, ascii=True))]
            if lines[1:] != before:
                print("\n".join((*lines, "")), flush=True)  # noqa: T201  a terminal that knows nothing but lines
                before = lines[1:]
            if keys(self.interval) == "q":
                return
