"""`bisectbot completion`: the script that lets bash or zsh complete commands, options, hosts and sessions."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from bisectbot.config import hosts as config
from bisectbot.errors import ConfigError

_PROGRAM = "bisectbot"
_VARIABLE = "_BISECTBOT_COMPLETE"  # click makes it from the program's name


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


def host_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete --host from the hosts.toml in force, silently: a shell's prompt is no place for its mistakes."""
    chosen = context.params.get("hosts")
    try:
        hosts = config.load(Path(chosen) if chosen else None).hosts
    except ConfigError:
        return []
    return [CompletionItem(host.name, help=host.arch) for host in hosts if host.name.startswith(incomplete)]


def session_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a session from the folders that hold a journal."""
    logs = Path(context.params.get("logs") or "logs")
    names = sorted(journal.parent.name for journal in logs.glob("*/journal.db"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
