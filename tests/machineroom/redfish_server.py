"""sushy-tools' Redfish emulator, whose one system is a machine of the lab: run with emulator.conf and the chassis."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from sushy_tools import error  # type: ignore[import-untyped]
from sushy_tools.emulator import main  # type: ignore[import-untyped]
from sushy_tools.emulator.resources.systems import fakedriver  # type: ignore[import-untyped]

_SECONDS = 60.0
_CONFIGURATION, *_CHASSIS = sys.argv[1:]
_TO_DEVICE = {"Pxe": "pxe"}
_TO_TARGET = {"pxe": "Pxe"}
_ACTS = {
    "On": ("power", "1"),
    "ForceOn": ("power", "1"),
    "ForceOff": ("power", "0"),
    "GracefulShutdown": ("shutdown", "1"),
    "ForceRestart": ("reset", "1"),
    "GracefulRestart": ("reset", "1"),
}


def _chassis(*words: str) -> str:
    done = subprocess.run([*_CHASSIS, *words], check=False, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise error.FishyError(f"the chassis failed: {words}")
    return done.stdout.strip().partition(":")[2]


class _Driver(fakedriver.FakeDriver):  # type: ignore[misc]  # sushy-tools has no types
    """What a fake one only notes down is done here to a real machine."""

    def get_power_state(self, identity: str) -> str:
        self._get(identity)
        return "On" if _chassis("get", "power") == "1" else "Off"

    def set_power_state(self, identity: str, state: str) -> None:
        self._get(identity)
        if state not in _ACTS:
            raise error.NotSupportedError(f"{state} is not supported")
        _chassis("set", *_ACTS[state])

    def get_boot_device(self, identity: str) -> str:
        self._get(identity)
        return _TO_TARGET.get(_chassis("get", "boot"), "Hdd")

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        self._get(identity)
        _chassis("set", "boot", _TO_DEVICE.get(boot_source, "default"))

    def get_boot_mode(self, identity: str) -> Any:  # noqa: ANN401  (theirs)
        self._get(identity)
        return "Legacy"


fakedriver.FakeDriver = _Driver
main.cleanup_zombies = signal.SIG_DFL  # its own would take the exit codes of our children away
sys.argv = ["sushy-emulator", "--fake", "--config", _CONFIGURATION]
sys.exit(main.main())
