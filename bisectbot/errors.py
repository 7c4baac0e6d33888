"""Whose fault it is, as a type.

    BisectbotError
    |-- ConfigError      the user's: an option, a file or a revision that can't be worked with; exit code 2
    |-- InfraError       ours: this machine, the lab or the network; never a verdict; exit code 5
    |   |-- ToolMissing  a program that has to be installed first
    |   |-- DiskFull     no room to go on
    |   |-- OutOfMemory  a compiler (or QEMU) was killed for memory
    |   |-- Overdue      a step of ours ran past its deadline
    |   `-- HostSick     a test machine that can't be used now
    |       |-- Unreachable   nobody answers there (yet)
    |       |-- Dropped       the connection ended in the middle of something
    |       |-- PowerFailed   its power isn't what was asked for, though asked twice
    |       |-- Refused       it answers, and won't do what is asked; lasting
    |       |-- Stranger      what answers isn't the machine that was meant; lasting
    |       `-- Quarantined   it could not be brought back; lasting
    `-- Busy             another bisectbot works on this session, tree or host; exit code 2

The kernel's own faults (it doesn't compile, doesn't boot, crashes) are no exceptions: they are
results, see model.py.
"""

from __future__ import annotations

import errno


class BisectbotError(Exception):
    """Anything that bisectbot stops for on purpose; its text is fit to be shown to a user.

    `hint` is the next step for the user: one sentence, or a command to run.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.hint}" if self.hint else self.message


class ConfigError(BisectbotError):
    """The user's input can't be worked with. The message names the key or option, the file and the reason."""


class Busy(BisectbotError):
    """Another bisectbot holds the lock of this session, tree or host."""


class InfraError(BisectbotError):
    """This machine or the lab failed. Says nothing about any commit.

    `lasting` tells that trying again can't help until a person has acted.
    """

    lasting = False


class ToolMissing(InfraError):
    """A program is not installed."""

    lasting = True


class DiskFull(InfraError):
    """No room left on a disk that is written to."""

    lasting = True


class OutOfMemory(InfraError):
    """A child process was killed because memory ran out."""


class Overdue(InfraError):
    """A step of ours (not of the kernel under test) ran past its deadline."""


class HostSick(InfraError):
    """A test machine, or the QEMU that stands in for one, can't be used now."""


class Unreachable(HostSick):
    """Nobody answers there (yet)."""


class Dropped(HostSick):
    """The connection ended in the middle of something."""


class PowerFailed(HostSick):
    """A machine's power isn't what was asked for, though it was asked for twice."""


class Refused(HostSick):
    """A machine answers and won't do what is asked: no login, no kexec, no marker."""

    lasting = True


class Stranger(HostSick):
    """What answers isn't the machine that was meant: another host key, another name in the marker, or this very one."""

    lasting = True


class Quarantined(HostSick):
    """A machine that could not be brought back to its known-good system; a person has to look at it."""

    lasting = True


def os_fault(error: OSError) -> InfraError:
    """Return the fault of ours that an error of the operating system stands for."""
    said = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(said, hint="free some disk space, then: bisectbot resume")
    return InfraError(said)
