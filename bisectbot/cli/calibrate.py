"""`bisectbot calibrate`: which delay of the reproducer fires soonest, measured on a good and a bad kernel."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from bisectbot.calibrate.experiment import Asked, Part, Run, Step, run_of
from bisectbot.calibrate.kept import as_json
from bisectbot.calibrate.result import Calibration, Close, Place, found
from bisectbot.calibrate.setting import Lasting, read_settings
from bisectbot.cli.completion import host_names
from bisectbot.cli.measuring import Measuring
from bisectbot.cli.options import Words, build_options, build_recipe, gather, logs_option
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.cli.progress import waiting
from bisectbot.cli.wiring import Bench, Desk, bench, open_desk, program_for, stages
from bisectbot.config.hosts import Config
from bisectbot.crew import BootAsk
from bisectbot.effects.proc import Processes
from bisectbot.errors import ConfigError, InfraError
from bisectbot.lab import Homed, Host
from bisectbot.model import BuildBroken, Ending, Kernel, ProbeRecipe, Range, Trial
from bisectbot.plan import Plan, check_kernel_tree
from bisectbot.ports import Deadline
from bisectbot.report.calibration import plain_lines
from bisectbot.session import Folder, new_folder
from bisectbot.visible import visible

_DELAYS = "none,usleep:1,usleep:10,usleep:100,usleep:500,usleep:2000,getcpu:10,getcpu:1000,both:10,both:500"
_SECONDS = 2.0
_SPARE_SECONDS = 20.0  # a run that makes no progress gives up after 10 by itself
_Kernels = Mapping[Part, Kernel]


@dataclass(frozen=True)
class _Work:
    """All that boots need."""

    desk: Desk
    taken: Bench
    plans: Mapping[str, Plan]  # by the host's name
    kernels: Mapping[str, _Kernels]
    folder: Folder


@click.command()
@click.option("--good", required=True, metavar="REV", help="A kernel without the bug.")
@click.option("--bad", required=True, metavar="REV", help="One with it.")
@build_options
@click.option("--delays", default=_DELAYS, show_default=True, metavar="LIST", help="Between two migrations: KIND:N,...")
@click.option(
    "--runs", type=click.IntRange(1, 1000), default=5, show_default=True, help="Of each setting on each kernel."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    metavar="S",
    help=f"What a run lasts at the most; {_SECONDS:g} by default.",
)
@click.option("--migrations", type=click.IntRange(1, 1_000_000), metavar="M", help="Instead of seconds.")
@click.option(
    "--max-minutes", type=click.FloatRange(0.1), metavar="N", help="Of measuring; then the report is written."
)
@click.option("--session", default="", metavar="NAME", help="The folder's name; by default its time.")
@logs_option
@json_option
@click.pass_obj
def calibrate(output: Output, /, **said: Any) -> None:  # noqa: ANN401  click's options, named above
    """Measure with which delay the KVM+rseq reproducer fires soonest, on --good and --bad, for each architecture.

    Writes calibration.md, .html and .json; `run --calibrated FILE` takes its settings from the last one.
    """
    desk = open_desk(said["tree"], said["hosts"])
    hosts = _hosts(desk.config, said["host"])
    asked = _asked(said, hosts)
    now = desk.clock.wall()
    folder = new_folder(said["logs"], said["bad"], now, said["session"] or f"calibrate-{_stamp(now)}")
    plans = {host.name: _plan(desk, said, host) for host in hosts}
    range_ = plans[hosts[0].name].range_
    folder.path.mkdir(parents=True)
    with _ends_by_signal(), _bench(desk, range_.bad) as taken:
        kernels = {name: _built(desk, taken, plan, folder) for name, plan in plans.items()}
        work = _Work(desk, taken, plans, kernels, folder)
        until = Deadline.after(desk.clock, said["max_minutes"] * 60) if said["max_minutes"] else None
        measuring = Measuring(partial(_boot, work, asked.lasting), folder.path, desk.clock, until)
        measured = measuring.measure(_blank(work, asked, range_))
    _finish(output, folder, measured)


# all options of `run` about builds but one: a host for each architecture
calibrate.params = [
    click.Option(
        ["--host"],
        multiple=True,
        metavar="NAME",
        shell_complete=host_names,
        help="A test machine of hosts.toml, one for each architecture; by default the first QEMU host of each.",
    )
    if option.name == "host"
    else option
    for option in calibrate.params
]


# --- what is asked for ---------------------------------------------------------------------------------------


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%d-%H%M%S")


def _hosts(config: Config, names: Sequence[str]) -> tuple[Host, ...]:
    if not names:
        return _one_each(config)
    chosen = tuple(config.host(name) for name in dict.fromkeys(names))
    arches = [host.arch for host in chosen]
    if len(set(arches)) < len(arches):
        raise ConfigError(
            f"--host: two hosts of one architecture: {', '.join(host.name for host in chosen)}",
            hint="calibrate them one after the other, each into a file of its own",
        )
    return chosen


def _one_each(config: Config) -> tuple[Host, ...]:
    first = {host.arch: host for host in reversed(config.qemu_hosts)}
    if not first:
        raise ConfigError(f"{config.file} has no QEMU host", hint="give --host NAME")
    return tuple(first[arch] for arch in sorted(first, reverse=True))


def _asked(said: Mapping[str, Any], hosts: Sequence[Host]) -> Asked:
    seconds, migrations = said["seconds"], said["migrations"]
    if seconds is not None and migrations is not None:
        raise ConfigError("--seconds and --migrations exclude each other", hint="give one of them")
    lasting = Lasting("migrations", migrations) if migrations else Lasting("seconds", seconds or _SECONDS)
    for host in hosts:
        if lasting.by == "seconds" and lasting.number + _SPARE_SECONDS > host.deadlines.run:
            raise ConfigError(
                f"--seconds {lasting.number:g}: a run on {host.name} is killed after {host.deadlines.run:g} s",
                hint=f"give at most {host.deadlines.run - _SPARE_SECONDS:g}, or raise deadlines.run in hosts.toml",
            )
    return Asked(tuple(host.name for host in hosts), read_settings(said["delays"]), lasting, said["runs"])


def _plan(desk: Desk, said: Mapping[str, Any], host: Host) -> Plan:
    """Return a plan whose range is just its ends, so that a required option that got lost is an error."""
    ends = (desk.graph.resolve(said["bad"]), desk.graph.resolve(said["good"]))
    for end in ends:
        check_kernel_tree(desk.graph, end)
    if ends[0] == ends[1]:
        raise ConfigError(f"--good and --bad are the same commit: {ends[0]}", hint="give one without the bug as good")
    words = gather(Words, {**said, "host": host.name})
    recipe, names = build_recipe(words, host, desk.graph, desk.config.jobs)
    probe = ProbeRecipe(program_for(desk, host.arch, None), tries=1)
    return Plan(desk.tree, Range(ends[0], ends[1:]), recipe, probe, host, names)


# --- kernels -------------------------------------------------------------------------------------------------


@contextmanager
def _bench(desk: Desk, commit: str) -> Iterator[Bench]:
    with bench(desk, commit) as taken:
        try:
            yield taken
        finally:
            desk.proc.stop_all()


def _built(desk: Desk, taken: Bench, plan: Plan, folder: Folder) -> _Kernels:
    (good,) = plan.range_.goods
    bad = _build(desk, taken, plan, folder, plan.range_.bad)
    return {Part.GOOD: _build(desk, taken, plan, folder, good), Part.COUNT: bad, Part.FIRE: bad}


def _build(desk: Desk, taken: Bench, plan: Plan, folder: Folder, commit: str) -> Kernel:
    deadline = Deadline.after(desk.clock, desk.config.build_seconds)
    log = folder.path / "builds" / f"{plan.host.name}-{commit[:12]}.log"
    with waiting(f"building {commit[:12]} for {plan.host.name}", desk.clock):
        built = taken.builder.build(plan.build, commit, log=log, deadline=deadline, required=True)
    if isinstance(built, BuildBroken):
        raise ConfigError(
            f"{commit[:12]} doesn't build for {plan.host.name} ({built.by}): {visible(built.title)}",
            hint=f"give another end, or mend it with --fixup; its log: {built.log}",
        )
    return built


# --- boots ---------------------------------------------------------------------------------------------------


def _blank(work: _Work, asked: Asked, range_: Range) -> Calibration:
    places = [
        Place(name, plan.host.arch, work.kernels[name][Part.GOOD].release, work.kernels[name][Part.FIRE].release)
        for name, plan in work.plans.items()
    ]
    now = work.desk.clock.wall()
    return Calibration(asked, tuple(places), range_.goods[0], range_.bad, now, now)


def _boot(work: _Work, lasting: Lasting, step: Step, runs: list[Run]) -> None:
    """Boot once and add the runs as they end."""
    host, setting = step.case.host, step.case.setting
    plan = work.plans[host]
    args = (*lasting.args, *setting.args, *step.part.args)
    plan = replace(plan, probe=replace(plan.probe, args=args))
    folder = Folder(work.folder.path / host / str(setting).replace(":", "-"))
    folder.path.mkdir(parents=True, exist_ok=True)
    number = max((run.boot for run in runs), default=0) + 1
    ask = BootAsk(work.kernels[host][step.part], number, step.runs)

    def tell(one: Trial | Homed) -> None:
        if isinstance(one, Trial):
            runs.append(run_of(step, one))

    # children of its own: what ends with the stages may start nothing any more
    with stages(replace(work.desk, proc=Processes()), folder, plan, work.taken) as made:
        try:
            made.boot(ask, tell, _survived)
        finally:
            made.initramfs.unlink(missing_ok=True)  # it holds the arguments, and the next part has others


def _survived(fault: InfraError) -> None:
    click.echo(f"  failed for a reason of ours, tried again: {visible(fault.message)}", err=True)


@contextmanager
def _ends_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end it as Ctrl-C does: with all that was measured written down."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


# --- the end -------------------------------------------------------------------------------------------------


def _finish(output: Output, folder: Folder, kept: Calibration) -> None:
    facts = {name: value for name, value in as_json(kept).items() if name != "trials"}
    lines = [*plain_lines(kept), f"{kept.close}; report: {folder.path / 'calibration.md'}, .html and .json"]
    output.finish({**facts, "folder": str(folder.path)}, lines, _exit(kept))


def _exit(kept: Calibration) -> Exit:
    told = [found(kept, place) for place in kept.places]
    if any(run.part is Part.GOOD and run.ending is Ending.FIRED for run in kept.runs):
        return Exit.END_UNPROVEN
    if kept.close is Close.INTERRUPTED:
        return Exit.INTERRUPTED
    return Exit.DONE if all(one.soonest for one in told) else Exit.TRY_CANT_TELL
