"""`bisectbot notify`, and what the keeper sends for sessions that nobody works on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock, a_kernel, a_plan, a_trial
from history import History, line, make_history
from postoffice import MailServer, free_port, mail_server

from bisectbot.channels import Kind, Notices
from bisectbot.cli.keeper.handout import Handout
from bisectbot.cli.keeper.wiring import write_hand
from bisectbot.cli.main import main
from bisectbot.cli.notifying import hand_over, post_for
from bisectbot.config import hosts as config
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.lock import Lock
from bisectbot.effects.proc import Processes
from bisectbot.errors import Busy
from bisectbot.facts import Answered, Built, Fact, Noted, Notified, Opened, Tried
from bisectbot.journal import Journal, read
from bisectbot.keeper.rounds import Session
from bisectbot.model import Culprit, Ending, Range
from bisectbot.notices import Failed, Sent
from bisectbot.session import Folder

HOSTS = 'default = "q"\n[hosts.q]\nboot = "qemu"\narch = "x86_64"\n'


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return a repository that passes for a kernel's, and work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_history(tmp_path / "user", line(6))


def with_mail(port: int) -> Notices:
    """Write a hosts.toml that tells a server of ours, and return what it says."""
    text = HOSTS + '[notices]\non = ["start", "found"]\n[notices.mail]\nto = ["kim@example.org"]\n'
    text += f'sender = "bot@example.org"\nhost = "localhost"\nport = {port}\nsecurity = "none"\n'
    Path("hosts.toml").write_text(text)
    return config.load().notices


def session(user: History, *more: Fact, ago: float = 60.0) -> Folder:
    """Return a session that was answered a minute ago."""
    folder = Folder(Path("logs/night").absolute())
    folder.path.mkdir(parents=True)
    culprit = user["c05"]
    plan = a_plan(user.path, Range(culprit, (user["c00"],)))
    facts: list[Fact] = [Opened(plan, {"git": "2.39"}), Built(a_kernel(culprit)), *more]
    facts += [Tried(a_trial(culprit, 1, Ending.FIRED)), Answered(Culprit(culprit), "git bisect start")]
    journal = Journal(folder.journal)
    for fact in facts:
        journal.append(time.time() - ago, fact)
    journal.close()
    return folder


def run(*words: str) -> int:
    """Return the exit code of a command."""
    with pytest.raises(SystemExit) as caught:
        main([*words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def told(folder: Folder) -> list[Notified]:
    """Return what the journal says was handed over."""
    return [row.fact for row in read(folder.journal) if isinstance(row.fact, Notified)]


def test_what_a_session_left_is_sent_once(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """With the report as the terminal shows it; the journal says so, and a second time there is nothing to do."""
    folder = session(user)
    with mail_server() as server:
        with_mail(server.port)
        assert run("notify", "--json") == 0
        facts = json.loads(capsys.readouterr().out)
        assert [(one["kind"], one["sent"]) for one in facts["notices"]] == [("start", True), ("found", True)]
        assert run("notify", "night") == 0
        assert "nothing is waiting" in capsys.readouterr().out
    assert told(folder) == [Notified(1, "start", "mail"), Notified(4, "found", "mail")]
    start, found = server.mails
    assert found["Subject"] == f"bisectbot night: found {user['c05'][:12]}: c05"
    assert found["References"] == start["References"]
    text = found.get_body(("plain",))
    assert text is not None
    assert user["c05"] in text.get_content()
    assert "report.html" in [part.get_filename() for part in found.iter_attachments()]


def test_a_tree_that_is_gone_loses_no_answer(user: History) -> None:
    """Then the journal's own words are sent, with the report that is there."""
    folder = session(user)
    (folder.path / "report.html").write_text("<p>as its own process left it")
    user.path.rename(user.path.with_name("elsewhere"))
    with mail_server() as server:
        assert run("notify", "--hosts", str(_hosts(server))) == 0
    assert len(told(folder)) == 2
    assert user["c05"] in server.mails[1].get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert [part.get_filename() for part in server.mails[1].iter_attachments()] == ["report.html"]


def _hosts(server: MailServer) -> Path:
    with_mail(server.port)
    return Path("hosts.toml")


def test_a_server_that_is_down_is_told_and_the_notice_kept(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5, the reason, and still due."""
    folder = session(user)
    with_mail(free_port())
    assert run("notify") == 5
    assert "mail: start (row 1) was not sent: the mail server localhost" in capsys.readouterr().out
    assert told(folder) == []


def test_a_test_notice_goes_over_every_channel(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Each says what became of it, no session is touched, and one that fails doesn't hide the others."""
    folder = session(user)
    with mail_server() as server:
        with_mail(server.port)
        with Path("hosts.toml").open("a") as file:
            file.write('[notices.command]\nargv = ["false"]\n')
        assert run("notify", "--test", "--json") == 5
        channels = json.loads(capsys.readouterr().out)["channels"]
        assert [(one["channel"], one["sent"]) for one in channels] == [("mail", True), ("command", False)]
        assert run("notify", "--test") == 5
        out = capsys.readouterr().out
    assert "mail: a test notice was sent" in out
    assert "command: not sent: false ended with exit code 1" in out
    assert [mail["Subject"] for mail in server.mails] == ["bisectbot: a test notice"] * 2
    assert server.mails[0]["Message-ID"] != server.mails[1]["Message-ID"]
    assert told(folder) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [((), "has no [notices]"), (("--test",), "has no [notices]"), (("--hosts", "none.toml"), "none.toml")],
)
def test_without_channels_it_is_a_mistake(
    user: History, words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and where to read how."""
    session(user)
    Path("hosts.toml").write_text(HOSTS)
    assert run("notify", *words) == 2
    assert says in capsys.readouterr().err


def test_a_test_is_of_no_session(user: History, capsys: pytest.CaptureFixture[str]) -> None:
    """Both together are a mistake."""
    session(user)
    with_mail(1)
    assert run("notify", "night", "--test") == 2
    assert "--test and night" in capsys.readouterr().err


# --- the keeper's ------------------------------------------------------------------------------


def test_a_session_in_hands_is_left_to_its_process(user: History) -> None:
    """Nothing is sent for it, and it is said."""
    folder = session(user)
    with mail_server() as server:
        recipe = with_mail(server.port)
        with Lock(folder.lock, "session night"), pytest.raises(Busy):
            hand_over(folder, recipe, post_for(recipe))
    assert server.mails == []


def test_each_round_sends_only_what_is_due(user: History) -> None:
    """A server that is down is left alone until its pause is over; one post keeps that from round to round."""
    folder = session(user, Notified(1, "start", "mail"))
    recipe = with_mail(free_port())
    post = post_for(recipe)
    assert [type(one) for one in hand_over(folder, recipe, post)] == [Failed]
    assert hand_over(folder, recipe, post) == ()
    with mail_server() as server:
        recipe = with_mail(server.port)
        fresh = post_for(recipe)
        assert [type(one) for one in hand_over(folder, recipe, fresh)] == [Sent]
        assert hand_over(folder, recipe, fresh) == ()
    assert len(server.mails) == 1


def test_the_keeper_sends_for_sessions_that_nobody_works_on(user: History) -> None:
    """Each in its turn, not more often than every minute, and never one that a process has in hands."""
    folder, clock, said = session(user), FakeClock(), list[str]()
    with mail_server() as server:
        recipe = with_mail(server.port)
        handout = Handout(lambda: recipe, clock, said.append, Processes())
        for _ in range(3):
            handout(Session(folder, working=True, queued=True))
        handout.join()
        assert server.mails == []
        for _ in range(3):
            handout(Session(folder, working=False, queued=False))
        handout.join()
    assert len(server.mails) == 2
    assert said == ["night: notice of start by mail sent", "night: notice of found by mail sent"]


def test_a_keeper_that_ends_with_the_queue_waits_for_the_network(user: History) -> None:
    """What may pass is tried again before it ends, for as long as it is due; what a person has to mend keeps nobody."""
    folder, clock = session(user), FakeClock()
    recipes = [with_mail(free_port())]
    handout = Handout(lambda: recipes[-1], clock, list[str]().append, Processes())
    handout(Session(folder, working=False, queued=False))
    handout.join()
    assert [handout.busy] == [True]
    with mail_server() as server:
        recipes.append(with_mail(server.port))
        clock.sleep(61)
        handout(Session(folder, working=False, queued=False))
        handout.join()
    assert len(server.mails) == 2
    assert [handout.busy] == [False]


def test_the_keeper_gives_up_hope_of_what_is_not_due_any_more(user: History) -> None:
    """Nothing of a day ago is sent, and nobody waits for it."""
    folder, clock = session(user), FakeClock()
    recipe = with_mail(free_port())
    handout = Handout(lambda: recipe, clock, list[str]().append, Processes())
    handout(Session(folder, working=False, queued=False))
    handout.join()
    assert [handout.busy] == [True]
    clock.sleep(7201)
    assert [handout.busy] == [False]


def test_a_session_that_is_given_up_while_its_notices_go_out_is_given_up_later(user: History) -> None:
    """Its need of a hand would never be told if it wasn't in the journal."""
    folder = session(user)
    folder.queued.write_text("1\n")
    with Lock(folder.lock, "session night"), pytest.raises(Busy):
        write_hand(SystemClock(), folder, "it fails")
    assert folder.queued.read_text() == "1\n"
    write_hand(SystemClock(), folder, "it fails")
    assert folder.queued.read_text() == "1\nit fails\n"
    assert read(folder.journal)[-1].fact == Noted("hand", "it fails")


def test_the_keeper_survives_a_session_that_cant_be_read(user: History) -> None:
    """It is said, and the next session's notices go out."""
    folder, clock, said = session(user), FakeClock(), list[str]()
    broken = Folder(folder.path.with_name("broken"))
    broken.path.mkdir()
    broken.journal.write_text("no journal at all, but long enough to be looked at" * 100)
    with mail_server() as server:
        recipe = with_mail(server.port)
        handout = Handout(lambda: recipe, clock, said.append, Processes())
        for one in (broken, folder):
            handout(Session(one, working=False, queued=True))
        handout.join()
        clock.sleep(61)
        handout(Session(broken, working=False, queued=True))
        handout.join()
    assert "not a journal" in said[0]
    assert len([text for text in said if "broken" in text]) == 1
    assert len(server.mails) == 2


def test_waiting_in_the_queue_is_no_silence(user: History) -> None:
    """A session may wait there for days while its machine works on others; once it is off the queue it is news."""
    folder = Folder(Path("logs/later").absolute())
    folder.path.mkdir(parents=True)
    journal = Journal(folder.journal)
    journal.append(time.time() - 7 * 3600, Opened(a_plan(user.path, Range(user["c05"], (user["c00"],))), {}))
    journal.close()
    folder.queued.write_text("1\n")
    with mail_server() as server:
        recipe = replace(with_mail(server.port), on=(Kind.SILENT,))
        assert hand_over(folder, recipe, post_for(recipe)) == ()
        folder.queued.unlink()
        assert [type(one) for one in hand_over(folder, recipe, post_for(recipe))] == [Sent]


def test_old_sessions_cost_nothing(user: History) -> None:
    """A session of last week isn't even opened, whatever it never told."""
    folder = session(user, ago=7 * 86400.0)
    recipe = with_mail(free_port())
    assert hand_over(folder, recipe, post_for(recipe)) == ()
    assert hand_over(folder, replace(recipe, channels=()), post_for(recipe)) == ()
    assert not folder.lock.exists()
