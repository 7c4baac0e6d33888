"""Facts of a session in, the whole report out as a value, and from that the files of the session's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bisectbot.model import Culprit, Kernel
from bisectbot.render import render
from bisectbot.report import byhand
from bisectbot.report.belief import Belief, belief
from bisectbot.report.chances import figure
from bisectbot.report.culprit import Found, Neighbour, candidates, found
from bisectbot.report.discretion import discreet
from bisectbot.report.evidence import Row, boots, builds, named, rows, skipped
from bisectbot.report.hours import Hour, cost, hours, odd
from bisectbot.report.machine import RealMachine, real_machine
from bisectbot.report.mail import Mail, headers, write_mail
from bisectbot.report.meaning import Meaning, explain
from bisectbot.report.numbers import odds_json
from bisectbot.report.session import Session
from bisectbot.report.timepicture import Picture, draw

MARKDOWN, HTML = "report.md", "report.html"
MAIL, BISECT_LOG, ODDS = "regression-mail.txt", "bisect-log.txt", "odds.json"
TIMELINE = "timeline.svg"
_MOST_DRIFT = 40


@dataclass(frozen=True)
class Drift:
    """How the configuration of one commit's kernel differs from that of the bad end."""

    commit: str
    title: str
    options: tuple[str, ...]
    more: int  # that aren't listed


@dataclass(frozen=True)
class Configuration:
    """What was asked of the configuration, and what became of it."""

    arch: str
    base: str
    fragments: tuple[str, ...]
    make_vars: tuple[str, ...]
    compilers: tuple[str, ...]
    fixups: tuple[str, ...]
    lost: tuple[str, ...]  # optional options that no kernel, or not every kernel, has
    drift: tuple[Drift, ...]


@dataclass(frozen=True)
class Course:
    """What was done when, what it cost, and what was odd."""

    picture: Picture | None  # None: no time has passed yet
    hours: tuple[Hour, ...]
    cost: tuple[tuple[str, str], ...]  # a name and its figure
    odd: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """A report, ready to be rendered. Its texts are data from outside unless meaning.py wrote them."""

    session: Session
    meaning: Meaning
    culprit: Found | None
    candidates: tuple[Neighbour, ...]
    rows: tuple[Row, ...]
    skipped: tuple[Row, ...]
    configuration: Configuration
    builds: int
    boots: int
    began: str  # ISO 8601, UTC
    latest: str
    ends: tuple[tuple[str, str], ...]  # ("bad end", '1234567890ab ("title")')
    by_hand: str
    expected: tuple[str, ...]
    mail: Mail | None
    machine: RealMachine | None  # None: QEMU plays it
    belief: Belief | None  # None: a plain bisection
    enough: tuple[str, str]  # what made it enough: a name and its value
    course: Course | None  # None: no rows are known


def draw_up(session: Session) -> Report:
    """Return the report of a session, as far as it is known; what a lab keeps to itself is nowhere in it."""
    whole, session = session, discreet(session)
    table = rows(session)
    culprit = found(session, session.outcome.commit) if isinstance(session.outcome, Culprit) else None
    return Report(
        session=session,
        meaning=explain(session),
        culprit=culprit,
        candidates=candidates(session),
        rows=table,
        skipped=skipped(session),
        configuration=_configuration(session),
        builds=builds(session.steps),
        boots=boots(session.steps),
        began=_iso(session.began),
        latest=_iso(session.latest),
        ends=_ends(session),
        by_hand=byhand.commands(session, whole.lab),
        expected=byhand.expected(session, whole.lab),
        mail=write_mail(session, culprit) if culprit else None,
        machine=real_machine(session, whole.lab) if whole.lab else None,
        belief=belief(session),
        enough=_enough(session),
        course=_course(session),
    )


def _course(session: Session) -> Course | None:
    timeline = session.timeline
    if not timeline.began:
        return None
    return Course(draw(timeline), hours(timeline), cost(session, timeline), odd(session, timeline))


def _enough(session: Session) -> tuple[str, str]:
    odds, tries = session.odds, session.probe.tries
    if odds is None:
        return "runs for good, boots for skip", f"{session.probe.runs}, {tries}"
    return "confidence asked for, boots for skip", f"{figure(odds.confidence)}, {tries}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _ends(session: Session) -> tuple[tuple[str, str], ...]:
    range_ = session.range_
    goods = ((f"{range_.terms.good} end", named(session, good)) for good in range_.goods)
    return ((f"{range_.terms.bad} end", named(session, range_.bad)), *goods)


def _configuration(session: Session) -> Configuration:
    recipe = session.build
    kernels = [(step.commit, step.built) for step in session.steps if isinstance(step.built, Kernel)]
    return Configuration(
        arch=recipe.arch,
        base=recipe.base,
        fragments=session.fragments or tuple(path.name for path in recipe.fragments),
        make_vars=tuple(f"{name}={value}" for name, value in recipe.make_vars),
        compilers=tuple(compiler.command for compiler in recipe.compilers),
        fixups=tuple(fixup.name for fixup in recipe.fixups),
        lost=tuple(_lost(kernel for _, kernel in kernels)),
        drift=tuple(
            Drift(info.commit, info.title, kernel.drift[:_MOST_DRIFT], max(0, len(kernel.drift) - _MOST_DRIFT))
            for info, kernel in kernels
            if kernel.drift
        ),
    )


def _lost(kernels: Iterable[Kernel]) -> Iterable[str]:
    """Yield each lost option once, with how many kernels lack it if some have it."""
    lists = [kernel.lost_optional for kernel in kernels]
    for option in dict.fromkeys(option for lost in lists for option in lost):
        missing = sum(option in lost for lost in lists)
        yield option if missing == len(lists) else f"{option} (in {missing} of {len(lists)} kernels)"


def files(report: Report) -> Mapping[str, str]:
    """Return every file of the report by its name in the session's folder; what there is nothing of is left out."""
    mail = report.mail
    text = f"{headers(mail)}\n\n{render('mail.txt.j2', report)}" if mail else ""
    texts = {
        MARKDOWN: render("report.md.j2", report, mail_text=text),
        HTML: render("report.html.j2", report, mail_text=text),
    }
    if report.course and report.course.picture:
        texts[TIMELINE] = render("timeline.svg.j2", report, picture=report.course.picture, alone=True)
    if mail:
        texts[MAIL] = text
    if report.session.odds:
        texts[ODDS] = json.dumps(odds_json(report.session.odds, report.session.fit), indent=1, allow_nan=False) + "\n"
    if report.session.bisect_log:
        texts[BISECT_LOG] = report.session.bisect_log
    return texts
