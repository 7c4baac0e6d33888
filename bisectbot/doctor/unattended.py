"""What a night without anybody needs: that somebody is told, and that the queue is worked on."""

from __future__ import annotations

from collections.abc import Iterator

from bisectbot.channels import Channel, Command, Mail, Notices, Sendmail, Smtp
from bisectbot.doctor.finding import Bench, Finding, Status

_TRY = "bisectbot notify --test"


def notices(bench: Bench, recipe: Notices) -> Iterator[Finding]:
    """Tell over what notices go; nobody is reached for that, `notify --test` does so."""
    if not recipe.channels:
        yield Finding("notices", Status.OK, "none: nobody is told how a night ended; see [notices] in docs/hosts.md")
    for channel in recipe.channels:
        way, program = _way(channel)
        if program and bench.proc.which(program) is None:
            yield Finding("notices", Status.WARN, f"{way}: it isn't installed", "correct [notices] in hosts.toml")
        else:
            yield Finding("notices", Status.OK, f"{way}; whether they arrive: {_TRY}")


def _way(channel: Channel) -> tuple[str, str]:
    """Return a channel in words without anything secret, and the program that it needs, "" for none."""
    match channel:
        case Mail(to, _, Smtp(host, port, security)):
            return f"mail to {', '.join(to)} by {host}:{port} ({security})", ""
        case Mail(to, _, Sendmail(program)):
            return f"mail to {', '.join(to)} by {program}", str(program)
        case Command(argv):
            return f"command {argv[0]}", argv[0]
        case _:
            return "webhook", ""


def queue(waiting: int, keeper: int | None) -> Iterator[Finding]:
    """Tell whether somebody works on the queue."""
    told = f"{waiting} in it"
    if keeper is not None:
        yield Finding("queue", Status.OK, f"{told}; its keeper runs, pid {keeper}")
    elif waiting:
        mend = "bisectbot service start, or `bisectbot service run` in a terminal of its own"
        yield Finding("queue", Status.WARN, f"{told}, and nobody works on it", mend)
    else:
        yield Finding("queue", Status.OK, f"{told}; no keeper runs")
