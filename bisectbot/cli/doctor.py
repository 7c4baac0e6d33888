"""`bisectbot doctor`: what is missing here, and the line that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from bisectbot import places
from bisectbot.boot.accel import Answers
from bisectbot.cli.completion import host_names
from bisectbot.cli.findings import install_all, printed, summary
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.doctor.examine import Patient, examine, read_hosts
from bisectbot.doctor.finding import Bench, Finding, Status, worst
from bisectbot.doctor.qemu import Kvm
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.lock import holder
from bisectbot.effects.proc import Processes
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.site import LocalSite
from bisectbot.keeper.queued import markers
from bisectbot.session import keeper_lock

_FILE = click.Path(path_type=Path)  # whether it is one, the checks tell


@click.command()
@click.option("--hosts", type=_FILE, metavar="FILE", help="Another hosts.toml.")
@click.option(
    "--host", metavar="NAME", shell_complete=host_names, help="The host that has to work; else the default one."
)
@click.option("--tree", type=_FILE, metavar="DIR", help="Look at this kernel tree too.")
@click.option("--logs", type=_FILE, default=Path("logs"), show_default=True, metavar="DIR", help="Session folders.")
@json_option
@click.pass_obj
def doctor(output: Output, hosts: Path | None, host: str | None, tree: Path | None, logs: Path) -> None:
    """Look at tools, compilers, QEMU, disks, hosts.toml and the tree; say how to mend what is missing.

    Exit status 0: all that is needed is there; 5: something is missing.
    """
    found = _findings(hosts, host, tree, logs)
    findings = list(found) if output.as_json else list(printed(found))
    well = worst(findings) is not Status.FAIL
    facts = {"ok": well, "findings": [asdict(finding) for finding in findings], "install": install_all(findings)}
    output.finish(facts, summary(findings), Exit.DONE if well else Exit.FAULT)


def _findings(hosts: Path | None, host: str | None, tree: Path | None, logs: Path) -> Iterator[Finding]:
    first, config = read_hosts(hosts)
    patient = Patient(
        config=config,
        # A host of a file that is wrong can't be looked up in the one that stands in for it.
        wanted=config.host(host if first.status is Status.OK else None),
        kvm=Kvm(Answers(places.cache() / "accel.json")),
        cache=places.cache(),
        logs=logs,
        tree=tree,
        history=lambda path: GitGraph(open_git(path)),
        keeper=holder(keeper_lock(logs)),
        queued=sum(1 for _ in markers(logs)),
    )
    yield first
    yield from examine(patient, Bench(Processes(), SystemClock()), LocalSite())
