"""The machines of hosts.toml as rows: for scripts whole, for people in columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bisectbot.boot.hostbook import HostBook
from bisectbot.config.hosts import Config
from bisectbot.lab import Host, LabHost
from bisectbot.visible import visible

Row = Mapping[str, object]

_COLUMNS = ("name", "arch", "boot", "power", "console", "payload")


def rows(loaded: Config, book: HostBook) -> list[Row]:
    """Return one row a host, in the order of the file."""
    return [_row(host, loaded.default, book) for host in loaded.hosts]


def _row(host: Host, default: str, book: HostBook) -> Row:
    row: dict[str, object] = {"name": host.name, "arch": host.arch.value, "default": host.name == default}
    if not isinstance(host, LabHost):
        return {**row, "boot": ["qemu"], "cpus": host.cpus, "memory_mib": host.memory_mib}
    known = book.recall(host)
    return {
        **row,
        "boot": [method.value for method in host.boots],
        "payload": host.payload.value,
        "power": _kind(host.power, "Power"),
        "console": _kind(host.console, "Console"),
        "address": host.ssh.address,
        "tags": list(host.tags),
        "set_aside": known.quarantined if known else "",
    }


def _kind(part: object, suffix: str) -> str:
    return type(part).__name__.removesuffix(suffix).lower() if part is not None else "none"


def table(rows_: Sequence[Row]) -> Iterator[str]:
    """Yield a heading and one line a row, in columns as wide as what stands in them."""
    cells = [[*map(str.upper, _COLUMNS), "ABOUT"], *([*_cells(row), _about(row)] for row in rows_)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(_COLUMNS))]
    for line in cells:
        columns = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*columns, line[-1]]).rstrip()


def _cells(row: Row) -> list[str]:
    return [", ".join(value) if isinstance(value := row.get(key, "-"), list) else str(value) for key in _COLUMNS]


def _about(row: Row) -> str:
    qemu = f"{row.get('cpus')} CPUs, {row.get('memory_mib')} MiB"
    words = [str(row["address"]) if "address" in row else qemu]
    tags = row.get("tags")
    words += [f"tags {' '.join(tags)}"] if isinstance(tags, list) and tags else []
    words += ["default"] if row["default"] else []
    words += [f"SET ASIDE: {visible(str(row['set_aside']))}"] if row.get("set_aside") else []
    return ", ".join(words)
