"""`bisectbot run` and `resume`: the main job."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from bisectbot import journal
from bisectbot.cli.completion import session_names
from bisectbot.cli.live import go_on
from bisectbot.cli.options import (
    ProbeWords,
    Words,
    build_options,
    build_recipe,
    gather,
    logs_option,
    probe_options,
    probe_recipe,
)
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.wiring import Desk, open_desk, program_for, versions
from bisectbot.errors import ConfigError
from bisectbot.facts import Opened, Resumed, Row, replay
from bisectbot.journal import Journal
from bisectbot.lab import LabHost
from bisectbot.model import Terms
from bisectbot.plan import Plan, RangeRequest, check_range
from bisectbot.report.machine import Described, described
from bisectbot.session import find_folder, new_folder


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--good", "goods", multiple=True, required=True, metavar="REV", help="Doesn't have the bug; repeatable.")
@click.option("--bad", required=True, metavar="REV", help="Has the bug.")
@build_options
@click.option("--first-parent", is_flag=True, help="Stay on the main line; a merge may be the answer.")
@click.option("--path", "paths", multiple=True, metavar="PATHSPEC", help="Only commits that touch it; repeatable.")
@click.option("--term-bad", default="bad", metavar="WORD", help="Another word for bad, as git bisect --term-bad.")
@click.option("--term-good", default="good", metavar="WORD", help="Another word for good.")
@click.option("--session", default="", metavar="NAME", help="The session's name; by default its time and bad end.")
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
    opened = Opened(plan, versions(desk, plan))  # a missing compiler is told before a session is begun
    folder = new_folder(said["logs"], plan.range_.bad, desk.clock.wall(), said["session"])
    folder.path.mkdir(parents=True)
    go_on(output, desk, folder, lambda book: [book.append(desk.clock.wall(), opened)])


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@click.option("--hosts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Another hosts.toml.")
@json_option
@click.pass_obj
def resume(output: Output, session: str | None, logs: Path, hosts: Path | None) -> None:
    """Go on with a session that was stopped or killed, by default the latest. Nothing that was finished is repeated."""
    folder = find_folder(logs, session)
    state = replay(journal.read(folder.journal))
    if state is None:
        raise ConfigError(f"{folder.journal}: empty: the session was killed as it began", hint="start a new one")
    desk = open_desk(state.plan.tree, hosts)
    go_on(output, desk, folder, lambda book: _resume(book, desk))


def _resume(book: Journal, desk: Desk) -> Iterable[Row]:
    rows = book.rows()
    state = replay(rows)
    if state is not None and state.answered:
        return rows
    return [*rows, book.append(desk.clock.wall(), Resumed())]


def _plan(desk: Desk, said: dict[str, Any]) -> Plan:
    words, probe = gather(Words, said), gather(ProbeWords, said)
    terms = Terms(bad=said["term_bad"], good=said["term_good"])
    asked = RangeRequest(said["bad"], said["goods"], said["paths"], said["first_parent"], terms)
    range_ = check_range(desk.graph, asked)
    host = desk.config.host(words.host)
    build, names = build_recipe(words, host, desk.graph, desk.config.jobs)
    _check_signature(probe.signature)
    recipe = probe_recipe(probe, program_for(desk, host.arch, probe.reproducer))
    return Plan(desk.tree, range_, build, recipe, host, names)


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


def _foreseen_lines(desk: Desk, plan: Plan) -> list[str]:
    facts, real = _foreseen(desk, plan), _real(plan)
    connected = f"; {plan.host.name} was not connected to" if real else ""
    return [
        f"{facts['commits']} commits, about {facts['steps']} steps (both ends are tested first)",
        f"bad end {plan.range_.bad}, good end {', '.join(plan.range_.goods)}",
        f"host {plan.host.name} ({plan.build.arch}), base {plan.build.base}, make -j{plan.build.jobs}",
        *(_machine_lines(real) if real else ()),
        *(f"fragment {path}" for path in plan.build.fragments),
        f"reproducer {plan.probe.program} {' '.join(plan.probe.args)}".rstrip(),
        f"{plan.probe.runs} clean runs make a commit good; {plan.probe.tries} boots without a verdict make it a skip",
        f"nothing was built or started{connected}",
    ]
