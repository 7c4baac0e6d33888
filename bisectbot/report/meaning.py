"""What an ending means in words: the headline, what it says and doesn't say, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bisectbot.fit import Word
from bisectbot.model import BuildBroken, Culprit, Ending, EndUnproven, Stuck, Verdict
from bisectbot.odds import Odds
from bisectbot.report import belief, withodds
from bisectbot.report.ahead import HELPS, fit_in_words
from bisectbot.report.chances import span
from bisectbot.report.evidence import count, named, verdict_of, without_culprit, word
from bisectbot.report.session import Fault, Interrupted, Outcome, OutOfTime, Session, Working
from bisectbot.report.withodds import Words
from bisectbot.visible import visible


@dataclass(frozen=True)
class Meaning:
    """An ending, explained; plain text, in which nothing from outside is longer than a line."""

    ending: str  # as --json prints it
    headline: str
    paragraphs: tuple[str, ...]
    advice: tuple[str, ...]


_NAMES: dict[type[Outcome], str] = {
    Culprit: "culprit",
    Stuck: "only-skipped",
    EndUnproven: "end-unproven",
    Fault: "fault",
    Interrupted: "interrupted",
    OutOfTime: "out-of-time",
    Working: "running",
}


def ending_name(outcome: Outcome) -> str:
    """Return the ending as --json names it."""
    return _NAMES[type(outcome)]


def explain(session: Session) -> Meaning:
    """Return what the session's ending means."""
    return Meaning(ending_name(session.outcome), *_words(session))


def _words(session: Session) -> Words:
    match session.outcome:
        case Culprit(commit):
            words = _culprit(session, commit)
        case Stuck() as outcome:
            words = _stuck(session, outcome)
        case EndUnproven() as outcome:
            words = _unproven(session, outcome)
        case Fault(message, hint):
            words = ("Stopped by a fault of the machine or the lab", *_fault(session, message, hint))
        case Interrupted(why):
            words = ("Interrupted", *_interrupted(session, why))
        case OutOfTime(why):
            words = (f"Out of budget: {_best(session)}", *_interrupted(session, why))
        case Working() as outcome:
            words = (_running(session, outcome), (_doing(outcome), *_so_far(session)), _helps(session))
    return words


def _doing(outcome: Working) -> str:
    doing = visible(outcome.doing, 200) or "at work"
    left = "" if outcome.remaining is None else f"; about {count(outcome.remaining, 'step')} to go"
    if outcome.found is None:
        return f"Now: {doing}{left}. No answer yet."
    return f"Now: {doing}. What is left of the budget goes into confirming the answer; it may still change."


def _running(session: Session, outcome: Working) -> str:
    """Return the headline: the answer if there is one already, said to be unconfirmed."""
    match outcome.found:
        case Culprit(commit) if session.odds is not None and not _likeliest(session.odds, commit):
            return f"Still running: {commit[:12]} was found, and what was seen since speaks against it"
        case Culprit(commit):
            return f"Found, being confirmed: first {session.range_.terms.bad} commit {named(session, commit)}"
        case Stuck(candidates):
            return f"Found, being confirmed: one of {count(len(candidates), 'commit')}"
        case EndUnproven(commit, expected):
            end = word(expected, session.range_.terms)
            return f"Found, being confirmed: the {end} end {named(session, commit)} isn't {end}"
        case None:
            return "Still running"


def _likeliest(odds: Odds, commit: str) -> bool:
    return not odds.suspects or odds.suspects[0].commit == commit


def _culprit(session: Session, commit: str) -> Words:
    if session.odds is not None:
        return withodds.culprit(session, session.odds, commit)
    return (
        f"First {session.range_.terms.bad} commit: {named(session, commit)}",
        (_ends_proven(session),),
        (
            "Read the commit and see whether it explains what was seen.",
            "Revert it, or apply a fix, on top of the bad end and try that commit: bisectbot try REV.",
            "Read the mail below, complete it and send it; bisectbot never does.",
        ),
    )


def _ends_proven(session: Session) -> str:
    range_ = session.range_
    expected = ((range_.bad, Verdict.BAD), *((good, Verdict.GOOD) for good in range_.goods))
    unproven = [commit[:12] for commit, verdict in expected if verdict_of(session.step(commit)) is not verdict]
    if unproven:
        return f"Not every end of the range was proven: {', '.join(unproven)}. git bisect has named the culprit."
    return "Both ends of the range were proven first; git bisect has named the culprit."


def _stuck(session: Session, outcome: Stuck) -> Words:
    if session.odds is not None:
        return withodds.stuck(session, session.odds, outcome, tuple(_ways_out(session)))
    return (
        f"One of {count(len(outcome.candidates), 'commit')}: only skipped ones are left to test",
        (
            "Every commit that could narrow this down further had to be skipped.",
            "The culprit is among the candidates below; which one can't be told from what was seen.",
            "What stands in the way is listed with each of them.",
        ),
        tuple(_ways_out(session)),
    )


def _ways_out(session: Session) -> Iterator[str]:
    steps = [step for step in session.steps if not without_culprit(session, step.commit.commit)]
    skips = [step for step in steps if verdict_of(step) is Verdict.SKIP]
    endings = {trial.ending for step in skips for trial in step.trials}
    if any(isinstance(step.built, BuildBroken) for step in skips):
        yield (
            "Commits that don't build: name the commit or patch that mends the build as a fix-up for that part of the "
            "range, or give an older compiler for it."
        )
    if endings & {Ending.BOOT_CRASHED, Ending.BOOT_HUNG, Ending.NO_OUTPUT, Ending.REBOOTED, Ending.CRASHED}:
        yield "Commits that crash or hang: apply the later fix as a fix-up, or configure the part that breaks away."
    if endings & {Ending.CANT_TELL, Ending.KILLED, Ending.HUNG, Ending.LOST, Ending.WRONG_KERNEL}:
        yield "Commits where the reproducer gave no answer: the console log says why; look closer: bisectbot try REV."
    yield "The candidates can also be read, or reverted one by one on top of the bad end."


def _unproven_headline(session: Session, outcome: EndUnproven) -> str:
    end = word(outcome.expected, session.range_.terms)
    seen = word(outcome.judgement.verdict, session.range_.terms)
    return f"The {end} end {named(session, outcome.commit)} is not {end} but {seen}"


def _unproven(session: Session, outcome: EndUnproven) -> Words:
    known = withodds.unproven(session, session.odds, outcome) if session.odds else None
    return known or (_unproven_headline(session, outcome), *_without_odds(session, outcome))


def _without_odds(session: Session, outcome: EndUnproven) -> tuple[tuple[str, ...], tuple[str, ...]]:
    seen = f"Seen: {visible(outcome.judgement.why)}."
    nothing = "Nothing can be concluded about the commits in between, so none of them was searched."
    texts = {
        (Verdict.BAD, Verdict.GOOD): _BAD_END_SILENT,
        (Verdict.GOOD, Verdict.BAD): _GOOD_END_FIRES,
    }
    meaning, advice = texts.get((outcome.expected, outcome.judgement.verdict), _END_UNTESTABLE)
    runs = session.probe.runs
    return (seen, nothing, meaning), tuple(line.format(runs=count(runs, "clean run")) for line in advice)


_BAD_END_SILENT = (
    (
        "The bug did not show where it was said to be: it isn't in this commit, or it is too rare for so few runs, or "
        "this configuration, machine or reproducer doesn't bring it out."
    ),
    (
        "Look at the reproducer's counts: one that hardly did anything proves nothing.",
        "Run it longer or more often: {runs} made it look good here.",
        "Compare the configuration with that of the kernel on which the bug was seen.",
        "Try the commit alone until the bug shows: bisectbot try REV. Then start again.",
    ),
)
_GOOD_END_FIRES = (
    (
        "The bug is there already where it was said to be absent: it is older than the range, or the reproducer fires "
        "on kernels that don't have it, or the configuration or the compiler brings it in everywhere."
    ),
    (
        "Take an older good end, say the release before, and check it alone first: bisectbot try REV.",
        "Make sure that the reproducer stays silent on a kernel that is known to be sound.",
    ),
)
_END_UNTESTABLE = (
    "This end gave no verdict at all, so it is neither proven nor refuted.",
    (
        "Mend what the log of that build or boot names, or move this end to a neighbour that can be tested.",
        "Check it alone before starting again: bisectbot try REV.",
    ),
)


def _fault(session: Session, message: str, hint: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    says = f"{visible(message, 500).rstrip('.')}."
    kept = "This says nothing about any commit: no verdict was taken from it, and what is finished is kept."
    advice = (visible(hint),) if hint else ()
    return (says, kept, *_so_far(session)), (*advice, _resume(session))


def _interrupted(session: Session, why: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    says = (f"{visible(why)}.",) if why else ()
    kept = "What is finished is kept; no finished build or trial will be repeated."
    return (*says, kept, *_so_far(session)), (_resume(session),)


def _best(session: Session) -> str:
    """Return the best statement before an answer, for a headline."""
    if session.odds is not None:
        return belief.best(session, session.odds)
    return _narrowed(session) or "no answer yet"


def _narrowed(session: Session) -> str:
    """Return what a plain bisection has come to; nothing where that isn't known."""
    known = session.narrowed
    if known is None:
        return ""
    good, *more = known.goods
    others = f" and {len(more)} more" if more else ""
    terms = session.range_.terms
    return (
        f"one of {count(known.commits, 'commit')} between {terms.good} {good[:12]}{others} and {terms.bad}"
        f" {known.bad[:12]}"
    )


def _so_far(session: Session) -> tuple[str, ...]:
    """Return the best that can be said before an answer, what is ahead, and whether that fits into the budget."""
    narrowed, ahead, fit = _narrowed(session), session.ahead, session.fit
    told = withodds.so_far(session) or ((f"It is {narrowed}.",) if narrowed else ())
    if session.odds is None and ahead is not None and ahead.seconds:
        told += (f"To go: about {span(ahead.seconds)}.",)
    return (*told, f"The budget: {fit_in_words(fit)}.") if fit else told


def _helps(session: Session) -> tuple[str, ...]:
    """Return what would help where the rest won't fit."""
    fit = session.fit
    return (f"It won't fit into the budget: {HELPS}.",) if fit and fit.word() is Word.WONT else ()


def _resume(session: Session) -> str:
    more = " (with as much again; --until, --max-hours or --max-boots give another budget)"
    out = isinstance(session.outcome, OutOfTime)
    return f"Go on with: bisectbot resume {visible(session.name, 80)}{more if out else ''}"
