"""The regression mail: whom it goes to, its headers, and the facts of its body. Never sent by us."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.header import Header
from email.utils import formataddr

from bisectbot.model import Verdict
from bisectbot.odds import Odds
from bisectbot.report.belief import culprit_probability
from bisectbot.report.chances import equation, how_often
from bisectbot.report.culprit import Found
from bisectbot.report.evidence import Rate, Row, count, named, rate, skipped, why
from bisectbot.report.maintainers import Recipient, plain_name, valid_address
from bisectbot.report.seen import cleared_in_words, reverted_in_words, seen_of
from bisectbot.report.session import Session
from bisectbot.report.trailers import person
from bisectbot.visible import visible

# reporting-regressions.rst: the tracker's list gets every report
_ALWAYS = (Recipient("", "regressions@lists.linux.dev", "open list"),)
_FALLBACK = Recipient("", "linux-kernel@vger.kernel.org", "open list")
_SIGNERS = frozenset({"signed-off-by", "co-developed-by"})
_HEADER_WIDTH = 75
_LONGEST_TITLE = 100


@dataclass(frozen=True)
class Mail:
    """A mail to be read, completed and sent by a person. Addresses are valid, texts are still data to be escaped."""

    subject: str
    to: tuple[Recipient, ...]
    cc: tuple[Recipient, ...]
    left_out: tuple[str, ...]  # addresses that no mail can go to
    problem: str  # why the tree's MAINTAINERS weren't asked, or nothing
    culprit: Found
    name: str  # 1234567890ab ("title")
    program: str
    bad: Rate
    good: Rate
    culprit_saw: str  # what was seen on the culprit itself
    parent_saw: str  # and on the parent that is good
    why: str  # the reason of the culprit's verdict
    skipped: tuple[Row, ...]
    versions: str
    odds: tuple[str, ...]  # what was seen, where there are odds: instead of the rates


def write_mail(session: Session, culprit: Found) -> Mail:
    """Return the mail about a culprit."""
    to, cc, left_out = recipients(session, culprit)
    program = visible(session.probe.program.name, 60)
    return Mail(
        subject=f"[REGRESSION] {program} fails since {named(session, culprit.commit, _LONGEST_TITLE)}",
        to=to,
        cc=cc,
        left_out=left_out,
        problem=session.maintainers.problem,
        culprit=culprit,
        name=named(session, culprit.commit),
        program=visible(" ".join((program, *session.probe.args)), 200),
        bad=rate(session.steps, Verdict.BAD),
        good=rate(session.steps, Verdict.GOOD),
        culprit_saw=_saw(session, culprit.commit),
        parent_saw=next((text for parent in culprit.parents if (text := _saw(session, parent.commit))), ""),
        why=why(step) if (step := session.step(culprit.commit)) else "",
        skipped=skipped(session),
        versions=", ".join(f"{name} {version}" for name, version in session.versions.items()),
        odds=tuple(_with_odds(session, session.odds, culprit)) if session.odds else (),
    )


def _with_odds(session: Session, odds: Odds, culprit: Found) -> Iterator[str]:
    """Yield what was seen of a bug that fires only sometimes."""
    chance = equation("culprit", culprit_probability(session, odds))
    yield f"{chance}, from how often the reproducer fired and how long it was silent"
    yield f"at the {session.range_.terms.bad} end it {how_often(odds.rate)}"
    saw = rate([step], Verdict.BAD).saw if (step := session.step(culprit.commit)) else ""
    yield f"on this commit: {seen_of(odds, culprit.commit)}" + (f" ({saw})" if saw else "")
    for parent in odds.parents:
        yield f"on its parent {parent.commit[:12]}: {cleared_in_words(parent)}"
    if odds.reverted is not None:
        yield f"with this commit taken back at the {session.range_.terms.bad} end: {reverted_in_words(odds.reverted)}"
    for good in session.range_.goods:
        yield f"at the {session.range_.terms.good} end {good[:12]}: {seen_of(odds, good)}"


def _saw(session: Session, commit: str) -> str:
    """Return what was seen on one commit, with its rate."""
    step = session.step(commit)
    seen = rate((step,), Verdict.BAD) if step else None
    if step and seen and not seen.commits:
        seen = rate((step,), Verdict.GOOD)
    if not seen or not seen.trials:
        return ""
    return f"fired in {seen.fired} of {count(seen.trials, 'run')}" + (f" ({seen.saw})" if seen.saw else "")


def recipients(
    session: Session, culprit: Found
) -> tuple[tuple[Recipient, ...], tuple[Recipient, ...], tuple[str, ...]]:
    """Return To, Cc and the addresses that were left out.

    To: the author and who maintains the files. Cc: who signed the commit off, reviewers, lists, the tracker.
    """
    named_by_tree = session.maintainers.recipients
    fallback = () if named_by_tree else (_FALLBACK,)
    people = (Recipient(culprit.author, culprit.email, "author"), *_signers(culprit))
    author, *signers = people
    first = (author, *(one for one in named_by_tree if one.minds))
    then = (*signers, *(one for one in named_by_tree if not one.minds), *fallback, *_ALWAYS)
    taken: set[str] = set()
    to = tuple(_each_once(first, taken))
    cc = tuple(_each_once(then, taken))
    left_out = tuple(dict.fromkeys(visible(one.address, 80) for one in people if not valid_address(one.address)))
    # a mail needs somebody to go to
    return (to, cc, left_out) if to else (cc[:1], cc[1:], left_out)


def _signers(culprit: Found) -> Iterator[Recipient]:
    for trailer in culprit.trailers:
        who = person(trailer)
        if who and trailer.key.lower() in _SIGNERS:
            yield Recipient(who[0], who[1], trailer.key)


def _each_once(people: Iterable[Recipient], taken: set[str]) -> Iterator[Recipient]:
    for one in people:
        key = one.address.lower()
        if key not in taken and valid_address(one.address):
            taken.add(key)
            yield Recipient(plain_name(one.name), one.address, one.roles)


def headers(mail: Mail) -> str:
    """Return the header lines of the mail, without the empty line after them; pure ASCII.

    From and Date are the sender's: a mail program adds them.
    """
    lines = [f"Subject: {_encoded(mail.subject)}", *_people("To", mail.to), *_people("Cc", mail.cc)]
    lines += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"]
    return "\n".join(lines)


def _encoded(text: str) -> str:
    """Return a header's text as RFC 2047 takes it, folded."""
    text = visible(text)
    charset = "us-ascii" if _plain(text) else "utf-8"
    return Header(text, charset, maxlinelen=_HEADER_WIDTH, header_name="Subject").encode()


def _plain(text: str) -> bool:
    """Whether a header can hold the text as it is: what looks like an encoded word would be decoded by its reader."""
    return text.isascii() and "=?" not in text


def _people(field: str, people: Iterable[Recipient]) -> Iterator[str]:
    """Yield one folded header line for each address: no parser can take two for one."""
    written = [_address(one) for one in people]
    for number, text in enumerate(written):
        comma = "," if number + 1 < len(written) else ""
        yield (f"{field}: " if number == 0 else "\t") + text + comma


def _address(one: Recipient) -> str:
    if _plain(one.name):
        return formataddr((one.name, one.address))
    return f"{Header(one.name, 'utf-8', maxlinelen=_HEADER_WIDTH).encode()} <{one.address}>"
