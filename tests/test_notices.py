"""Notices from rows alone: what is news, what was told already, when silence is one, and the words for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial

from bisectbot.channels import Channel, Command, Kind, Mail, Notices, Sendmail, Webhook
from bisectbot.facts import (
    Answered,
    Built,
    Doubted,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Row,
    Tried,
    replay,
)
from bisectbot.model import Answer, Culprit, Ending, EndUnproven, Judgement, Range, Stuck, Verdict
from bisectbot.notices import OURS, Notice, Picture, Told, Tries, due, events, ever_due, message, next_look

BEGAN = 1_700_000_000.0
GOOD, BAD, OTHER = "a" * 40, "b" * 40, "c" * 40
PLAN = a_plan(Path("/linux"), Range(BAD, (GOOD,)))
MAIL = Mail(("kim@example.org",), "bot@example.org", Sendmail(Path("/usr/sbin/sendmail")))
EVERYTHING = Notices(on=tuple(Kind), channels=(MAIL,))
FOUND = Found(Culprit(BAD, 0.995))
CONFIRMED = Answered(Culprit(BAD, 0.99999), "")
UNPROVEN = EndUnproven(BAD, Verdict.BAD, Judgement(Verdict.GOOD, "it never fired"))
BUDGET = Paused("budget", "the time that it was given is used up")
INTERRUPTED = Paused("interrupted", "SIGTERM")
BUILT = Built(a_kernel(BAD))
_SILENT = Tried(a_trial(BAD, 1, Ending.NO_OUTPUT))


def fault(text: str, kind: str = "InfraError") -> Paused:
    """Return a pause for a fault."""
    return Paused("fault", text, kind)


def journal(*facts: Fact) -> tuple[Row, ...]:
    """Return rows a minute apart, the first of which opens the session."""
    opened = Opened(PLAN, {})
    return tuple(Row(BEGAN + 60 * place, fact, place + 1) for place, fact in enumerate((opened, *facts)))


def kinds(*facts: Fact) -> list[tuple[int, str]]:
    """Return what is news right after these rows: row and kind, without the start."""
    rows = journal(*facts)
    return [(event.row, str(event.kind)) for event in events(rows, rows[-1].at, EVERYTHING)[1:]]


@pytest.mark.parametrize(
    ("facts", "news"),
    [
        ((), []),
        ((CONFIRMED,), [(2, "found")]),
        ((FOUND, BUILT, CONFIRMED), [(2, "found"), (4, "ended")]),
        ((FOUND, Answered(Culprit(OTHER), "")), [(2, "found"), (3, "found")]),
        ((FOUND, Answered(Stuck((BAD, OTHER)), "")), [(2, "found"), (3, "ended")]),
        ((FOUND, INTERRUPTED, Resumed(), FOUND), [(2, "found")]),
        ((Answered(Stuck((BAD, OTHER)), ""),), [(2, "ended")]),
        ((Answered(UNPROVEN, ""),), [(2, "ended")]),
        ((BUDGET,), [(2, "budget")]),
        ((BUDGET, Resumed(), BUDGET), [(2, "budget"), (4, "budget")]),
        ((INTERRUPTED,), []),
        ((fault("disk full"),), [(2, "hand")]),
        ((fault("it won't come home", "Quarantined"),), [(2, "quarantined")]),
        ((fault("set aside", "Quarantined"), Resumed(), fault("is still", "Quarantined")), [(2, "quarantined")]),
        ((Doubted((1,), "in doubt"), fault("in doubt", "Doubted")), [(3, "hand")]),
        (
            (fault("3 failed", "Doubted"), Resumed(), _SILENT, _SILENT, fault("fails again", "Doubted")),
            [(2, "hand")],
        ),
        ((fault("disk full"), Resumed(), fault("disk full")), [(2, "hand")]),
        ((fault("1.5 GiB free"), Resumed(), fault("0.7 GiB free")), [(2, "hand")]),
        (
            (fault("disk full"), Resumed(), fault("no memory"), Resumed(), fault("disk full")),
            [(2, "hand"), (4, "hand")],
        ),
        ((fault("disk full"), Resumed(), BUILT, fault("disk full")), [(2, "hand"), (5, "hand")]),
        # a kernel that was built ahead says nothing of a machine that is silent
        ((Faulted(BAD, "boot", "no route"), fault("x"), Resumed(), BUILT, fault("x")), [(3, "hand")]),
        ((fault("f"), Resumed(), Tried(a_trial(BAD, 1, Ending.CLEAN)), fault("f")), [(2, "hand"), (5, "hand")]),
        ((Noted("hand", "it ends at once"),), [(2, "hand")]),
        ((Faulted(BAD, "build", "passing"), Noted("clock", "jumped")), []),
    ],
)
def test_what_is_news(facts: tuple[Fact, ...], news: list[tuple[int, str]]) -> None:
    """Each end and each pause that wants somebody is, once; a fault that comes back unchanged isn't."""
    assert kinds(*facts) == news


def test_what_was_handed_over_isnt_due() -> None:
    """By row, kind and channel: another channel has still to be told."""
    recipe = replace(EVERYTHING, channels=(MAIL, Command(("tell",))))
    rows = journal(FOUND, Notified(1, "start", "mail"), Notified(2, "found", "command"))
    found = due(rows, rows[-1].at, recipe)
    assert [(one.row, one.kind, one.channel) for one in found] == [(1, "start", "command"), (2, "found", "mail")]


def test_only_what_was_asked_for_is_due() -> None:
    """By default everything but the start; without a channel nothing."""
    rows = journal(BUDGET)
    assert [one.kind for one in due(rows, BEGAN, Notices(channels=(MAIL,)))] == [Kind.BUDGET]
    assert due(rows, BEGAN, replace(EVERYTHING, on=(Kind.FOUND,))) == ()
    assert due(rows, BEGAN, Notices()) == ()


def test_old_news_are_no_news() -> None:
    """After a day nobody is told any more: a channel that is configured later isn't flooded."""
    rows = journal(BUDGET)
    assert due(rows, BEGAN + 60 + 86400, Notices(channels=(MAIL,)))
    assert not due(rows, BEGAN + 60 + 86401, Notices(channels=(MAIL,)))


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        ((), 1),
        ((BUILT,), 2),
        ((BUILT, Notified(1, "start", "mail"), Noted(OURS, "mail is down")), 2),
        ((INTERRUPTED, Resumed()), 3),
        ((INTERRUPTED,), None),
        ((BUDGET,), None),
        ((CONFIRMED, Noted("disk", "cleaned")), None),
        ((BUILT, Noted("hand", "it ends at once")), None),
    ],
)
def test_silence_is_news(facts: tuple[Fact, ...], row: int | None) -> None:
    """Of a session that nobody stopped, hours after its last row, which it is named after; notices don't break it."""
    rows = journal(*facts)
    recipe = Notices(on=(Kind.SILENT,), silent_hours=2, channels=(MAIL,))
    last = rows[-1].at + 7200
    assert [one.row for one in due(rows, last, recipe)] == ([] if row is None else [row])
    assert next_look(rows, BEGAN, recipe) == (None if row is None else rows[row - 1].at + 7200)


def test_each_silence_is_told_once() -> None:
    """The same one isn't news again, the one after the next row is."""
    recipe = Notices(on=(Kind.SILENT,), silent_hours=2, channels=(MAIL,))
    rows = journal(BUILT, Notified(2, "silent", "mail"))
    assert due(rows, BEGAN + 9000, recipe) == ()
    assert next_look(rows, BEGAN + 9000, recipe) is None
    later = (*rows, Row(BEGAN + 9000, BUILT, 4))
    assert [one.row for one in due(later, BEGAN + 17000, recipe)] == [4]


def test_an_old_journal_needs_no_look() -> None:
    """Nothing in it can be due once a day and the silence are over."""
    recipe = Notices(silent_hours=6, channels=(MAIL,))
    assert ever_due(BEGAN, BEGAN + 30 * 3600, recipe)
    assert not ever_due(BEGAN, BEGAN + 30 * 3600 + 1, recipe)


def test_pauses_grow_to_half_an_hour() -> None:
    """1, 2, 5, 15, 30, 30 minutes, and none once it went."""
    tries, notice, now = Tries(), Notice(2, Kind.FOUND, "mail", BEGAN), 0.0
    pauses = []
    for _ in range(6):
        tries.failed(notice, now)
        pauses.append((tries.at(notice, now) - now) / 60)
        assert not tries.may(notice, tries.at(notice, now) - 1)
        now = tries.at(notice, now)
        assert tries.may(notice, now)
    assert pauses == [1, 2, 5, 15, 30, 30]
    tries.failed(notice, now)
    tries.done(notice)
    assert tries.may(notice, now)


# --- words -------------------------------------------------------------------------------------


def told(fact: Fact, picture: Picture | None = None) -> Told:
    """Return a session that ends with a fact."""
    state = replay(journal(fact))
    assert state is not None
    return Told("night", Path("/logs/night"), state, fact, picture or Picture())


def subject(kind: Kind, fact: Fact, title: str = "") -> str:
    """Return the subject of a notice by mail."""
    notice = Notice(2, kind, "mail", BEGAN + 60)
    return message(notice, told(fact, Picture(title=title)), EVERYTHING).subject


@pytest.mark.parametrize(
    ("kind", "fact", "says"),
    [
        (Kind.START, Opened(PLAN, {}), f"started on qemu-x86_64: bad {BAD[:12]}, good {GOOD[:12]}"),
        (Kind.FOUND, FOUND, f"found {BAD[:12]} (P = 0.995)"),
        (Kind.FOUND, Answered(Culprit(BAD), ""), f"found {BAD[:12]}"),
        (Kind.FOUND, Found(Culprit(BAD, 1 - 1e-9)), f"found {BAD[:12]} (P > 0.999999)"),
        (Kind.ENDED, CONFIRMED, f"confirmed {BAD[:12]} (P = 0.99999)"),
        (Kind.ENDED, Answered(Stuck((BAD, OTHER)), ""), "ended: one of 2 commits"),
        (Kind.ENDED, Answered(UNPROVEN, ""), f"ended: {BAD[:12]} isn't bad"),
        (Kind.BUDGET, BUDGET, "out of budget: the time that it was given is used up"),
        (Kind.HAND, fault("build of x: no space\n  next: free some"), "needs a hand: build of x: no space"),
        (Kind.HAND, Noted("hand", "it ends at once"), "needs a hand: it ends at once"),
        (Kind.QUARANTINED, fault("it hangs", "Quarantined"), "host qemu-x86_64 is set aside: it hangs"),
        (Kind.SILENT, BUILT, "nothing for 6 h 00 min"),
    ],
)
def test_each_kind_has_its_subject(kind: Kind, fact: Fact, says: str) -> None:
    """What a phone shows is enough to know whether to get up."""
    assert subject(kind, fact) == f"bisectbot night: {says}"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("x\r\nBcc: evil@example.org", r"x\r\nBcc: evil@example.org"),
        ("\x1b[2Jx\u202eexe.txt", r"\x1b[2Jx\u202eexe.txt"),
        ("=?utf-8?q?=0d=0aBcc:_evil?=", "= ?utf-8?q?=0d=0aBcc:_evil?="),
        ("a" * 5000, "a" * 79 + "…"),
    ],
)
def test_a_hostile_title_is_only_a_text(title: str, shown: str) -> None:
    """No title ends a line, hides what follows, or becomes another header when a mail program decodes it."""
    found = subject(Kind.FOUND, FOUND, title)
    assert found.endswith(f"(P = 0.995): {shown}")
    assert len(found) <= 200


def test_the_last_mail_carries_the_report() -> None:
    """What a terminal shows, the report as text, and for a browser; a notice on the way has the lines only."""
    files = {"report.md": "# The report\n\x1b[31m", "report.html": "<html>", "regression-mail.txt": "Subject: x"}
    picture = Picture(("it is found", "  caution: none"), {"culprit": BAD}, files)
    last = message(Notice(2, Kind.FOUND, "mail", BEGAN), told(CONFIRMED, picture), EVERYTHING)
    assert "it is found\n  caution: none\n" in last.text
    assert "# The report\n\\x1b[31m" in last.text
    assert "/logs/night" in last.text
    assert [(one.name, one.subtype) for one in last.attachments] == [
        ("report.html", "html"),
        ("regression-mail.txt", "plain"),
    ]
    early = message(Notice(2, Kind.FOUND, "mail", BEGAN), told(FOUND, picture), EVERYTHING)
    assert ("# The report" in early.text, early.attachments) == (False, ())


def test_without_a_picture_the_journal_speaks() -> None:
    """A tree that is gone, or a history that can't be read, loses no answer."""
    found = message(Notice(2, Kind.HAND, "mail", BEGAN), told(fault("no space")), EVERYTHING)
    assert "stopped (fault): no space" in found.text
    assert "bisectbot resume night" in found.text
    early = message(Notice(2, Kind.FOUND, "mail", BEGAN), told(FOUND), EVERYTHING)
    assert BAD in early.text
    assert "goes into confirming it" in early.text


def test_a_silence_says_since_when() -> None:
    """The time of the row that it follows, not that of a notice since."""
    notice = Notice(2, Kind.SILENT, "mail", BEGAN + 60 + 6 * 3600)
    assert "since 2023-11-14 22:14 UTC" in message(notice, told(BUILT), EVERYTHING).text


def test_everything_is_bounded() -> None:
    """A report of any size makes a mail of a few MiB and a JSON of a few hundred KiB at the most."""
    big = {"report.md": "x" * 400 + "\n", "report.html": "x" * (3 << 20)}
    big["report.md"] *= 100_000
    picture = Picture(("y" * 1000,) * 1000, {"verdicts": ["z" * 1000] * 1000, "culprit": BAD}, big)
    found = message(Notice(2, Kind.FOUND, "mail", BEGAN), told(CONFIRMED, picture), EVERYTHING)
    assert len(found.text) < 1 << 18
    assert found.attachments == ()
    assert len(json.dumps(found.facts)) < 1 << 18
    assert found.facts["summary"] == {"culprit": BAD}


def test_a_notice_has_one_identity() -> None:
    """The same in every process and with any picture; another for another row, kind, session or address."""

    def key(row: int = 2, kind: Kind = Kind.FOUND, name: str = "night", channel: Channel = MAIL, line: str = "") -> str:
        recipe = Notices(channels=(channel,))
        one = replace(told(CONFIRMED, Picture((line,))), name=name)
        word = {Mail: "mail", Webhook: "webhook", Command: "command"}[type(channel)]
        return message(Notice(row, kind, word, BEGAN), one, recipe).key

    assert key() == key(line="redrawn")
    others = [
        key(row=3),
        key(kind=Kind.ENDED),
        key(name="day"),
        key(channel=replace(MAIL, to=("lee@example.org",))),
        key(channel=Webhook("https://example.org/")),
        key(channel=Command(("tell",))),
    ]
    assert len({key(), *others}) == len(others) + 1


@pytest.mark.parametrize("answer", [Culprit(BAD, 0.9), Stuck((BAD,)), UNPROVEN])
def test_programs_get_json_of_any_answer(answer: Answer) -> None:
    """Kind, session, row and text are there, and all of it is JSON."""
    channel = Webhook("https://example.org/hook")
    one = message(Notice(2, Kind.ENDED, "webhook", BEGAN), told(Answered(answer, "")), Notices(channels=(channel,)))
    facts = json.loads(json.dumps(one.facts))
    assert (facts["kind"], facts["session"], facts["row"]) == ("ended", "night", 2)
    assert facts["text"].startswith(one.subject)
    assert one.attachments == ()
