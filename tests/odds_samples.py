"""Sessions that searched for a bug which fires only sometimes, one for each way in which that ends."""

from __future__ import annotations

import math
from dataclasses import replace

from report_samples import (
    COMMITS,
    CULPRIT,
    broken,
    clean,
    fired,
    info,
    kernel,
    panics,
    session,
    sha,
)

from bisectbot.model import Culprit, EndUnproven, Judgement, NotYet, Stuck, Trial, Verdict
from bisectbot.odds import (
    Cleared,
    Odds,
    Proposal,
    Rate,
    Reverted,
    Shrunk,
    Suspect,
    Tested,
    WhatIf,
)
from bisectbot.report import Fault, Interrupted, Outcome, OutOfTime, Session, Step, Working

RUN = 30.0  # seconds of exposure of a silent run
WITHOUT = info("v5.9-rc1 without c3", 'Revert "entry: Let the helper clear the flag"', "v5.9-rc1")
RATE = Rate(fires=6, seconds=198.0, low=0.01112, high=0.06596)
BAD, GOOD, PARENT = sha("v5.9-rc1"), sha("v5.8"), sha("c2")


def ran(name: str, seconds: float, fires: int, has_bug: float, chance: float = math.nan) -> tuple[Step, Tested]:
    """Return a commit that ran for so long, and what the search makes of it."""
    commit = WITHOUT if name == "without" else COMMITS[sha(name)]
    runs: tuple[Trial, ...] = tuple(replace(fired("c3", 9), exposure=seconds / fires) for _ in range(fires))
    silent = 0 if fires else round(seconds / RUN)
    runs += tuple(replace(clean("c3", 9), exposure=RUN) for _ in range(silent))
    trials = tuple(replace(run, commit=commit.commit) for run in runs)
    judgement = _judgement(seconds, fires, has_bug)
    without = CULPRIT if name == "without" else ""
    tested = Tested(commit.commit, seconds, fires, has_bug, judgement, chance, without)
    return Step(commit, replace(kernel("c3"), commit=commit.commit), trials, judgement), tested


def _judgement(seconds: float, fires: int, has_bug: float) -> Judgement | NotYet:
    words = f"fired {fires} times in {seconds:.3g} s of running" if fires else f"silent for {seconds:.3g} s of running"
    if fires or has_bug >= 0.99:
        return Judgement(Verdict.BAD, words)
    return Judgement(Verdict.GOOD, words) if has_bug <= 0.01 else NotYet(words)


def skipped(step: Step) -> tuple[Step, Tested]:
    """Return a commit that can't be tested, and that the search knows no more of it."""
    return step, Tested(step.commit.commit, 0.0, 0, math.nan, step.judgement)


SEEN = (
    ran("v5.9-rc1", 198.0, 6, 1.0),
    ran("v5.8", 240.0, 0, 0.0004, 0.0165),
    skipped(broken("c4")),
    ran("c3", 61.0, 2, 1.0),
    ran("c2", 420.0, 0, 0.0066, 0.0031),
)
REVERTED = ran("without", 450.0, 0, math.nan, 0.0027)
STILL = ran("without", 40.0, 2, 1.0)
ODDS = Odds(
    confidence=0.99,
    candidates=31,
    suspects=(Suspect(CULPRIT, 0.99344), Suspect(PARENT, 0.0052), Suspect(sha("c1"), 0.00096)),
    group=(CULPRIT,),
    group_probability=0.99344,
    older=0.0004,
    absent=0.0,
    rate=RATE,
    tested=tuple(tested for _, tested in SEEN),
    shrunk=Shrunk(14, 31, 1.147),
    silence_needed=300.0,
)
ANSWERED = replace(
    ODDS,
    parents=(Cleared(PARENT, 420.0, 0.0, 0.0031, 0.0066),),
    what_ifs=(WhatIf(PARENT, 1, 33.0, 0.0), WhatIf(PARENT, 0, 410.0, 0.99934)),
    flat=0.9921,
)
OPEN = replace(
    ODDS,
    suspects=(Suspect(CULPRIT, 0.61), Suspect(PARENT, 0.34), Suspect(sha("c1"), 0.02)),
    group_probability=0.61,
    older=0.011,
    proposal=Proposal(PARENT, 92.0, 0.31, 0.74, 118.0, "most bits a second: 0.74 for 2 min; its kernel is built"),
    seconds_left=1500.0,
    steps_left=3.2,
)


def rare(outcome: Outcome, odds: Odds, seen: tuple[tuple[Step, Tested], ...] = SEEN) -> Session:
    """Return a session that ended, or stands, like that."""
    told = replace(odds, tested=tuple(tested for _, tested in seen))
    return replace(session(outcome, tuple(step for step, _ in seen)), odds=told)


def named_with(check: tuple[Step, Tested], chance: float) -> Session:
    """Return the session with a culprit, whose check of the bad end without it went like that."""
    _, tested = check
    reverted = Reverted(tested.commit, tested.seconds, tested.fires, chance)
    return rare(Culprit(CULPRIT, 0.99344), replace(ANSWERED, reverted=reverted), (*SEEN, check))


GROUP = (sha("merge"), sha("c4"), CULPRIT)
RARE: dict[str, Session] = {
    "culprit": named_with(REVERTED, 0.0027),
    "still fires": named_with(STILL, 1.0),
    "group": rare(
        Stuck(GROUP, 0.9918),
        replace(
            ANSWERED,
            suspects=(Suspect(CULPRIT, 0.34), Suspect(sha("c4"), 0.33), Suspect(sha("merge"), 0.32)),
            group=GROUP,
            group_probability=0.9918,
        ),
        (*SEEN, skipped(panics("merge", 3))),
    ),
    "older": rare(
        EndUnproven(GOOD, Verdict.GOOD, Judgement(Verdict.BAD, "it fired there once in 21 s of running")),
        replace(OPEN, suspects=(), group=(), group_probability=0.0, older=1.0, proposal=None),
        (SEEN[0], ran("v5.8", 21.0, 1, 1.0)),
    ),
    "never fired": rare(
        EndUnproven(BAD, Verdict.BAD, Judgement(Verdict.GOOD, "silent for 60 min of running: if at all, rarely")),
        replace(
            OPEN,
            group=(),
            group_probability=0.0,
            older=0.05,
            rate=Rate(0, 3600.0, 0.0, 3.0 / 3600),
            proposal=None,
            absent=1.0,
        ),
        (ran("v5.9-rc1", 3600.0, 0, math.nan),),
    ),
    "out of time": rare(OutOfTime("the time that it was given is over"), OPEN),
    "interrupted": rare(Interrupted("SIGINT"), OPEN),
    "fault": rare(Fault("no space left on /var", "free some disk space"), OPEN),
    "running": rare(Working(f"boot of {PARENT[:12]}", 4), OPEN),
    "begun": rare(
        Working(f"build of {BAD[:12]}", 8),
        Odds(
            0.99,
            31,
            tuple(Suspect(commit, 1 / 31) for commit in COMMITS),
            (),
            0.0,
            0.05,
            0.0,
            Rate(0, 0.0, 0.0, 1e9),
            proposal=Proposal(BAD, 3600.0, 1.0, 0.0, 3735.0, "the bad end has to fire 3 times, and did 0 times"),
            steps_left=8.0,
        ),
        (),
    ),
}
