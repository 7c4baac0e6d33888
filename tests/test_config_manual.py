"""docs/hosts.md is true: its examples are read by the real parser, and its tables have every key and default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bisectbot.channels import DEFAULT_KINDS, Command, Kind, Mail, Webhook
from bisectbot.config import hosts as config
from bisectbot.config import tables
from bisectbot.config.labkinds import CONSOLE_KINDS, POWER_KINDS
from bisectbot.config.labtables import PXE_MODES, LabDeadlineTable, LabTable, NetworkTable, PxeTable, SshTable
from bisectbot.config.notices import CommandTable, MailTable, NoticesTable, WebhookTable
from bisectbot.lab import BootMethod, IpmiPower, LabHost, Payload, PxeMode, SnmpPower, SolConsole, TcpConsole
from bisectbot.model import Arch, Deadlines

MANUAL = (Path(__file__).parent.parent / "docs" / "hosts.md").read_text()
_TEXTS: list[str] = re.findall(r"^```toml\n(.*?)^```", MANUAL, re.DOTALL | re.MULTILINE)
EXAMPLES = {found.default: found for found in (config.parse(text, Path("docs/hosts.md")) for text in _TEXTS)}


def lab(default: str, name: str | None = None) -> LabHost:
    """Return a real machine of an example."""
    host = EXAMPLES[default].host(name)
    assert isinstance(host, LabHost)
    return host


def test_every_example_of_the_manual_is_right() -> None:
    """Each whole example is a hosts.toml: that with QEMU, the three labs, and that with notices."""
    assert [*EXAMPLES] == ["pc", "rack1", "board3", "desktop", "lab"]
    assert EXAMPLES["pc"].host("pc").deadlines == Deadlines(boot=180, run=600, silence=90)


def test_the_rack_server_is_what_the_manual_says() -> None:
    """IPMI, SOL, kexec and then PXE on a network of its own."""
    rack = lab("rack1")
    assert rack.boots == (BootMethod.KEXEC, BootMethod.PXE)
    assert isinstance(rack.power, IpmiPower)
    assert rack.console == SolConsole()
    assert rack.pxe is not None
    assert rack.pxe.network.mode is PxeMode.SERVE
    assert EXAMPLES["rack1"].host("tag:svm") is rack


def test_the_board_is_what_the_manual_says() -> None:
    """aarch64, an outlet by SNMP, a serial line by TCP, PXE files in somebody else's TFTP root."""
    board = lab("board3")
    assert (board.arch, board.boots) == (Arch.AARCH64, (BootMethod.PXE,))
    assert isinstance(board.power, SnmpPower)
    assert isinstance(board.console, TcpConsole)
    assert board.pxe is not None
    assert board.pxe.network.folder == Path("/srv/tftp")


def test_the_desktops_are_what_the_manual_says() -> None:
    """Nothing but SSH: one tells its results over the network, one runs with its own root."""
    one, two = lab("desktop"), lab("desktop", "desktop2")
    assert (one.power, one.console, one.payload) == (None, None, Payload.INITRAMFS)
    assert one.network is not None
    assert (two.power, two.console, two.payload) == (None, None, Payload.HOST)


def test_the_notices_are_what_the_manual_says() -> None:
    """The kinds of the example are the default ones, each kind has a row, and all three channels are there."""
    notices = EXAMPLES["lab"].notices
    assert notices.on == DEFAULT_KINDS
    assert notices.silent_seconds == 4 * 3600
    assert [type(channel) for channel in notices.channels] == [Mail, Webhook, Command]
    assert [key for key, *_ in rows("| kind | when |")] == [*Kind]


SECTIONS: list[tuple[str, type[tables.Table]]] = [
    ("## Top level", tables.TopTable),
    ("## [store]", tables.StoreTable),
    ("## [logs]", tables.LogsTable),
    ("## [deadlines]", tables.AllDeadlineTable),
    ("## [hosts.NAME], a machine that QEMU plays", tables.QemuTable),
    ("## [hosts.NAME], a real machine", LabTable),
    ("### [hosts.NAME.ssh]", SshTable),
    *((f'`kind` | `"{kind}"', table) for kind, table in POWER_KINDS.items() if kind not in ("none", "command")),
    *((f'`kind` | `"{kind}"', table) for kind, table in CONSOLE_KINDS.items() if kind not in ("none", "command")),
    ('kind = `"command"`: any programs', POWER_KINDS["command"]),
    ('kind = `"command"`: a program that prints', CONSOLE_KINDS["command"]),
    ("### [hosts.NAME.network]", NetworkTable),
    ("### [hosts.NAME.pxe]", PxeTable),
    *((f'| key | mode = `"{mode}"`', table) for mode, table in PXE_MODES.items()),
    ("## [notices]\n", NoticesTable),
    ("### [notices.mail]", MailTable),
    ("### [notices.webhook]", WebhookTable),
    ("### [notices.command]", CommandTable),
]


def rows(mark: str) -> Iterator[tuple[str, str, str]]:
    """Yield (key, meaning, default) of the first table at or after a mark."""
    assert MANUAL.count(mark) == 1, mark
    at = MANUAL.index(mark)
    start = MANUAL.rindex("\n\n", 0, at) if MANUAL[: at + 1].rpartition("\n")[2].startswith("|") else at
    table = re.search(r"(?:^\|.*\n)+", MANUAL[start:], re.MULTILINE)
    assert table
    for line in table[0].splitlines()[2:]:
        _, key, meaning, default, *_ = re.split(r"\s*\|\s*", line)
        yield key.strip("`"), meaning, default


@pytest.mark.parametrize(("mark", "table"), SECTIONS)
def test_the_manual_explains_every_key(mark: str, table: type[tables.Table]) -> None:
    """The table of a section has a row for each key and none besides, with the default that is in force."""
    told = {re.sub(r"\[(\w+).*\]", r"\1", key): default for key, _, default in rows(mark)}
    assert sorted(told) == sorted(table.model_fields)
    for name, field in table.model_fields.items():
        if field.is_required():
            assert told[name] in ("has to be given", "at least one"), name
        elif isinstance(field.default, bool):
            assert told[name] == f"`{str(field.default).lower()}`", name
        elif isinstance(field.default, int | float) and name != "memory":  # which has a unit there
            assert told[name] == f"{field.default:g}", name
        elif isinstance(field.default, str) and field.default and table is not tables.QemuTable:
            assert told[name] == f'`"{field.default}"`', name


def test_the_manual_explains_every_deadline_of_a_real_machine() -> None:
    """The deadlines that only real machines have are all in a table of their own."""
    told = {key: default for key, _, default in rows("### [hosts.NAME.deadlines]")}
    own = {
        name: f for name, f in LabDeadlineTable.model_fields.items() if name not in tables.DeadlineTable.model_fields
    }
    assert told == {name: f"{field.default:g}" for name, field in own.items()}
