"""`bisectbot run` and `resume`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bisectbot import journal, report
from bisectbot.cli.budget import budget, budget_options
from bisectbot.cli.completion import host_names, session_names
from bisectbot.cli.foreseen import foreseen, foreseen_lines
from bisectbot.cli.keeper.daemon import hand_over
from bisectbot.cli.live import go_on
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.planning import begin, plan_of, plan_options
from bisectbot.cli.resuming import check_host, going_on, resumed
from bisectbot.cli.wiring import Desk, beliefs_for, open_desk
from bisectbot.errors import ConfigError
from bisectbot.facts import State, replay
from bisectbot.forecast import fit_of
from bisectbot.session import find_folder


@click.command(context_settings={"ignore_unknown_options": False})
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done first, and why, and stop.")
@click.option("--dry-run", is_flag=True, help="Check everything, say what would be done, and stop.")
@click.option("--daemon", is_flag=True, help="Queue it and return; a process in the background works on the queue.")
@json_option
@plan_options
@click.pass_obj
def run(output: Output, /, **said: Any) -> None:  # noqa: ANN401  click's options, named in planning.py
    """Find the commit between --good and --bad that brought the bug in.

    Words behind -- go to the reproducer.
    """
    desk = open_desk(said["tree"], said["hosts"])
    plan = plan_of(desk, said)
    if said["dry_run"]:
        output.finish(foreseen(desk, plan), foreseen_lines(desk, plan))
    if said["plan_only"]:
        now = desk.clock.wall()
        _show_plan(output, desk, State(plan, {}, now, now, budget=plan.budget))
    folder, opened = begin(desk, said, plan)
    if said["daemon"]:
        hand_over(output, desk, said, folder, opened)
    go_on(output, desk, folder, lambda book: [book.append(desk.clock.wall(), opened, desk.clock.now())])


@click.command()
@click.argument("session", required=False, shell_complete=session_names)
@logs_option
@click.option("--hosts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Another hosts.toml.")
@click.option("--on", metavar="NAME", shell_complete=host_names, help="Another host, of the same architecture.")
@click.option("--plan", "plan_only", is_flag=True, help="Only say what would be done next, and why.")
@budget_options
@json_option
@click.pass_obj
def resume(output: Output, /, session: str | None, logs: Path, hosts: Path | None, **said: Any) -> None:  # noqa: ANN401
    """Go on with a session that was stopped or killed, by default the latest. Nothing that was finished is repeated."""
    folder = find_folder(logs, session)
    state = replay(journal.read(folder.journal))
    if state is None:
        raise ConfigError(f"{folder.journal}: empty: the session was killed as it began", hint="start a new one")
    desk = open_desk(state.plan.tree, hosts)
    if said["plan_only"]:
        _show_plan(output, desk, going_on(state, desk.clock, budget(said, desk.clock.wall())))
    given = budget(said, desk.clock.wall())
    on = desk.config.host(said["on"]) if said["on"] else None
    if on is not None:
        check_host(state, on)  # before anything is taken hold of
    go_on(output, desk, folder, lambda book: resumed(book, desk.clock, given, on))


def _show_plan(output: Output, desk: Desk, state: State) -> None:
    """Print what the search would do next, and end the command."""
    beliefs = beliefs_for(desk, state.plan)
    if beliefs is None:
        raise ConfigError(
            "--plan: a plain bisection takes what git bisect picks", hint="leave out --runs, or see --dry-run"
        )
    odds = beliefs.odds(state)
    fit = fit_of(state, odds.ahead)
    lines = report.plan_lines(odds, lambda commit: desk.graph.info(commit).title, fit)
    output.finish(report.odds_json(odds, fit), lines)
