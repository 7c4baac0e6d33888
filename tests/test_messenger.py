"""Notices while a session runs: each event exactly once, whenever it is killed and however the server fares."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fakes import FakeClock, FakeStages, Killed, Quiet, World
from history import line, make_history
from postoffice import OneSecret, free_port, mail_server, web_server
from worlds import Lab

from bisectbot.channels import Command, Kind, Mail, Message, Notices, Security, Sender, Sendmail, Smtp, Webhook
from bisectbot.crew import Show
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.mail import SmtpSender
from bisectbot.effects.onstdin import CommandSender
from bisectbot.effects.proc import Processes
from bisectbot.effects.webhook import WebhookSender
from bisectbot.errors import ConfigError, DiskFull, InfraError
from bisectbot.facts import Fact, Noted, Notified, Opened, Paused, Resumed, Row, State, replay
from bisectbot.loop import Bot
from bisectbot.notices import Picture, Post, due, events
from bisectbot.notices.messenger import Account, Messenger
from bisectbot.ports import Deadline

MAIL = Mail(("kim@example.org",), "bot@example.org", Sendmail(Path("/usr/sbin/sendmail")))
RECIPE = Notices(on=tuple(Kind), channels=(MAIL,))


@dataclass
class Recorder:
    """Takes every message, or fails as it is told to; fits channels.Sender."""

    sent: list[Message] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)  # of the next calls, before the message is taken
    after: BaseException | None = None  # raised once, after the next message was taken
    holds: threading.Event | None = None  # what is waited for before it is taken

    def send(self, message: Message, deadline: Deadline) -> str:
        """Take it or not."""
        del deadline
        if self.failures:
            raise self.failures.pop(0)
        if self.holds is not None:
            self.holds.wait(10)
        self.sent.append(message)
        if self.after is not None:
            raised, self.after = self.after, None
            raise raised
        return ""

    @property
    def subjects(self) -> list[str]:
        """What was sent, in a few words."""
        return [message.subject.removeprefix("bisectbot night: ") for message in self.sent]


class Prompt(Quiet):
    """Lets the messenger look after each row, as its thread would; fits crew.Show."""

    def __init__(self, messenger: Messenger) -> None:
        super().__init__()
        self._messenger = messenger

    def happened(self, state: State, row: Row) -> None:
        """Pass it on."""
        self._messenger.happened(state, row)
        self._messenger.look()


def account(draw: Callable[[State, Fact], Picture] = lambda _state, _fact: Picture()) -> Account:
    """Return the account of a session."""
    return Account("night", Path("/logs/night"), draw)


def messenger(
    sender: Sender, rows: list[Row], put: Callable[[Fact], None], clock: FakeClock, recipe: Notices = RECIPE
) -> Messenger:
    """Return what is tested, with one channel."""
    return Messenger(Post({"mail": sender}, clock), recipe, account(), rows, put)


def nowhere(fact: Fact) -> None:
    """Take what would go into the journal."""
    del fact


def opened(lab: Lab) -> list[Row]:
    """Return a journal with its first row."""
    return [Row(FakeClock().wall(), Opened(lab.plan(), {}), 1)]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a short history."""
    return Lab(tmp_path, make_history(tmp_path / "user", line(6)))


# --- whole sessions ----------------------------------------------------------------------------


def work(bot: Bot, rows: list[Row], sender: Recorder) -> State:
    """Let a process work on a session to its end, as the command line does."""
    told = messenger(sender, rows, bot.events.put, FakeClock())
    show: Show = Prompt(told)
    bot.show = show
    told.look()
    ended = bot.run()
    told.look()
    for fact in told.unwritten():
        bot.facts.append(FakeClock().wall(), fact)
    return ended


def night(lab: Lab, sender: Recorder, dies_after: int | None = None) -> list[Row]:
    """Return the journal of a session whose disk fills up once, and whose process is killed after a row."""
    rows = opened(lab)
    faults = {lab.history["c02"]: (DiskFull("no room"),)}
    stages = FakeStages(World(bad=lab.with_bug_from("c03"), build_faults=faults))
    while True:
        try:
            ended = work(lab.bot(lab.plan(), stages, rows, dies_after), rows, sender)
        except Killed:
            dies_after = None
            continue
        if ended.answered:
            return rows
        rows.append(Row(FakeClock().wall(), Resumed(), len(rows) + 1))


def test_a_session_tells_its_events_in_order(lab: Lab) -> None:
    """Its start, the fault that stopped it, and the culprit: each once, and the journal says so."""
    sender = Recorder()
    rows = night(lab, sender)
    assert [subject.partition(" ")[0] for subject in sender.subjects] == ["started", "needs", "found"]
    assert "no room" in sender.subjects[1]
    assert sender.subjects[2] == f"found {lab.history['c03'][:12]}"
    told = [row.fact for row in rows if isinstance(row.fact, Notified)]
    assert [fact.kind for fact in told] == ["start", "hand", "found"]
    assert due(rows, FakeClock().wall(), RECIPE) == ()


def test_killed_after_any_row_each_event_is_told_once(lab: Lab) -> None:
    """Whatever row was the last: every event is told, and what is told twice is recognisably the same message."""
    whole = night(lab, Recorder())
    repeated = 0
    for dies_after in range(2, len(whole) + 1):
        sender = Recorder()
        rows = night(lab, sender, dies_after)
        told = {message.key: (message.facts["row"], message.facts["kind"]) for message in sender.sent}
        assert [*told.values()] == [(one.row, one.kind) for one in events(rows, rows[-1].at, RECIPE)], dies_after
        repeated += len(sender.sent) - len(told)
    # once for each event at the most: where the kill came between the sending and the row about it
    assert repeated <= len(told)


def test_killed_between_sending_and_writing_it_is_the_same_message(lab: Lab) -> None:
    """The one case in which a message goes twice: its identity says so."""
    sender = Recorder(after=Killed())
    night(lab, sender)
    first, again, *others = sender.sent
    assert first.key == again.key
    assert first.key not in {message.key for message in others}


# --- servers that fail -------------------------------------------------------------------------


def test_a_mail_server_that_is_down_for_an_hour_gets_it_then(lab: Lab) -> None:
    """Tried with growing pauses, noted once, sent once when the server is back."""
    port = free_port()
    smtp = Smtp("localhost", port, Security.NONE)
    recipe = Notices(on=(Kind.START,), channels=(Mail(("kim@example.org",), "bot@example.org", smtp),))
    clock, written = FakeClock(), list[Fact]()
    sender = SmtpSender(Mail(MAIL.to, MAIL.sender, smtp), smtp, OneSecret())
    told = messenger(sender, opened(lab), written.append, clock, recipe)
    for _ in range(60):
        told.look()
        clock.sleep(60)
    (noted,) = written
    assert isinstance(noted, Noted)
    assert "can't be used now" in noted.text
    with mail_server(port=port) as server:
        for _ in range(60):
            told.look()
            clock.sleep(60)
    assert len(server.mails) == 1
    assert written[1:] == [Notified(1, "start", "mail")]


def test_mail_and_webhook_that_are_down_for_an_hour_get_every_notice_once(lab: Lab) -> None:
    """Nothing of what happened in that hour is lost, and nothing comes twice: by real servers that come back."""
    smtp, web = Smtp("localhost", free_port(), Security.NONE), free_port()
    mail, hook = Mail(MAIL.to, MAIL.sender, smtp), Webhook(f"http://localhost:{web}/hooks/7")
    clock, written = FakeClock(), list[Fact]()
    happened: list[Fact] = [Paused("fault", "no room"), Resumed(), Paused("budget", "used up")]
    rows = [*opened(lab), *(Row(clock.wall(), fact, number) for number, fact in enumerate(happened, 2))]
    senders: dict[str, Sender] = {
        "mail": SmtpSender(mail, smtp, OneSecret()),
        "webhook": WebhookSender(hook, OneSecret()),
    }
    recipe = Notices(on=tuple(Kind), channels=(mail, hook))
    told = Messenger(Post(senders, clock), recipe, account(), rows, written.append)
    for _ in range(60):
        told.look()
        clock.sleep(60)
    assert [type(fact) for fact in written] == [Noted, Noted]
    with mail_server(port=smtp.port) as mails, web_server(port=web) as posts:
        for _ in range(60):
            told.look()
            clock.sleep(60)
    kinds = ["start", "hand", "budget"]
    assert [body["kind"] for _, _, body in posts.requests] == kinds
    assert len(mails.mails) == len({str(one["Message-ID"]) for one in mails.mails}) == 3
    for channel in senders:
        assert [fact.kind for fact in written if isinstance(fact, Notified) and fact.channel == channel] == kinds


def test_a_channel_that_a_person_has_to_mend_is_noted_at_once(lab: Lab) -> None:
    """Once, though it goes on being tried; another channel isn't held up by it."""
    clock, written = FakeClock(), list[Fact]()
    bad, good = Recorder(failures=[ConfigError("550 no such user") for _ in range(99)]), Recorder()
    recipe = Notices(on=(Kind.START,), channels=(MAIL, Command(("tell",))))
    told = Messenger(Post({"mail": bad, "command": good}, clock), recipe, account(), opened(lab), written.append)
    for _ in range(60):
        told.look()
        clock.sleep(60)
    assert written == [Noted("notices", "mail: 550 no such user"), Notified(1, "start", "command")]
    assert len(good.sent) == 1
    assert 99 - len(bad.failures) == 6  # at once, and after 1, 3, 8, 23 and 53 minutes


def test_after_a_day_nothing_is_tried_any_more(lab: Lab) -> None:
    """A server that never comes back is given up."""
    clock, sender = FakeClock(), Recorder(failures=[InfraError("down") for _ in range(999)])
    told = messenger(sender, opened(lab), nowhere, clock, Notices(on=(Kind.START,), channels=(MAIL,)))
    for _ in range(48):
        told.look()
        clock.sleep(1800)
    tried = len(sender.failures)
    clock.sleep(1800)
    told.look()
    assert len(sender.failures) == tried > 0


def test_where_one_fails_the_others_wait(lab: Lab) -> None:
    """A server that is down isn't asked again for each notice of a round."""
    rows = [*opened(lab), Row(FakeClock().wall(), Paused("budget", "used up"), 2)]
    sender = Recorder(failures=[InfraError("down")])
    told = messenger(sender, rows, nowhere, FakeClock())
    told.look()
    assert (sender.failures, sender.sent) == ([], [])


# --- the thread --------------------------------------------------------------------------------


def threaded(sender: Sender, rows: list[Row], put: Callable[[Fact], None], draw: Account | None = None) -> Messenger:
    """Return a messenger on the real clock, whose rows are of now."""
    now = SystemClock().wall()
    fresh = [Row(now, row.fact, row.number) for row in rows]
    return Messenger(Post({"mail": sender}, SystemClock()), RECIPE, draw or account(), fresh, put)


def happens(told: Messenger, rows: list[Row], fact: Fact) -> None:
    """Let the loop write a fact."""
    rows.append(Row(SystemClock().wall(), fact, len(rows) + 1))
    state = replay(rows)
    assert state is not None
    told.happened(state, rows[-1])


def test_the_end_of_a_session_waits_for_its_last_notice(lab: Lab) -> None:
    """What was sent and isn't written yet is handed to whoever holds the journal."""
    sender, rows = Recorder(), opened(lab)
    told = threaded(sender, rows, nowhere)
    told.start()
    happens(told, rows, Paused("budget", "used up"))
    told.drain(10)
    assert [one.partition(":")[0] for one in sender.subjects] == ["started on qemu-x86_64", "out of budget"]
    assert told.unwritten() == (Notified(1, "start", "mail"), Notified(2, "budget", "mail"))
    assert not told.waits


def test_what_is_written_isnt_handed_on(lab: Lab) -> None:
    """A notice whose fact came back from the loop is done with."""
    rows = opened(lab)
    told = threaded(Recorder(), rows, nowhere)
    told.look()
    happens(told, rows, Notified(1, "start", "mail"))
    assert told.unwritten() == ()


def test_a_server_that_hangs_holds_up_no_end(lab: Lab) -> None:
    """The end comes after the time that was given; what wasn't taken by then is still due."""
    release = threading.Event()
    told = threaded(Recorder(holds=release), opened(lab), nowhere)
    told.start()
    told.drain(0.1)
    assert told.unwritten() == ()
    assert told.waits
    release.set()
    told.drain(10)


def test_a_program_that_hangs_doesnt_outlive_the_session(lab: Lab, tmp_path: Path) -> None:
    """It is ended with what it started, and the notice is still due."""
    proc, pid = Processes(), tmp_path / "pid"
    sender = CommandSender(Command(("sh", "-c", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 600")), proc)
    now = SystemClock().wall()
    rows = [Row(now, row.fact, row.number) for row in opened(lab)]
    told = Messenger(Post({"mail": sender}, SystemClock(), stop=proc.stop_all), RECIPE, account(), rows, nowhere)
    told.start()
    for _ in range(1000):
        if not pid.exists():
            threading.Event().wait(0.01)
    told.drain(0.05)
    told.drain(10)
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert told.unwritten() == ()


def test_the_end_tries_once_more_whatever_the_pauses(lab: Lab) -> None:
    """The network may be back by then."""
    sender = Recorder(failures=[InfraError("down")])
    told = threaded(sender, opened(lab), nowhere)
    told.look()
    assert sender.sent == []
    told.start()
    told.drain(10)
    assert len(sender.sent) == 1


def test_a_bug_in_sending_costs_no_session(lab: Lab) -> None:
    """It is told in the journal instead of ending the thread silently."""
    written: list[Fact] = []
    sender = Recorder(failures=[ZeroDivisionError("x"), ZeroDivisionError("x")])
    told = threaded(sender, opened(lab), written.append)
    told.start()
    told.drain(10)
    assert Noted("notices", "a bug in bisectbot: ZeroDivisionError: x") in written


def test_a_picture_that_cant_be_drawn_is_done_without(lab: Lab) -> None:
    """A tree that is gone keeps no answer from being told."""

    def gone(_state: State, _fact: Fact) -> Picture:
        raise ConfigError("no tree")

    sender, rows = Recorder(), opened(lab)
    told = threaded(sender, rows, nowhere, account(gone))
    happens(told, rows, Paused("budget", "used up"))
    told.look()
    assert "stopped (budget): used up" in sender.sent[-1].text


def test_pictures_are_drawn_by_who_writes(lab: Lab) -> None:
    """Never in the messenger's own thread, and only for what is news."""
    drawn: list[tuple[str, str]] = []

    def draw(_state: State, fact: Fact) -> Picture:
        drawn.append((threading.current_thread().name, type(fact).__name__))
        return Picture(("a line",))

    sender, rows = Recorder(), opened(lab)
    told = threaded(sender, rows, nowhere, account(draw))
    told.start()
    happens(told, rows, Noted("disk", "cleaned"))
    happens(told, rows, Paused("budget", "used up"))
    told.drain(10)
    me = threading.current_thread().name
    assert drawn == [(me, "Opened"), (me, "Paused")]
    assert all("a line" in message.text for message in sender.sent)


def test_without_channels_there_is_no_thread(lab: Lab) -> None:
    """Who configured nothing pays nothing."""
    before = threading.active_count()
    told = Messenger(Post({}, SystemClock()), Notices(), account(), opened(lab), nowhere)
    told.start()
    assert threading.active_count() == before
    told.drain(10)
