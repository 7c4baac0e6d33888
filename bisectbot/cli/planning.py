"""What `run` and `queue add` are told, and the plan that it makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from bisectbot.calibrate.kept import settings_from
from bisectbot.cli.budget import budget, budget_options
from bisectbot.cli.options import (
    ProbeWords,
    Words,
    build_options,
    build_recipe,
    gather,
    logs_option,
    prior_rules,
    probe_options,
    probe_recipe,
)
from bisectbot.cli.wiring import Desk, program_for, versions
from bisectbot.config.hosts import tag_of
from bisectbot.errors import ConfigError
from bisectbot.facts import Opened
from bisectbot.journal import Journal
from bisectbot.lab import Host
from bisectbot.model import Terms
from bisectbot.plan import Budget, Plan, RangeRequest, SearchRecipe, check_range
from bisectbot.search.prior import default_rules
from bisectbot.session import Folder, new_folder

_Command = TypeVar("_Command", bound=Callable[..., Any])
_NO_PRIORS = "none"  # of our own: those that fit our own reproducer
_HOUR, _MINUTE = 3600.0, 60.0  # seconds
_OPTIONS = (
    click.option(
        "--good", "goods", multiple=True, required=True, metavar="REV", help="Doesn't have the bug; repeatable."
    ),
    click.option("--bad", required=True, metavar="REV", help="Has the bug."),
    build_options,
    click.option("--first-parent", is_flag=True, help="Stay on the main line; a merge may be the answer."),
    click.option("--path", "paths", multiple=True, metavar="PATHSPEC", help="Only commits that touch it; repeatable."),
    click.option("--term-bad", default="bad", metavar="WORD", help="Another word for bad, as git bisect --term-bad."),
    click.option("--term-good", default="good", metavar="WORD", help="Another word for good."),
    click.option("--session", default="", metavar="NAME", help="The session's name; by default its time and bad end."),
    click.option(
        "--confidence",
        type=click.FloatRange(0.5, 1, max_open=True),
        default=0.99,
        show_default=True,
        help="The probability of the culprit that ends the search.",
    ),
    budget_options,
    click.option("--no-confirm", is_flag=True, help="Don't use time that is left to make the answer surer."),
    click.option(
        "--prior",
        "priors",
        multiple=True,
        metavar="KIND:WHAT[=FACTOR]",
        help="What is likelier: path:, author: or list:; none.",
    ),
    click.option(
        "--show-within",
        type=click.FloatRange(0, min_open=True),
        default=30,
        show_default=True,
        metavar="MINUTES",
        help="Of running on the bad end without a fire; then it is given up.",
    ),
    click.option(
        "--background",
        type=click.FloatRange(0),
        default=0,
        metavar="N",
        help="Fires an hour of the reproducer on a good kernel; 0 by default.",
    ),
    click.option("--no-revert", is_flag=True, help="Leave out the last check: the bad end without the culprit."),
    click.option(
        "--calibrated",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Take our reproducer's settings from a calibration.json.",
    ),
    logs_option,
    probe_options,
)


def plan_options(command: _Command) -> _Command:
    """Add all that a plan is made of, and where its session is kept; plan_of() makes it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def begin(desk: Desk, said: dict[str, Any], plan: Plan) -> tuple[Folder, Opened]:
    """Return the folder of a new session, made, and its first row. A missing compiler is told before that."""
    opened = Opened(plan, versions(desk, plan))
    folder = new_folder(said["logs"], plan.range_.bad, desk.clock.wall(), said["session"])
    folder.path.mkdir(parents=True)
    return folder, opened


def write_down(desk: Desk, folder: Folder, opened: Opened) -> None:
    """Write the first row of a session that another process will work on."""
    book = Journal(folder.journal)
    try:
        book.append(desk.clock.wall(), opened, desk.clock.now())
    finally:
        book.close()


def plan_of(desk: Desk, said: dict[str, Any]) -> Plan:
    """Return the plan that a command's options make; ConfigError for what can't be understood or found."""
    words, probe = gather(Words, said), gather(ProbeWords, said)
    terms = Terms(bad=said["term_bad"], good=said["term_good"])
    asked = RangeRequest(said["bad"], said["goods"], said["paths"], said["first_parent"], terms)
    range_ = check_range(desk.graph, asked)
    host = desk.config.host(words.host)
    build, names = build_recipe(words, host, desk.graph, desk.config.jobs)
    _check_signature(probe.signature)
    probe = replace(probe, args=(*_calibrated(said, probe, host), *probe.args))
    recipe = probe_recipe(probe, program_for(desk, host.arch, probe.reproducer))
    return Plan(
        desk.tree,
        range_,
        build,
        recipe,
        host,
        names,
        _search(desk, said, probe),
        budget=budget(said, desk.clock.wall()) or Budget(),
        tag=tag_of(words.host),
    )


def _calibrated(said: dict[str, Any], probe: ProbeWords, host: Host) -> tuple[str, ...]:
    """Return the settings of an experiment; words behind -- come later and so have the last word."""
    if said["calibrated"] is None:
        return ()
    if probe.reproducer is not None:
        raise ConfigError(
            "--calibrated and --reproducer: the settings are our own reproducer's", hint="leave out one of them"
        )
    return settings_from(said["calibrated"], host.arch)


def _search(desk: Desk, said: dict[str, Any], probe: ProbeWords) -> SearchRecipe | None:
    """Return how to search; None for the plain bisection that --runs asks for."""
    if probe.runs is not None:
        _refuse_odds(said)
        return None
    ours = default_rules() if probe.reproducer is None and _NO_PRIORS not in said["priors"] else ()
    rules = prior_rules([text for text in said["priors"] if text != _NO_PRIORS], desk.graph)
    return SearchRecipe(
        confidence=said["confidence"],
        priors=(*ours, *rules),
        background=said["background"] / _HOUR,
        show_within=said["show_within"] * _MINUTE,
        revert=not said["no_revert"],
        confirm=not said["no_confirm"],
    )


def _refuse_odds(said: dict[str, Any]) -> None:
    """Raise ConfigError for an option that a plain bisection has no use for."""
    asked = {"--prior": said["priors"], "--background": said["background"], "--no-confirm": said["no_confirm"]}
    if unused := [option for option, value in asked.items() if value]:
        raise ConfigError(
            f"{unused[0]} and --runs: a plain bisection has no odds", hint="leave --runs out to search by probability"
        )


def _check_signature(signature: str | None) -> None:
    try:
        re.compile(signature or "")
    except re.error as error:
        raise ConfigError(
            f"--signature {signature!r}: not a regular expression: {error}", hint="see `bisectbot console` for titles"
        ) from error
