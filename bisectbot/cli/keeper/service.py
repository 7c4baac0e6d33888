"""`bisectbot service`: the keeper, which works through the queue, by hand or as a systemd unit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bisectbot.cli.keeper.daemon import hosts_words
from bisectbot.cli.keeper.systemd import Systemd
from bisectbot.cli.keeper.wiring import keep
from bisectbot.cli.options import logs_option
from bisectbot.cli.output import Output, json_option
from bisectbot.config import hosts as config
from bisectbot.effects.children import ourselves
from bisectbot.effects.detached import become
from bisectbot.effects.files import replace_text
from bisectbot.errors import ConfigError
from bisectbot.keeper.unit import NAME, Unit, unit_text

_HOSTS = click.option(
    "--hosts", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Its hosts.toml."
)
_SCOPE = click.option(
    "--system/--user", "of_system", default=None, help="Of this machine, or of your login; root's is the machine's."
)
# What a session needs from where it was installed; nothing secret, for anybody may read a unit.
_KEPT = ("HOME", "BISECTBOT_CACHE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR")
_LINES = 1000


@click.group()
def service() -> None:
    """The keeper: it works through the queue, and goes on after a kill, a fault or a reboot."""


@service.command()
@logs_option
@_HOSTS
@click.option("--until-empty", is_flag=True, help="End when nothing is left to be done.")
@json_option
@click.pass_obj
def run(output: Output, logs: Path, hosts: Path | None, *, until_empty: bool) -> None:
    """Work through the queue of --logs here and now, until a signal comes; for tmux, and for systemd."""
    keep(logs, hosts, until_empty=until_empty)
    output.finish({"ending": "stopped", "logs": str(logs)}, ())


@service.command()
@logs_option
@_HOSTS
@_SCOPE
@click.option("--print", "only_print", is_flag=True, help="Print the unit, and change nothing.")
@json_option
@click.pass_obj
def install(output: Output, logs: Path, hosts: Path | None, *, of_system: bool | None, only_print: bool) -> None:
    """Make the keeper a systemd unit that is started with the machine, or with your login."""
    systemd = Systemd(os.geteuid() == 0 if of_system is None else of_system)
    config.load(hosts)  # its mistakes are told now, not in the night
    text = unit_text(_unit(logs, hosts, of_system=systemd.of_system))
    if only_print:
        output.finish({"unit": text, "file": str(systemd.unit)}, [text.rstrip("\n")])
    systemd.check()
    _write(systemd.unit, text)
    systemd.control("daemon-reload")
    systemd.control("enable", NAME)
    lines = [f"{systemd.unit}: written and enabled; start it now: bisectbot service start"]
    if not systemd.lingers():
        lines.append("it ends when you log out, unless you say once: loginctl enable-linger")
    output.finish({"file": str(systemd.unit), "lingers": systemd.lingers()}, lines)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{file.parent}: {error.strerror}", hint="as root, or with --user") from error
    replace_text(file, text)


def _unit(logs: Path, hosts: Path | None, *, of_system: bool) -> Unit:
    argv = (*ourselves(), "service", "run", "--logs", str(logs.absolute()), *hosts_words(hosts))
    path = ":".join(part for part in os.environ.get("PATH", os.defpath).split(":") if part.startswith("/"))
    kept = tuple((name, os.environ[name]) for name in _KEPT if os.environ.get(name))
    return Unit(argv, logs.absolute(), Path.cwd(), (("PATH", path), *kept), of_system)


def _installed(of_system: bool | None) -> Systemd:  # noqa: FBT001  None: not said
    """Return the systemd that has our unit; ConfigError if none does."""
    both = [Systemd(whose) for whose in (False, True) if of_system in (None, whose)]
    for systemd in both:
        if systemd.unit.is_file():
            systemd.check()
            return systemd
    both[-1].check()
    raise ConfigError("the service isn't installed", hint="bisectbot service install")


@service.command()
@_SCOPE
@json_option
@click.pass_obj
def start(output: Output, *, of_system: bool | None) -> None:
    """Start the installed keeper."""
    systemd = _installed(of_system)
    systemd.control("start", NAME)
    _tell(output, systemd)


@service.command()
@_SCOPE
@json_option
@click.pass_obj
def stop(output: Output, *, of_system: bool | None) -> None:
    """Stop the installed keeper and all sessions, within 10 seconds; they go on when it is started again."""
    systemd = _installed(of_system)
    systemd.control("stop", NAME)
    _tell(output, systemd)


@service.command()
@_SCOPE
@json_option
@click.pass_obj
def status(output: Output, *, of_system: bool | None) -> None:
    """Print how the installed keeper is."""
    _tell(output, _installed(of_system))


def _tell(output: Output, systemd: Systemd) -> None:
    found = systemd.standing()
    pid = f", pid {found['MainPID']}" if found.get("MainPID", "0") != "0" else ""
    since = f" since {found['ActiveEnterTimestamp']}" if found.get("ActiveEnterTimestamp") else ""
    lines = [f"{NAME}: {found.get('ActiveState')} ({found.get('SubState')}){pid}{since}"]
    lines += [f"restarted {found['NRestarts']} times by itself"] if found.get("NRestarts", "0") != "0" else []
    lines += [found["StatusText"]] if found.get("StatusText") else []
    output.finish(dict(found), lines)


@service.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@_SCOPE
@json_option
@click.pass_obj
def logs(output: Output, *, follow: bool, of_system: bool | None) -> None:
    """Show what the installed keeper said; each session's own words are in its service.log."""
    systemd = _installed(of_system)
    if not follow:
        lines = systemd.logs(f"--lines={_LINES}").splitlines()
        output.finish({"lines": lines}, lines)
    sys.stdout.flush()
    become(systemd.logs_argv("--follow"))


@service.command()
@_SCOPE
@json_option
@click.pass_obj
def uninstall(output: Output, *, of_system: bool | None) -> None:
    """Stop the installed keeper and remove its unit; sessions and queue stay."""
    systemd = _installed(of_system)
    systemd.control("disable", "--now", NAME)
    systemd.unit.unlink(missing_ok=True)
    systemd.control("daemon-reload")
    output.finish({"file": str(systemd.unit)}, [f"{systemd.unit}: removed; the queue stays as it is"])
