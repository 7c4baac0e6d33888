"""A real bisection that tells of itself: over TLS with a login, though the server is down and the bot is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from night import Night
from postoffice import PASSWORD, MailServer, certificate, free_port, mail_server
from real_demo import Demo

from bisectbot import places
from bisectbot.facts import Notified, Tried

pytestmark = pytest.mark.real


def _hosts(folder: Path, port: int) -> Path:
    """Write the shipped hosts.toml with notices by mail."""
    secret = folder / "password"
    secret.touch(0o600)
    secret.write_text(PASSWORD + "\n")
    file = folder / "hosts.toml"
    file.write_text(
        places.data("hosts.toml").read_text()
        + '\n[notices]\non = ["start", "found", "ended", "hand"]\n[notices.mail]\nto = ["kim@example.org"]\n'
        + f'sender = "bisectbot@example.org"\nhost = "localhost"\nport = {port}\nuser = "kim"\n'
        + f'password = {{ file = "{secret}" }}\nca = "{certificate("localhost")[0]}"\n'
    )
    return file


def test_a_killed_night_tells_its_culprit_once(demo: Demo, tmp_path: Path) -> None:
    """The start is told late, for the server was down; the culprit once, with the report; the password nowhere."""
    logs, port = tmp_path / "logs", free_port()
    logs.mkdir()
    night = Night(demo, logs, hosts=_hosts(tmp_path, port))
    process = night.begin()
    night.wait(process, lambda: any(isinstance(row.fact, Tried) for row in night.rows()))
    night.kill(process)
    with mail_server("starttls", login=True, port=port) as server:
        assert night.finish() == 0, night.said()
    night.check()
    _check_mails(server, demo.truth["culprit"])
    told = [row.fact for row in night.rows() if isinstance(row.fact, Notified)]
    assert [(fact.row, fact.kind, fact.channel) for fact in told][:1] == [(1, "start", "mail")]
    assert [fact.kind for fact in told] == ["start", "found"]
    written = b"".join(path.read_bytes() for path in logs.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in written


def _check_mails(server: MailServer, culprit: str) -> None:
    start, found = server.mails
    assert server.encrypted == [True, True]
    assert "started on qemu-x86_64" in start["Subject"]
    assert f"found {culprit[:12]} (P = 0.99" in found["Subject"]
    assert start["References"] == found["References"]
    text = found.get_body(("plain",))
    assert text is not None
    assert f"First bad commit: {culprit[:12]}" in text.get_content()
    assert [part.get_filename() for part in found.iter_attachments()] == ["report.html", "regression-mail.txt"]
