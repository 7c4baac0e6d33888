"""`bisectbot notify`: hand over now what a session has still to tell, or try every channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bisectbot.channels import Notices
from bisectbot.cli.completion import session_names
from bisectbot.cli.notifying import hand_over, post_for
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.config import hosts as config
from bisectbot.errors import BisectbotError, ConfigError
from bisectbot.notices import SEND_SECONDS, Failed, Outcome, Sent, trial_message
from bisectbot.ports import Deadline
from bisectbot.session import find_folder
from bisectbot.visible import visible

_FILE = click.Path(path_type=Path, dir_okay=False)
_NONE_HINT = "docs/hosts.md, [notices], says how; then: bisectbot notify --test"


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@click.option("--test", is_flag=True, help="Send a test notice over every channel, of no session.")
@click.option("--hosts", type=_FILE, metavar="FILE", help="Another hosts.toml.")
@logs_option
@json_option
@click.pass_obj
def notify(output: Output, session: str | None, *, test: bool, hosts: Path | None, logs: Path) -> None:
    """Send what a session (by default the latest) has still to tell, over the channels of hosts.toml.

    A session that is worked on does so by itself, and so does the queue's keeper for those that have stopped.
    """
    loaded = config.load(hosts)
    if not loaded.notices.channels:
        raise ConfigError(f"{loaded.file} has no [notices]: nobody would be told anything", hint=_NONE_HINT)
    if test:
        if session is not None:
            raise ConfigError(f"--test and {session}: a test notice is of no session", hint="leave out one of them")
        _finish_test(output, _tested(loaded.notices))
    folder = find_folder(logs, session)
    outcomes = hand_over(folder, loaded.notices, post_for(loaded.notices))
    facts = {"session": folder.name, "notices": [_facts(one) for one in outcomes]}
    lines = [_line(one) for one in outcomes] or [f"{folder.name}: nothing is waiting to be told"]
    output.finish(facts, lines, _code([one.error for one in outcomes if isinstance(one, Failed)]))


def _facts(outcome: Outcome) -> dict[str, object]:
    notice = outcome.notice
    error = outcome.error.message if isinstance(outcome, Failed) else ""
    lacking = outcome.lacking if isinstance(outcome, Sent) else ""
    return {
        "row": notice.row,
        "kind": notice.kind,
        "channel": notice.channel,
        "sent": not error,
        "lacking": lacking,
        "error": error,
    }


def _line(outcome: Outcome) -> str:
    notice = outcome.notice
    what = f"{notice.channel}: {notice.kind} (row {notice.row})"
    match outcome:
        case Sent(_, lacking):
            return visible(f"{what} was sent" + (f", but not to {lacking}" if lacking else ""), 500)
        case Failed(_, error):
            return f"{what} was not sent: {error}"


# --- the test of all channels ------------------------------------------------------------------


def _tested(recipe: Notices) -> dict[str, tuple[str, BisectbotError | None]]:
    """Return what became of a test notice over each channel: what it lacked, and what failed."""
    post = post_for(recipe)
    found: dict[str, tuple[str, BisectbotError | None]] = {}
    for name, sender in post.senders.items():
        message = trial_message(recipe, name, post.clock.wall())
        try:
            found[name] = sender.send(message, Deadline.after(post.clock, SEND_SECONDS)), None
        except BisectbotError as error:
            found[name] = "", error
    return found


def _finish_test(output: Output, found: Mapping[str, tuple[str, BisectbotError | None]]) -> None:
    channels = [
        {"channel": name, "sent": error is None, "lacking": lacking, "error": error.message if error else ""}
        for name, (lacking, error) in found.items()
    ]
    lines = [
        f"{name}: {'a test notice was sent' if error is None else f'not sent: {error}'}"
        + (visible(f", but not to {lacking}", 500) if lacking else "")
        for name, (lacking, error) in found.items()
    ]
    output.finish({"channels": channels}, lines, _code([error for _, error in found.values() if error]))


def _code(errors: Sequence[BisectbotError]) -> Exit:
    """Return the exit code: what only a person can mend is told first."""
    if any(isinstance(error, ConfigError) for error in errors):
        return Exit.MISTAKE
    return Exit.FAULT if errors else Exit.DONE
