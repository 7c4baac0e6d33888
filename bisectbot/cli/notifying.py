"""Notices put together: senders for what is configured, the messenger of a session, and what nobody's process sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import replace

from bisectbot import journal, report
from bisectbot.channels import NAMES, Channel, Command, Kind, Mail, Notices, Sender, Smtp, Webhook
from bisectbot.cli.progress import waiting as waiting_for
from bisectbot.cli.wiring import Desk, beliefs_for, open_desk, scribe_for
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.lock import Lock
from bisectbot.effects.mail import SmtpSender
from bisectbot.effects.onstdin import CommandSender, SendmailSender
from bisectbot.effects.proc import Processes
from bisectbot.effects.secrets import SystemSecrets
from bisectbot.effects.webhook import WebhookSender
from bisectbot.errors import BisectbotError
from bisectbot.facts import Answered, Fact, Found, Row, State, replay
from bisectbot.model import Culprit
from bisectbot.notices import Notice, Outcome, Picture, Post, Sent, due, ever_due
from bisectbot.notices.messenger import Account, Messenger
from bisectbot.ports import Clock
from bisectbot.scribe import Scribe
from bisectbot.session import Folder

_LAST_SECONDS = 30.0  # for what is still to be sent at the end of a session
_STOPPED_SECONDS = 1.0  # where somebody waits for the end
_FILES = (report.MARKDOWN, report.HTML, report.MAIL)


def post_for(recipe: Notices, proc: Processes | None = None) -> Post:
    """Return who hands over what is configured; nothing is reached by asking.

    `proc`: for programs; by default one of its own, which goes on after a session's other children were ended.
    """
    own = proc or Processes()
    senders = {NAMES[type(channel)]: _sender(channel, own) for channel in recipe.channels}
    return Post(senders, SystemClock(), stop=own.stop_all)


def _sender(channel: Channel, proc: Processes) -> Sender:
    match channel:
        case Mail(by=by):
            if isinstance(by, Smtp):
                return SmtpSender(channel, by, SystemSecrets())
            return SendmailSender(channel, by, proc)
        case Webhook():
            return WebhookSender(channel, SystemSecrets())
        case Command():
            return CommandSender(channel, proc)


def messenger_for(
    desk: Desk, folder: Folder, scribe: Scribe, rows: Iterable[Row], put: Callable[[Fact], None]
) -> Messenger:
    """Return the messenger of a session that this process works on; its scribe has to follow along before it does."""
    recipe = desk.config.notices
    account = Account(folder.name, folder.path.absolute(), lambda state, fact: _picture(desk, scribe, state, fact))
    return Messenger(post_for(recipe), recipe, account, rows, put)


def _picture(desk: Desk, scribe: Scribe, state: State, fact: Fact) -> Picture:
    drawn = scribe.draw(state)
    title = ""
    if isinstance(fact, Found | Answered) and isinstance(fact.answer, Culprit):
        title = desk.graph.info(fact.answer.commit).title
    return Picture(report.plain_lines(drawn), report.summary_json(drawn), report.files(drawn), title)


def send_the_rest(messenger: Messenger, book: journal.Journal, clock: Clock, ended: State) -> None:
    """Send what is still due once the loop is over; what can't be is left to the keeper, or to `bisectbot notify`."""
    stopped = ended.paused is not None and ended.paused.why == "interrupted"
    with suppress(KeyboardInterrupt), waiting_for("sending notices", clock) if messenger.waits else nullcontext():
        messenger.drain(_STOPPED_SECONDS if stopped else _LAST_SECONDS)
    for fact in messenger.unwritten():
        book.append(clock.wall(), fact, clock.now())


# --- sessions that no process works on ---------------------------------------------------------


def hand_over(folder: Folder, recipe: Notices, post: Post, seconds: float | None = None) -> tuple[Outcome, ...]:
    """Send what a session's journal says is due, and write down what was taken; nothing costs little.

    For sessions that nobody works on: finished, paused, or silent. `post` is kept from call to call, for it knows what
    to wait for. Busy if a process has the session in hands, which sends for itself then; ConfigError or InfraError
    if its journal can't be read or written. What couldn't be sent is no error: it is told, and due again.
    """
    if folder.queued.exists():  # it may wait there for days
        recipe = replace(recipe, on=tuple(kind for kind in recipe.on if kind is not Kind.SILENT))
    if not waiting(folder, recipe, post):
        return ()
    with Lock(folder.lock, f"session {folder.name}"):
        book = journal.Journal(folder.journal)
        try:
            return tuple(_handed(book, folder, recipe, post, seconds))
        finally:
            book.close()


def waiting(folder: Folder, recipe: Notices, post: Post) -> tuple[Notice, ...]:
    """Return what is due and may be tried now, by a look at the journal that disturbs nobody."""
    now = post.clock.wall()
    if not recipe.channels or not ever_due(_written(folder), now, recipe):
        return ()
    found = due(journal.read(folder.journal), now, recipe)
    return tuple(notice for notice in found if post.tries.may(notice, post.clock.now()))


def _written(folder: Folder) -> float:
    """Return when the journal was last written to, in seconds since the epoch; 0 for none."""
    times = [0.0]
    for path in (folder.journal, folder.journal.with_name(f"{folder.journal.name}-wal")):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def _handed(
    book: journal.Journal, folder: Folder, recipe: Notices, post: Post, seconds: float | None
) -> Iterator[Outcome]:
    rows, clock = book.rows(), post.clock
    account = Account(folder.name, folder.path.absolute(), lambda state, fact: _from_outside(folder, rows, state, fact))
    state = replay(rows)
    facts = {row.number: row.fact for row in rows}
    found = due(rows, clock.wall(), recipe) if state is not None else ()
    pictures = {one.row: account.picture(state, facts[one.row]) for one in found if state is not None}
    for outcome in post.deliver(found, lambda one: account.compose(one, rows, pictures[one.row], recipe), seconds):
        if isinstance(outcome, Sent):
            book.append(clock.wall(), outcome.notice.fact, clock.now())
        yield outcome


def _from_outside(folder: Folder, rows: Iterable[Row], state: State, fact: Fact) -> Picture:
    """Draw a session that this process doesn't work on; files of the report are taken as its own process left them.

    Where that can't be drawn, as the tree is gone, say, they are all there is.
    """
    drawn = Picture()
    with suppress(BisectbotError):
        desk = open_desk(state.plan.tree, None)
        drawn = _picture(desk, scribe_for(desk, folder, None, beliefs_for(desk, state.plan), rows), state, fact)
    return replace(drawn, files={**drawn.files, **_left(folder)})


def _left(folder: Folder) -> dict[str, str]:
    found = {}
    for name in _FILES:
        with suppress(OSError):
            found[name] = (folder.path / name).read_text(errors="replace")
    return found
