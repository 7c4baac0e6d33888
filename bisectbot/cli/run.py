"""`bisectbot run` and `resume`: the main job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from bisectbot import journal, report
from bisectbot.calibrate.kept import settings_from
from bisectbot.cli.budget import again, budget, budget_options
from bisectbot.cli.completion import session_names
from bisectbot.cli.live import go_on
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
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.wiring import Desk, beliefs_for, open_desk, program_for, versions
from bisectbot.config.hosts import tag_of
from bisectbot.errors import ConfigError
from bisectbot.facts import Opened, Resumed, Row, State, replay
from bisectbot.journal import Journal
from bisectbot.lab import Host, LabHost
from bisectbot.model import Terms
from bisectbot.plan import Budget, Plan, RangeRequest, SearchRecipe, check_range
from bisectbot.report.machine import Described, described
from bisectbot.search.prior import default_rules
from bisectbot.session import find_folder, new_folder

_NO_PRIORS = "none"  # of our own: those that fit our own reproducer
_HOUR, _MINUTE = 3600.0, 60.0  # seconds


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--good", "goods", multiple=True, required=True, metavar="REV", help="Doesn't have the bug; repeatable.")
@click.option("--bad", required=True, metavar="REV", help="Has the bug.")
@build_options
@click.option("--first-parent", is_flag=True, help="Stay on the main line; a merge may be the answer.")
@click.option("--path", "paths", multiple=True, metavar="PATHSPEC", help="Only commits that touch it; repeatable.")
@click.option("--term-bad", default="bad", metavar="WORD", help="Another word for bad, as git bisect --term-bad.")
@click.option("--term-good", default="good", metavar="WORD", help="Another word for good.")
@click.option("--session", default="", metavar="NAME", help="The session's name; by default its time and bad end.")
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 1, max_open=True),
    default=0.99,
    show_default=True,
    help="The probability of the culprit that ends the search.",
)
@budget_options
@click.option("--no-confirm", is_flag=True, help="Don't use time that is left to make the answer surer.")
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="KIND:WHAT[=FACTOR]",
    help="What is likelier: path:, author: or list:; none.",
)
@click.option(
    "--show-within",
    type=click.FloatRange(0, min_open=True),
    default=30,
    show_default=True,
    metavar="MINUTES",
    help="Of running on the bad end without a fire; then it is given up.",
)
@click.option(
    "--background",
    type=click.FloatRange(0),
    default=0,
    metavar="N",
    help="Fires an hour of the reproducer on a good kernel; 0 by default.",
)
@click.option("--no-revert", is_flag=True, help="Leave out the last check: the bad end without the culprit.")
@click.option(
    "--calibrated",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Take our reproducer's settings from a calibration.json.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done first, and why, and stop.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, and stop.")
@logs_option
@json_option
@probe_options
@click.pass_obj
def run(output: Output, /, **said: Any) -> None:  # noqa: ANN401  click's options, named above
    """Find the commit between --good and --bad that brought the bug in.

    Words behind -- go to the reproducer.
    """
    desk = open_desk(said["tree"], said["hosts"])
    plan = _plan(desk, said)
    if said["dry_run"]:
        output.finish(_foreseen(desk, plan), _foreseen_lines(desk, plan))
    if said["plan_only"]:
        now = desk.clock.wall()
        _show_plan(output, desk, State(plan, {}, now, now))
    opened = Opened(plan, versions(desk, plan))  # a missing compiler is told before a session is begun
    folder = new_folder(said["logs"], plan.range_.bad, desk.clock.wall(), said["session"])
    folder.path.mkdir(parents=True)
    go_on(output, desk, folder, lambda book: [book.append(desk.clock.wall(), opened, desk.clock.now())])


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@click.option("--hosts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Another hosts.toml.")
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be done next, and why.")
@budget_options
@json_option
@click.pass_obj
def resume(
    output: Output,
    /,
    session: str | None,
    logs: Path,
    hosts: Path | None,
    *,
    plan_only: bool,
    **said: Any,  # noqa: ANN401
) -> None:
    """Go on with a session that was stopped or killed, by default the latest. Nothing that was finished is repeated."""
    folder = find_folder(logs, session)
    state = replay(journal.read(folder.journal))
    if state is None:
        raise ConfigError(f"{folder.journal}: empty: the session was killed as it began", hint="start a new one")
    desk = open_desk(state.plan.tree, hosts)
    if plan_only:
        _show_plan(output, desk, state)
    given = budget(said, desk.clock.wall())
    go_on(output, desk, folder, lambda book: _resume(book, desk, given))


def _resume(book: Journal, desk: Desk, given: Budget | None) -> Iterable[Row]:
    rows = book.rows()
    state = replay(rows)
    if state is None or state.answered:
        return rows
    now = desk.clock.wall()
    fact = Resumed(given or _renewed(state, now))
    return [*rows, book.append(now, fact, desk.clock.now())]


def _renewed(state: State, now: float) -> Budget | None:
    """Return the budget that follows one whose end has come; None where it simply goes on."""
    over = state.paused is not None and state.paused.why == "budget"
    renewed = again(state.budget, now)
    return renewed if over and renewed != state.budget else None


def _show_plan(output: Output, desk: Desk, state: State) -> None:
    """Print what the search would do next, and end the command."""
    beliefs = beliefs_for(desk, state.plan)
    if beliefs is None:
        raise ConfigError(
            "--plan: a plain bisection takes what git bisect picks", hint="leave out --runs, or see --dry-run"
        )
    odds = beliefs.odds(state)
    output.finish(report.odds_json(odds), report.plan_lines(odds, lambda commit: desk.graph.info(commit).title))


def _plan(desk: Desk, said: dict[str, Any]) -> Plan:
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


def _foreseen(desk: Desk, plan: Plan) -> dict[str, object]:
    candidates = desk.graph.candidates(plan.range_)
    return {
        "ending": "dry-run",
        "bad": plan.range_.bad,
        "goods": list(plan.range_.goods),
        "commits": len(candidates),
        "steps": len(plan.range_.ends) + len(candidates).bit_length(),
        "host": plan.host.name,
        "arch": plan.build.arch,
        "machine": asdict(real) if (real := _real(plan)) else None,
        "fragments": [str(path) for path in plan.build.fragments],
        "reproducer": str(plan.probe.program),
    }


def _real(plan: Plan) -> Described | None:
    return described(plan.host) if isinstance(plan.host, LabHost) else None


def _machine_lines(real: Described) -> list[str]:
    return [
        f"candidates started by {real.boots}, run with {real.payload}",
        f"power: {real.power}; console: {real.console}",
    ]


def _enough(plan: Plan) -> str:
    """Return what ends the search."""
    if plan.search is None:
        return f"{plan.probe.runs} clean runs make a commit good"
    return f"until the culprit has a probability of {plan.search.confidence:g}"


def _foreseen_lines(desk: Desk, plan: Plan) -> list[str]:
    facts, real = _foreseen(desk, plan), _real(plan)
    connected = f"; {plan.host.name} was not connected to" if real else ""
    return [
        f"{facts['commits']} commits, about {facts['steps']} steps" + (" or more" if plan.search else ""),
        f"bad end {plan.range_.bad}, good end {', '.join(plan.range_.goods)}",
        f"host {plan.host.name} ({plan.build.arch}), base {plan.build.base}, make -j{plan.build.jobs}",
        *(_machine_lines(real) if real else ()),
        *(f"fragment {path}" for path in plan.build.fragments),
        f"reproducer {plan.probe.program} {' '.join(plan.probe.args)}".rstrip(),
        f"{_enough(plan)}; {plan.probe.tries} boots without a verdict make a skip",
        f"nothing was built or started{connected}",
    ]
