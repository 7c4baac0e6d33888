"""A report in a few lines for a terminal, and as one JSON object for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from bisectbot.model import Answer, Culprit, EndUnproven, Stuck, Verdict
from bisectbot.odds import Odds
from bisectbot.report.belief import statement
from bisectbot.report.chances import OLDER, equation, how_often
from bisectbot.report.document import HTML, MAIL, MARKDOWN, Report
from bisectbot.report.evidence import Row, count, rate
from bisectbot.report.machine import RealMachine
from bisectbot.report.numbers import fit_json, odds_json
from bisectbot.report.seen import reverted_in_words, seen_of
from bisectbot.report.session import Fault, Outcome, Session, Working
from bisectbot.visible import cut, visible

_ROW_KEYS = ("commit", "title", "verdict", "why", "saw", "boots", "build_seconds", "boot_seconds", "probe_seconds")
_WIDTH = 100
_MOST_CANDIDATES = 10
_MOST_RIVALS = 2
_WORTH_A_LINE = 0.001  # probability of a rival that isn't the next one


def summary_json(report: Report) -> dict[str, object]:
    """Return what --json prints; made of JSON's own types. `culprit` is a full hash or None, `steps` a number."""
    session, culprit = report.session, report.culprit
    outcome = session.outcome
    return {
        "ending": report.meaning.ending,
        "culprit": culprit.commit if culprit else None,
        "title": culprit.title if culprit else None,
        "being_confirmed": _confirmed(outcome),
        "candidates": [one.commit for one in report.candidates],
        "unproven": outcome.commit if isinstance(outcome, EndUnproven) else None,
        "steps": len(report.rows),
        "builds": report.builds,
        "boots": report.boots,
        "seconds": round(session.seconds, 3),
        "stage_seconds": {name: round(seconds, 3) for name, seconds in session.stage_seconds.items()},
        "verdicts": [{key: asdict(row)[key] for key in _ROW_KEYS} for row in report.rows],
        "cautions": list(culprit.cautions) if culprit else [],
        "odds": odds_json(session.odds, session.fit) if session.odds else None,
        **fit_json(session.fit),
        "host": session.host,
        "machine": _machine(report.machine),
        "session": session.name,
        "report": str(session.folder / MARKDOWN),
        "report_html": str(session.folder / HTML),
        "mail": str(session.folder / MAIL) if report.mail else None,
    }


def _confirmed(outcome: Outcome) -> str | None:
    """Return the commit that is the answer so far, while what is left of the budget confirms it."""
    found = outcome.found if isinstance(outcome, Working) else None
    return found.commit if isinstance(found, Culprit) else None


def _machine(machine: RealMachine | None) -> dict[str, object] | None:
    """Return what is known of a real machine, None where QEMU played it."""
    if machine is None:
        return None
    median = machine.median_seconds
    return {
        **asdict(machine.described),
        "came_home_by_itself": machine.ordinary,
        "median_home_seconds": None if median is None else round(median, 3),
        "rescues": [
            {
                "boot": one.boot,
                "commit": one.commit,
                "how": one.how,
                "seconds": round(one.seconds, 3),
                "tried": list(one.tried),
            }
            for one in machine.rescues
        ],
    }


def answer_in_words(answer: Answer) -> str:
    """Return what an answer comes to, in a few words."""
    match answer:
        case Culprit(commit):
            return f"the first bad commit is {commit}"
        case Stuck(candidates):
            return f"one of {len(candidates)} commits"
        case EndUnproven(commit, expected):
            return f"{commit[:12]} isn't {expected}"


def plain_lines(report: Report) -> tuple[str, ...]:
    """Return the ending, its evidence and where the report is, for a terminal: no escape sequence gets through."""
    return tuple(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    session = report.session
    yield report.meaning.headline
    if report.culprit:
        who = visible(f"{report.culprit.author} <{report.culprit.email}>", 80)
        yield f"  {report.culprit.commit}, {who}, {visible(report.culprit.date, 40)}"
    else:
        yield from (f"  {text}" for text in report.meaning.paragraphs)
    yield from (f"  {_row(row)}" for row in report.rows if _telling(row, report))
    yield from _candidates(report)
    yield from _rates(report) if session.odds is None else _odds(session, session.odds)
    yield from (f"  caution: {text}" for text in (report.culprit.cautions if report.culprit else ()))
    yield (
        f"  {count(len(report.rows), 'step')}, {count(report.builds, 'build')}, {count(report.boots, 'boot')}, "
        f"{session.seconds:.0f} s"
    )
    yield from _home(report.machine)
    yield from (f"  next: {text}" for text in _next(report))
    if report.belief is not None:
        yield from (f"  plan: {text}" for text in report.belief.plan[:2])
    yield f"  report: {visible(str(session.folder / HTML), 500)} (and {MARKDOWN})"
    if report.mail:
        yield f"  mail to read and send: {visible(str(session.folder / MAIL), 500)}"


def _odds(session: Session, odds: Odds) -> Iterator[str]:
    """Yield the probability, who is second, the rate, and whether the bug is gone without the culprit."""
    if isinstance(session.outcome, Culprit):
        yield f"  {statement(session, odds)}"
    if odds.rate.seconds:
        yield f"  at the {session.range_.terms.bad} end: {how_often(odds.rate)}"
    if not odds.rate.fires:
        return
    rivals = [one for one in odds.suspects if one.commit not in odds.group]
    for place, one in enumerate(rivals[:_MOST_RIVALS]):
        if place == 0 or one.probability >= _WORTH_A_LINE:
            name = f"{one.commit[:12]} {visible(session.title(one.commit), 50)}".rstrip()
            seen = visible(seen_of(odds, one.commit), 120)
            yield cut(f"  or {equation(name, one.probability)}: {seen}", _WIDTH * 2)
    yield f"  or {equation(OLDER, odds.older)}"
    if odds.reverted is not None and isinstance(session.outcome, Culprit):
        check = visible(reverted_in_words(odds.reverted), 120)
        yield f"  the {session.range_.terms.bad} end without the culprit: {check}"


def _home(machine: RealMachine | None) -> Iterator[str]:
    if machine is None:
        return
    name = visible(machine.described.name, 80)
    rescued = len(machine.rescues) + machine.more
    yield f"  {name} came home by itself after {count(machine.ordinary, 'boot')}, otherwise after {rescued}"


def _next(report: Report) -> tuple[str, ...]:
    """Return what to do: after a fault first what mends it, else the last and surest advice."""
    if report.culprit:
        return ()
    return report.meaning.advice if isinstance(report.session.outcome, Fault) else report.meaning.advice[-1:]


def _telling(row: Row, report: Report) -> bool:
    """Whether a row belongs to the few that carry the answer."""
    parents = [parent.commit for parent in report.culprit.parents] if report.culprit else []
    return report.culprit is not None and row.commit in (report.culprit.commit, *parents)


def _row(row: Row) -> str:
    saw = f" ({row.saw})" if row.saw else ""
    return cut(f"{row.word}: {row.commit[:12]} {visible(row.title, 50)}: {visible(row.why, 120)}{saw}", _WIDTH * 2)


def _candidates(report: Report) -> Iterator[str]:
    for one in report.candidates[:_MOST_CANDIDATES]:
        yield cut(f"  {one.commit[:12]} {visible(one.title, 50)}: {visible(one.why, 120)}", _WIDTH * 2)
    if len(report.candidates) > _MOST_CANDIDATES:
        yield f"  ... and {len(report.candidates) - _MOST_CANDIDATES} more, see the report"


def _rates(report: Report) -> Iterator[str]:
    bad, good = (rate(report.session.steps, verdict) for verdict in (Verdict.BAD, Verdict.GOOD))
    skips = sum(row.verdict == Verdict.SKIP for row in report.rows)
    if bad.trials or good.trials:
        yield f"  fired on bad commits in {bad.text}, on good ones in {good.text}; {count(skips, 'commit')} skipped"
