"""`bisectbot completion`: the script that lets bash or zsh complete commands, options, hosts and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from bisectbot.config import hosts as config
from bisectbot.errors import ConfigError
from bisectbot.lab import Host, LabHost

_PROGRAM = "bisectbot"
_VARIABLE = "_BISECTBOT_COMPLETE"  # click makes it from the program's name
_ONE_WORD = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:}  # or tag:WORD would be completed as three words"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a completion script.

    Put `eval "$(bisectbot completion bash)"` into ~/.bashrc, or the same with zsh into ~/.zshrc.
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"click can't complete for {shell}")
    click.echo(made(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())
    if shell == "bash":
        click.echo(_ONE_WORD)


def host_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete --host: a name, or tag:WORD for the first real machine that has that tag."""
    return _matching(_hosts(context), incomplete)


def lab_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name or the tag of a real machine."""
    return _matching([host for host in _hosts(context) if isinstance(host, LabHost)], incomplete)


def _hosts(context: click.Context) -> Sequence[Host]:
    """Return those of the hosts.toml in force, silently: a shell's prompt is no place for its mistakes."""
    chosen = context.params.get("hosts")
    try:
        return config.load(Path(chosen) if chosen else None).hosts
    except ConfigError:
        return ()


def _matching(hosts: Sequence[Host], incomplete: str) -> list[CompletionItem]:
    first: dict[str, str] = {}
    for host in hosts:
        for tag in host.tags if isinstance(host, LabHost) else ():
            first.setdefault(f"tag:{tag}", host.name)
    items = [(host.name, host.arch.value) for host in hosts] + [*first.items()]
    return [CompletionItem(value, help=about) for value, about in items if value.startswith(incomplete)]


def session_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a session from the folders that hold a journal."""
    logs = Path(context.params.get("logs") or "logs")
    names = sorted(journal.parent.name for journal in logs.glob("*/journal.db"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
