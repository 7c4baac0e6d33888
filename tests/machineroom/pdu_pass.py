"""snmpd's `pass` program for the outlets of an APC PDU: 1 is on, 2 off, 3 off and on again.

    pdu_pass.py OUTLETS -g|-n OID | -s OID TYPE VALUE

OUTLETS is a file in JSON: {"1": ["the chassis command of what hangs on outlet 1", ...]}. The protocol is told in
snmpd.conf(5), the table in PowerNet-MIB, sPDUOutletCtlTable.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TABLE = ".1.3.6.1.4.1.318.1.1.4.4.2.1.3"
_ON, _OFF = "1", "2"
_ACTS = {"1": ("power", "1"), "2": ("power", "0"), "3": ("reset", "1")}


def _chassis(command: list[str], *words: str) -> str | None:
    done = subprocess.run([*command, *words], check=False, capture_output=True, text=True)
    return None if done.returncode else done.stdout.strip()


def _next(outlets: dict[str, list[str]], oid: str) -> str | None:
    """Return the outlet whose OID follows `oid`, in the order of a walk."""
    after = [int(part) for part in oid.strip(".").split(".")]
    table = [int(part) for part in TABLE.strip(".").split(".")]
    return next((outlet for outlet in sorted(outlets, key=int) if [*table, int(outlet)] > after), None)


def _reading(outlets: dict[str, list[str]], outlet: str | None) -> list[str]:
    said = _chassis(outlets[outlet], "get", "power") if outlet in outlets else None
    return [] if said is None else [f"{TABLE}.{outlet}", "integer", _ON if said.endswith(":1") else _OFF]


def _act(outlets: dict[str, list[str]], outlet: str, value: str) -> list[str]:
    if outlet not in outlets:
        return ["not-writable"]
    if value not in _ACTS or _chassis(outlets[outlet], "set", *_ACTS[value]) is None:
        return ["wrong-value"]
    return []


def main(file: str, order: str, oid: str, *rest: str) -> list[str]:
    """Return the lines of the answer."""
    outlets = json.loads(Path(file).read_text())
    outlet = oid.removeprefix(f"{TABLE}.")
    if order == "-s":
        return _act(outlets, outlet, rest[1])
    return _reading(outlets, _next(outlets, oid) if order == "-n" else outlet)


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in main(*sys.argv[1:])))
