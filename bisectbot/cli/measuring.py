"""An experiment under way: the next boot, again and again, with what was measured written down after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bisectbot.calibrate.experiment import Asked, Part, Run, Step, boots_left, next_step
from bisectbot.calibrate.result import Calibration, Close
from bisectbot.cli.progress import waiting
from bisectbot.effects.files import replace_text
from bisectbot.forecast import in_words
from bisectbot.ports import Clock, Deadline
from bisectbot.report.calibration import files

Boot = Callable[[Step, list[Run]], None]
"""Do a step: boot once and add each run as it ends."""


@dataclass(frozen=True)
class Measuring:
    """How an experiment is carried out: `until` is when it ends though more could be measured."""

    boot: Boot
    folder: Path
    clock: Clock
    until: Deadline | None = None

    def measure(self, kept: Calibration) -> Calibration:
        """Boot until all is measured, or as long as it may take; whatever ends it, what was measured is written.

        An interrupt is an ending like the others; an InfraError is written, too, and goes on.
        """
        runs: list[Run] = []
        close = Close.FAULT
        try:
            close = self._all(kept, runs)
        except KeyboardInterrupt:
            close = Close.INTERRUPTED
        finally:
            kept = self._write(kept, close, runs)
        return kept

    def _all(self, kept: Calibration, runs: list[Run]) -> Close:
        began = self.clock.now()
        while step := next_step(kept.asked, runs):
            if self.until and self.until.passed:
                return Close.OUT_OF_TIME
            with waiting(_doing(kept.asked, step, runs, self.clock.now() - began), self.clock):
                self.boot(step, runs)
            self._write(kept, Close.RUNNING, runs)
        return Close.COMPLETE

    def _write(self, kept: Calibration, close: Close, runs: Sequence[Run]) -> Calibration:
        kept = replace(kept, close=close, runs=tuple(runs), latest=self.clock.wall())
        for name, text in files(kept).items():
            replace_text(self.folder / name, text)
        return kept


def _doing(asked: Asked, step: Step, runs: Sequence[Run], took: float) -> str:
    done = max((run.boot for run in runs), default=0)
    left = boots_left(asked, runs)
    estimate = f", about {in_words(took / done * left)} left" if done else ""
    what = f"{step.case.setting} on the {'good' if step.part is Part.GOOD else 'bad'} kernel of {step.case.host}"
    return f"boot {done + 1} of about {done + left}{estimate}: {what}"
