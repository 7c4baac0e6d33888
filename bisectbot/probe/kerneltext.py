"""What a kernel prints while it is watched, line by line: cheap signs at once, its crash reports whenever asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bisectbot.console.guest import Fact, find
from bisectbot.console.reading import ConsoleReader
from bisectbot.model import Crash
from bisectbot.visible import visible

LONGEST_LINE = 16 * 1024

# Words that begin a report, or stand in its first lines. Too many hits cost time; too few only make a crash be noticed
# at the end of a run instead of at once, because then the console is looked at anyway.
_REPORT = re.compile(
    rb"panic(?!=)|Oops|BUG|KASAN|KFENCE|KCSAN|KMSAN|UBSAN|WARNING|INFO: |fault|error:|lockup|stall|blocked for more|"
    rb"ut of memory|nable to |invalid opcode|Internal error|No working init"
)
# With these a report is complete; what follows is a machine at rest.
_REPORT_END = re.compile(rb"---\[ end Kernel panic|Rebooting in \d+ seconds|Rebooting immediately")
# A machine that could not find its own clock: what it does later (hang, most of all) tells nothing about the kernel.
_SICK = re.compile(rb"Unable to calibrate against PIT|Marking clocksource .{0,60}unstable|[Cc]locksource.{0,80} skew")
_MOST_SIGNS = 10


@dataclass(frozen=True)
class Seen:
    """What one line shows."""

    facts: tuple[Fact, ...]
    restarted: bool = False  # a second kernel introduces itself
    report: bool = False  # words of a crash report
    report_end: bool = False


class KernelText:
    """Follows one console; bounded however much comes."""

    def __init__(self) -> None:
        self.sick: list[str] = []
        self._reader = ConsoleReader()
        self._last = b""

    @property
    def last(self) -> str:
        """The last line that says something."""
        return visible(self._last.decode(errors="replace"), 160)

    @property
    def crashes(self) -> tuple[Crash, ...]:
        """All reports so far, in order."""
        return self._reader.reading().crashes

    @property
    def release(self) -> str:
        """What the kernel that booted called itself, "" while it has not."""
        return visible("".join(self._reader.reading().releases[:1]), 200)

    @property
    def restarting(self) -> bool:
        """Whether the kernel said that it reboots or powers off."""
        return self._reader.reading().goodbye

    def proves(self, release: str, token: str) -> bool:
        """Whether this kernel said of itself what it must."""
        said = self._reader.reading()
        return said.releases == (release,) and said.tokens == (token,)

    def add(self, line: bytes) -> Seen:
        """Take one line, without its newline."""
        self._reader.feed(line + b"\n")
        found = tuple(find(line))
        text = line
        for one in reversed(found):
            # what the reproducer printed, quoted in a fact, isn't the kernel's
            text = text[: one.start] + text[one.end :]
        self._note(text.strip())
        return Seen(
            tuple(one.fact for one in found),
            restarted=b"Linux version " in text and len(self._reader.reading().releases) > 1,
            report=bool(_REPORT.search(text)),
            report_end=bool(_REPORT_END.search(text)),
        )

    def _note(self, text: bytes) -> None:
        self._last = text or self._last
        if len(self.sick) < _MOST_SIGNS and _SICK.search(text):
            self.sick.append(self.last)
