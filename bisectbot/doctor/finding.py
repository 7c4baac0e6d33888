"""What a check found and how to mend it, and how checks ask their questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bisectbot.ports import Clock, Deadline, Proc

_ANSWER_SECONDS = 60.0  # a question to a program; only a machine in trouble takes that long


class Status(StrEnum):
    """How bad it is: WARN can be worked with, FAIL can't."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` is a command or a sentence, empty where nothing is to be mended."""

    name: str
    status: Status
    detail: str
    mend: str = ""
    packages: tuple[str, ...] = ()  # Debian packages that mend it


@dataclass(frozen=True)
class Bench:
    """Where questions are asked."""

    proc: Proc
    clock: Clock

    def ask(self, *argv: str, cwd: Path | None = None) -> tuple[int, str]:
        """Return (exit code, all output) of a short command; InfraError if it can't be run."""
        return self.proc.output(argv, deadline=Deadline.after(self.clock, _ANSWER_SECONDS), cwd=cwd)


def install(packages: Iterable[str]) -> str:
    """Return the command line that installs Debian packages, empty for none."""
    names = sorted(set(packages))
    return "sudo apt-get install -y --no-install-recommends " + " ".join(names) if names else ""


def lacking(name: str, status: Status, detail: str, *packages: str) -> Finding:
    """Return the finding that a package would mend."""
    return Finding(name, status, detail, install(packages), packages)


def worst(findings: Iterable[Finding]) -> Status:
    """Return the gravest status, OK for none."""
    found = {finding.status for finding in findings}
    return next((status for status in (Status.FAIL, Status.WARN) if status in found), Status.OK)
