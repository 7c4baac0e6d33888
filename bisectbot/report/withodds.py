"""What an ending means where there are odds: the search of a bug that fires only sometimes."""

from __future__ import annotations

from bisectbot.model import EndUnproven, Stuck, Verdict
from bisectbot.odds import Odds
from bisectbot.report.ahead import forecast
from bisectbot.report.belief import holding_in_words, statement
from bisectbot.report.chances import OLDER, figure, how_often
from bisectbot.report.evidence import count, named
from bisectbot.report.seen import reverted_in_words, runs_for
from bisectbot.report.session import Session
from bisectbot.visible import visible

Words = tuple[str, tuple[str, ...], tuple[str, ...]]  # the headline, paragraphs, advice

_READ = "Read the commit and see whether it explains what was seen."
_SEND = "Read the mail below, complete it and send it; bisectbot never does."
_LEDGER = "git bisect, given the verdicts that are sure, names the same commit."
_ABSENT = (
    "The bug did not show where it was said to be: it isn't in this commit, or it is rarer than that, or this "
    "configuration, machine or reproducer doesn't bring it out."
)
_CAME_BEFORE = (
    "No commit of the range brought it in then: it came before, or the reproducer fires on kernels that don't have it, "
    "or the configuration or the compiler brings it in everywhere."
)


def culprit(session: Session, odds: Odds, commit: str) -> Words:
    """Return the words of a culprit."""
    bad, check = session.range_.terms.bad, odds.reverted
    headline = f"First {bad} commit: {named(session, commit)}"
    if check is not None and check.fires:
        headline += f", but without it the {bad} end still fires"
    told = (
        statement(session, odds),
        f"The bug {how_often(odds.rate)} at the {bad} end, so silence is evidence and never proof. {_LEDGER}",
    )
    reverted = (f"The {bad} end without the culprit: {visible(reverted_in_words(check))}.",) if check else ()
    return headline, (*told, *reverted), (_READ, _try_without(session, odds), _SEND)


def _try_without(session: Session, odds: Odds) -> str:
    check, bad = odds.reverted, session.range_.terms.bad
    todo = "Revert it, or apply a fix," if check is None or check.commit is None else "Apply a fix"
    return f"{todo} on top of the {bad} end and try that commit: bisectbot try REV{_long(session)}."


def _long(session: Session) -> str:
    """Return the option that makes a trial long enough to say something."""
    runs = runs_for(session, session.odds.silence_needed) if session.odds and session.odds.silence_needed else None
    return f" --runs {runs}" if runs else ""


def stuck(session: Session, odds: Odds, outcome: Stuck, ways_out: tuple[str, ...]) -> Words:
    """Return the words of a group in which the culprit is."""
    headline = f"One of {count(len(outcome.candidates), 'commit')}: what would tell them apart can't be tested"
    told = (
        statement(session, odds),
        "Which of the candidates below it is can't be told from what was seen; what stands in the way is listed.",
    )
    return headline, told, ways_out


def never_fired(session: Session, outcome: EndUnproven) -> Words:
    """Return the words of a bad end that stayed silent."""
    bad = session.range_.terms.bad
    told = (
        f"Seen: {visible(outcome.judgement.why)}.",
        "Nothing can be concluded about the commits in between, so none of them was searched.",
        _ABSENT,
    )
    advice = (
        "Look at the reproducer's counts: one that hardly did anything proves nothing.",
        "Compare the configuration with that of the kernel on which the bug was seen.",
        "Look for a setting of the reproducer with which it fires sooner: bisectbot calibrate.",
        "Wait longer for it, in a new session: --show-within MINUTES.",
    )
    return f"The {bad} end {named(session, outcome.commit)} never fired", told, advice


def older(session: Session, odds: Odds, outcome: EndUnproven) -> Words:
    """Return the words of a bug that the good ends have too."""
    good = session.range_.terms.good
    one = odds.of(outcome.commit)
    seen = "fires too" if one is not None and one.fires else f"couldn't be cleared: the bug is {OLDER}"
    told = (
        f"Seen: {visible(outcome.judgement.why)}.",
        statement(session, odds),
        _CAME_BEFORE,
    )
    advice = (
        f"Take an older {good} end, say the release before; check it alone first: bisectbot try REV{_long(session)}.",
        "Make sure that the reproducer stays silent on a kernel that is known to be sound.",
    )
    return f"The {good} end {named(session, outcome.commit)} {seen}", told, advice


def so_far(session: Session) -> tuple[str, ...]:
    """Return the best that can be said before the end, and what is ahead; nothing where there are no odds."""
    odds = session.odds
    if odds is None:
        return ()
    few = odds.holding
    held = (f"{_sentence(figure(few.probability))} of the probability is {holding_in_words(few)}.",) if few else ()
    return statement(session, odds), *held, f"{_sentence(forecast(odds))}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def unproven(session: Session, odds: Odds, outcome: EndUnproven) -> Words | None:
    """Return the words of an end that isn't what it was said to be; None if it couldn't be tested."""
    if outcome.judgement.verdict is Verdict.SKIP:
        return None
    if outcome.expected is Verdict.BAD:
        return never_fired(session, outcome)
    return older(session, odds, outcome)
