"""What a notice says: subject, text, facts for programs; every text from outside made harmless and bounded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bisectbot.channels import Attachment, Channel, Command, Kind, Mail, Message, Notices, Webhook
from bisectbot.facts import Answered, Fact, Found, Noted, Opened, Paused, State
from bisectbot.forecast import in_words
from bisectbot.model import Culprit
from bisectbot.notices.due import Notice
from bisectbot.report import HTML, MAIL, MARKDOWN, answer_in_words
from bisectbot.report.chances import figure
from bisectbot.visible import visible, visible_block

_SUBJECT, _TITLE = 160, 80  # characters
_LINES, _WIDTH = 60, 300  # of what a terminal shows, too
_REPORT_LINES = 600
_HTML_BYTES = 2 << 20
_FACTS_BYTES = 128 << 10
_BULKY = ("verdicts", "odds", "machine", "cautions", "candidates")  # facts that may grow with the session
_BEING_CONFIRMED = "What is left of the budget goes into confirming it; the end of that will be told too."


@dataclass(frozen=True)
class Picture:
    """How a session stands as its report shows it, drawn by whoever can; empty where nobody could."""

    lines: Sequence[str] = ()  # as on a terminal
    facts: Mapping[str, object] = field(default_factory=dict)  # as for --json
    files: Mapping[str, str] = field(default_factory=dict)  # of the report, by name
    title: str = ""  # of the culprit


@dataclass(frozen=True)
class Told:
    """A session that notices are of."""

    name: str
    folder: Path
    state: State
    fact: Fact  # of the notice's row
    picture: Picture = field(default_factory=Picture)


def message(notice: Notice, told: Told, recipe: Notices) -> Message:
    """Return what goes over the notice's channel; KeyError if that isn't configured."""
    channel = recipe.channel(notice.channel)
    if channel is None:
        raise KeyError(notice.channel)
    subject = _one_line(f"bisectbot {told.name}: {_headline(notice, told, recipe)}", _SUBJECT)
    mailed = isinstance(channel, Mail) and isinstance(told.fact, Answered | Paused)
    lines = _lines(notice, told, recipe)
    return Message(
        key=_key(told, str(notice.row), notice.kind, _address(channel)),
        thread=_key(told, "thread", _address(channel)),
        at=notice.at,
        subject=subject,
        text=_mail_text(lines, told) if mailed else lines,
        facts=_facts(notice, told, subject, lines),
        attachments=_attachments(told) if mailed else (),
    )


def trial_message(recipe: Notices, name: str, now: float) -> Message:
    """Return a message that only shows whether a channel works; each one is another."""
    channel = recipe.channel(name)
    key = hashlib.sha256(f"{name} {now} {channel}".encode()).hexdigest()[:32]
    subject = "bisectbot: a test notice"
    text = "This is a test: notices over this channel arrive."
    return Message(key, key, now, subject, text, {"kind": "test", "subject": subject, "text": text, "key": key})


# --- subject -----------------------------------------------------------------------------------


def _headline(notice: Notice, told: Told, recipe: Notices) -> str:  # noqa: PLR0911  one line a kind
    match notice.kind, told.fact:
        case Kind.START, Opened(plan):
            goods = ", ".join(good[:12] for good in plan.range_.goods)
            return f"started on {plan.host.name}: bad {plan.range_.bad[:12]}, good {goods}"
        case Kind.FOUND, Found(Culprit() as culprit) | Answered(Culprit() as culprit):
            return f"found {_named(culprit, told)}"
        case Kind.ENDED, Answered(Culprit() as culprit):
            return f"confirmed {_named(culprit, told)}"
        case Kind.ENDED, Answered(answer):
            return f"ended: {answer_in_words(answer)}"
        case Kind.BUDGET, Paused(_, text):
            return f"out of budget: {text}"
        case Kind.QUARANTINED, Paused(_, text):
            return f"host {told.state.plan.host.name} is set aside: {_first(text)}"
        case Kind.HAND, Paused(_, text) | Noted(_, text):
            return f"needs a hand: {_first(text)}"
    return f"nothing for {in_words(recipe.silent_seconds)}"


def _named(culprit: Culprit, told: Told) -> str:
    title = visible(told.picture.title, _TITLE)
    odds = "" if culprit.probability is None else f" (P = {figure(culprit.probability)})".replace("= >", ">")
    return f"{culprit.commit[:12]}{odds}" + (f": {title}" if title else "")


def _first(text: str) -> str:
    return text.partition("\n")[0]


def _one_line(text: str, limit: int) -> str:
    """Return a line in which nothing can be taken for an encoded word of a mail's header (RFC 2047) either."""
    return visible(text, limit).replace("=?", "= ?")


# --- text --------------------------------------------------------------------------------------


def _lines(notice: Notice, told: Told, recipe: Notices) -> str:
    shown = [*(told.picture.lines or _without_picture(told))]
    if notice.kind is Kind.SILENT:
        last = _when(notice.at - recipe.silent_seconds)
        shown = [f"nothing was written since {last}; see whether it still works: bisectbot status"]
    head = [f"session {told.name} on {told.state.plan.host.name}, {_when(notice.at)}", ""]
    return visible_block("\n".join([*head, *shown, "", f"folder: {told.folder}"]), _LINES, _WIDTH)


def _without_picture(told: Told) -> tuple[str, ...]:
    """Return what the journal alone says."""
    match told.fact:
        case Found(answer):
            return (answer_in_words(answer), _BEING_CONFIRMED)
        case Answered(answer):
            return (answer_in_words(answer),)
        case Paused(why, text):
            return (f"stopped ({why}): {text}", f"  next: bisectbot resume {told.name}")
        case Noted(_, text):
            return (text,)
        case _:
            return ()


def _mail_text(lines: str, told: Told) -> str:
    markdown = told.picture.files.get(MARKDOWN)
    if not markdown:
        return lines
    return f"{lines}\n\n{'-' * 72}\n\n{visible_block(markdown, _REPORT_LINES, _WIDTH)}"


def _attachments(told: Told) -> tuple[Attachment, ...]:
    """Return the report for a browser and the mail to the maintainers; what is too big stays in the folder."""
    found = ((name, subtype, told.picture.files.get(name, "")) for name, subtype in ((HTML, "html"), (MAIL, "plain")))
    return tuple(
        Attachment(name, subtype, text) for name, subtype, text in found if text and len(text.encode()) <= _HTML_BYTES
    )


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


# --- for programs ------------------------------------------------------------------------------


def _facts(notice: Notice, told: Told, subject: str, lines: str) -> dict[str, object]:
    facts: dict[str, object] = {
        "kind": notice.kind,
        "session": told.name,
        "host": told.state.plan.host.name,
        "row": notice.row,
        "at": notice.at,
        "subject": subject,
        "text": f"{subject}\n{lines}",
        "folder": str(told.folder),
        "summary": _bounded(told.picture.facts),
    }
    return facts


def _bounded(facts: Mapping[str, object]) -> dict[str, object]:
    """Return the facts, without the bulkiest of them if they would be too many bytes."""
    kept = dict(facts)
    for name in _BULKY:
        if len(json.dumps(kept, default=str)) <= _FACTS_BYTES:
            break
        kept.pop(name, None)
    return kept


# --- identity ----------------------------------------------------------------------------------


def _key(told: Told, *words: str) -> str:
    """Return the same for the same, on every machine and in every process."""
    text = json.dumps([told.name, repr(told.state.began), *words])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _address(channel: Channel) -> str:
    match channel:
        case Mail(to):
            return " ".join(("mail", *to))
        case Webhook(url):
            return f"webhook {url}"
        case Command(argv):
            return " ".join(("command", *argv))
