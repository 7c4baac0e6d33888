"""Keeps a session's report up to date: after each judged commit, and at the end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bisectbot import forecast, report
from bisectbot.crew import Work
from bisectbot.errors import InfraError
from bisectbot.facts import Answered, Noted, Opened, Paused, Row, State, apply, opened
from bisectbot.forecast import fit_of
from bisectbot.lab import LabHost
from bisectbot.model import BuildBroken, Culprit, EndUnproven, Kernel, Stuck, Trial, Verdict
from bisectbot.odds import Odds
from bisectbot.ports import Clock, CommitInfo, Deadline, Graph, Proc
from bisectbot.report import Report, Session, Step, Working, maintainers
from bisectbot.report.chances import OLDER, figure
from bisectbot.report.hours import ends_of_rows
from bisectbot.report.maintainers import Maintainers
from bisectbot.report.session import Homecoming, Narrowed
from bisectbot.report.timeline import Best, Timeline
from bisectbot.search.wanted import Wanted
from bisectbot.session import Folder
from bisectbot.timeline import steady, timeline_of

_MAINTAINERS_SECONDS = 60.0


@dataclass
class Scribe:
    """Fits loop.Show. `write` replaces a file as a whole; `boot_argv` is the QEMU command of a trial, for people."""

    folder: Folder
    graph: Graph
    proc: Proc
    clock: Clock
    write: Callable[[Path, str], None]
    worktree: Path | None  # get_maintainer.pl needs a tree's files; None: nobody is looked up
    native: str
    boot_argv: Callable[[Kernel, State], tuple[str, ...]]
    odds: Callable[[State], Odds | None]
    rows: list[Row] = field(default_factory=list)  # of the journal, as far as they are known
    note: Callable[[Noted], None] = lambda _: None  # what is out of the ordinary, for the journal
    trouble: str = ""  # why the report couldn't be written the last time
    _remaining: int | None = None
    _doing: str = ""
    _done: tuple[int, int] = (-1, -1)  # verdicts and boots that the last report has
    _infos: dict[str, CommitInfo] = field(default_factory=dict)
    _maintainers: dict[str, Maintainers] = field(default_factory=dict)
    _best: dict[int, str] = field(default_factory=dict)  # by number of rows: who was suspected most after them

    def expects(self, state: State, wanted: Wanted) -> None:
        """Write the report if a boot or a verdict came since."""
        self._remaining = wanted.remaining
        done = (len(state.judged()), state.boots)
        if done != self._done:
            self._done = done
            self._keep_up(state)

    def began(self, work: Work) -> None:
        """Take note of what goes on."""
        self._doing = f"{work.stage} of {work.commit[:12]}"

    def happened(self, state: State, row: Row) -> None:
        """Write the last report."""
        self.rows.append(row)
        if isinstance(row.fact, Answered | Paused):
            self._keep_up(state)

    def _keep_up(self, state: State) -> None:
        """Write the report if that can be done; told once if not: the journal has all that it takes to write it later.

        A report is no reason to lose a session.
        """
        try:
            self.update(state)
        except InfraError as error:
            if not self.trouble:
                self.note(Noted("disk", f"the report can't be written: {error.message}"))
            self.trouble = error.message
        else:
            self.trouble = ""

    def last(self, state: State) -> Report:
        """Return the report at the end of a process, written if that can be done; `trouble` tells if not."""
        self._keep_up(state)
        return self.draw(state)

    @property
    def warning(self) -> list[str]:
        """What people have to know of the report that couldn't be written; nothing if it was."""
        return [f"the report was not written: {self.trouble}; later: bisectbot report"] if self.trouble else []

    def update(self, state: State) -> Report:
        """Write all files of the report."""
        drawn = self.draw(state)
        for name, text in report.files(drawn).items():
            self.write(self.folder.path / name, text)
        return drawn

    def draw(self, state: State) -> Report:
        """Return the report as it stands, written nowhere."""
        return report.draw_up(self.session(state))

    def session(self, state: State) -> Session:
        """Return all that a report tells, from the state and the history."""
        plan = state.plan
        culprit, odds = _culprit(state), self.odds(state)
        ahead = odds.ahead if odds else forecast.ahead(state, self._remaining)
        booted = next((built for built in state.builds.values() if isinstance(built, Kernel)), None)
        return Session(
            name=self.folder.name,
            folder=self.folder.path.absolute(),
            tree=plan.tree,
            range_=plan.range_,
            build=plan.build,
            probe=plan.probe,
            host=plan.host.name,
            outcome=self._outcome(state),
            steps=tuple(self._step(state, odds, commit) for commit in state.touched),
            odds=odds,
            ahead=ahead,
            fit=fit_of(state, ahead),
            narrowed=None if odds or state.answered else self._narrowed(state),
            began=state.began,
            latest=state.latest,
            seconds=state.worked,
            stage_seconds=_stage_seconds(state),
            fragments=plan.fragments,
            versions=state.versions,
            native=self.native,
            commits=tuple(self._info(commit) for commit in self._named(state, odds)),
            diffstat=self.graph.diffstat(culprit) if culprit else "",
            maintainers=self._ask_maintainers(culprit) if culprit else Maintainers(),
            bisect_log=state.answered.bisect_log if state.answered else "",
            boot_argv=self.boot_argv(booted, state) if booted else (),
            faults=tuple(f"{fault.stage} of {fault.commit[:12]}: {fault.text}" for fault in state.faults),
            lab=plan.host if isinstance(plan.host, LabHost) else None,
            homecomings=tuple(Homecoming(home.commit, home.boot, home.homed) for home in state.homecomings),
            timeline=self._timeline(odds),
        )

    def _timeline(self, odds: Odds | None) -> Timeline:
        """Return what was done when, with who was suspected most at the end of each row of its table."""
        drawn, times = timeline_of(self.rows), steady(self.rows)
        if odds is None or not self.rows:
            return drawn
        *ends, last = ends_of_rows(drawn)
        places = {end: bisect_right(times, end) for end in ends}
        self._look_back(sorted(set(places.values()) - self._best.keys()))
        best = tuple(Best(end, self._best[place]) for end, place in places.items())
        return replace(drawn, best=(*best, Best(last, _suspected(odds))))

    def _look_back(self, places: list[int]) -> None:
        """Find out who was suspected most after so many rows; each is asked for only once."""
        state: State | None = None
        for place, row in enumerate(self.rows[: max(places, default=0)], start=1):
            if isinstance(row.fact, Opened):
                state = opened(row, row.fact)
            elif state is not None:
                state = apply(state, row)
            if place in places:
                odds = self.odds(state) if state is not None else None
                self._best[place] = _suspected(odds) if odds else ""

    def _step(self, state: State, odds: Odds | None, commit: str) -> Step:
        trials = state.trials.get(commit, ())
        found = (odds and odds.judgement(commit)) or state.judgement(commit)
        return Step(self._info(commit), state.builds.get(commit), trials, found)

    def _outcome(self, state: State) -> report.Outcome:
        if state.answered:
            return state.answered.answer
        if state.paused and state.paused.why == "budget":
            return report.OutOfTime(state.paused.text)
        if state.paused and state.paused.why == "fault":
            message, _, hint = state.paused.text.partition("\n  next: ")
            return report.Fault(message, hint)
        if state.paused:
            return report.Interrupted(state.paused.text)
        return Working(self._doing, self._remaining, state.found.answer if state.found else None)

    def _narrowed(self, state: State) -> Narrowed:
        """Return what the verdicts of a plain bisection leave."""
        range_, judged = state.plan.range_, state.judged()
        goods = [commit for commit, word in judged if word.verdict is Verdict.GOOD and commit != range_.bad]
        # git has each one marked below the one before
        bads = [commit for commit, word in judged if word.verdict is Verdict.BAD and commit not in range_.goods]
        left = replace(
            range_, bad=bads[-1] if bads else range_.bad, goods=tuple(dict.fromkeys((*range_.goods, *goods)))
        )
        return Narrowed(len(self.graph.candidates(left)), left.bad, left.goods)

    def _named(self, state: State, odds: Odds | None) -> tuple[str, ...]:
        """Return the commits that a report may name beside its steps."""
        known = state.answered or state.found
        answer = known.answer if known else None
        match answer:
            case Culprit(commit):
                found: tuple[str, ...] = (commit, *self._info(commit).parents)
            case Stuck(candidates):
                found = candidates
            case EndUnproven(commit):
                found = (commit,)
            case None:
                found = ()
        suspects = [one.commit for one in odds.suspects] if odds else []
        return tuple(dict.fromkeys((*state.plan.range_.ends, *found, *suspects)))

    def _info(self, commit: str) -> CommitInfo:
        if commit not in self._infos:
            self._infos[commit] = self.graph.info(commit)
        return self._infos[commit]

    def _ask_maintainers(self, culprit: str) -> Maintainers:
        """Ask once: the last report of a session is written more than once."""
        if self.worktree is None:
            return Maintainers(problem="not looked up without a worktree")
        if culprit not in self._maintainers:
            patch = self.folder.path / "culprit.patch"
            try:
                self.write(patch, self.graph.patch(culprit))
            except InfraError as error:
                return Maintainers(problem=f"not looked up: {error.message}")
            deadline = Deadline.after(self.clock, _MAINTAINERS_SECONDS)
            self._maintainers[culprit] = maintainers.ask(self.proc, self.worktree, patch, deadline)
        return self._maintainers[culprit]


def _suspected(odds: Odds) -> str:
    """Return who is suspected most, once the bug has fired."""
    if not odds.rate.fires or not odds.suspects:
        return ""
    first = odds.suspects[0]
    if odds.older > first.probability:
        return f"{OLDER}: {figure(odds.older)}"
    return f"{first.commit[:12]}: {figure(first.probability)}"


def _culprit(state: State) -> str | None:
    answer = state.answered.answer if state.answered else None
    return answer.commit if isinstance(answer, Culprit) else None


def _stage_seconds(state: State) -> Mapping[str, float]:
    trials = [trial for known in state.trials.values() for trial in known]
    boots: dict[int, Trial] = {trial.boot: trial for trial in trials}
    seconds = {
        "build": sum(_build_seconds(built) for built in state.builds.values()),
        "boot": sum(trial.boot_seconds for trial in boots.values()),
        "probe": sum(trial.probe_seconds for trial in trials),
    }
    if state.homecomings:
        seconds["coming home"] = sum(home.homed.seconds for home in state.homecomings)
    return seconds


def _build_seconds(built: Kernel | BuildBroken) -> float:
    return 0.0 if built.from_store else built.seconds
