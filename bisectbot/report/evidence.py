"""The evidence of a session as rows and sums: what was seen, how often, for how long, and where it is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bisectbot.model import BuildBroken, Culprit, Ending, Judgement, Kernel, Terms, Trial, Verdict
from bisectbot.odds import Tested
from bisectbot.report.chances import figure
from bisectbot.report.session import Homecoming, Session, Step
from bisectbot.visible import visible

# What our reproducer counts; another one's numbers are shown under its own names.
_COUNTS = (("mismatches", "mismatches"), ("kvm_runs", "KVM_RUNs"), ("migrations", "migrations"))
_MOST_COUNTS = 4
_MOST_NOTES = 5
_MOST_LOGS = 12
_BIGGEST = 10**15


@dataclass(frozen=True)
class Link:
    """A file of the session; `href` is relative to its folder and percent-encoded, or empty: then only a name."""

    text: str
    href: str


@dataclass(frozen=True)
class Row:
    """One commit's line in the evidence table."""

    number: int
    commit: str
    title: str
    verdict: str  # "good", "bad", "skip" or "open"
    word: str  # the same as `git bisect terms` calls it
    why: str
    marks: tuple[str, ...]  # "bad end", "culprit", "merge" ...
    saw: str  # the reproducer's counts, summed over the trials
    fired: int
    clean: int
    silent: int  # trials without a verdict
    boots: int
    build_seconds: float
    boot_seconds: float
    probe_seconds: float
    from_store: bool
    logs: tuple[Link, ...]
    notes: tuple[str, ...]  # titles of reports that ended no trial, such as a WARNING at boot
    running: float = 0.0  # seconds of exposure; like the next one only told where there are odds
    has_bug: str = ""  # probability


@dataclass(frozen=True)
class Rate:
    """How often the reproducer fired: in `fired` of `trials` trials with a verdict, on `commits` commits."""

    commits: int
    fired: int
    trials: int
    saw: str

    @property
    def text(self) -> str:
        """Return it in words."""
        return f"{self.fired} of {count(self.trials, 'run')} on {count(self.commits, 'commit')}"


def rows(session: Session) -> tuple[Row, ...]:
    """Return the evidence table."""
    return tuple(_row(session, number, step) for number, step in enumerate(session.steps, 1))


def _row(session: Session, number: int, step: Step) -> Row:
    trials = step.trials
    verdict = verdict_of(step)
    tested = session.odds.of(step.commit.commit) if session.odds else None
    return Row(
        number=number,
        commit=step.commit.commit,
        title=step.commit.title,
        verdict=verdict or "open",
        word="check" if tested and tested.without and not verdict else word(verdict, session.range_.terms),
        why=why(step),
        marks=marks(session, step),
        saw=counts(trials),
        fired=_ended(trials, Ending.FIRED),
        clean=_ended(trials, Ending.CLEAN),
        silent=sum(trial.ending.verdictless for trial in trials),
        boots=len({trial.boot for trial in trials}),
        build_seconds=step.built.seconds if step.built else 0.0,
        boot_seconds=boot_seconds(trials),
        probe_seconds=sum(trial.probe_seconds for trial in trials),
        from_store=bool(step.built and step.built.from_store),
        logs=_logs(session, step),
        notes=tuple(dict.fromkeys(note for trial in trials for note in trial.notes))[:_MOST_NOTES],
        running=tested.seconds if tested else 0.0,
        has_bug=_has_bug(tested) if tested else "",
    )


def _has_bug(tested: Tested) -> str:
    """Return a cell; what fired has it for sure unless good kernels fire too."""
    if tested.fires and tested.has_bug == 1:
        return "1"
    return "" if math.isnan(tested.has_bug) else figure(tested.has_bug)


def without_culprit(session: Session, commit: str) -> str:
    """Return the commit that is taken back in `commit`, which is the bad end but for that; nothing: an ordinary one."""
    tested = session.odds.of(commit) if session.odds else None
    return tested.without if tested else ""


def verdict_of(step: Step | None) -> Verdict | None:
    """Return a step's verdict, or None while it is open."""
    return step.judgement.verdict if step and isinstance(step.judgement, Judgement) else None


def word(verdict: Verdict | None, terms: Terms) -> str:
    """Return a verdict in the words of the session's `git bisect terms`."""
    words = {Verdict.BAD: terms.bad, Verdict.GOOD: terms.good, Verdict.SKIP: "skip"}
    return words[verdict] if verdict else "open"


def why(step: Step) -> str:
    """Return the reason of a verdict, with the guilty file of a build that broke."""
    reason = step.judgement.why
    if isinstance(step.built, BuildBroken) and step.built.file and step.built.file not in reason:
        return f"{reason} ({step.built.file})"
    return reason


def named(session: Session, commit: str, limit: int = 120) -> str:
    """Return `1234567890ab ("title")`, the kernel's way to name a commit."""
    title = session.title(commit)
    return f'{commit[:12]} ("{visible(title, limit)}")' if title else commit[:12]


def marks(session: Session, step: Step) -> tuple[str, ...]:
    """Return what a commit is besides a candidate."""
    commit = step.commit.commit
    found = session.outcome.commit if isinstance(session.outcome, Culprit) else ""
    culprit = session.info(found)
    told = (
        ("culprit", commit == found),
        (f"{session.range_.terms.bad} end", commit == session.range_.bad),
        (f"{session.range_.terms.good} end", commit in session.range_.goods),
        ("parent of the culprit", culprit is not None and commit in culprit.parents),
        ("merge", len(step.commit.parents) > 1),
    )
    taken_back = without_culprit(session, commit)
    check = (f"{session.range_.terms.bad} end without {'the culprit' if taken_back == found else taken_back[:12]}",)
    return (*(mark for mark, holds in told if holds), *(check if taken_back else ()))


def counts(trials: Iterable[Trial]) -> str:
    """Return what the reproducer counted, summed over trials; at most four numbers of a reproducer not ours."""
    sums: dict[str, int | float] = {}
    for trial in trials:
        for key, value in trial.counts.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                sums[key] = sums.get(key, 0) + value
    known = [f"{_figure(sums[key])} {name}" for key, name in _COUNTS if key in sums]
    others = [f"{visible(key, 30)} {_figure(value)}" for key, value in sums.items()]
    return ", ".join(known or others[:_MOST_COUNTS])


def _figure(value: float) -> str:
    if not isinstance(value, int):
        return f"{value:.6g}"
    return f"{value:,}" if abs(value) < _BIGGEST else f"beyond {_BIGGEST:,}"


def _ended(trials: Iterable[Trial], ending: Ending) -> int:
    return sum(trial.ending is ending for trial in trials)


def boot_seconds(trials: Iterable[Trial]) -> float:
    """Return the seconds of booting; trials of one boot share it."""
    boots: dict[int, float] = {}
    for trial in trials:
        boots[trial.boot] = max(boots.get(trial.boot, 0.0), trial.boot_seconds)
    return sum(boots.values())


def _logs(session: Session, step: Step) -> tuple[Link, ...]:
    folder = session.folder
    found = [link(folder, step.built.log, "build")] if step.built and step.built.log else []
    consoles = {trial.boot: trial.console for trial in step.trials if trial.console}
    found += [link(folder, console, f"boot {boot}") for boot, console in sorted(consoles.items())]
    homes = [home for home in session.homecomings if home.commit == step.commit.commit]
    found += [kept for home in homes for kept in kept_log(folder, home)]
    return tuple(found[:_MOST_LOGS])


def kept_log(folder: Path, home: Homecoming) -> tuple[Link, ...]:
    """Return a link to what a machine kept of the crash of a boot, if it kept anything."""
    path = home.homed.crash_log
    return (link(folder, path, f"crash log of boot {home.boot}"),) if path else ()


def link(folder: Path, path: Path, text: str) -> Link:
    """Return a link to a file below the session's folder, packed or not; one that lies elsewhere is only named."""
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    if path.parent.parent.name == folder.name:  # told from another working folder, or before the session was moved
        inside = Path(*path.parts[-2:])
    if inside.is_absolute() or ".." in inside.parts:
        return Link(f"{text}: {path}", "")
    packed = inside.with_name(f"{inside.name}.gz")
    if not (folder / inside).exists() and (folder / packed).exists():
        inside = packed
    return Link(text, quote(inside.as_posix(), errors="surrogateescape"))


def rate(steps: Sequence[Step], verdict: Verdict) -> Rate:
    """Return how often the reproducer fired on the commits with this verdict."""
    mine = [step for step in steps if verdict_of(step) is verdict]
    trials = [trial for step in mine for trial in step.trials if not trial.ending.verdictless]
    return Rate(len(mine), _ended(trials, Ending.FIRED), len(trials), counts(trials))


def skipped(session: Session) -> tuple[Row, ...]:
    """Return the rows of the commits of the range that couldn't be judged."""
    skips = (row for row in rows(session) if row.verdict == Verdict.SKIP)
    return tuple(row for row in skips if not without_culprit(session, row.commit))


def builds(steps: Sequence[Step]) -> int:
    """Return how many builds were made, those from the store not counted."""
    return sum(isinstance(step.built, Kernel | BuildBroken) and not step.built.from_store for step in steps)


def boots(steps: Sequence[Step]) -> int:
    """Return how many boots gave a trial."""
    return len({trial.boot for step in steps for trial in step.trials})


def count(number: int, noun: str) -> str:
    """Return `1 boot` or `3 boots`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
