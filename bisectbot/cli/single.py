"""`bisectbot build REV` and `try REV`: one commit, outside of any session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

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
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.cli.progress import waiting
from bisectbot.cli.wiring import Bench, Desk, bench, open_desk, program_for, stages
from bisectbot.crew import BootAsk
from bisectbot.errors import InfraError
from bisectbot.lab import Homed
from bisectbot.model import BuildBroken, Ending, Judgement, Kernel, NotYet, ProbeRecipe, Range, Trial, Verdict
from bisectbot.plan import Plan, check_kernel_tree
from bisectbot.ports import Deadline
from bisectbot.session import Folder
from bisectbot.verdict import judge

_FOLDER = "single"  # below --logs: no session, so it has no journal
_EXITS = {Verdict.GOOD: Exit.DONE, Verdict.BAD: Exit.TRY_BAD, Verdict.SKIP: Exit.TRY_CANT_TELL}


@click.command()
@click.argument("rev")
@build_options
@logs_option
@json_option
@click.pass_obj
def build(output: Output, /, rev: str, **said: Any) -> None:  # noqa: ANN401  click's options
    """Build REV as `run` would, and say where its kernel is."""
    desk = open_desk(said["tree"], said["hosts"])
    plan = _plan(desk, rev, said, ProbeRecipe(Path("/nothing")))
    with _bench(desk, plan) as taken:
        built = _build(desk, taken, plan, Folder(said["logs"] / _FOLDER))
    output.finish(_build_facts(built), _build_lines(built), _build_exit(built))


@click.command("try")
@click.argument("rev")
@build_options
@logs_option
@json_option
@probe_options
@click.pass_obj
def try_commit(output: Output, /, rev: str, **said: Any) -> None:  # noqa: ANN401  click's options
    """Build REV, boot it once, run the reproducer and explain what was seen.

    Words behind -- go to the reproducer.
    """
    desk = open_desk(said["tree"], said["hosts"])
    probe = gather(ProbeWords, said)
    host = desk.config.host(gather(Words, said).host)
    recipe = replace(probe_recipe(probe, program_for(desk, host.arch, probe.reproducer)), tries=1)
    plan = _plan(desk, rev, said, recipe)
    folder = Folder(said["logs"] / _FOLDER)
    with _bench(desk, plan) as taken:
        built = _build(desk, taken, plan, folder)
        told = _boot(desk, taken, plan, folder, built, recipe.runs) if isinstance(built, Kernel) else ()
    trials = tuple(one for one in told if isinstance(one, Trial))
    homed = tuple(one for one in told if isinstance(one, Homed))
    found = judge(built, trials, recipe)
    facts = {**_build_facts(built), **_trial_facts(trials, found), **_home_facts(homed)}
    output.finish(facts, [*_build_lines(built), *_home_lines(homed), *_trial_lines(trials, found)], _try_exit(found))


def boot_only(output: Output, rev: str, said: dict[str, Any]) -> None:
    """Build REV, boot it once on said["host"] and see that it is what runs there; no reproducer is run."""
    desk = open_desk(said["tree"], said["hosts"])
    host = desk.config.host(gather(Words, said).host)
    plan = _plan(desk, rev, said, ProbeRecipe(program_for(desk, host.arch, None), tries=1))
    folder = Folder(said["logs"] / _FOLDER)
    with _bench(desk, plan) as taken:
        built = _build(desk, taken, plan, folder)
        told = _boot(desk, taken, plan, folder, built, runs=0) if isinstance(built, Kernel) else ()
    trials = tuple(one for one in told if isinstance(one, Trial))
    homed = tuple(one for one in told if isinstance(one, Homed))
    if isinstance(built, BuildBroken):
        output.finish(_build_facts(built), _build_lines(built), Exit.BUILD_BROKEN)
    booted = bool(trials) and all(trial.ending is Ending.CLEAN for trial in trials)
    facts = {**_build_facts(built), "booted": booted, "trials": _rows(trials), **_home_facts(homed)}
    lines = [f"{trial.ending}: {trial.reason}, {trial.boot_seconds:.1f} s after the start" for trial in trials]
    logs = [f"console: {trial.console}" for trial in trials if trial.console]
    code = Exit.DONE if booted else Exit.TRY_CANT_TELL
    output.finish(facts, [*_build_lines(built), *lines, *logs, *_home_lines(homed)], code)


def _plan(desk: Desk, rev: str, said: dict[str, Any], probe: ProbeRecipe) -> Plan:
    """Return a plan whose range is the one commit: it is an end, so a lost required option is an error."""
    words = gather(Words, said)
    commit = desk.graph.resolve(rev)
    check_kernel_tree(desk.graph, commit)
    host = desk.config.host(words.host)
    recipe, names = build_recipe(words, host, desk.graph, desk.config.jobs)
    return Plan(desk.tree, Range(commit, (commit,)), recipe, probe, host, names)


@contextmanager
def _bench(desk: Desk, plan: Plan) -> Iterator[Bench]:
    with bench(desk, plan.range_.bad) as taken:
        try:
            yield taken
        finally:
            desk.proc.stop_all()


def _build(desk: Desk, taken: Bench, plan: Plan, folder: Folder) -> Kernel | BuildBroken:
    commit = plan.range_.bad
    deadline = Deadline.after(desk.clock, desk.config.build_seconds)
    with waiting(f"building {commit[:12]}", desk.clock):
        return taken.builder.build(plan.build, commit, log=folder.build_log(commit), deadline=deadline, required=True)


def _boot(  # noqa: PLR0913, PLR0917  (where, what, and how often)
    desk: Desk, taken: Bench, plan: Plan, folder: Folder, kernel: Kernel, runs: int
) -> tuple[Trial | Homed, ...]:
    told: list[Trial | Homed] = []
    faults: list[InfraError] = []
    with stages(desk, folder, plan, taken) as made, waiting(f"booting {kernel.release}", desk.clock):
        made.boot(BootAsk(kernel, 1, runs), told.append, faults.append)
    return tuple(told)


def _build_exit(built: Kernel | BuildBroken) -> Exit:
    return Exit.BUILD_BROKEN if isinstance(built, BuildBroken) else Exit.DONE


def _try_exit(found: Judgement | NotYet) -> Exit:
    return _EXITS[found.verdict] if isinstance(found, Judgement) else Exit.TRY_CANT_TELL


def _build_facts(built: Kernel | BuildBroken) -> dict[str, object]:
    facts: dict[str, object] = {
        "commit": built.commit,
        "built": isinstance(built, Kernel),
        "seconds": round(built.seconds, 3),
        "from_store": built.from_store,
        "log": str(built.log) if built.log else None,
    }
    if isinstance(built, BuildBroken):
        return {**facts, "broken_by": built.by, "title": built.title, "file": built.file}
    return {
        **facts,
        "release": built.release,
        "image": str(built.image),
        "config": str(built.config),
        "modules": str(built.modules) if built.modules else None,
        "lost_optional": list(built.lost_optional),
    }


def _build_lines(built: Kernel | BuildBroken) -> list[str]:
    log = [f"log: {built.log}"] if built.log else []
    if isinstance(built, BuildBroken):
        where = f" ({built.file})" if built.file else ""
        return [f"{built.commit[:12]} doesn't build ({built.by}): {built.title}{where}", *log]
    taken = "from the store" if built.from_store else f"built in {built.seconds:.1f} s"
    lost = [f"not to be had here: {option}" for option in built.lost_optional]
    files = [f"image: {built.image}", f"config: {built.config}"]
    files += [f"modules: {built.modules}"] if built.modules else []
    return [f"{built.release}: {taken}", *files, *lost, *log]


def _trial_facts(trials: tuple[Trial, ...], found: Judgement | NotYet) -> dict[str, object]:
    return {
        "verdict": found.verdict if isinstance(found, Judgement) else None,
        "why": found.why,
        "trials": _rows(trials),
    }


def _rows(trials: tuple[Trial, ...]) -> list[dict[str, object]]:
    return [
        {
            "ending": trial.ending,
            "reason": trial.reason,
            "counts": trial.counts,
            "notes": list(trial.notes),
            "boot_seconds": round(trial.boot_seconds, 3),
            "probe_seconds": round(trial.probe_seconds, 3),
            "exposure_seconds": round(trial.exposure, 6),
            "console": str(trial.console) if trial.console else None,
        }
        for trial in trials
    ]


def _home_facts(homed: tuple[Homed, ...]) -> dict[str, object]:
    rows = [
        {
            "host": one.host,
            "how": one.how,
            "seconds": round(one.seconds, 3),
            "tried": list(one.tried),
            "crash_log": str(one.crash_log) if one.crash_log else None,
        }
        for one in homed
    ]
    return {"homecomings": rows} if rows else {}


def _home_lines(homed: tuple[Homed, ...]) -> list[str]:
    lines = [f"{one.host} is home again {one.how}, after {one.seconds:.1f} s" for one in homed]
    return [*lines, *(f"the machine kept a crash log: {one.crash_log}" for one in homed if one.crash_log)]


def _trial_lines(trials: tuple[Trial, ...], found: Judgement | NotYet) -> list[str]:
    lines = [
        f"trial {number}: {trial.ending} after {trial.boot_seconds:.1f} s of boot and {trial.probe_seconds:.1f} s of "
        f"probe: {trial.reason}"
        for number, trial in enumerate(trials, 1)
    ]
    lines += [f"seen on the way: {note}" for trial in trials[-1:] for note in trial.notes]
    lines += [f"console: {trial.console}" for trial in trials[-1:] if trial.console]
    word = found.verdict.upper() if isinstance(found, Judgement) else "NO VERDICT"
    return [*lines, f"{word}: {found.why}"]
