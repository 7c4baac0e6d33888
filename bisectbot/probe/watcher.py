"""One boot, watched: console bytes and the time go in, trials come out. Pure: it can't wait and holds no machine.

    booting -> ready -> trial 1 -> trial 2 ... -> finished
       |         |         |
       +---------+---------+--> finished, by whatever went wrong first

No trial counts before init told the token of this boot and the release of the kernel that was meant to boot. Any trial
but a clean one finishes the boot: a bug that was seen needs no more, and what gave no verdict is tried on a fresh one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bisectbot.console.guest import Beat, Done, End, Fact, Out, OutCut, Ready, Start
from bisectbot.model import Crash, CrashKind, Deadlines, Ending, Kernel, Trial
from bisectbot.ports import Chunk
from bisectbot.probe.kerneltext import LONGEST_LINE, KernelText
from bisectbot.probe.outcome import of_end
from bisectbot.probe.run import LEAST, Run
from bisectbot.visible import visible

REPORT_SECONDS = 1.5  # what a crash report may take to come out
AFTER_END = 0.5  # a run that ended counts once the kernel went on to something else, or for so long showed no crash
MOST_RUNS = 1_000_000  # of one boot: init takes no larger number
_MOST_NOTES = 20


@dataclass(frozen=True)
class Asked:
    """What one boot is to do."""

    token: str  # random, for this boot alone
    deadlines: Deadlines
    runs: int = 1  # trials, all on this boot; 0: it only has to boot
    signature: str | None = None  # a regular expression on crash titles: such a crash is the bug itself

    def __post_init__(self) -> None:
        if not 0 <= self.runs <= MOST_RUNS or not re.fullmatch(r"[0-9a-f]{8,64}", self.token):
            raise ValueError(f"runs must be 0 to {MOST_RUNS} and the token must be hexadecimal: {self}")

    @property
    def words(self) -> tuple[str, ...]:
        """What init finds on the kernel command line."""
        limit = max(1, round(self.deadlines.run))
        return (f"bisectbot.token={self.token}", f"bisectbot.trials={self.runs}", f"bisectbot.limit={limit}")


class Watcher:
    """See above. All times are seconds since the machine was started; an earlier one than the last is taken as it."""

    def __init__(self, kernel: Kernel, asked: Asked) -> None:
        self.finished = False
        self._kernel = kernel
        self._asked = asked
        self._text = KernelText()
        self._rest = b""
        self._now = 0.0
        self._byte_at: float | None = None
        self._fact_at = 0.0
        self._ready: Ready | None = None
        self._ready_at: float | None = None
        self._run: Run | None = None
        self._worked = 0.0  # exposure of the runs so far
        self._clean = 0
        self._alarm: float | None = None  # when a crash report that seems to have begun will be complete
        self._report_at: float | None = None  # when it began
        self._out: list[Trial] = []

    def feed(self, chunk: Chunk) -> list[Trial]:
        """Take bytes; return the trials that ended with them. What was seen counts before any deadline does."""
        self._now = self._byte_at = max(self._now, chunk.at)
        *lines, self._rest = (self._rest + chunk.data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line)
        return self._look()

    def tick(self, now: float) -> list[Trial]:
        """Take note that time went by; return the trials that ended with that."""
        self._now = max(self._now, now)
        return self._look()

    def end(self, *, reset: bool) -> list[Trial]:
        """Take note that the console ended, `reset` if the machine is known to have reset itself."""
        self._line(self._rest)
        self._gone(restarted=reset or self._text.restarting)
        return self._look()

    @property
    def undecided(self) -> bool:
        """Whether something was seen that hasn't counted yet: the end of a run, or what may be a crash report."""
        return not self.finished and (self._alarm is not None or (self._run is not None and self._run.end is not None))

    # --- what comes ---

    def _line(self, line: bytes) -> None:
        if self.finished:
            return
        seen = self._text.add(line)
        if (seen.report or seen.report_end) and self._alarm is None:
            self._alarm, self._report_at = self._now + REPORT_SECONDS, self._now
        if seen.report_end:
            self._alarm = self._now
        if seen.restarted:
            self._gone(restarted=True)
        for fact in seen.facts:
            self._fact(fact)

    def _fact(self, fact: Fact) -> None:
        self._fact_at = self._now
        if isinstance(fact, Ready):
            self._greeted(fact)
        elif self._ready is not None and not self.finished:
            self._of_run(fact)

    def _greeted(self, fact: Ready) -> None:
        if self._ready is not None or self.finished:
            return
        self._ready, self._ready_at = fact, self._now
        if fact.token != self._asked.token:
            self._close(Ending.WRONG_KERNEL, "what answered was not started for this boot: it tells another token")
        elif fact.release != self._kernel.release:
            self._close(Ending.WRONG_KERNEL, f"{visible(fact.release, 80)} runs there, not {self._kernel.release}")
        elif self._asked.runs == 0:
            self._emit(Ending.CLEAN, f"it booted: {self._kernel.release} runs, with {fact.cpus} CPUs")

    def _of_run(self, fact: Fact) -> None:
        match fact:
            case Done():
                self._done()
            case Start(trial) | Beat(trial) | OutCut(trial) | Out(trial) | End(trial):
                run = self._running(trial)
                if run is not None and run.end is None:
                    self._learn(run, fact)
            case _:
                pass

    def _running(self, trial: int) -> Run | None:
        """Return the run that a fact is about; None for a repeat of an older one. Start itself may have been lost."""
        if self._run is None or trial > self._run.trial:
            if self._settle() or trial <= self._clean:
                return None
            if self._run is not None or trial != self._clean + 1:
                self._close(Ending.LOST, f"the end of trial {self._clean + 1} did not come through the console")
                return None
            self._run = Run(trial, self._worked, self._now)
        return self._run if trial == self._run.trial else None

    def _learn(self, run: Run, fact: Fact) -> None:
        run.learn(fact, self._now, sound=self._alarm is None)
        if run.end and self._alarm is None and of_end(run.end, run.counts)[0] is Ending.FIRED:
            self._settle()

    def _done(self) -> None:
        if not self._settle():
            self._close(Ending.LOST, f"init was done, and the end of trial {self._clean + 1} never came")

    # --- what time tells ---

    def _look(self) -> list[Trial]:
        if not self.finished and self._alarm is not None and self._now >= self._alarm:
            self._read()
        if not self.finished and self._alarm is None and self._run and self._run.end:
            if self._now - self._run.until >= AFTER_END:
                self._settle()
        elif not self.finished:
            self._check_deadlines()
        out, self._out = self._out, []
        return out

    def _check_deadlines(self) -> None:
        if self._ready is None:
            self._check_boot()
        else:
            self._check_run()

    def _check_boot(self) -> None:
        most = self._asked.deadlines
        if self._byte_at is None:
            if self._now >= min(most.silence, most.boot):
                self._close(Ending.NO_OUTPUT, f"not one byte on the console in {self._now:.0f} s")
        elif self._now - self._byte_at >= most.silence:
            self._close(Ending.BOOT_HUNG, f"silent for {most.silence:.0f} s after: {self._text.last}")
        elif self._now >= most.boot:
            self._close(Ending.BOOT_HUNG, f"init did not answer within {most.boot:.0f} s; last: {self._text.last}")

    def _check_run(self) -> None:
        most = self._asked.deadlines
        if self._now - self._fact_at >= most.heartbeat:
            self._close(Ending.HUNG, f"init gave no sign of life for {most.heartbeat:.0f} s; last: {self._text.last}")
        elif self._run and not self._run.end and self._now - self._run.since >= most.run + most.heartbeat:
            self._close(Ending.HUNG, f"the reproducer could not be ended; its limit was {most.run:.0f} s")

    # --- what follows ---

    def _read(self) -> bool:
        """Look for a crash that ends everything; whether there is one."""
        self._alarm = None
        for crash in self._text.crashes:
            ours = self._ours(crash)
            if ours or crash.kind.fatal:
                self._crashed(crash, ours=ours)
                return True
        self._report_at = None
        return False

    def _ours(self, crash: Crash) -> bool:
        return self._asked.signature is not None and bool(re.search(self._asked.signature, crash.title))

    def _crashed(self, crash: Crash, *, ours: bool) -> None:
        proven = self._ready is not None or self._text.proves(self._kernel.release, self._asked.token)
        if ours and proven:
            self._emit(Ending.FIRED, f"the signature matches: {crash.title}", crash)
        elif crash.kind is CrashKind.SILENT_REBOOT:
            self._emit(Ending.REBOOTED, f"the machine restarted {self._when}: {crash.title}", crash)
        elif self._ready:
            self._emit(Ending.CRASHED, crash.title, crash)
        elif self._text.release not in ("", self._kernel.release):
            self._emit(Ending.WRONG_KERNEL, f"{self._text.release} crashed there, not {self._kernel.release}", crash)
        else:
            self._emit(Ending.BOOT_CRASHED, crash.title, crash)

    def _settle(self) -> bool:
        """Let a run that ended count, unless a crash came before; whether this finishes the boot."""
        run = self._run
        if run is not None and run.end is not None and not self._read():
            self._emit(*of_end(run.end, run.counts))
        return self.finished

    @property
    def _when(self) -> str:
        return f"during trial {self._clean + 1}" if self._ready else "while the kernel booted"

    def _gone(self, *, restarted: bool) -> None:
        """Conclude from a machine that ended or restarted: by a crash if one was printed."""
        if self.finished or self._read() or self._settle():
            return
        what = "the machine restarted" if restarted else "the console ended"
        last = f"; last: {self._text.last}" if self._text.last else ", before it printed anything"
        self._emit(Ending.REBOOTED if restarted else Ending.LOST, f"{what} {self._when}, with no crash report{last}")

    def _close(self, ending: Ending, reason: str) -> None:
        """End by a deadline or a missing proof, unless a crash explains it."""
        if not self._read():
            sick = f" (sick from the start: {self._text.sick[0]})" if self._text.sick else ""
            self._emit(ending, reason + sick)

    def _emit(self, ending: Ending, reason: str, crash: Crash | None = None) -> None:
        run = self._run or Run(0, self._now, self._now)
        exposure = self._exposure(ending)
        self._out.append(
            Trial(
                commit=self._kernel.commit,
                boot=0,
                ending=ending,
                reason=visible(reason, 500),
                counts=run.counts,
                crash=crash,
                notes=self._notes(crash, cut=run.cut),
                boot_seconds=self._now if self._ready_at is None else self._ready_at,
                probe_seconds=(run.until or self._now) - run.since,
                exposure=exposure,
                release=visible(self._ready.release, 200) if self._ready else self._text.release,
            )
        )
        self._run, self._worked = None, self._worked + exposure
        self._clean += ending is Ending.CLEAN
        self.finished = ending is not Ending.CLEAN or self._clean >= self._asked.runs

    def _exposure(self, ending: Ending) -> float:
        if self._run is None:
            return LEAST if ending is Ending.FIRED else 0.0
        return self._run.exposure(ending, self._now if self._report_at is None else self._report_at)

    def _notes(self, crash: Crash | None, *, cut: bool) -> tuple[str, ...]:
        reports = [one.title for one in self._text.crashes if one != crash]
        sick = [f"sick boot: {line}" for line in self._text.sick]
        more = ["the reproducer's output was cut"] if cut else []
        return tuple(dict.fromkeys(visible(note) for note in (*reports, *sick, *more)))[:_MOST_NOTES]
