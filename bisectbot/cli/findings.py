"""Findings as people read them: printed one by one as they come, and summed up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

from rich.console import Console
from rich.text import Text

from bisectbot.doctor.finding import Finding, Status, install
from bisectbot.doctor.host import Timed

_COLOURS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}
_NAMES = 24  # columns


def printed(findings: Iterable[Finding], doing: str = "") -> Iterator[Finding]:
    """Print each finding as soon as it is known; a terminal shows what is waited for meanwhile, if it is told."""
    terminal = Console(highlight=False, soft_wrap=True)
    waits = terminal.status(Text(doing)) if doing and terminal.is_terminal else nullcontext()
    with waits:
        for finding in findings:
            terminal.print(_as_text(finding))
            yield finding


def _as_text(finding: Finding) -> Text:
    text = Text(f"{finding.status:<6}", style=_COLOURS[finding.status])
    seconds = f" ({finding.seconds:.1f} s)" if isinstance(finding, Timed) else ""
    detail = f"{finding.detail}{seconds}".replace("\n", "\n" + " " * 6)
    text.append(f"{finding.name:<{_NAMES}} {detail}", style="default")
    if finding.mend:
        text.append(f"\n{'':6}mend: {finding.mend}", style="bold default")
    return text


def summary(findings: list[Finding]) -> Iterator[str]:
    """Yield how many there are of each kind, and the one line that installs all that is missing."""
    counts = {status: sum(finding.status is status for finding in findings) for status in Status}
    yield ", ".join(f"{count} {status}" for status, count in counts.items())
    if len({finding.mend for finding in findings if finding.packages}) > 1:
        yield f"all packages at once: {install_all(findings)}"


def install_all(findings: Iterable[Finding]) -> str:
    """Return the command that installs every package that was found missing, "" for none."""
    return install(package for finding in findings for package in finding.packages)
