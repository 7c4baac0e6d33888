"""The switch of one machine: what a BMC, a PDU or a test calls to turn it on and off, and where they can be lied to.

    chassis.py FOLDER get power [boot ...]
    chassis.py FOLDER set power 1|0 | reset 1 | shutdown 1 | boot pxe|default

That is the language in which ipmi_sim talks to its chassis. Power is: does the QEMU of this folder live? It stands
alone, and imports little, as ipmi_sim waits for it. machine.json says how to start QEMU; faults.json what goes wrong.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_GRACE = 5.0  # seconds from SIGTERM to SIGKILL
_TICK = 0.02


class Refused(Exception):
    """The chassis says no."""


def pid(folder: Path) -> int | None:
    """Return the process id of the machine's QEMU, None while it is off."""
    file = folder / "qemu.pid"
    try:
        found = int(file.read_text())
        argv = Path(f"/proc/{found}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return found if str(file).encode() in argv else None  # a zombie's command line is empty


def on(folder: Path) -> None:
    """Switch on, from the device that was asked for, once; nothing if it is on already."""
    if pid(folder) is not None:
        return
    spec = json.loads((folder / "machine.json").read_text())
    argv = [*spec["argv"], *spec["boot"][boot_device(folder)]]
    (folder / "bootdev").unlink(missing_ok=True)
    with (folder / "qemu.log").open("ab") as log:
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def off(folder: Path) -> None:
    """Pull the plug."""
    running = pid(folder)
    if running is None:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(running, sign)
        end = time.monotonic() + _GRACE
        while time.monotonic() < end:
            if pid(folder) != running:
                return
            time.sleep(_TICK)
    raise Refused(f"QEMU {running} can't be ended")


def reset(folder: Path) -> None:
    """Press the reset button; where another boot device waits, QEMU has to be started anew to take it."""
    if pid(folder) is None:
        return
    if boot_device(folder) == "default":
        monitor(folder, "system_reset")
    else:
        off(folder)
        on(folder)


def monitor(folder: Path, command: str) -> None:
    """Have QEMU's monitor execute a QMP command without arguments."""
    port = json.loads((folder / "machine.json").read_text())["monitor"]
    with socket.create_connection(("127.0.0.1", port), timeout=_GRACE) as door, door.makefile("rw") as talk:
        talk.readline()
        for word in ("qmp_capabilities", command):
            talk.write(json.dumps({"execute": word}) + "\n")
            talk.flush()
            while "return" not in (answer := json.loads(talk.readline())):
                if "error" in answer:
                    raise Refused(str(answer["error"]))


def boot_device(folder: Path) -> str:
    """Return where the next power-on boots from: "default" or "pxe"."""
    try:
        return (folder / "bootdev").read_text().strip()
    except OSError:
        return "default"


def _choose(folder: Path, device: str) -> None:
    known = json.loads((folder / "machine.json").read_text())["boot"]
    (folder / "bootdev").write_text(device if device in known else "default")


# --- what goes wrong: read from faults.json on each call -----------------------------------------------------


def faults(folder: Path) -> dict[str, Any]:
    """Return what goes wrong now: see faults.py for the names."""
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((folder / "faults.json").read_text())
        return found
    return {}


def _ignored(folder: Path, wrong: dict[str, Any], parameter: str, value: str) -> bool:
    """Tell whether this act is answered with "done" and not done; counts down the power-ons that don't."""
    if wrong.get("lies"):
        return True
    if (parameter, value) == ("power", "1") and wrong.get("deaf_ons", 0) > 0:
        left = wrong | {"deaf_ons": wrong["deaf_ons"] - 1}
        (folder / "faults.json").write_text(json.dumps(left))
        return True
    return False


def _set(folder: Path, wrong: dict[str, Any], parameter: str, value: str) -> None:
    if _ignored(folder, wrong, parameter, value):
        return
    if parameter == "power":
        (on if value == "1" else off)(folder)
    elif parameter == "reset":
        reset(folder)
    elif parameter == "shutdown":
        monitor(folder, "system_powerdown")
    elif parameter == "boot":
        _choose(folder, value)


def _get(folder: Path, wrong: dict[str, Any], parameter: str) -> str:
    if parameter == "power":
        state = wrong.get("says", pid(folder) is not None)
        return str(int(state))
    return boot_device(folder) if parameter == "boot" else "0"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "chassis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def act(folder: Path, words: list[str]) -> None:
    """Do what one command line says, with the faults in force."""
    wrong = faults(folder)
    time.sleep(wrong.get("late", 0.0))
    if wrong.get("fails"):
        raise Refused("told to fail")
    order, rest = words[0], words[1:]
    with _alone(folder):
        if order == "get":
            for parameter in rest:
                print(f"{parameter}:{_get(folder, wrong, parameter)}")  # noqa: T201  (that is its answer)
        else:
            for parameter, value in zip(rest[::2], rest[1::2], strict=True):
                _set(folder, wrong, parameter, value)


def main() -> int:
    """Run as a program; everything that was asked is kept in chassis.log."""
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    began = time.monotonic()
    verdict = "done"
    try:
        act(folder, words)
    except (Refused, OSError, subprocess.CalledProcessError) as error:
        verdict = f"failed: {error}"
    with (folder / "chassis.log").open("a") as log:
        log.write(f"{time.time():.3f} {' '.join(words)}: {verdict} ({time.monotonic() - began:.2f} s)\n")
    return int(verdict != "done")


if __name__ == "__main__":
    sys.exit(main())
