"""`bisectbot tidy`: kernels, worktrees and compiler output that nobody needs any more go; old logs are packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bisectbot import places
from bisectbot.build.store import Store
from bisectbot.cli.housekeeping import Premises, places_of
from bisectbot.cli.output import Output, json_option
from bisectbot.cli.progress import waiting
from bisectbot.config import hosts as config
from bisectbot.disk.decide import Kind, Thing, due
from bisectbot.disk.survey import survey
from bisectbot.disk.tidy import Freed
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes

_MIB = 1 << 20
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--logs",
    type=_FOLDER,
    multiple=True,
    default=(Path("logs"),),
    show_default=True,
    metavar="DIR",
    help="Session folders; may be given several times. What their sessions rest on stays.",
)
@click.option("--hosts", type=_FILE, metavar="FILE", help="Another hosts.toml.")
@json_option
@click.pass_obj
def tidy(output: Output, logs: tuple[Path, ...], hosts: Path | None, *, dry_run: bool) -> None:
    """Let go what hosts.toml says is too old or too much, and pack old logs.

    What is in use stays, and so does what a session in --logs needs: everything while it has no answer, then the
    kernels that its answer rests on. No log is ever removed.
    """
    desk = Premises(config.load(hosts).store, Processes(), SystemClock())
    store = Store(places.cache() / "kernels", desk.rules.max_kernels)
    with waiting("looking at what there is", desk.clock):
        things = survey(places_of(store, logs))
    going = due(things, desk.rules, desk.clock.wall())
    if dry_run:
        output.finish(_foreseen(things, going), _foreseen_lines(things, going))
    with waiting("tidying", desk.clock):
        freed = desk.broom(store, hard=False).sweep(going)
    output.finish(_facts(freed), [f"tidied away: {freed}"])


def _facts(freed: Freed) -> Mapping[str, object]:
    return {"dry_run": False, "things": freed.things, "bytes": {str(kind): size for kind, size in freed.size.items()}}


def _foreseen(things: Sequence[Thing], going: Sequence[Thing]) -> Mapping[str, object]:
    return {
        "dry_run": True,
        "things": len(going),
        "bytes": {str(kind): size for kind in Kind if (size := _bytes(going, kind))},
        "all_bytes": {str(kind): _bytes(things, kind) for kind in Kind},
        "kept": [{"path": str(one.path), "why": one.kept} for one in things if one.kept],
        "going": [{"path": str(one.path), "kind": str(one.kind), "bytes": one.size} for one in going],
    }


def _foreseen_lines(things: Sequence[Thing], going: Sequence[Thing]) -> list[str]:
    return [*(_line(things, going, kind) for kind in Kind), "nothing was touched"]


def _line(things: Sequence[Thing], going: Sequence[Thing], kind: Kind) -> str:
    whole, gone = _bytes(things, kind) // _MIB, _bytes(going, kind) // _MIB
    number = sum(one.kind is kind for one in going)
    told = {Kind.LOG: f"{gone} MiB would be packed", Kind.CCACHE: "would be brought down to its own limit"}
    kept = sum(one.kind is kind and bool(one.kept) for one in things)
    return f"{kind}: {whole} MiB; {told.get(kind, f'{number} would go, {gone} MiB')}" + (
        f"; {kept} {'has' if kept == 1 else 'have'} to stay" if kept else ""
    )


def _bytes(things: Sequence[Thing], kind: Kind) -> int:
    return sum(one.size for one in things if one.kind is kind)
