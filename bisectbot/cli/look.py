"""`bisectbot status`, `log` and `report`: a session as its journal tells it, also while another process works on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from bisectbot import journal
from bisectbot.cli.completion import session_names
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.progress import waiting
from bisectbot.cli.wiring import beliefs_for, bring_back, open_desk, scribe_for
from bisectbot.effects.lock import is_held
from bisectbot.effects.revert import reverted
from bisectbot.errors import BisectbotError, ConfigError
from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Doubted,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Reverted,
    Row,
    State,
    Tried,
    replay,
)
from bisectbot.model import BuildBroken, Kernel
from bisectbot.report import answer_in_words, plain_lines, summary_json
from bisectbot.report.machine import home_in_words
from bisectbot.session import Folder, all_folders, find_folder
from bisectbot.visible import visible


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@json_option
@click.pass_obj
def status(output: Output, session: str | None, logs: Path) -> None:
    """Show where each session stands, or one of them."""
    folders = (find_folder(logs, session),) if session else all_folders(logs)
    found = [(folder, _read(folder, alone=session is not None)) for folder in folders]
    facts = {"sessions": [_facts(folder, state) for folder, state in found]}
    lines = [_line(folder, state) for folder, state in found] or [f"no session in {logs}"]
    output.finish(facts, lines)


def _read(folder: Folder, *, alone: bool) -> State | BisectbotError | None:
    """Return the state of a session, or why there is none; beside others a journal that can't be read is no error."""
    try:
        return replay(journal.read(folder.journal))
    except BisectbotError as error:
        if alone:
            raise
        return error


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@json_option
@click.pass_obj
def log(output: Output, session: str | None, logs: Path) -> None:
    """Print a session's facts, oldest first; with an answer, git's own replayable log stands at the end."""
    folder = find_folder(logs, session)
    rows = journal.read(folder.journal)
    facts = {"session": folder.name, "facts": [journal.as_json(row) for row in rows]}
    output.finish(facts, [line for row in rows for line in _fact_lines(row)])


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@json_option
@click.pass_obj
def report(output: Output, session: str | None, logs: Path) -> None:
    """Write a session's report anew and print its summary."""
    folder = find_folder(logs, session)
    rows = journal.read(folder.journal)
    state = _state(folder, rows)
    desk = open_desk(state.plan.tree, None)
    bring_back(state, partial(reverted, desk.git))
    with waiting("reading the history", desk.clock):
        beliefs = beliefs_for(desk, state.plan)
    drawn = scribe_for(desk, folder, None, beliefs, rows).update(state)
    output.finish(summary_json(drawn), plain_lines(drawn))


def _state(folder: Folder, rows: Sequence[Row]) -> State:
    state = replay(rows)
    if state is None:
        raise ConfigError(f"{folder.journal}: empty: the session was killed as it began", hint="start a new one")
    return state


def _standing(folder: Folder, state: State) -> str:
    if is_held(folder.lock):
        return "running"
    if state.answered:
        return "answered"
    if folder.queued.is_file():
        return "queued"
    return f"stopped ({state.paused.why})" if state.paused else "stopped (killed)"


def _facts(folder: Folder, state: State | BisectbotError | None) -> dict[str, object]:
    if isinstance(state, BisectbotError):
        why = state.message
        return {"session": folder.name, "standing": "unreadable", "folder": str(folder.path), "error": why}
    if state is None:
        return {"session": folder.name, "standing": "empty", "folder": str(folder.path)}
    return {
        "session": folder.name,
        "standing": _standing(folder, state),
        "folder": str(folder.path),
        "host": state.plan.host.name,
        "answer": journal.as_json_value(state.answered.answer) if state.answered else None,
        "judged": {commit: judgement.verdict for commit, judgement in state.judged()},
        "boots": state.boots,
        "seconds": round(state.worked, 3),
    }


def _line(folder: Folder, state: State | BisectbotError | None) -> str:
    if isinstance(state, BisectbotError):
        return f"{folder.name}: can't be read: {visible(state.message, 200)}"
    if state is None:
        return f"{folder.name}: empty; it was killed as it began"
    answer = f": {answer_in_words(state.answered.answer)}" if state.answered else ""
    done = f"on {state.plan.host.name}: {len(state.judged())} commits judged, {state.boots} boots, {state.worked:.0f} s"
    return f"{folder.name}: {_standing(folder, state)}{answer}; {done}"


def _fact_lines(row: Row) -> list[str]:
    at = datetime.fromtimestamp(row.at, UTC).isoformat(timespec="seconds")
    lines = [f"{at} {visible(told(row.fact), 1000)}"]
    return lines + row.fact.bisect_log.splitlines() if isinstance(row.fact, Answered) else lines


def told(fact: Fact) -> str:  # noqa: C901, PLR0911, PLR0912  one line a fact
    """Return a fact in words; data from outside is in it as it is."""
    match fact:
        case Opened(plan):
            return f"opened: bad {plan.range_.bad}, good {', '.join(plan.range_.goods)}, host {plan.host.name}"
        case Resumed(host=host):
            return f"resumed on {host.name}" if host else "resumed"
        case Built(BuildBroken() as broken):
            return f"{broken.commit} doesn't build ({broken.by}): {broken.title}"
        case Built(Kernel() as kernel):
            return f"{kernel.commit} built: {kernel.release}"
        case BootBegan(commit, boot):
            return f"{commit} boot {boot} begins"
        case Tried(trial):
            return f"{trial.commit} boot {trial.boot}: {trial.ending}: {trial.reason}"
        case CameHome(commit, boot, homed):
            return f"{commit} boot {boot}: {home_in_words(homed)}"
        case Faulted(commit, stage, text):
            return f"{commit} {stage} failed for a reason of ours: {text}"
        case Reverted(culprit, commit, why):
            return f"{culprit} taken back on the bad end: {commit or why or 'not cleanly, so not at all'}"
        case Noted(what, text):
            return f"of note ({what}): {text}"
        case Doubted(_, text):
            return f"in doubt: {text}"
        case Found(answer):
            return f"found, now being confirmed: {answer_in_words(answer)}"
        case Notified(number, kind, channel):
            return f"notice of {kind} (row {number}) sent by {channel}"
        case Paused(why, text):
            return f"stopped ({why}): {text}"
        case Answered(answer):
            return f"answered: {answer_in_words(answer)}"
    return type(fact).__name__
