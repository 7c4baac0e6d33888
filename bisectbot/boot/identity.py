"""What runs on a machine, by its own word: proof that a candidate came up, or that the known-good system is back."""

from __future__ import annotations

from dataclasses import dataclass

from bisectbot.errors import HostSick
from bisectbot.ports import Deadline
from bisectbot.reach import Shell
from bisectbot.visible import visible

TOKEN_WORD = "bisectbot.token="  # noqa: S105  not a secret: the proof of which boot this is

# One round trip. Each value on a line of its own; the marker comes last, for it may have more than one line.
_LOOK = """
cat /proc/sys/kernel/random/boot_id || exit 1
uname -r
uname -m
head -n 1 /proc/cmdline
cat /etc/machine-id 2>/dev/null || echo
[ -e "$1" ] && echo marked || echo unmarked
head -c 200 "$1" 2>/dev/null
exit 0
"""
_LINES = 6


@dataclass(frozen=True)
class Identity:
    """One look at a running system. All of it is what that system says."""

    boot_id: str  # a new one with every boot
    release: str
    machine: str  # `uname -m`
    cmdline: str
    machine_id: str  # of the installed system, "" if it has none
    marked: bool  # whether the marker file is there
    marker: str  # its beginning

    @property
    def token(self) -> str:
        """The token of the boot that this is, "" on a system that wasn't started as a candidate."""
        words = (word for word in self.cmdline.split() if word.startswith(TOKEN_WORD))
        return next(words, "").removeprefix(TOKEN_WORD)


def identify(shell: Shell, marker: str, deadline: Deadline) -> Identity:
    """Ask a system who it is. HostSick if it gives no sensible answer, and as Shell.run()."""
    said = shell.run(["sh", "-c", _LOOK, "sh", marker], deadline)
    lines = said.text.split("\n", _LINES)
    if said.code != 0 or len(lines) <= _LINES:
        raise HostSick(f"the machine can't say who it is: exit {said.code}: {visible(said.text, 200)}")
    boot_id, release, machine, cmdline, machine_id, marked, marker_text = lines
    return Identity(
        boot_id=visible(boot_id.strip(), 80),
        release=visible(release, 200),
        machine=visible(machine, 40),
        cmdline=visible(cmdline, 4096),
        machine_id=visible(machine_id.strip(), 80),
        marked=marked == "marked",
        marker=visible(marker_text.strip(), 200),
    )
