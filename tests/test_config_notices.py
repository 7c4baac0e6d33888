"""[notices] of hosts.toml: every key arrives, every mistake is told with its key, and no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisectbot.channels import DEFAULT_KINDS, Command, Kind, Mail, Notices, Security, Sendmail, Smtp, Webhook
from bisectbot.config import hosts as config
from bisectbot.errors import ConfigError
from bisectbot.lab import Secret

HOST = 'default = "q"\n[hosts.q]\nboot = "qemu"\narch = "x86_64"\n'
TO = 'to = ["kim@example.org"]\nsender = "bot@example.org"\n'


def parse(text: str) -> Notices:
    """Return what a file with a [notices] says."""
    return config.parse(HOST + text, Path("hosts.toml")).notices


def mistakes(text: str) -> list[str]:
    """Return each mistake without its place."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [told.partition("hosts.toml:")[2].partition(": ")[2] for told in caught.value.message.splitlines()[1:]]


def only_mistake(text: str) -> str:
    """Return the one mistake of a text."""
    (told,) = mistakes(text)
    return told


def test_without_the_table_nobody_is_told() -> None:
    """No channel, and everything else as it would be."""
    assert parse("") == Notices()
    assert parse("").channels == ()


def test_every_key_of_mail_arrives() -> None:
    """A server with all that can be said of one."""
    text = f'[notices]\non = ["start", "found"]\nsilent_hours = 0.5\n[notices.mail]\n{TO}host = "mail.example.org"\n'
    text += 'port = 2525\nsecurity = "tls"\nuser = "kim"\npassword = { env = "MAIL" }\nca = "/etc/ca.pem"\n'
    smtp = Smtp("mail.example.org", 2525, Security.TLS, "kim", Secret(env="MAIL"), Path("/etc/ca.pem"))
    mail = Mail(("kim@example.org",), "bot@example.org", smtp)
    assert parse(text) == Notices((Kind.START, Kind.FOUND), 0.5, (mail,))


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_a_port_follows_from_the_security(security: str, port: int) -> None:
    """As mail servers usually have them."""
    (mail,) = parse(f'[notices.mail]\n{TO}host = "localhost"\nsecurity = "{security}"').channels
    assert isinstance(mail, Mail)
    assert isinstance(mail.by, Smtp)
    assert (mail.by.port, mail.by.security) == (port, security)


@pytest.mark.parametrize(("said", "path"), [("true", "/usr/sbin/sendmail"), ('"/opt/msmtp"', "/opt/msmtp")])
def test_sendmail_is_a_program(said: str, path: str) -> None:
    """The usual one, or one that is named."""
    (mail,) = parse(f"[notices.mail]\n{TO}sendmail = {said}").channels
    assert isinstance(mail, Mail)
    assert mail.by == Sendmail(Path(path))


def test_every_key_of_the_other_channels_arrives() -> None:
    """A web server and a program beside each other, with the kinds that are told by default."""
    text = '[notices.webhook]\nurl = "https://chat.example.org/hooks/7"\ntoken = { env = "T" }\nheader = "X-Token"\n'
    text += 'ca = "/etc/ca.pem"\nallow_http = true\n[notices.command]\nargv = ["tell", "me"]'
    hook = Webhook("https://chat.example.org/hooks/7", Secret(env="T"), "X-Token", Path("/etc/ca.pem"), allow_http=True)
    assert parse(text) == Notices(DEFAULT_KINDS, 6.0, (hook, Command(("tell", "me"))))
    (secret,) = parse('[notices.webhook]\nurl = { env = "HOOK" }').channels
    assert secret == Webhook(Secret(env="HOOK"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[notices]", "notices: needs one of the tables mail, webhook and command"),
        ('[notices]\non = ["founnd"]\n[notices.command]\nargv = ["x"]', "notices.on[0]: is 'founnd'"),
        ('[notices]\non = []\n[notices.command]\nargv = ["x"]', "notices.on: is empty"),
        ('[notices]\non = ["hand", "hand"]\n[notices.command]\nargv = ["x"]', "notices.on: says the same twice"),
        ('[notices]\nsilent_hours = 0\n[notices.command]\nargv = ["x"]', "notices.silent_hours: is 0"),
        ('[notices]\nsilent = 1\n[notices.command]\nargv = ["x"]', "notices.silent: no such key"),
        ('[notices]\ncommand.argv = "mail kim"', "notices.command.argv: is 'mail kim'"),
        ('[notices.command]\nargv = ["mail kim"]', "notices.command.argv: begins with 'mail kim'"),
        (f"[notices.mail]\n{TO}", "notices.mail: needs host"),
        (f'[notices.mail]\n{TO}host = "a b"', "notices.mail.host: is 'a b'"),
        (f'[notices.mail]\n{TO}host = "m"\nsecurity = "ssl"', "notices.mail.security: is 'ssl'"),
        (f'[notices.mail]\n{TO}host = "m"\nuser = "kim"', "notices.mail.user: needs password too"),
        (f'[notices.mail]\n{TO}host = "m"\npassword = {{ env = "P" }}', "notices.mail.password: needs user too"),
        (
            f'[notices.mail]\n{TO}host = "m"\nuser = "k"\npassword = "hush"',
            "notices.mail.password: is the secret",
        ),
        (f'[notices.mail]\n{TO}sendmail = true\nhost = "m"', "notices.mail.host: is of no use with sendmail"),
        (f'[notices.mail]\n{TO}sendmail = "bin/sendmail"', "notices.mail.sendmail: is 'bin/sendmail', which depends"),
        (f'[notices.mail]\n{TO}host = "m"\nsecurity = "none"\nca = "/c"', "notices.mail.ca: is of no use without TLS"),
        ('[notices.mail]\nto = ["kim"]\nsender = "b@c.de"\nsendmail = true', "notices.mail.to[0]: is 'kim'"),
        ('[notices.mail]\nto = ["-oQ@c.de"]\nsender = "b@c.de"\nsendmail = true', "notices.mail.to[0]: is '-oQ@c.de'"),
        ('[notices.mail]\nto = []\nsender = "b@c.de"\nsendmail = true', "notices.mail.to: is empty"),
        ('[notices.mail]\nto = ["a@b.de"]\nsendmail = true', "notices.mail.sender: is missing"),
        ('[notices.webhook]\nurl = "https://kim:hush@example.org/"', "notices.webhook.url: holds a user name"),
        ('[notices.webhook]\nurl = "example.org"', "notices.webhook.url: is 'example.org'"),
        ('[notices.webhook]\nurl = "http://example.org/x"', "notices.webhook.url: is http, which anybody"),
        ('[notices.webhook]\nurl = "http://[::1]/x"\nca = "/c"', "notices.webhook.ca: is of no use without https"),
        ('[notices.webhook]\nurl = "https://e.org"\nheader = "Host"', "notices.webhook.header: is 'Host'"),
        ('[notices.webhook]\nurl = "https://e.org"\nheader = "X: y"', "notices.webhook.header: is 'X: y'"),
        ('[notices.webhook]\nurl = "https://e.org"\ntoken = "hush"', "notices.webhook.token: is the secret itself"),
    ],
)
def test_each_mistake_has_its_reason(text: str, told: str) -> None:
    """One mistake is one line with its key; what may be a secret isn't shown."""
    found = only_mistake(text)
    assert found.startswith(told)
    assert "hush" not in found


def test_a_password_stays_on_this_machine_without_tls() -> None:
    """Without encryption it is given to a server on loopback only."""
    login = f'{TO}security = "none"\nuser = "kim"\npassword = {{ env = "P" }}\n'
    assert "could read the password" in only_mistake(f'[notices.mail]\n{login}host = "mail.example.org"')
    for host in ("localhost", "127.0.0.1", "::1"):
        assert parse(f'[notices.mail]\n{login}host = "{host}"').channels


def test_all_mistakes_are_told_at_once() -> None:
    """Those of every table, beside those of the rest of the file."""
    text = '[notices]\non = ["x"]\n[notices.mail]\nto = ["kim"]\n[notices.webhook]\nurl = 3\n[notices.command]\n'
    keys = [told.partition(":")[0] for told in mistakes(text)]
    assert sorted(keys) == sorted(
        [
            "notices.command.argv",
            "notices.mail",
            "notices.mail.sender",
            "notices.mail.to[0]",
            "notices.on[0]",
            "notices.webhook.url",
        ]
    )
