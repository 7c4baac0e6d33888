"""Boot a kernel, let its init run the reproducer, and collect the trials: a Watcher, driven by a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bisectbot.errors import HostSick
from bisectbot.model import Ending, Kernel, Trial
from bisectbot.ports import Clock, Console, Machine
from bisectbot.probe.watcher import REPORT_SECONDS, Asked, Watcher

# Endings that something missing led to, not something seen.
_UNHEARD = (Ending.NO_OUTPUT, Ending.BOOT_HUNG, Ending.HUNG, Ending.LOST, Ending.REBOOTED)
_TICK = 0.25  # seconds between two looks at the deadlines while the console is silent


def _stays() -> bool:
    return False


def trials(  # noqa: PLR0913, PLR0917  (where, what, what for, and the three things that a boot is known by)
    machine: Machine,
    kernel: Kernel,
    initramfs: Path,
    asked: Asked,
    log: Path,
    boot: int,
    clock: Clock,
    left: Callable[[], bool] = _stays,
) -> Iterator[Trial]:
    """Yield the trials of one boot as they end; closing the iterator ends the machine.

    At least one comes, and all but the last are clean. Raises InfraError for what is our own fault; the trials
    yielded before that stand. Once `left()`, the boot ends: what had ended is yielded, a run that was on is not.
    """
    if left():
        return
    watcher = Watcher(kernel, asked)
    unheard: Trial | None = None
    with machine.boot(kernel, initramfs, asked.words, log) as console:
        for trial in _ended(watcher, console, clock, left):
            told = replace(trial, boot=boot, console=log, host=machine.name)
            if told.ending in _UNHEARD:
                unheard = told
            else:
                yield told
    # Only now, with a real machine home again, is it known whether its console could be heard all the time.
    if unheard is not None:
        if console.gap:
            raise HostSick(f"the console was lost during the boot, so nothing follows from: {unheard.reason}")
        yield unheard


def _ended(watcher: Watcher, console: Console, clock: Clock, left: Callable[[], bool]) -> Iterator[Trial]:
    """Yield the trials as they end; an ending that something missing led to is the last."""
    began = clock.now()
    leave_by: float | None = None
    for chunk in console.chunks(_TICK):
        yield from watcher.feed(chunk) if chunk else watcher.tick(clock.now() - began)
        if watcher.finished:
            return
        if left():
            # what was seen is worth a moment more: a bug that fires is rarer than anything else
            leave_by = leave_by or clock.now() + REPORT_SECONDS
            if not watcher.undecided or clock.now() >= leave_by:
                return
    yield from watcher.end(reset=console.reset)


def probe(  # noqa: PLR0913, PLR0917  (as trials)
    machine: Machine, kernel: Kernel, initramfs: Path, asked: Asked, log: Path, boot: int, clock: Clock
) -> tuple[Trial, ...]:
    """Return all trials of one boot."""
    return tuple(trials(machine, kernel, initramfs, asked, log, boot, clock))
