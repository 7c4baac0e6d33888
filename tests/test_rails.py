"""The lock that is kept on a test machine, by the real sh and flock; and who is taken for its owner."""

from __future__ import annotations

import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fakelab import BOT, HOST
from fakes import FakeClock
from localshell import LocalShell

from bisectbot.boot import rails
from bisectbot.boot.hostbook import HostBook
from bisectbot.effects.me import ThisProcess
from bisectbot.errors import Busy, HostSick, Quarantined
from bisectbot.lab import LabHost, Owner
from bisectbot.ports import Deadline

_DEADLINE = Deadline.after(FakeClock(), 60)
_OTHER = Owner("other", "other-machine", "other-boot", 77, 5)


class _Me:
    """A bot; `dead` are the owners that it knows to be gone."""

    def __init__(self, owner: Owner, *dead: Owner) -> None:
        self._owner = owner
        self._dead = dead

    def owner(self) -> Owner:
        return self._owner

    def gone(self, other: Owner) -> bool:
        return other in self._dead


def _host(folder: Path) -> LabHost:
    return replace(HOST, folder=str(folder / "ours"))


def _take(folder: Path, me: _Me) -> None:
    rails.take_lock(LocalShell(), _host(folder), me, _DEADLINE)


def test_one_bot_a_host(tmp_path: Path) -> None:
    """Whoever has the lock can renew it; everybody else is told who has it and for how long."""
    _take(tmp_path, _Me(BOT))
    _take(tmp_path, _Me(BOT))
    with pytest.raises(
        Busy, match=r'host "rack1" is in use by another bisectbot \(bot, pid 1; its lock lapses in 60 min'
    ):
        _take(tmp_path, _Me(_OTHER))
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o700


def test_a_lock_that_is_given_back_is_free(tmp_path: Path) -> None:
    """Only its owner can give a lock back."""
    _take(tmp_path, _Me(BOT))
    rails.give_lock_back(LocalShell(), _host(tmp_path), _Me(_OTHER), _DEADLINE)
    with pytest.raises(Busy):
        _take(tmp_path, _Me(_OTHER))
    rails.give_lock_back(LocalShell(), _host(tmp_path), _Me(BOT), _DEADLINE)
    _take(tmp_path, _Me(_OTHER))


def test_a_lock_lapses(tmp_path: Path) -> None:
    """A bot that is gone for good holds a host for as long as its lease, by the host's own clock, and no longer."""
    _take(tmp_path, _Me(_OTHER))
    lock = tmp_path / "ours" / "lock"
    lock.write_text("\n".join(["1", *lock.read_text().splitlines()[1:]]) + "\n")
    _take(tmp_path, _Me(BOT))
    assert lock.read_text().splitlines()[1] == str(BOT)


def test_a_killed_process_of_this_machine_holds_nothing(tmp_path: Path) -> None:
    """What was killed here is known to be gone, so that resuming needs no waiting."""
    _take(tmp_path, _Me(_OTHER))
    _take(tmp_path, _Me(BOT, _OTHER))
    with pytest.raises(Busy):
        _take(tmp_path, _Me(_OTHER))


@pytest.mark.parametrize("content", ["", "rubbish", "99999999999\nnot json\n", '99999999999\n{"machine": 1}\n'])
def test_a_damaged_lock_is_nobodys_or_somebodys(tmp_path: Path, content: str) -> None:
    """A lock that can't be read is free if it names no time to come, and respected if it does."""
    _take(tmp_path, _Me(BOT))
    (tmp_path / "ours" / "lock").write_text(content)
    if content.startswith("9"):
        with pytest.raises(Busy):
            _take(tmp_path, _Me(_OTHER))
    else:
        _take(tmp_path, _Me(_OTHER))


def test_of_many_at_once_one_wins(tmp_path: Path) -> None:
    """Bots that ask at the same moment: exactly one gets the host."""
    owners = [replace(_OTHER, pid=pid) for pid in range(8)]
    won: list[int] = []

    def ask(owner: Owner) -> None:
        try:
            _take(tmp_path, _Me(owner))
            won.append(owner.pid)
        except Busy:
            pass

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    """Where the lock can't be kept, the machine isn't used."""
    (tmp_path / "ours").write_text("a file")
    with pytest.raises(HostSick, match="can't be taken"):
        _take(tmp_path, _Me(BOT))


def test_who_is_gone() -> None:
    """A running process isn't, an ended one is, another boot of this machine is, another machine's nobody knows."""
    me = ThisProcess()
    owner = me.owner()
    assert not me.gone(owner)
    child = subprocess.Popen(["/bin/sleep", "60"])
    started = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19])
    there = replace(owner, pid=child.pid, started=started)
    assert not me.gone(there)
    child.kill()
    child.wait()
    assert me.gone(there)
    assert me.gone(replace(owner, pid=os.getpid(), started=owner.started + 1)), "the number was given again"
    assert me.gone(replace(owner, boot_id="earlier")) is bool(owner.machine_id)
    assert not me.gone(_OTHER)


def test_a_host_that_is_set_aside_stays_so_until_it_is_seen_healthy(tmp_path: Path) -> None:
    """Quarantine outlives the process, ends with a proof, and belongs to the machine as it is described."""
    book = HostBook(tmp_path / "hosts")
    assert book.recall(HOST) is None
    book.proven(HOST, "6.1")
    book.check(HOST)
    book.set_aside(HOST, "nobody answers")
    with pytest.raises(Quarantined, match='host "rack1" is set aside: nobody answers'):
        HostBook(tmp_path / "hosts").check(HOST)
    book.check(replace(HOST, marker="/etc/another"))
    book.proven(HOST, "6.1")
    book.check(HOST)
    (tmp_path / "hosts" / "rack1.json").write_text("{")
    assert book.recall(HOST) is None
