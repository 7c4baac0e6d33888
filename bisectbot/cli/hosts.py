"""`bisectbot hosts`: the machines of hosts.toml: list, check, switch, listen to, and boot one commit on one of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from bisectbot.boot import rails
from bisectbot.boot.identity import identify
from bisectbot.cli.completion import lab_names
from bisectbot.cli.findings import printed, summary
from bisectbot.cli.hostrows import rows, table
from bisectbot.cli.labwiring import Lab
from bisectbot.cli.options import build_options, logs_option
from bisectbot.cli.output import Exit, Output, json_option
from bisectbot.cli.progress import waiting
from bisectbot.cli.single import boot_only
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config
from bisectbot.doctor.finding import Finding, Status, worst
from bisectbot.doctor.host import Reach, Timed, examine_host
from bisectbot.effects.recorder import Recorder
from bisectbot.effects.ssh import scan
from bisectbot.errors import BisectbotError, ConfigError, HostSick, InfraError
from bisectbot.lab import LabHost
from bisectbot.ports import Chunk, Console, Deadline
from bisectbot.power.switching import Switched, Switching
from bisectbot.reach import PowerState, Switch

_FILE = click.Path(path_type=Path, dir_okay=False)
_hosts_option = click.option("--hosts", type=_FILE, metavar="FILE", help="Another hosts.toml than the one in force.")
_name = click.argument("name", metavar="NAME", shell_complete=lab_names)


@click.group(short_help="List, check, switch and listen to real test machines; boot one commit on one.")
def hosts() -> None:
    """List, check, switch and listen to the test machines of hosts.toml; boot one commit on one of them.

    NAME is a machine's name in hosts.toml, or tag:WORD for the first machine that has this tag. docs/hosts.md tells how
    machines are described.
    """


@hosts.command("list", short_help="What machines there are, and which are set aside.")
@_hosts_option
@json_option
@click.pass_obj
def list_hosts(output: Output, hosts: Path | None) -> None:
    """List the hosts: how each is booted, switched and listened to, and whether it is set aside.

    Nothing is connected to.

    Exit status 0: done; 2: a mistake in hosts.toml.
    """
    loaded = config.load(hosts)
    found = rows(loaded, Lab.here().book)
    output.finish({"file": str(loaded.file), "hosts": found}, table(found))


@hosts.command(short_help="Look at every layer of a machine: what works, with times.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=lab_names)
@_hosts_option
@json_option
@click.pass_obj
def check(output: Output, names: tuple[str, ...], hosts: Path | None) -> None:
    """Look at every layer of each NAME: SSH, marker, lock, kexec, console, power, PXE. Without NAME: all real machines.

    Nothing is rebooted or switched. A machine that was set aside, and passes, is in service again.

    Exit status 0: all that is needed works; 5: something fails, and how to mend it is told; 2: a mistake in hosts.toml
    or in NAME.
    """
    loaded, lab = config.load(hosts), Lab.here()
    chosen = list(dict.fromkeys(_real(loaded, name) for name in names)) or loaded.lab_hosts
    if not chosen:
        raise ConfigError(f"{loaded.file} has no real machine", hint="docs/hosts.md shows how one is described")
    results = {host.name: _told(output, lab, host) for host in chosen}
    everything = [finding for found in results.values() for finding in found]
    well = worst(everything) is not Status.FAIL
    facts = {"ok": well, "hosts": {name: [asdict(one) for one in found] for name, found in results.items()}}
    output.finish(facts, summary(everything), Exit.DONE if well else Exit.FAULT)


def _told(output: Output, lab: Lab, host: LabHost) -> list[Finding]:
    """Examine a machine, and show what is found as it is found."""
    found = _examined(lab, host)
    doing = f"checking {host.name}; a layer takes {max(host.patiences.ssh, host.patiences.power):.0f} s at the most"
    if output.as_json:
        with waiting(doing, lab.clock):
            return list(found)
    click.echo(f"{host.name}:")
    return list(printed(found, doing))


def _examined(lab: Lab, host: LabHost) -> Iterator[Timed]:
    """Yield what is found; one machine that can't be looked at doesn't keep the others from it."""
    try:
        with lab.lock(host), _following(lab, host) as (keeping, recorded):
            yield from examine_host(
                Reach(lab.way(host), lab.me, lab.book, scan, keeping, recorded, lab.netboot(host)),
            )
    except BisectbotError as error:
        yield Timed("check", Status.FAIL, error.message, error.hint)


@contextmanager
def _following(lab: Lab, host: LabHost) -> Iterator[tuple[Recorder, Console]]:
    """Listen to a machine for as long as a command lasts, and keep nothing of it."""
    with TemporaryDirectory(prefix="bisectbot-") as logs, lab.following(host, Path(logs)) as found:
        yield found


@hosts.command(short_help="Switch a machine on or off, cycle its power, or ask for its state.")
@_name
@click.argument("act", metavar="on|off|cycle|status", type=click.Choice(["on", "off", "cycle", "status"]))
@_hosts_option
@json_option
@click.pass_obj
def power(output: Output, name: str, act: str, hosts: Path | None) -> None:
    """Switch machine NAME on or off, cycle its power, or ask for its state; each act is confirmed by the state.

    A machine loses its power only if it shows its marker, or has shown it before, and no other bisectbot uses it.

    Exit status 0: done, and the state is what was asked for; 5: it couldn't be done, or the machine may not be
    switched; 2: a mistake in hosts.toml or in the words, or the machine is in use.
    """
    loaded, lab = config.load(hosts), Lab.here()
    host = _real(loaded, name)
    switch = _switch(loaded, lab, host)
    if act == "status":
        with waiting(f"{host.name}: power status (at most {host.patiences.power:.0f} s)", lab.clock):
            state = switch.status(Deadline.after(lab.clock, host.patiences.power))
        output.finish({"host": host.name, "power": state}, [_state_line(host, state)])
    with lab.lock(host), waiting(f"{host.name}: power {act} (at most {_longest(host, act):.0f} s)", lab.clock):
        if act != "on":
            _may_switch(lab, host)
        done = _switched(Switching(switch, lab.clock, host.patiences), act)
    state = PowerState.OFF if act == "off" else PowerState.ON
    sure = "" if done.confirmed else "; its switch can't be asked, so only the machine itself can tell"
    facts = {"host": host.name, "power": state, "confirmed": done.confirmed, "seconds": round(done.seconds, 3)}
    output.finish(facts, [f"{host.name} is {state} after {done.seconds:.1f} s{sure}"])


def _state_line(host: LabHost, state: PowerState) -> str:
    return f"{host.name}: its switch can't be asked" if state is PowerState.UNKNOWN else f"{host.name} is {state}"


def _longest(host: LabHost, act: str) -> float:
    """Return the seconds that an act takes at the most: see Switching."""
    one = 1.5 * host.patiences.power
    return {"on": one, "off": one + host.patiences.ssh, "cycle": 3 * one + host.patiences.ssh}[act]


def _switched(switching: Switching, act: str) -> Switched:
    return {"on": switching.turn_on, "off": switching.turn_off, "cycle": switching.cycle}[act]()


def _may_switch(lab: Lab, host: LabHost) -> None:
    """Refuse to take power from a machine that isn't ours: it shows its marker now, or has shown it before.

    That it answers takes nothing back of its being set aside: only `hosts check` does.
    """
    deadline = Deadline.after(lab.clock, host.patiences.ssh)
    known = lab.book.recall(host)
    try:
        with lab.way(host).door.open(deadline) as shell:
            seen = identify(shell, host.marker, deadline)
            rails.check_machine(host, seen, lab.me.owner())
            rails.take_lock(shell, host, lab.me, deadline)
            rails.give_lock_back(shell, host, lab.me, deadline)
    except InfraError as error:
        if error.lasting:
            raise
        if known is None:
            raise HostSick(
                f'host "{host.name}" doesn\'t answer, and has never shown that it may be switched off: {error.message}',
                hint=f"if it may be: `bisectbot hosts check {host.name}` while it answers",
            ) from error
        click.echo(f"{host.name} can't be asked whether a bisectbot elsewhere uses it: {error.message}", err=True)
        return
    if known is None and not seen.token:
        lab.book.proven(host, seen.release)


@hosts.command("console", short_help="Follow a machine's console until Ctrl-C.")
@_name
@_hosts_option
@click.option("--json", "as_json", is_flag=True, help='Print each line as an object: {"seconds": ..., "line": ...}.')
@click.pass_obj
def follow(output: Output, name: str, hosts: Path | None, *, as_json: bool) -> None:
    """Follow the console of machine NAME until Ctrl-C. What it sends is printed as it is; the machine isn't touched.

    While a session uses the machine, its console is in the session's folder instead.

    Exit status 130: ended by Ctrl-C; 5: the console can't be listened to; 2: a mistake in hosts.toml or in NAME, or the
    machine is in use.
    """
    output.as_json = as_json
    loaded, lab = config.load(hosts), Lab.here()
    host = _real(loaded, name)
    if host.console is None:
        raise _lacks(loaded, host, "console")
    with lab.lock(host), _following(lab, host) as (keeping, recorded):
        with waiting(f"opening {keeping.what} (at most {host.patiences.ssh:.0f} s)", lab.clock):
            keeping.ready(Deadline.after(lab.clock, host.patiences.ssh))
        click.echo(f"{keeping.what}: Ctrl-C ends this", err=True)
        chunks = (chunk for chunk in recorded.chunks(0.5) if chunk)
        for data in _as_objects(chunks) if as_json else (chunk.data for chunk in chunks):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def _as_objects(chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Yield one line of JSON for each whole line of a console."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk.data).split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode(errors="replace")
            yield json.dumps({"seconds": round(chunk.at, 3), "line": text}).encode() + b"\n"


@hosts.command(short_help="Build one commit and boot it on a machine.")
@_name
@click.argument("rev", metavar="REV")
@build_options
@logs_option
@json_option
@click.pass_obj
def boot(output: Output, /, name: str, rev: str, **said: Any) -> None:  # noqa: ANN401  click's options
    """Build revision REV, boot it on machine NAME, see it prove itself, and bring the machine home.

    No reproducer is run: `bisectbot try REV --host NAME` does that.

    Exit status 0: it booted; 11: it didn't, which its console tells; 12: it doesn't build; 5: the machine or the lab
    failed; 2: a mistake in hosts.toml or in the words, or the machine is in use.
    """
    said["host"] = _real(config.load(said["hosts"]), name).name
    boot_only(output, rev, said)


# NAME says it already
boot.params = [parameter for parameter in boot.params if parameter.name != "host"]


def _real(loaded: Config, name: str) -> LabHost:
    """Return a real machine by its name or tag; ConfigError tells which there are."""
    names = ", ".join(host.name for host in loaded.lab_hosts)
    there = f"give one of: {names}" if names else "docs/hosts.md shows how a real machine is described"
    try:
        host = loaded.host(name)
    except ConfigError as error:
        raise ConfigError(error.message, hint=there) from error
    if not isinstance(host, LabHost):
        raise ConfigError(
            f'host "{host.name}" of {loaded.file} is played by QEMU: there is nothing to check or to switch',
            hint=f"{there}; `bisectbot doctor` looks at QEMU hosts, `bisectbot try` boots on them",
        )
    return host


def _switch(loaded: Config, lab: Lab, host: LabHost) -> Switch:
    switch = lab.switch(host)
    if switch is None:
        raise _lacks(loaded, host, "power switch", "power")
    return switch


def _lacks(loaded: Config, host: LabHost, what: str, key: str = "") -> ConfigError:
    where = f"hosts.{host.name}.{key or what}"
    hint = f"describe it as {where}; docs/hosts.md has the kinds"
    return ConfigError(f'host "{host.name}" has no {what}: {loaded.file} has no {where}', hint=hint)
