"""What a command prints at its end: text for people, or with --json one object for scripts; and its exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import click

from bisectbot.errors import BisectbotError, InfraError

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes; README.md lists them for users."""

    DONE = 0  # the culprit is found, or what was asked for is done
    BUG = 1  # an unexpected exception: a bug in bisectbot
    MISTAKE = 2  # the user's: options, files, revisions
    ONLY_SKIPPED = 3
    END_UNPROVEN = 4
    FAULT = 5  # ours: resume when it is mended
    OUT_OF_TIME = 6  # of --max-hours: resume to go on
    TRY_BAD = 10
    TRY_CANT_TELL = 11
    BUILD_BROKEN = 12
    INTERRUPTED = 130


@dataclass
class Output:
    """Where a command's result goes; made once, before the arguments are known."""

    as_json: bool = False

    def finish(self, facts: Mapping[str, object], lines: Iterable[str], code: Exit = Exit.DONE) -> None:
        """Print the result and end the command with `code`."""
        if self.as_json:
            click.echo(json.dumps(facts, indent=2, default=str))
        else:
            for line in lines:
                click.echo(line)
        raise click.exceptions.Exit(code)

    def leave(self, facts: Mapping[str, object], lines: Iterable[str], code: Exit) -> NoReturn:
        """Print the result and end this process at once, with threads in it that nothing else would end."""
        with suppress(click.exceptions.Exit):
            self.finish(facts, lines, code)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def fail(self, error: BisectbotError) -> Exit:
        """Print an error and return its exit code."""
        code = Exit.FAULT if isinstance(error, InfraError) else Exit.MISTAKE
        click.echo(f"bisectbot: {error}", err=True)
        self.failed(error.message, error.hint, code)
        return code

    def failed(self, message: str, hint: str, code: Exit) -> None:
        """Give scripts the same error that people were shown."""
        if self.as_json:
            click.echo(
                json.dumps({"ending": "error", "error": message, "hint": hint, "exit_code": int(code)}, indent=2)
            )


def json_option(command: _Command) -> _Command:
    """Add --json to a command."""
    option = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_choose_json,
        is_eager=True,
        help="Print one JSON object on stdout at the end.",
    )
    return option(command)


def _choose_json(context: click.Context, _parameter: click.Parameter, chosen: bool) -> None:  # noqa: FBT001  click's call
    context.find_object(Output).as_json = chosen  # type: ignore[union-attr]  # main() always makes one
