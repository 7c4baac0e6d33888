"""`bisectbot queue`: the sessions that wait for the keeper."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bisectbot.cli.budget import budget, budget_options
from bisectbot.cli.completion import session_names
from bisectbot.cli.keeper.wiring import host_book, hosts_now
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.planning import begin, plan_of, plan_options, write_down
from bisectbot.cli.resuming import resumed
from bisectbot.cli.wiring import open_desk
from bisectbot.config import hosts as config
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.files import replace_text
from bisectbot.effects.lock import Lock, holder, holds, is_held
from bisectbot.errors import ConfigError
from bisectbot.facts import replay
from bisectbot.journal import Journal
from bisectbot.keeper.decide import Decision, Entry, decide, in_order
from bisectbot.keeper.queued import Shelf, put, take_off
from bisectbot.session import Folder, find_folder, keeper_lock
from bisectbot.visible import visible

_FIRST = click.option("--first", is_flag=True, help="In front of all others.")
_SHOWN = 300


@click.group()
def queue() -> None:
    """Sessions that wait for their hosts, one at a time a host; the keeper works on them (see `bisectbot service`)."""


@queue.command()
@_FIRST
@json_option
@plan_options
@click.pass_obj
def add(output: Output, /, *, first: bool, **said: Any) -> None:  # noqa: ANN401  click's options
    """Begin a session and queue it; takes what `bisectbot run` takes."""
    desk = open_desk(said["tree"], said["hosts"])
    folder, opened = begin(desk, said, plan_of(desk, said))
    write_down(desk, folder, opened)
    _placed(output, said["logs"], folder, put(said["logs"], folder, replace_text, first=first))


@queue.command("resume")
@click.argument("session", shell_complete=session_names)
@_FIRST
@logs_option
@budget_options
@json_option
@click.pass_obj
def resume_later(output: Output, /, session: str, logs: Path, *, first: bool, **said: Any) -> None:  # noqa: ANN401
    """Put a session that was stopped back into the queue; what kept it from going on is forgotten."""
    folder, clock = find_folder(logs, session), SystemClock()
    given = budget(said, clock.wall())
    with Lock(folder.lock, f"session {folder.name}"):
        book = Journal(folder.journal)
        try:
            state = replay(resumed(book, clock, given))
        finally:
            book.close()
    if state is None or state.answered:
        why = "answered already" if state else "empty; it was killed as it began"
        raise ConfigError(f"session {folder.name}: {why}", hint="start a new one with `bisectbot queue add`")
    _placed(output, logs, folder, put(logs, folder, replace_text, first=first))


def _placed(output: Output, logs: Path, folder: Folder, place: int) -> None:
    keeper = holder(keeper_lock(logs))
    facts = {"session": folder.name, "place": place, "folder": str(folder.path), "keeper": keeper}
    output.finish(facts, [f"session {folder.name}: number {place} in the queue", *_keeper_lines(keeper)])


def _keeper_lines(keeper: int | None) -> list[str]:
    if keeper is not None:
        return []
    return ["nobody works on the queue: bisectbot service start, or bisectbot service run in a terminal of its own"]


@queue.command("list")
@logs_option
@click.option("--hosts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Another hosts.toml.")
@json_option
@click.pass_obj
def show(output: Output, logs: Path, hosts: Path | None) -> None:
    """Print the queue in order: what runs, what waits and for what, what needs a hand."""
    shelf = Shelf(logs)
    entries = shelf.queue(lambda folder: is_held(folder.lock))
    decision = decide(entries, hosts_now(config.load(hosts), host_book()), SystemClock().wall())
    keeper = holder(keeper_lock(logs))
    rows = [_row(place, entry, decision) for place, entry in enumerate(in_order(entries), 1)]
    output.finish({"keeper": keeper, "queue": rows}, _lines(rows, keeper))


def _row(place: int, entry: Entry, decision: Decision) -> dict[str, object]:
    standing, why, until = _standing(entry, decision)
    host = entry.known.host.name if entry.known else None
    return {
        "place": place,
        "session": entry.name,
        "host": host,
        "standing": standing,
        "why": visible(why, _SHOWN),
        "until": until,
    }


def _standing(entry: Entry, decision: Decision) -> tuple[str, str, float | None]:
    if entry.running:
        return "running", "", None
    if why := decision.hand.get(entry.name):
        return "needs a hand", why, None
    if why := decision.over.get(entry.name):
        return "over", why, None
    wait = decision.waits.get(entry.name)
    return ("waiting", wait.why, wait.until) if wait else ("waiting", "", None)


def _lines(rows: Sequence[dict[str, object]], keeper: int | None) -> Iterable[str]:
    for row in rows:
        yield f"{row['place']}. {row['session']} on {row['host'] or 'no host'}: {_told(row)}"
    if not rows:
        yield "the queue is empty"
    else:
        yield from _keeper_lines(keeper)


def _told(row: dict[str, object]) -> str:
    until = row["until"]
    if isinstance(until, float):
        return f"again at {datetime.fromtimestamp(until).astimezone():%H:%M}: {row['why']}"
    return f"{row['standing']}: {row['why']}" if row["why"] else str(row["standing"])


@queue.command("rm")
@click.argument("session", shell_complete=session_names)
@logs_option
@json_option
@click.pass_obj
def remove(output: Output, session: str, logs: Path) -> None:
    """Take a session off the queue; if it runs, it is asked to stop. Its journal and all it found stay."""
    folder = find_folder(logs, session)
    queued = folder.queued.exists()
    take_off(folder)
    pid = holder(folder.lock) if queued else None
    if pid is not None and (pid == holder(keeper_lock(logs)) or not holds(pid, folder.lock)):
        pid = None  # the keeper itself, with its notices in hand; or one in a container: its keeper ends it
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    told = "off the queue" if queued else "was not in the queue"
    asked = f"; its process ({pid}) was asked to stop" if pid else ""
    facts = {"session": folder.name, "removed": queued, "stopped": pid}
    output.finish(facts, [f"session {folder.name}: {told}{asked}", f"go on: bisectbot queue resume {folder.name}"])
