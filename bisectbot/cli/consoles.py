"""`bisectbot console FILE ...`: what happened in saved console logs."""

from __future__ import annotations

import gzip
import sys
import zlib
from dataclasses import asdict
from pathlib import Path

import click

from bisectbot.cli.output import Output, json_option
from bisectbot.console import Reading, read_console
from bisectbot.errors import ConfigError

_PACKED = b"\x1f\x8b"  # how a .gz begins


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
@json_option
@click.pass_obj
def console(output: Output, files: tuple[Path, ...]) -> None:
    """Read saved console logs, packed ones too: what happened, its kind and title. `-` is standard input."""
    readings = [(file, read_console(_bytes(file))) for file in files]
    facts = {"files": [_facts(file, reading) for file, reading in readings]}
    output.finish(facts, [line for file, reading in readings for line in _lines(file, reading)])


def _bytes(file: Path) -> bytes:
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return gzip.decompress(raw) if raw.startswith(_PACKED) else raw
    except (EOFError, zlib.error) as error:
        raise ConfigError(f"{file}: is packed, and not whole: {error}", hint="give another file") from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint="give files that hold a kernel's console output") from error


def _facts(file: Path, reading: Reading) -> dict[str, object]:
    first = reading.first
    return {
        "file": str(file),
        "crash": reading.crashed,
        "kind": first.kind,
        "title": first.title,
        "frame": first.frame,
        "line": first.line,
        "cut": first.cut,
        "releases": list(reading.releases),
        "reports": [asdict(crash) for crash in reading.crashes],
    }


def _lines(file: Path, reading: Reading) -> list[str]:
    first = reading.first
    where = f" in {first.frame}" if first.frame and first.frame not in first.title else ""
    lines = [f"{file}: {first.kind}: {first.title}{where}" if first.title else f"{file}: {first.kind}"]
    others = [crash for crash in reading.crashes if crash is not first]
    return lines + [f"{file}:{crash.line}: also {crash.kind}: {crash.title}" for crash in others]
