"""Notices over real channels: a mail server with TLS and a login, sendmail, a web server, a program; well and badly."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from postoffice import (
    PASSWORD,
    SECRET,
    MailServer,
    OneSecret,
    WebServer,
    a_message,
    certificate,
    free_port,
    mail_server,
    server_tls,
    web_server,
)

from bisectbot.channels import Attachment, Command, Mail, Message, Security, Sender, Sendmail, Smtp, Webhook
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.mail import SmtpSender, mime
from bisectbot.effects.onstdin import CommandSender, SendmailSender
from bisectbot.effects.proc import Processes
from bisectbot.effects.webhook import WebhookSender
from bisectbot.errors import BisectbotError, ConfigError, InfraError, Overdue, ToolMissing
from bisectbot.lab import Secret
from bisectbot.ports import Deadline

KIM, LEE = "kim@example.org", "lee@example.org"
SENDER = "bisectbot@example.org"


def later(seconds: float = 20.0) -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(SystemClock(), seconds)


def by_smtp(
    server: MailServer, security: Security = Security.NONE, *, user: str = "", ca: Path | None = None
) -> Sender:
    """Return what sends to a server of ours."""
    smtp = Smtp("localhost", server.port, security, user, SECRET if user else None, ca)
    return SmtpSender(Mail((KIM, LEE), SENDER, smtp), smtp, OneSecret())


def failure(sender: Sender, message: Message | None = None, deadline: Deadline | None = None) -> BisectbotError:
    """Return why a message wasn't taken."""
    with pytest.raises(BisectbotError) as caught:
        sender.send(message or a_message(), deadline or later())
    return caught.value


# --- mail --------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_mail_goes_encrypted_with_a_login(security: Security) -> None:
    """Subject, text, both addresses and one identity arrive, and the server knows who sent them."""
    with mail_server(security, login=True) as server:
        assert by_smtp(server, security, user="kim", ca=certificate("localhost")[0]).send(a_message(), later()) == ""
    (mail,) = server.mails
    assert (server.logins, server.encrypted) == (["kim"], [True])
    assert (mail["Subject"], mail["To"]) == ("bisectbot night: found a2916409a700", f"{KIM}, {LEE}")
    assert mail["From"] == f"bisectbot <{SENDER}>"
    assert mail["Message-ID"] == f"<{'0' * 31}1@example.org>"
    assert mail["References"] == mail["In-Reply-To"] == f"<{'f' * 32}@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().strip() == "It was found."


def test_sendmails_neighbour_needs_no_tls() -> None:
    """A server of this machine's own is talked to as it is, without a login."""
    with mail_server() as server:
        by_smtp(server).send(a_message(), later())
    assert server.encrypted == [False]


def test_a_report_travels_with_its_mail() -> None:
    """Attachments keep their names and every character, and long lines don't break them."""
    text = "<p>ünïcode \udce4</p>" + "x" * 3000
    message = replace(a_message(), attachments=(Attachment("report.html", "html", text),))
    with mail_server() as server:
        by_smtp(server).send(message, later())
    (part,) = server.mails[0].iter_attachments()
    assert (part.get_filename(), part.get_content_type()) == ("report.html", "text/html")
    assert part.get_content().strip() == text.replace("\udce4", "?")


@pytest.mark.parametrize(
    "subject",
    [
        "a\\nBcc: evil@example.org",
        "= ?utf-8?q?=0aBcc:_evil@example.org?=",
        "ünïcode " * 30,
        "x" * 500,
        "a\r\nBcc: evil@example.org",
    ],
)
def test_no_subject_makes_a_header_of_its_own(subject: str) -> None:
    """A mail has the headers that it was given, whatever its subject; a line end in one is refused, not sent."""
    with mail_server() as server:
        if "\n" in subject:
            failure(by_smtp(server), a_message(subject))
            assert server.mails == []
            return
        by_smtp(server).send(a_message(subject), later())
    (mail,) = server.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].split() == subject.split()


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.TLS])
def test_a_certificate_that_nobody_vouches_for_ends_it(security: Security) -> None:
    """Nothing is sent, no login tried, and a person is asked: trying again can't help."""
    with mail_server(security, login=True) as server:
        error = failure(by_smtp(server, security, user="kim"))
    assert isinstance(error, ConfigError)
    assert "certificate" in error.message
    assert (server.logins, server.mails) == ([], [])


def test_a_certificate_of_another_name_ends_it() -> None:
    """A certificate that is trusted, but not this server's, is no proof."""
    with mail_server(Security.TLS, name="elsewhere") as server:
        error = failure(by_smtp(server, Security.TLS, ca=certificate("elsewhere")[0]))
    assert isinstance(error, ConfigError)
    assert "certificate" in error.message


def test_a_server_without_tls_gets_no_password() -> None:
    """One that doesn't offer STARTTLS is told nothing at all."""
    with mail_server(login=True) as server:
        error = failure(by_smtp(server, Security.STARTTLS, user="kim", ca=certificate("localhost")[0]))
    assert isinstance(error, ConfigError)
    assert "STARTTLS" in error.message
    assert server.logins == []


def test_a_wrong_password_is_told_and_not_shown() -> None:
    """The user is named, the password isn't, nor is it in what the error came from."""
    with mail_server(Security.TLS, login=True) as server:
        smtp = Smtp("localhost", server.port, Security.TLS, "kim", SECRET, certificate("localhost")[0])
        error = failure(SmtpSender(Mail((KIM,), SENDER, smtp), smtp, OneSecret("hunter2")))
    assert isinstance(error, ConfigError)
    assert "doesn't take user kim" in error.message
    assert "hunter2" not in f"{error}"
    assert error.__cause__ is None


def test_a_password_that_smtp_cant_carry_is_told() -> None:
    """By where it is, and none of its characters; so is a token that HTTP can't."""
    smtp = Smtp("localhost", 1, Security.TLS, "kim", SECRET)
    for sender in (
        SmtpSender(Mail((KIM,), SENDER, smtp), smtp, OneSecret("pässword")),
        WebhookSender(Webhook("https://localhost:1/", SECRET), OneSecret("pässword")),
    ):
        error = failure(sender)
        assert isinstance(error, ConfigError)
        assert "$NOTICE_PASSWORD" in error.message
        assert "ä" not in error.message


def test_a_password_that_isnt_there_is_named() -> None:
    """The variable is told before anything is connected to."""
    smtp = Smtp("localhost", 1, Security.TLS, "kim", Secret(env="NONE_SUCH"))
    assert "NONE_SUCH" in failure(SmtpSender(Mail((KIM,), SENDER, smtp), smtp, OneSecret())).message


@pytest.mark.parametrize(("said", "kind"), [("450 4.2.1 later", InfraError), ("550 5.1.1 no such user", ConfigError)])
def test_addresses_that_arent_taken(said: str, kind: type[BisectbotError]) -> None:
    """4xx may pass, 5xx needs a person; the server's words are told."""
    with mail_server() as server:
        server.refused = {KIM: said, LEE: said}
        error = failure(by_smtp(server))
    assert isinstance(error, kind)
    assert said[4:] in error.message


def test_one_address_of_two_is_enough_and_told() -> None:
    """A mail that somebody got was sent; who didn't get it is said."""
    with mail_server() as server:
        server.refused = {LEE: "550 5.1.1 no \x1bsuch user"}
        lacking = by_smtp(server).send(a_message(), later())
    assert len(server.mails) == 1
    assert lacking.startswith(f"{LEE}: 550")
    assert "\x1b" not in lacking


@pytest.mark.parametrize(("said", "kind"), [("451 try later", InfraError), ("552 too big", ConfigError)])
def test_a_mail_that_isnt_taken(said: str, kind: type[BisectbotError]) -> None:
    """What the server says after the last dot counts."""
    with mail_server() as server:
        server.answer = said
        assert isinstance(failure(by_smtp(server)), kind)


def test_nobody_there_may_pass() -> None:
    """A server that is down is a fault of ours, which is tried again."""
    error = failure(by_smtp(MailServer(port=free_port())))
    assert isinstance(error, InfraError)
    assert "can't be used now" in error.message


def test_a_server_that_drips_is_left_at_the_deadline() -> None:
    """A byte now and then holds nobody up for longer than the whole may take."""
    with web_server() as web:
        web.drips = True
        hook = WebhookSender(Webhook(web.url), OneSecret())
        began = time.monotonic()
        assert isinstance(failure(hook, deadline=later(0.5)), Overdue)
    assert time.monotonic() - began < 10


def test_a_mail_server_that_says_nothing_is_left_at_the_deadline(web: WebServer) -> None:
    """One that takes the connection and waits, as a web server does, holds nobody up."""
    port = int(web.url.split(":")[2].partition("/")[0])
    began = time.monotonic()
    assert isinstance(failure(by_smtp(MailServer(port=port)), deadline=later(0.5)), Overdue)
    assert time.monotonic() - began < 10


def test_the_same_message_is_the_same_mail() -> None:
    """Sent twice, it has one Message-ID; another one has another."""
    mail = Mail((KIM,), SENDER, Sendmail(Path("/usr/sbin/sendmail")))
    first, again = (mime(a_message(), mail)["Message-ID"] for _ in range(2))
    assert first == again != mime(replace(a_message(), key="2" * 32), mail)["Message-ID"]


# --- programs ----------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a program that keeps its arguments and its stdin, as sendmail would send them."""
    path = tmp_path / "sendmail"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\ncat >{tmp_path}/stdin\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_sendmail_gets_the_mail_on_stdin(program: Path) -> None:
    """Addresses stand in its header and in no process list; lines end as on Unix."""
    by = Sendmail(program)
    SendmailSender(Mail((KIM, LEE), SENDER, by), by, Processes()).send(a_message(), later())
    assert (program.parent / "argv").read_text().split() == ["-i", "-t", "-f", SENDER]
    sent = (program.parent / "stdin").read_bytes()
    assert f"\nTo: {KIM}, {LEE}\n".encode() in sent
    assert b"\r" not in sent


def test_a_command_gets_json_on_stdin(program: Path) -> None:
    """Any program, with its own arguments; the identity of the notice is part of it."""
    CommandSender(Command((str(program), "a b", "$HOME")), Processes()).send(a_message(), later())
    assert (program.parent / "argv").read_text().splitlines() == ["a b", "$HOME"]
    assert json.loads((program.parent / "stdin").read_text()) == {
        "key": "0" * 31 + "1",
        "kind": "found",
        "text": "It was found.",
    }


def test_a_command_that_says_no_may_pass() -> None:
    """Its exit code and its words are told, made harmless."""
    argv = ("sh", "-c", "printf 'no \\033[31mroute'; exit 75")
    error = failure(CommandSender(Command(argv), Processes()))
    assert isinstance(error, InfraError)
    assert "exit code 75: no \\x1b[31mroute" in error.message


def test_a_command_that_isnt_there_needs_a_person() -> None:
    """Trying again doesn't install it, and the session isn't concerned."""
    error = failure(CommandSender(Command(("/no/such/program",)), Processes()))
    assert isinstance(error, ConfigError)
    assert not isinstance(error, ToolMissing)


def test_a_command_that_hangs_is_ended() -> None:
    """At the deadline, with what it started."""
    assert isinstance(failure(CommandSender(Command(("sleep", "600")), Processes()), deadline=later(0.2)), Overdue)


# --- web ---------------------------------------------------------------------------------------


@pytest.fixture
def web() -> Iterator[WebServer]:
    """Return a web server on loopback."""
    with web_server() as made:
        yield made


def test_a_webhook_gets_json_with_its_token() -> None:
    """Over https with a certificate that is trusted; the identity stands in a header too."""
    with web_server(server_tls()) as web:
        hook = Webhook(web.url, SECRET, ca=certificate("localhost")[0])
        assert WebhookSender(hook, OneSecret()).send(a_message(), later()) == ""
    ((path, headers, body),) = web.requests
    assert (path, body["text"]) == ("/hooks/7", "It was found.")
    assert headers["Authorization"] == f"Bearer {PASSWORD}"
    assert headers["Idempotency-Key"] == body["key"] == "0" * 31 + "1"


def test_a_token_can_have_a_header_of_its_own(web: WebServer) -> None:
    """Then it stands there as it is."""
    WebhookSender(Webhook(web.url, SECRET, "X-Hook-Token"), OneSecret()).send(a_message(), later())
    assert web.requests[0][1]["X-Hook-Token"] == PASSWORD


def test_a_url_can_be_a_secret(web: WebServer) -> None:
    """A chat service's address is its password: it may have a query, and stands in no error."""
    hook = Webhook(SECRET)
    WebhookSender(hook, OneSecret(f"{web.url}?sig=abc")).send(a_message(), later())
    assert web.requests[0][0] == "/hooks/7?sig=abc"
    for url in (
        "ftp://localhost/abc",
        "https://kim:abc@localhost/",
        "https://localhost:99999/abc",
        "abc",
        "http:///abc",
        "https://localhost/a\x7f/abc",
    ):
        error = failure(WebhookSender(hook, OneSecret(url)))
        assert isinstance(error, ConfigError)
        assert "abc" not in str(error)


def test_what_a_server_says_of_a_secret_url_is_not_quoted(web: WebServer) -> None:
    """Pages of errors repeat the address that was asked for; the status is enough."""
    web.status = 404
    error = failure(WebhookSender(Webhook(SECRET), OneSecret(web.url)))
    assert error.message == "the web server localhost answers 404"
    assert "404 Not Found: /hooks/7: token" in failure(WebhookSender(Webhook(web.url), OneSecret())).message


def test_http_stays_on_this_machine_unless_it_is_allowed() -> None:
    """Anybody on the way could read it."""
    error = failure(WebhookSender(Webhook("http://192.0.2.7/hook"), OneSecret()))
    assert isinstance(error, ConfigError)
    assert "allow_http" in error.hint


def test_a_web_server_that_nobody_vouches_for_gets_nothing() -> None:
    """Not the token, and not the notice."""
    with web_server(server_tls()) as web:
        error = failure(WebhookSender(Webhook(web.url, SECRET), OneSecret()))
    assert isinstance(error, ConfigError)
    assert "certificate" in error.message
    assert web.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, InfraError),
        (503, InfraError),
        (429, InfraError),
        (302, ConfigError),
        (401, ConfigError),
        (404, ConfigError),
    ],
)
def test_what_a_web_server_says_no_with(web: WebServer, status: int, kind: type[BisectbotError]) -> None:
    """What may pass and what needs a person; a redirection isn't followed, a token isn't shown, words are harmless."""
    web.status = status
    web.headers = {"Location": f"{web.url}/elsewhere"}
    error = failure(WebhookSender(Webhook(web.url, SECRET), OneSecret()))
    assert isinstance(error, kind)
    assert str(status) in error.message
    assert PASSWORD not in str(error)
    assert "\x1b" not in str(error)
    assert len(web.requests) == 1


def test_a_web_server_that_is_down_may_pass() -> None:
    """The host is named, the rest of the URL isn't."""
    error = failure(WebhookSender(Webhook(f"http://localhost:{free_port()}/hush"), OneSecret()))
    assert isinstance(error, InfraError)
    assert "hush" not in str(error)
