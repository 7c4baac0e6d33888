"""A journal's rows as a timeline: who worked at what and when, what stood still, and what was out of the ordinary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Doubted,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Reverted,
    Row,
    Tried,
)
from bisectbot.model import BuildBroken, Ending, Kernel, Trial
from bisectbot.report.timeline import BOT, BUILDER, FIRST_HOST, QUEUED, WORK, Kind, Mark, Sign, Span, Timeline, gaps
from bisectbot.visible import visible

_JUMP = 30.0  # seconds that the clock may be off its course: less is what a time server corrects
_NEAR = 3  # rows within which a jump is told of, if whoever wrote them looked for it
_LEAST_WAIT = 1.0  # seconds: less is the bot's own thinking
_LABEL = 160  # characters


def timeline_of(rows: Sequence[Row]) -> Timeline:
    """Return what the rows tell, oldest first; in one pass over them, so that a hundred thousand are no matter."""
    if not rows:
        return Timeline()
    times = steady(rows)
    reader = _Reader(times[0], jumped=_jumps(rows))
    for row, at in zip(rows, times, strict=True):
        reader.read(row, at)
    return reader.done(times[-1])


def steady(rows: Sequence[Row]) -> list[float]:
    """Return when each row was written, on a clock that never goes back.

    The newest time of day is believed, as somebody may have mended the clock; from there the processes' own steady
    clocks lead back. A clock that only jumped forward may have been a machine asleep: that time did pass.
    """
    times = [row.at for row in rows]
    for place in range(len(rows) - 2, -1, -1):
        times[place] = min(times[place], times[place + 1] - (_ticks(rows[place], rows[place + 1]) or 0.0))
    return times


def _ticks(row: Row, after: Row) -> float | None:
    """Return the seconds between two rows of one process by its own clock; None for two processes."""
    other = isinstance(after.fact, Resumed | Notified) or isinstance(row.fact, Notified)
    if other or row.tick is None or after.tick is None:
        return None
    return max(0.0, after.tick - row.tick)


@dataclass(frozen=True)
class _Jump:
    """By how many seconds the clock jumped, and whether a row near it says so itself."""

    seconds: float
    told: bool


def _jumps(rows: Sequence[Row]) -> dict[int, _Jump]:
    """Return the jumps of the clock, each by the place of the row before which it was."""
    found = {}
    for place, (row, after) in enumerate(pairwise(rows), start=1):
        ticks = _ticks(row, after)
        off = 0.0 if ticks is None else after.at - row.at - ticks
        if abs(off) > _JUMP:
            near = rows[max(0, place - _NEAR) : place + _NEAR]
            found[place] = _Jump(off, any(isinstance(one.fact, Noted) and one.fact.what == "clock" for one in near))
    return found


@dataclass
class _Boot:
    """A boot that isn't over, as far as rows tell."""

    lane: int
    commit: str
    number: int
    began: float
    heard: float  # when its latest trial ended
    tried: bool = False


@dataclass
class _Reader:
    """Takes the rows one by one."""

    began: float
    jumped: dict[int, _Jump]
    spans: list[Span] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    lanes: list[str] = field(default_factory=lambda: ["builder", "bot"])
    _place: int = 0
    _host: int = FIRST_HOST
    _boot: _Boot | None = None
    _paused: Paused | None = None
    _since: float = 0.0  # when the process began that works
    _latest: float = 0.0  # when somebody who works wrote last
    _over: bool = False  # it is answered
    _queued: bool = True  # nobody has worked on it yet
    _killed: int = 0
    _stops: int = 0

    def read(self, row: Row, at: float) -> None:  # noqa: C901, PLR0912  one case a fact
        if jump := self.jumped.get(self._place):
            self._jump(jump, at)
        self._place += 1
        match row.fact:
            case Opened(plan):
                self._since, self._host = at, self._lane(plan.host.name)
            case Resumed(_, host):
                self._resume(at, self._outcome())
                self._host = self._host if host is None else self._lane(host.name)
            case Built(result):
                self._built(result, at)
            case BootBegan(commit, boot):
                self._end_boot(at)
                self._boot = _Boot(self._host, commit, boot, at, at)
            case Tried(trial):
                self._tried(trial, at)
            case CameHome(_, boot, homed):
                self._home(boot, at, homed.seconds, homed.how, by_itself=homed.by_itself)
            case Faulted(commit, stage, text):
                self._faulted(commit, stage, text, at)
            case Reverted(culprit, commit):
                self._mark(BOT, Sign.NOTE, at, f"{culprit[:12]} taken back: {commit[:12] if commit else 'not cleanly'}")
            case Noted(what, text):
                self._note(at, f"{what}: {text}")
            case Doubted(boots, text):
                self._note(at, f"in doubt, so that boots don't count ({len(boots)}): {text}")
            case Found():
                self._mark(BOT, Sign.FOUND, at, "an answer is there, and is being confirmed")
            case Answered():
                self._over = True
                self._mark(BOT, Sign.FOUND, at, "answered")
            case Paused():
                self._paused = row.fact
            case Notified(number, kind, channel):
                self._mark(BOT, Sign.NOTICE, at, f"notice of {kind} (row {number}) by {channel}")
        if not isinstance(row.fact, Notified):
            self._latest = at
            self._queued &= isinstance(row.fact, Opened)

    def _jump(self, jump: _Jump, at: float) -> None:
        """Keep the time that a clock that jumped forward has left out: the machine may have been asleep."""
        if jump.seconds > 0:
            self._span(BOT, Kind.ASLEEP, (at - jump.seconds, at), "the machine slept, or its clock was set")
        if not jump.told:
            self._note(
                at, f"clock: it jumped {'forward' if jump.seconds > 0 else 'back'} by {_long(abs(jump.seconds))}"
            )

    def _lane(self, host: str) -> int:
        """Return a host's lane; a host may be called like one of ours."""
        if host not in self.lanes[FIRST_HOST:]:
            self.lanes.append(host)
        return self.lanes.index(host, FIRST_HOST)

    def _mark(self, lane: int, sign: Sign, at: float, label: str) -> None:
        self.marks.append(Mark(lane, sign, at, visible(label, _LABEL)))

    def _note(self, at: float, text: str) -> None:
        self._mark(BOT, Sign.NOTE, at, text)
        self.odd.append(visible(text, _LABEL))

    def _span(self, lane: int, kind: Kind, when: tuple[float, float], label: str, outcome: str = "") -> None:
        """Keep a span; it can't have begun before the process that tells of it, nor before its lane was free."""
        start, end = when
        free = next((one.end for one in reversed(self.spans) if one.lane == lane), self.began)
        start = min(end, max(start, free, self._since))
        self.spans.append(Span(lane, kind, start, end, visible(label, _LABEL), visible(outcome, _LABEL)))

    # --- the builder's

    def _built(self, result: Kernel | BuildBroken, at: float) -> None:
        broken = isinstance(result, BuildBroken)
        outcome = f"doesn't build: {result.title}" if isinstance(result, BuildBroken) else "built"
        kind = Kind.STORE if result.from_store else Kind.BUILD
        began = at if result.from_store else at - result.seconds
        outcome = "from the store" if result.from_store and not broken else outcome
        self._span(BUILDER, kind, (began, at), f"build of {result.commit[:12]}", outcome)

    def _faulted(self, commit: str, stage: str, text: str, at: float) -> None:
        if stage == "build":
            self._span(BUILDER, Kind.LOST, (self._latest, at), f"build of {commit[:12]}", "failed for a reason of ours")
        lane = {"build": BUILDER, "boot": self._host}.get(stage, BOT)
        self._mark(lane, Sign.FAULT, at, f"{stage} of {commit[:12]} failed for a reason of ours: {text}")

    # --- a host's

    def _tried(self, trial: Trial, at: float) -> None:
        boot = self._boot
        if boot is None or boot.number != trial.boot:
            boot = self._boot = _Boot(self._host, trial.commit, trial.boot, at, at)
        name = f"boot {trial.boot} of {trial.commit[:12]}"
        probed = min(at, max(at - trial.probe_seconds, boot.heard))
        if not boot.tried:
            self._span(boot.lane, Kind.BOOT, (boot.began, probed), name, "" if trial.probe_seconds else trial.ending)
        if trial.probe_seconds:
            self._probed(boot.lane, name, trial, (probed, at))
        if trial.ending is Ending.FIRED:
            self._mark(boot.lane, Sign.FIRED, at, f"{name}: it fired")
        boot.heard, boot.tried = at, True

    def _probed(self, lane: int, name: str, trial: Trial, when: tuple[float, float]) -> None:
        """Keep a run; those of one boot are one stretch, however many there are."""
        last = self.spans[-1] if self.spans else None
        if last and last.kind is Kind.PROBE and last.label == name and last.lane == lane:
            self.spans[-1] = replace(last, end=when[1], outcome=trial.ending, count=last.count + 1)
        else:
            self._span(lane, Kind.PROBE, when, name, trial.ending)

    def _home(self, boot: int, at: float, seconds: float, how: str, *, by_itself: bool) -> None:
        if self._boot is not None and not self._boot.tried:
            self._span(self._boot.lane, Kind.LOST, (self._boot.began, at - seconds), f"boot {boot}", "told nothing")
        self._span(self._host, Kind.HOME, (at - seconds, at), f"way home after boot {boot}", how)
        self._boot = None
        if not by_itself:
            self.odd.append(visible(f"{self.lanes[self._host]} was brought home after boot {boot} {how}", _LABEL))

    def _end_boot(self, at: float, why: str = "told nothing") -> None:
        """A boot without a trial is one that was lost."""
        boot, self._boot = self._boot, None
        if boot is not None and not boot.tried:
            self._span(boot.lane, Kind.LOST, (boot.began, at), f"boot {boot.number} of {boot.commit[:12]}", why)

    # --- stops

    def _outcome(self) -> str:
        """Return why nobody worked up to now, and count it."""
        if self._queued:
            return QUEUED
        self._killed += self._paused is None and not self._over
        self._stops += self._paused is not None
        return "killed" if self._paused is None else f"{self._paused.why}: {self._paused.text}"

    def _resume(self, at: float, outcome: str) -> None:
        """Somebody goes on: what was before that nobody worked at, and why."""
        self._end_boot(self._latest, "ended with the session")
        self._waits(self._latest, lost=True)
        self._span(BOT, Kind.STOP, (self._latest, at), "stopped" if outcome != QUEUED else "waiting", outcome)
        self._since, self._paused = at, None

    def _waits(self, until: float, *, lost: bool = False) -> None:
        """Keep what no lane worked at since this process began; what a stop ended had been some work."""
        mine = [span for span in self._mine() if span.kind in (*WORK, Kind.LOST, Kind.ASLEEP)]
        for start, end in gaps(mine, self._since, until):
            if end - start < _LEAST_WAIT:
                continue
            ended = lost and end == until
            kind, label = (Kind.LOST, "work that the stop ended") if ended else (Kind.WAIT, "nothing was at work")
            self.spans.append(Span(BOT, kind, start, end, label))

    def _mine(self) -> Iterator[Span]:
        """Yield the spans of this process, newest first."""
        for span in reversed(self.spans):
            if span.kind is Kind.STOP:
                return
            yield span

    def done(self, ended: float) -> Timeline:
        """Return what was read."""
        stopped = self._paused is not None
        self._end_boot(self._latest, "ended with the session" if stopped else "not over yet")
        self._waits(self._latest, lost=stopped)
        spans = sorted(self.spans, key=lambda one: (one.start, one.end, one.lane))
        return Timeline(
            lanes=tuple(self.lanes),
            spans=tuple(spans),
            marks=tuple(self.marks),
            began=self.began,
            ended=ended,
            odd=tuple(self.odd),
            killed=self._killed,
            paused=self._stops + stopped,
        )


def _long(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{round(seconds)} s" if minutes < 2 else f"{minutes} min"  # noqa: PLR2004  seconds read well below
