"""Boot a kernel, let its init run the reproducer, and collect the trials: a Watcher, driven by a machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bisectbot.errors import HostSick
from bisectbot.model import Ending, Kernel, Trial
from bisectbot.ports import Clock, Console, Machine
from bisectbot.probe.watcher import Asked, Watcher

# Endings that something missing led to, not something seen.
_UNHEARD = (Ending.NO_OUTPUT, Ending.BOOT_HUNG, Ending.HUNG, Ending.LOST, Ending.REBOOTED)
_TICK = 0.25  # seconds between two looks at the deadlines while the console is silent


def trials(  # noqa: PLR0913, PLR0917  (where, what, what for, and the three things that a boot is known by)
    machine: Machine, kernel: Kernel, initramfs: Path, asked: Asked, log: Path, boot: int, clock: Clock
) -> Iterator[Trial]:
    """Yield the trials of one boot as they end; closing the iterator ends the machine.

    At least one comes, and all but the last are clean. Raises InfraError for what is our own fault; the trials
    yielded before that stand.
    """
    watcher = Watcher(kernel, asked)
    with machine.boot(kernel, initramfs, asked.words, log) as console:
        began = clock.now()
        for chunk in console.chunks(_TICK):
            ended = watcher.feed(chunk) if chunk else watcher.tick(clock.now() - began)
            yield from (_heard(replace(trial, boot=boot, console=log, host=machine.name), console) for trial in ended)
            if watcher.finished:
                return
        for trial in watcher.end(reset=console.reset):
            yield _heard(replace(trial, boot=boot, console=log, host=machine.name), console)


def _heard(trial: Trial, console: Console) -> Trial:
    """Return a trial that was heard; HostSick if it ended by what didn't come, and the console was broken meanwhile."""
    if console.gap and trial.ending in _UNHEARD:
        raise HostSick(f"the console was lost during the boot, so nothing follows from: {trial.reason}")
    return trial


def probe(  # noqa: PLR0913, PLR0917  (as trials)
    machine: Machine, kernel: Kernel, initramfs: Path, asked: Asked, log: Path, boot: int, clock: Clock
) -> tuple[Trial, ...]:
    """Return all trials of one boot."""
    return tuple(trials(machine, kernel, initramfs, asked, log, boot, clock))
