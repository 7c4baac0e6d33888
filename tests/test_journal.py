"""The journal: what is appended comes back, and a file that can't be used is refused with the reason."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial
from smalldisk import read_only, small_disk, with_own_mounts

from bisectbot.errors import ConfigError, DiskFull, InfraError
from bisectbot.facts import (
    Answered,
    BootBegan,
    Built,
    CameHome,
    Doubted,
    Fact,
    Faulted,
    Found,
    Noted,
    Notified,
    Opened,
    Paused,
    Resumed,
    Reverted,
    State,
    Tried,
    replay,
)
from bisectbot.journal import VERSION, Journal, read
from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    CommandPower,
    ConsoleLine,
    FileConsole,
    Homed,
    IpmiPower,
    LabHost,
    NetConsole,
    Payload,
    PowerSwitch,
    Pxe,
    PxeMode,
    PxeNetwork,
    RedfishPower,
    Secret,
    SnmpPower,
    SolConsole,
    Ssh,
    TcpConsole,
)
from bisectbot.model import (
    Arch,
    BrokenBy,
    BuildBroken,
    Crash,
    CrashKind,
    Culprit,
    Ending,
    EndUnproven,
    Judgement,
    Range,
    Stuck,
    Trial,
    Verdict,
)
from bisectbot.plan import Budget

_A, _B = "a" * 40, "b" * 40
_PLAN = a_plan(Path("/tree"), Range(_B, (_A,), paths=("virt/",)))
# What each part of a real machine can be is a union; each member has to come back as itself.
_SECRET = Secret(file=Path("/etc/bmc"))
_POWERS: tuple[PowerSwitch | None, ...] = (
    IpmiPower("10.0.0.8", "admin", Secret(env="BMC")),
    RedfishPower("https://bmc", "admin", _SECRET),
    SnmpPower("pdu", "1.3.6.1", _SECRET),
    CommandPower(("on",), ("off",)),
    None,
)
_CONSOLES: tuple[ConsoleLine | None, ...] = (
    SolConsole(),
    TcpConsole("ts1", 7001),
    CommandConsole(("console", "-f", "rack1")),
    NetConsole("10.0.0.1"),
    FileConsole(Path("/var/log/rack1")),
    None,
)
_PLAIN = LabHost("rack1", Arch.X86_64, Ssh("10.0.0.7", ("ssh-ed25519 AAAA",)), (BootMethod.KEXEC, BootMethod.PXE))
_REAL = (
    *(replace(_PLAIN, power=power) for power in _POWERS),
    *(replace(_PLAIN, console=console) for console in _CONSOLES),
    replace(_PLAIN, pxe=Pxe(PxeNetwork("lab", PxeMode.SERVE, "eth1"), "52:54:00:00:00:01"), payload=Payload.HOST),
)

_FACTS: tuple[Fact, ...] = (
    Opened(_PLAN, {"git": "2.39"}),
    *(Opened(replace(_PLAN, host=host), {}) for host in _REAL),
    CameHome(_A, 8, Homed("rack1", "by a power cycle", 41.5, ("by itself: no answer",), Path("consoles/8.pstore.txt"))),
    Resumed(),
    Built(a_kernel(_A)),
    Built(BuildBroken(_B, BrokenBy.CONFIG, "CONFIG_KVM got lost", log=Path("builds/x.log"))),
    BootBegan(_A, 7),
    Tried(a_trial(_A, 7, Ending.FIRED)),
    Tried(
        Trial(
            _A,
            8,
            Ending.CRASHED,
            "panic",
            counts={"nested": {"list": [1, 2.5, None, "x"]}},
            crash=Crash(CrashKind.PANIC, "panic in foo", "foo", 12, cut=True),
            notes=("WARNING in bar",),
            console=Path("consoles/8.log"),
        )
    ),
    Faulted(_A, "boot", "no route to host"),
    Reverted(_A, _B),
    Reverted(_A, None),
    Resumed(Budget(3600.0, 1.7e9, 40), _REAL[0]),
    Resumed(host=_PLAN.host),
    Noted("clock", "the clock was set back by 60 min"),
    Doubted((3, 4), "the lab is suspected"),
    Found(Culprit(_B, 0.991)),
    Notified(3, "found", "mail"),
    Paused("fault", "disk full", "DiskFull"),
    Answered(Culprit(_B), "git bisect start"),
    Answered(Culprit(_B, 0.9931), "git bisect start"),
    Answered(Stuck((_A, _B), 0.995), ""),
    Answered(Stuck((_A, _B)), ""),
    Answered(EndUnproven(_A, Verdict.GOOD, Judgement(Verdict.BAD, "it fired")), ""),
)


@pytest.mark.parametrize("fact", _FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_comes_back_as_it_went_in(tmp_path: Path, fact: Fact) -> None:
    """Every kind of fact survives the way to the disk and back, in another process's eyes too."""
    journal = Journal(tmp_path / "journal.db")
    journal.append(12.5, fact)
    (row,) = read(tmp_path / "journal.db")
    assert (row.at, row.fact) == (12.5, fact)


def test_every_kind_of_fact_is_in_the_table_above() -> None:
    """A fact that is added to the journal is added to these tests too."""
    assert {type(fact) for fact in _FACTS} == set(Fact.__args__)


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A journal from a newer bisectbot is left alone, and both versions are named."""
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    with pytest.raises(ConfigError, match=rf"newer.*version {VERSION + 1}, this one reads {VERSION}"):
        Journal(path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """Rubbish where the journal should be is an error that names the file."""
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is no database, " * 100)
    with pytest.raises(ConfigError, match=r"journal\.db: not a journal"):
        Journal(path)


def test_a_row_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    """A damaged row is an error, never a fact left out."""
    path = tmp_path / "journal.db"
    Journal(path).append(1.0, Resumed())
    with sqlite3.connect(path) as db:
        db.execute("""UPDATE facts SET fact = '{"is": "Nonsense"}'""")
    with pytest.raises(ConfigError, match="can't read"):
        read(path)


def test_a_missing_journal_is_named(tmp_path: Path) -> None:
    """Reading a session that isn't there doesn't make one."""
    with pytest.raises(ConfigError, match="no such journal"):
        read(tmp_path / "journal.db")
    assert not (tmp_path / "journal.db").exists()


def test_a_journal_killed_in_its_first_moment_is_empty(tmp_path: Path) -> None:
    """A file without the table is a journal without rows."""
    (tmp_path / "journal.db").touch()
    assert read(tmp_path / "journal.db") == ()


def test_a_journal_that_cannot_be_written_is_an_infrastructure_fault(tmp_path: Path) -> None:
    """A folder that can't hold the file is our fault's kind, not a verdict's."""
    with pytest.raises(InfraError):
        Journal(tmp_path / "missing" / "journal.db")


def test_a_full_disk_is_told_apart(tmp_path: Path) -> None:
    """When SQLite can't grow the file any more the error is DiskFull."""
    journal = Journal(tmp_path / "journal.db")
    journal._db.execute("PRAGMA max_page_count=3")
    with pytest.raises(DiskFull):
        journal.append(1.0, Paused("fault", "x" * 100_000))


def test_time_between_a_stop_and_a_resume_is_not_work(tmp_path: Path) -> None:
    """Seconds worked leave out the night in which nobody worked on the session."""
    journal = Journal(tmp_path / "journal.db")
    for at, fact in [(100.0, _FACTS[0]), (110.0, BootBegan(_A, 1)), (5000.0, Resumed()), (5007.0, BootBegan(_A, 2))]:
        journal.append(at, fact)
    state = replay(journal.rows())
    assert isinstance(state, State)
    assert (state.worked, state.boots) == (17.0, 2)


def test_a_journal_from_before_there_were_real_machines_is_read(tmp_path: Path) -> None:
    """Its host has no tag, and is a QEMU host; what was begun by an older bisectbot can be resumed."""
    journal = Journal(tmp_path / "journal.db")
    journal.append(1.0, Opened(_PLAN, {}))
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as db:
        (text,) = db.execute("SELECT fact FROM facts").fetchone()
        older = json.loads(text)
        assert older["plan"]["host"].pop("is") == "QemuHost"
        db.execute("UPDATE facts SET fact = ?", (json.dumps(older),))
        db.execute("PRAGMA user_version=1")
    (row,) = read(tmp_path / "journal.db")
    assert row.fact == Opened(_PLAN, {})


def _damaged(path: Path, keep: float) -> bytes:
    """Leave this share of a journal's bytes, and return them."""
    journal = Journal(path)
    for number in range(200):
        journal.append(float(number), Noted("disk", "x" * 1000))
    journal.close()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path.read_bytes()


@pytest.mark.parametrize("keep", [0.00001, 0.02, 0.5, 0.9999])
def test_a_journal_that_was_cut_off_is_refused_and_left_as_it_is(tmp_path: Path, keep: float) -> None:
    """After a power cut or a full disk nothing is guessed and nothing written: a person may want to look at it."""
    path = tmp_path / "journal.db"
    left = _damaged(path, keep)
    with pytest.raises(ConfigError, match=r"journal\.db"):
        read(path)
    with pytest.raises(ConfigError, match=r"journal\.db"):
        Journal(path)
    assert path.read_bytes() == left


def test_what_a_killed_process_wrote_is_there_and_a_cut_off_row_is_not(tmp_path: Path) -> None:
    """Rows stand in SQLite's log at first: whole ones count, and a half one, as a power cut leaves it, never does."""
    journal = Journal(tmp_path / "live.db")
    for number in range(20):
        journal.append(float(number), Noted("disk", "x" * 1000))
    wal, rows = (tmp_path / "live.db-wal").read_bytes(), []
    for part in (1.0, 0.6, 0.0):
        copy = tmp_path / f"{part}"
        copy.mkdir()
        (copy / "journal.db").write_bytes((tmp_path / "live.db").read_bytes())
        (copy / "journal.db-wal").write_bytes(wal[: int(len(wal) * part)])
        rows.append(len(read(copy / "journal.db")))
    journal.close()
    whole, half, none = rows
    assert (whole, none) == (20, 0)
    assert 0 < half < 20


def test_two_who_write_take_turns(tmp_path: Path) -> None:
    """The session's process and who sends its notices may both have the file open: no row is lost or overwritten."""
    one, other = Journal(tmp_path / "journal.db"), Journal(tmp_path / "journal.db")
    numbers = [who.append(1.0, Noted("host", "x")).number for _ in range(20) for who in (one, other)]
    assert numbers == [*range(1, 41)]
    assert len(one.rows()) == 40
    one.close()
    assert other.append(1.0, Noted("host", "x")).number == 41
    other.close()


@with_own_mounts
def test_a_journal_on_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    """`status` works there; who wants to go on is told that the file can't be written."""
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        journal = Journal(disk / "journal.db")
        journal.append(1.0, Noted("host", "x"))
        journal.close()
        read_only(disk)
        assert len(read(disk / "journal.db")) == 1
        with pytest.raises(InfraError, match=r"journal\.db"):
            Journal(disk / "journal.db").append(1.0, Noted("host", "x"))
