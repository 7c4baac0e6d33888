"""A console log read as a whole: which kernels booted, what went wrong, what to show of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bisectbot.console.frames import Suspects
from bisectbot.console.lines import Line, LineReader
from bisectbot.console.reports import TITLE_MAX, Head, access, kasan_guess, read_head
from bisectbot.model import Crash, CrashKind
from bisectbot.visible import cut

_PIECE = 1 << 20  # bytes read at once
_MOST = 100  # reports kept of those that are fatal, and of those that aren't
_LONGEST = 400  # lines of a report; a backtrace of many CPUs is part of one

_BANNER = re.compile(r"Linux version (\S{1,200}) ")
_TOKEN = re.compile(r"(?:Kernel c|C)ommand line: .*?\bbisectbot\.token=([0-9a-f]{1,64})")
# The kernel says goodbye: what comes next is wanted. A reset by sysrq isn't: nothing is shut down for it.
_GOODBYE = re.compile(r"reboot: |kexec(?:_core)?: Starting new kernel|Restarting system|Power down|System halted")
_SYSRQ_RESET = re.compile(r"sysrq: Resetting|SysRq : Resetting")
_END = re.compile(r"---\[ end |</TASK>|Kernel Offset: |Rebooting in |SMP: stopping secondary CPUs|={60,}$")
_CUT_HERE = "------------[ cut here ]"
_END_OF_PANIC = "---[ end Kernel panic"
_REPLAY = re.compile(r"printk: .*console \[")  # a console that is enabled may print the log again from its beginning
# The sleeper that a stall report shows beside the stalled CPU.
_BYSTANDER = re.compile(r"task:rcu|rcu: .*kthread (?:starved|timer wakeup)|rcu: Stack dump where RCU GP kthread")
_CPU_SHOWN = re.compile(r"NMI backtrace for cpu|CPU: \d+ |Sending NMI|task:(?!rcu)")

_MANY_CPUS = (CrashKind.RCU_STALL, CrashKind.HARD_LOCKUP)  # other CPUs print their part
_ONE_EVENT = (CrashKind.OOM, CrashKind.NO_ROOT)  # told in several first lines
# Reports whose first line may be followed by that of the dying task, "Oops: ... [#1]", within so many lines.
_SECOND_LINE = (CrashKind.OOPS, CrashKind.BUG, CrashKind.KASAN)
_SECOND_LINE_WITHIN = 60


@dataclass(frozen=True)
class Reading:
    """What a console log says."""

    crashes: tuple[Crash, ...] = ()  # in order
    releases: tuple[str, ...] = ()  # of the kernels that introduced themselves
    tokens: tuple[str, ...] = ()  # on the command lines that they printed
    printable: bool = False  # whether there is anything to read
    goodbye: bool = False  # the last words announce a restart or power-off

    @property
    def first(self) -> Crash:
        """The report to show: the first fatal one; else the first one; else what tells that there is none."""
        if self.crashes:
            return next((crash for crash in self.crashes if crash.kind.fatal), self.crashes[0])
        return Crash(CrashKind.NONE, "") if self.printable else Crash(CrashKind.NO_OUTPUT, "no output")

    @property
    def crashed(self) -> bool:
        """Whether anything went wrong that left a trace on the console."""
        return bool(self.crashes)


@dataclass
class _Report:
    """A report that is being read."""

    head: Head
    line: int
    suspects: Suspects
    caller: str = ""
    cut: bool = False
    lines: int = 0
    access: str = ""  # "Read" or "Write"
    cause: str = ""  # title and guilty function of the report that this panic follows from
    frame: str = ""
    aside: bool = False  # what follows is about a bystander
    done: bool = False
    died: bool = False

    def crash(self) -> Crash:
        """Return what is known of it by now; it is cut as long as its end hasn't come."""
        frame = "" if self.head.nowhere else self.frame or self.suspects.guilty
        title = self.head.titled(frame, self.access)
        title = cut(f"{title}: {self.cause}", TITLE_MAX) if self.cause else title
        return Crash(self.head.kind, title, frame, self.line, cut=self.cut or (self.head.trace and not self.done))

    @property
    def closed(self) -> bool:
        return self.done and self.head.kind not in _MANY_CPUS

    def take(self, line: Line) -> None:
        """Learn from a line behind the first one."""
        self.lines += 1
        self.cut = self.cut or line.cut
        self.access = self.access or access(line.text)
        self._look_aside(line.text)
        if not self.aside:
            before = self.suspects.in_trace
            in_trace = self.suspects.take(line.text)
            self.done = self.done or (before and not in_trace)
        self.done = self.done or self.lines >= _LONGEST or bool(_END.match(line.text.strip()))

    def _look_aside(self, text: str) -> None:
        if self.head.kind is CrashKind.RCU_STALL:
            self.aside = bool(_BYSTANDER.match(text)) or (self.aside and not _CPU_SHOWN.match(text))


class ConsoleReader:
    """Reads a console, fed in pieces of any size; `reading()` can be asked at any time. Memory is bounded."""

    def __init__(self) -> None:
        self._lines = LineReader()
        self._reports: list[_Report] = []
        self._room = {True: _MOST, False: _MOST}  # for reports that are fatal, and that aren't
        self._open: dict[str, _Report] = {}  # by the caller that prints them
        self._releases: list[str] = []
        self._tokens: list[str] = []
        self._boot = 0  # index of this boot's first report
        self._goodbye = False
        self._reset = False
        self._before = ""  # the line before
        self._moment: tuple[str, str] | None = None  # this boot's first line whose time isn't zero
        self._doubt: tuple[Line, str, tuple[str, str] | None] | None = None  # a banner that may be a replay's

    def feed(self, data: bytes) -> None:
        """Take what came."""
        for at in range(0, len(data), _PIECE):
            for line in self._lines.feed(data[at : at + _PIECE]):
                self._take(line)

    def end(self) -> None:
        """Take note that nothing more will come: a last line without a newline counts."""
        for line in self._lines.finish():
            self._take(line)

    def reading(self) -> Reading:
        """Return what the console says so far."""
        return Reading(
            tuple(report.crash() for report in self._reports),
            tuple(self._releases),
            tuple(self._tokens),
            printable=self._lines.printable,
            goodbye=self._goodbye,
        )

    def _take(self, line: Line) -> None:
        if self._moment is None and line.time.strip("[ 0.]"):
            self._moment = (line.time, line.text)
            self._decide()
        head = read_head(line.text)
        if head is None:
            self._continue(line)
            self._look(line)
        elif not (line.text.startswith(_END_OF_PANIC) and self._panicked):
            self._begin(line, head)
        self._before = line.text

    @property
    def _panicked(self) -> bool:
        return any(report.head.panic for report in self._reports[self._boot :])

    def _look(self, line: Line) -> None:
        """Learn from a line that belongs to no report."""
        if banner := _BANNER.match(line.text):
            self._introduced(line, banner[1])
        elif token := _TOKEN.match(line.text):
            if token[1] not in self._tokens[:_MOST]:
                self._tokens.append(token[1])
        elif _GOODBYE.match(line.text):
            self._goodbye = True
        elif _SYSRQ_RESET.match(line.text):
            self._reset = True

    def _introduced(self, line: Line, release: str) -> None:
        """Take a kernel's first words. A console that was enabled just now may print the log from its beginning."""
        moment, self._moment = self._moment, None
        if self._releases and _REPLAY.match(self._before):
            self._doubt = (line, release, moment)
        else:
            self._booted(line, release)

    def _decide(self) -> None:
        """Tell a replay from another boot: only the first has the same line at the same microsecond."""
        if self._doubt is not None:
            line, release, moment = self._doubt
            self._doubt = None
            if moment != self._moment:
                self._booted(line, release)

    def _booted(self, line: Line, release: str) -> None:
        """Begin a boot; nobody may have asked for it."""
        this_boot = self._reports[self._boot :]
        if self._releases and not self._goodbye and not any(report.head.kind.fatal for report in this_boot):
            title = "reset by sysrq" if self._reset else "silent reboot"
            self._add(_Report(Head(CrashKind.SILENT_REBOOT, title, title, trace=False), line.number, Suspects()))
        self._releases = [*self._releases[-_MOST:], release]
        self._boot = len(self._reports)
        self._open.clear()
        self._goodbye = self._reset = False

    def _begin(self, line: Line, head: Head) -> None:
        dying, last = self._dying(line) if head.died else None, self._last
        if dying:
            dying.died = True
            dying.take(line)
            self._open[line.caller] = dying
        elif last and last.head.kind is head.kind and head.kind in _ONE_EVENT:
            last.head = replace(head, panic=head.panic or last.head.panic)
            last.take(line)
            self._open[line.caller] = last
        else:
            suspects = Suspects(head.named, early=head.early)
            report = _Report(head, line.number, suspects, line.caller, line.cut, died=head.died)
            if last and last.head.kind in head.causes:
                before = last.crash()
                report.cause, report.frame = "" if before.kind.fatal else before.title, before.frame
            self._add(report)

    def _dying(self, line: Line) -> _Report | None:
        """Return the report whose task dies with this line, if its first line came before."""
        near = (report for report in self._reports[self._boot :] if line.number - report.line < _SECOND_LINE_WITHIN)
        fits = (one for one in near if one.head.kind in _SECOND_LINE and not one.died and not one.done)
        return next((report for report in fits if report.caller == line.caller), None)

    @property
    def _last(self) -> _Report | None:
        """The latest report of this boot."""
        return self._reports[-1] if len(self._reports) > self._boot else None

    def _add(self, report: _Report) -> None:
        broken = self._close(report.caller)
        report.cut = report.cut or (broken and not report.head.panic)
        fatal = report.head.kind.fatal
        if self._room[fatal]:
            self._room[fatal] -= 1
            self._reports.append(report)
            self._open[report.caller] = report

    def _close(self, caller: str) -> bool:
        """Note that the same caller prints something else now; whether that breaks into its report.

        A trace that was begun is taken for whole.
        """
        report = self._open.pop(caller, None)
        if report and report.suspects.traced:
            report.done = True
        return report is not None and report.head.trace and not report.done

    def _continue(self, line: Line) -> None:
        if line.text.startswith(_CUT_HERE):
            self._close(line.caller)
            return
        report = self._open.get(line.caller) or self._of_many_cpus()
        if report is None:
            return
        if report.head.kind is CrashKind.OOPS and (guess := kasan_guess(line.text)):
            report.head = guess
        report.take(line)
        if report.closed or report.lines >= _LONGEST:
            self._open = {caller: other for caller, other in self._open.items() if other is not report}

    def _of_many_cpus(self) -> _Report | None:
        return next((report for report in self._open.values() if report.head.kind in _MANY_CPUS), None)


def read_console(data: bytes) -> Reading:
    """Return what a whole console log says; takes time in proportion to its length."""
    reader = ConsoleReader()
    reader.feed(data)
    reader.end()
    return reader.reading()
