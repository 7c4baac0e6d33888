"""A bisection run as a service through a bad night: killed again and again, and told by mail in the morning."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from night import NAME, Night, children, gone
from postoffice import MailServer, free_port, mail_server
from real_demo import Demo

from bisectbot import places
from bisectbot.effects.lock import holder
from bisectbot.facts import Notified

pytestmark = pytest.mark.real

_SAMPLE, _ALL = 3, 14  # kills
_WHILE = "--until-empty"
_LONG = 1800.0  # seconds that a whole night may take


def _hosts(folder: Path, port: int) -> Path:
    """Write the shipped hosts.toml with notices by mail, without secrets."""
    file = folder / "hosts.toml"
    notices = '\n[notices]\non = ["start", "found", "ended"]\n[notices.mail]\nto = ["kim@example.org"]\n'
    server = f'sender = "bisectbot@example.org"\nhost = "localhost"\nport = {port}\nsecurity = "none"\n'
    file.write_text(places.data("hosts.toml").read_text() + notices + server)
    return file


def _disturb(night: Night, keeper: subprocess.Popen[bytes], dice: random.Random, kills: int) -> int:
    """Kill the session's process or the keeper at random moments; return how often, once either is over."""
    done = 0
    while done < kills and keeper.poll() is None:
        time.sleep(dice.uniform(0.3, 5.0))
        victim = holder(night.logs / NAME / "lock")
        if dice.random() < 0.3:
            return done + _killed(keeper)
        if victim is not None:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            gone(victim)
            night.keeps()
            done += 1
    return done


def _killed(keeper: subprocess.Popen[bytes]) -> int:
    began = keeper.poll() is None
    keeper.kill()
    keeper.wait()
    gone(keeper.pid)
    return int(began)


@pytest.mark.parametrize("kills", [_SAMPLE, pytest.param(_ALL, marks=pytest.mark.soak)])
def test_a_service_that_is_killed_all_night(demo: Demo, tmp_path: Path, kills: int) -> None:
    """Session and keeper are killed with -9: the true culprit, one mail for each event, the picture, and no orphan."""
    logs = tmp_path / "logs"
    logs.mkdir()
    port, dice = free_port(), random.Random(kills)  # noqa: S311
    night = Night(demo, logs, ("--max-hours", "1", "--", "--migrations", "1"), hosts=_hosts(tmp_path, port))
    night.queue()
    began = time.monotonic()
    with mail_server(port=port) as server:
        keeper = night.keeper(_WHILE)
        while keeper.poll() is None and time.monotonic() - began < _LONG:
            if night.kills < kills:
                night.kills += _disturb(night, keeper, dice, kills - night.kills)
                keeper = night.keeper(_WHILE) if keeper.poll() is not None else keeper
            else:
                keeper.wait(timeout=_LONG)
        assert keeper.wait(timeout=_LONG) == 0
        night.keeps()
        (tmp_path / "mails.txt").write_text("\n\n".join(str(mail) for mail in server.mails))
        _check_mails(server, night, demo.truth["culprit"])
    assert not children(keeper.pid)
    night.check()
    folder = logs / NAME
    told = (folder / "report.md").read_text()
    assert told.count("killed") >= 1
    assert "<svg" in (folder / "timeline.svg").read_text()


def _check_mails(server: MailServer, night: Night, culprit: str) -> None:
    """See that each event was told, and none twice: what a kill left in doubt carries the same Message-ID."""
    distinct = {str(mail["Message-ID"]): str(mail["Subject"]) for mail in server.mails}
    kinds = Counter(row.fact.kind for row in night.rows() if isinstance(row.fact, Notified))
    assert set(kinds) >= {"start", "ended"}
    assert sum(kinds.values()) == len(distinct), (kinds, distinct)
    assert len(server.mails) - len(distinct) <= night.kills
    assert culprit[:12] in list(distinct.values())[-1]
