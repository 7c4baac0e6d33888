"""Tidying: what may go and in which order, what has to stay, and that nothing in use goes."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial

from bisectbot.build.store import Built, Store
from bisectbot.disk.decide import Kind, Rules, Thing, due, evidence, spare
from bisectbot.disk.guard import Guard, Need
from bisectbot.disk.survey import Places, needed, survey
from bisectbot.disk.tidy import Broom, pack
from bisectbot.effects.lock import Lock, is_held
from bisectbot.errors import DiskFull
from bisectbot.facts import Answered, BootBegan, Opened, Reverted, Row, State, Tried, replay
from bisectbot.facts import Built as Made
from bisectbot.journal import Journal
from bisectbot.model import Culprit, Ending, Range
from bisectbot.session import Folder

_DAY = 24 * 3600.0
_NOW = 100 * _DAY
_RULES = Rules.of_days(60, 1000, 14)
_PLAN = a_plan(Path("/linux"), Range("b" * 40, ("a" * 40,)))


def _thing(kind: Kind, days: float, size: int = 100, **more: object) -> Thing:
    return replace(Thing(kind, Path(f"/{kind}/{days}"), size, _NOW - days * _DAY), **more)  # type: ignore[arg-type]


def test_what_is_old_goes_and_what_is_needed_stays() -> None:
    """Each kind has its age, counted from the last use; the order is kernels, worktrees, ccache, logs, oldest first."""
    old, older = _thing(Kind.KERNEL, 61), _thing(Kind.KERNEL, 90)
    tree, log, cache = _thing(Kind.TREE, 70), _thing(Kind.LOG, 15), _thing(Kind.CCACHE, 0)
    stays = [
        _thing(Kind.KERNEL, 59),
        _thing(Kind.KERNEL, 99, kept="session x rests on it"),
        _thing(Kind.TREE, 59),
        _thing(Kind.TREE, 99, kept="in use"),
        _thing(Kind.LOG, 13),
    ]
    assert due([log, cache, *stays, tree, old, older], _RULES, _NOW) == (older, old, tree, cache, log)


def test_kernels_beyond_their_bytes_go_least_recently_used_first() -> None:
    """What is kept counts for the limit and doesn't go."""
    kept = _thing(Kind.KERNEL, 50, 900, kept="session x rests on it")
    first, second, third = (_thing(Kind.KERNEL, days, 60) for days in (30, 20, 10))
    assert due([third, first, kept, second], _RULES, _NOW) == (first, second)


def test_without_room_all_that_isn_t_needed_may_go_on_that_disk_alone() -> None:
    """Age doesn't matter then; another file system's things would be of no help."""
    here, there = _thing(Kind.KERNEL, 1, device=1), _thing(Kind.KERNEL, 1, device=2)
    kept, tree = _thing(Kind.KERNEL, 90, device=1, kept="in use"), _thing(Kind.TREE, 1, device=1)
    assert spare([tree, there, kept, here], [1]) == (here, tree)


def _state(*facts: object) -> State:
    rows = [Row(0.0, Opened(_PLAN, {})), *(Row(1.0, fact) for fact in facts)]  # type: ignore[arg-type]
    state = replay(rows)
    assert state is not None
    return state


def _judged(letter: str, ending: Ending) -> list[object]:
    commit = letter * 40
    return [
        Made(replace(a_kernel(commit), key=letter)),
        BootBegan(commit, ord(letter)),
        Tried(a_trial(commit, ord(letter), ending)),
    ]


def test_an_answer_s_evidence_is_all_that_gave_a_verdict() -> None:
    """Ends, culprit, its parents, the runner-up and the revert stay; a kernel that never told anything may go."""
    facts = [
        *_judged("a", Ending.CLEAN),
        *_judged("b", Ending.FIRED),
        *_judged("c", Ending.FIRED),
        *_judged("d", Ending.BOOT_HUNG),
        Made(replace(a_kernel("e" * 40), key="e")),
        Reverted("c" * 40, "f" * 40),
        Made(replace(a_kernel("f" * 40), key="f")),
    ]
    assert evidence(_state(*facts)) == set("abcdef")
    assert evidence(_state(*facts, Answered(Culprit("c" * 40), ""))) == set("abcf")


# --- for real


def _kernel(store: Store, tmp_path: Path, key: str, days: float = 0.0) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 50_000)
    store.put_kernel(key, Built("c" * 40, "6.1", image, "", image))
    store.let_go(key)
    meta = next(path for path, _, _ in store.entries() if path.name == key) / "meta.json"
    os.utime(meta, (time.time() - days * _DAY,) * 2)


def _session(logs: Path, name: str, *facts: object) -> Folder:
    folder = Folder(logs / name)
    folder.path.mkdir(parents=True)
    book = Journal(folder.journal)
    for fact in (Opened(_PLAN, {}), *facts):
        book.append(1.0, fact)  # type: ignore[arg-type]
    book.close()
    return folder


def _log(folder: Folder, days: float) -> Path:
    path = folder.console_log(1, "c" * 40)
    path.parent.mkdir(exist_ok=True)
    path.write_text("[+0000.000] all is well\n" * 1000)
    os.utime(path, (time.time() - days * _DAY,) * 2)
    return path


def _places(tmp_path: Path, store: Store) -> Places:
    return Places(store, tmp_path / "trees", tmp_path / "ccache", (tmp_path / "logs",), is_held)


def _broom(store: Store, *, hard: bool = False) -> Broom:
    return Broom(store, Lock, lambda _folder, _size: None, hard=hard)


def test_a_sweep_takes_what_is_due_and_nothing_else(tmp_path: Path) -> None:
    """Old kernels and worktrees go, and old logs of answered sessions are packed; the sessions' own kernels stay."""
    store = Store(tmp_path / "kernels")
    for key, days in (("old", 70.0), ("a", 70.0), ("new", 1.0)):
        _kernel(store, tmp_path, key, days)
    answered = _session(tmp_path / "logs", "x", *_judged("a", Ending.FIRED), Answered(Culprit("a" * 40), ""))
    waiting = _session(tmp_path / "logs", "y", *_judged("a", Ending.FIRED))
    logs = [_log(answered, 20), _log(waiting, 20)]
    for slot, days in (("0", 70.0), ("1", 1.0)):
        (tmp_path / f"trees/r/{slot}/src").mkdir(parents=True)
        (tmp_path / f"trees/r/{slot}/src/file").write_text("text")
        (tmp_path / f"trees/r/{slot}/lock").touch()
        os.utime(tmp_path / f"trees/r/{slot}/lock", (time.time() - days * _DAY,) * 2)
    freed = _broom(store).sweep(due(survey(_places(tmp_path, store)), Rules.of_days(60, 1 << 30, 14), time.time()))
    assert {path.name for path, _, _ in store.entries()} == {"a", "new"}
    assert [path.exists() for path in logs] == [False, True]
    packed = Path(f"{logs[0]}.gz").read_bytes()
    assert gzip.decompress(packed).startswith(b"[+0000.000] all is well\n")
    assert [(tmp_path / f"trees/r/{slot}/src").exists() for slot in "01"] == [False, True]
    assert set(freed.size) == {Kind.KERNEL, Kind.TREE, Kind.LOG}
    assert freed.size[Kind.LOG] > 20_000


def test_only_files_are_logs(tmp_path: Path) -> None:
    """A pipe would be waited for, and what a link leads to isn't ours."""
    folder = _session(tmp_path / "logs", "x", Answered(Culprit("a" * 40), ""))
    log = _log(folder, 90)
    log.with_name("link.log").symlink_to(log)
    os.mkfifo(log.with_name("pipe.log"))
    things = survey(_places(tmp_path, Store(tmp_path / "kernels")))
    assert [thing.path for thing in things] == [log]


def test_what_is_in_use_stays_though_it_was_to_go(tmp_path: Path) -> None:
    """Locks are asked at the last moment: a kernel, a worktree or a session may have been taken since the survey."""
    store, other = Store(tmp_path / "kernels"), Store(tmp_path / "kernels")
    _kernel(store, tmp_path, "k", 90)
    (tmp_path / "trees/r/0/src").mkdir(parents=True)
    (tmp_path / "trees/r/0/src/file").write_text("text")
    (tmp_path / "trees/r/0/lock").touch()
    folder = _session(tmp_path / "logs", "x", Answered(Culprit("a" * 40), ""))
    log = _log(folder, 90)
    things = survey(_places(tmp_path, store))
    assert len(things) == 3
    assert other.get("k", "c" * 40) is not None
    with Lock(tmp_path / "trees/r/0/lock", "a tree"), Lock(folder.lock, "a session"):
        freed = _broom(store, hard=True).sweep(things)
    assert freed.things == 0
    assert other.has("k")
    assert log.exists()
    assert (tmp_path / "trees/r/0/src/file").exists()


def test_a_packed_log_is_what_the_reports_link_to(tmp_path: Path) -> None:
    """Links of a report that is there already lead to the packed log; QEMU's own log beside it stays."""
    folder = _session(tmp_path / "logs", "x", Answered(Culprit("a" * 40), ""))
    log = _log(folder, 90)
    name = f"consoles/{log.name}"
    (folder.path / "report.md").write_text(f"[boot 1]({name}) [QEMU]({name}.qemu)\n")
    store = Store(tmp_path / "kernels")
    _broom(store).sweep(survey(_places(tmp_path, store)))
    assert (folder.path / "report.md").read_text() == f"[boot 1]({name}.gz) [QEMU]({name}.qemu)\n"


def test_packing_keeps_the_time_and_every_byte(tmp_path: Path) -> None:
    """The packed log is as old as the plain one; nothing but it is left."""
    log, said = tmp_path / "1.log", os.urandom(3 << 20)
    log.write_bytes(said)
    os.utime(log, (1000.0, 1000.0))
    pack(log)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["1.log.gz"]
    assert gzip.decompress((tmp_path / "1.log.gz").read_bytes()) == said
    assert (tmp_path / "1.log.gz").stat().st_mtime == 1000.0


# --- the guard


@pytest.mark.parametrize(
    ("needs", "match"),
    [
        (lambda path: Need(path / "not/there/yet", 1 << 60), "MiB are free"),
        (lambda path: Need(path, 0, 1 << 60), "inodes"),
    ],
)
def test_bytes_and_inodes_of_a_real_disk_are_looked_at(
    tmp_path: Path, needs: Callable[[Path], Need], match: str
) -> None:
    """Both are asked of the file system of the folder, or of where it will be made."""
    guard = Guard([needs(tmp_path)], tuple, lambda _: (), _broom(Store(tmp_path / "kernels")))
    with pytest.raises(DiskFull, match=match):
        guard.make(lambda _: None)
    Guard([Need(tmp_path, 1, 1)], tuple, lambda _: (), _broom(Store(tmp_path / "kernels"))).make(lambda _: None)


def test_the_store_s_own_limit_spares_what_sessions_rest_on(tmp_path: Path) -> None:
    """A store that grows beyond its bytes lets others go first, however long ago the evidence was used."""
    _session(tmp_path / "logs", "x", *_judged("a", Ending.FIRED), Answered(Culprit("a" * 40), ""))
    store = Store(tmp_path / "kernels", limit=250_000)
    store.spared = lambda: needed(tmp_path / "logs")
    for key, days in (("a", 70.0), ("old", 60.0), ("new", 1.0)):
        _kernel(store, tmp_path, key, days)
    assert {path.name for path, _, _ in store.entries()} == {"a", "new"}
