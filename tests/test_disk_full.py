"""Disks that fill up, for real and in each place: the session pauses, and goes on where it was once there is room."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from buildsite import CountingProc, Site
from fakes import FakeClock, Inline, Quiet, a_host, a_plan
from guestscript import ScriptedConsole
from history import line, make_history
from smalldisk import fill, read_only, small_disk, with_own_mounts
from test_tiny_bisection import TinyMachine
from tinytree import TinyTree

from bisectbot.build.store import Built, Store
from bisectbot.cli.main import main
from bisectbot.disk.guard import Guard, Need
from bisectbot.disk.survey import Places, survey
from bisectbot.disk.tidy import Broom
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.files import replace_text
from bisectbot.effects.lock import Lock, is_held
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.retry import Patience
from bisectbot.effects.worktree import GitBisect, GitTree
from bisectbot.errors import DiskFull
from bisectbot.facts import Noted, Opened, Resumed, State, Tried, replay
from bisectbot.journal import Journal, read
from bisectbot.loop import Bot
from bisectbot.model import Arch, BuildRecipe, Culprit, Kernel, ProbeRecipe, Range
from bisectbot.plan import Plan
from bisectbot.ports import Chunk
from bisectbot.search.bisection import Bisection
from bisectbot.session import Folder
from bisectbot.stages import LocalStages, Room, Unwatched

_BUG = "stale_cpu_id"


class FillingMachine(TinyMachine):
    """Writes consoles, and at one boot does something to the disk first."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[int, object] = {}

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, words: Sequence[str], log: Path) -> Iterator[ScriptedConsole]:
        """Do what is planned for this boot, then boot."""
        deed = self.at.pop(len(self.booted) + 1, None)
        if callable(deed):
            deed()
        with console_log(log) as kept, super().boot(kernel, initramfs, words, log) as console:
            kept.write(Chunk(0.0, b"it boots\n"))
            yield console


@dataclass
class Night:
    """A session over a tiny history, which can be left and taken up again."""

    site: Site
    bad: str
    culprit: str
    folder: Folder
    machine: FillingMachine = field(default_factory=FillingMachine)
    room: Room = field(default_factory=Unwatched)

    def work(self) -> State:
        """Work in a process's stead, until it ends or pauses."""
        plan = Plan(
            self.site.linux.path,
            Range(self.bad, (self.site.linux.first,)),
            BuildRecipe(Arch.X86_64),
            ProbeRecipe(Path("/none"), runs=2),
            a_host(),
        )
        self.folder.path.mkdir(exist_ok=True)
        self.site.proc = CountingProc()
        book = Journal(self.folder.journal)
        try:
            before = book.rows()
            rows = [*before, book.append(1.0, Resumed() if before else Opened(plan, {}))]
            state = replay(rows)
            assert state is not None
            return self._bot(state, plan, book).run()
        finally:
            book.close()

    def _bot(self, state: State, plan: Plan, book: Journal) -> Bot:
        stages = LocalStages(
            plan,
            self.folder,
            self.site.builder(),
            self.machine,
            self.folder.path / "initramfs",
            FakeClock(),
            Patience(first_wait=0),
            self.site.proc,
            60.0,
            lambda _bad, _culprit: None,
            room=self.room,
        )
        bot = Bot(
            state=state,
            search=Bisection(plan.range_, GitBisect(self.site.tree)),
            stages=stages,
            facts=book,
            clock=FakeClock(),
            show=Quiet(),
            slots={"build": Inline(), "boot": Inline()},
        )
        stages.note = bot.events.put
        return bot

    def trials(self) -> list[tuple[int, str]]:
        """Return the boot and the commit of each trial in the journal."""
        facts = [row.fact for row in read(self.folder.journal)]
        return [(fact.trial.boot, fact.trial.commit) for fact in facts if isinstance(fact, Tried)]


def _history(linux: TinyTree) -> tuple[str, str]:
    for number in range(3):
        linux.commit(f"before {number}", {"lib/note.txt": f"{number}\n"})
    sched = (linux.path / "kernel/sched.c").read_text()
    culprit = linux.commit("tidy up", {"kernel/sched.c": f"{sched}/* {_BUG} */\n"})
    bad = culprit
    for number in range(3):
        bad = linux.commit(f"after {number}", {"lib/note.txt": f"after {number}\n"})
    return bad, culprit


@contextmanager
def _night(tmp_path: Path, *, small: str) -> Iterator[tuple[Night, Path]]:
    """Yield a session whose cache or logs are on a small disk."""
    linux = TinyTree(tmp_path / "linux")
    with small_disk(tmp_path / "disk", "size=24m") as disk:
        cache = disk / "cache" if small == "cache" else tmp_path / "cache"
        logs = disk / "logs" if small == "logs" else tmp_path / "logs"
        logs.mkdir()
        yield Night(Site(cache, linux), *_history(linux), Folder(logs / "night")), disk


def _check_answer(night: Night, state: State) -> None:
    assert state.answered is not None, state.paused
    assert state.answered.answer == Culprit(night.culprit)


@with_own_mounts
def test_a_build_folder_that_fills_up_pauses_and_goes_on(tmp_path: Path) -> None:
    """A full cache is told as such and steers nothing; with room again the answer is the undisturbed one."""
    with _night(tmp_path, small="cache") as (night, disk):
        night.machine.at = {2: lambda: fill(disk)}
        state = night.work()
        assert state.paused is not None
        assert (state.paused.why, state.paused.kind) == ("fault", "DiskFull"), state.paused
        before = night.trials()
        (disk / "filler").unlink()
        _check_answer(night, night.work())
        assert night.trials()[: len(before)] == before


@pytest.mark.parametrize("boot", [1, 2, 3])
@with_own_mounts
def test_a_full_disk_of_logs_loses_no_finished_trial(tmp_path: Path, boot: int) -> None:
    """Consoles and journal have no room: what had ended is in the journal, and no boot number is given twice."""
    with _night(tmp_path, small="logs") as (night, disk):
        night.machine.at = {boot: lambda: fill(disk)}
        state = night.work()
        assert state.paused is not None
        assert state.paused.kind == "DiskFull"
        before = night.trials()
        (disk / "filler").unlink()
        _check_answer(night, night.work())
        after = night.trials()
        assert after[: len(before)] == before
        booted = [number for number, _ in after]
        assert booted == sorted(booted)
        assert len(night.machine.booted) <= len(set(booted)) + 1, "more than the unfinished boot was repeated"


@dataclass
class Cleaner:
    """A room that is made by removing one file; fits stages.Room."""

    filler: Path

    def make(self, note: Callable[[Noted], None]) -> None:
        """Find enough room."""

    def after(self, fault: DiskFull, note: Callable[[Noted], None]) -> bool:
        """Remove the file, if it is there, and tell."""
        if not self.filler.exists():
            return False
        self.filler.unlink()
        note(Noted("disk", fault.message))
        return True


@with_own_mounts
def test_a_build_that_fills_the_disk_is_tidied_up_for_and_goes_on(tmp_path: Path) -> None:
    """Where tidying helps, no pause and no fault is left of it, only a note in the journal; the answer is the same."""
    with _night(tmp_path, small="cache") as (night, disk):
        night.machine.at = {2: lambda: fill(disk)}
        night.room = Cleaner(disk / "filler")
        state = night.work()
        _check_answer(night, state)
        assert state.faults == ()
        assert [note.what for note in state.notes] == ["disk"]


def test_whatever_of_a_boot_finds_the_disk_full_pauses(tmp_path: Path) -> None:
    """Sockets, pipes, folders and QEMU's own messages are written in many places: none of them ends the loop."""

    def no_room() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/logs/001.log.qemu")

    linux = TinyTree(tmp_path / "linux")
    night = Night(Site(tmp_path / "cache", linux), *_history(linux), Folder(tmp_path / "night"))
    night.machine.at = {2: no_room}
    state = night.work()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "DiskFull")
    _check_answer(night, night.work())


@with_own_mounts
def test_commands_on_a_disk_that_can_t_be_written_to_end_with_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status` reads there; who wants to work is told which file it is, without a traceback."""
    user = make_history(tmp_path / "user", line(6))
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        (disk / "mine").mkdir()
        book = Journal(disk / "mine/journal.db")
        book.append(1.0, Opened(a_plan(user.path, Range(user["c05"], (user["c00"],))), {}))
        book.close()
        fill(disk)
        assert _run("resume", "--logs", disk) == 5
        assert str(disk / "mine") in capsys.readouterr().err
        read_only(disk)
        assert _run("status", "--logs", disk) == 0
        assert "mine: stopped (killed)" in capsys.readouterr().out
        assert _run("resume", "--logs", disk) == 5
        assert f"{disk / 'mine/lock'}: Read-only file system" in capsys.readouterr().err


def _run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@with_own_mounts
def test_a_fix_up_on_a_full_disk_is_no_fix_up_that_doesn_t_apply(tmp_path: Path) -> None:
    """Git says the same of both; only one of them is a reason to skip a commit."""
    linux = TinyTree(tmp_path / "linux")
    commit = linux.commit("longer", {"lib/long.txt": "long\n" * 100_000})
    graph = GitGraph(open_git(linux.path))
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        tree = GitTree.prepare(open_git(linux.path), disk / "x/src", linux.first)
        fill(disk)
        with pytest.raises(DiskFull):
            tree.apply(graph.patch(commit))
        with pytest.raises(DiskFull):
            tree.checkout(commit)


@with_own_mounts
def test_the_guard_makes_room_before_it_is_needed(tmp_path: Path) -> None:
    """Kernels go, the least recently used first, until there is room and no further; it is told once, then DiskFull."""
    notes: list[Noted] = []
    (tmp_path / "image").write_bytes(b"x" * (1 << 20))
    with small_disk(tmp_path / "disk", "size=24m") as disk:
        store = Store(disk / "kernels")
        for number in range(6):
            store.put_kernel(f"k{number}", Built("c" * 40, "6.1", tmp_path / "image", "", tmp_path / "image"))
            store.let_go(f"k{number}")
            os.utime(disk / f"kernels/k{number}/meta.json", (1000.0 + number,) * 2)
        guard = Guard(
            (Need(disk / "kernels", 5 << 20, 10),),
            partial(survey, Places(store, disk / "trees", disk / "ccache", (tmp_path,), is_held)),
            lambda _: (),
            Broom(store, Lock, lambda _folder, _size: None, hard=True),
        )
        guard.make(notes.append)
        assert notes == []
        fill(disk, leave=2 << 20)
        guard.make(notes.append)
        assert sorted(path.name for path, _, _ in store.entries()) == ["k2", "k3", "k4", "k5"]
        assert [note.what for note in notes] == ["disk"]
        fill(disk)
        assert guard.after(DiskFull("no room"), notes.append)
        assert [*store.entries()] == []
        fill(disk)
        with pytest.raises(DiskFull, match="MiB are free, 5 MiB are needed; tidied away: nothing"):
            guard.make(notes.append)
        assert not guard.after(DiskFull("no room"), notes.append)


@with_own_mounts
def test_a_journal_on_a_full_disk_takes_what_has_ended(tmp_path: Path) -> None:
    """Room is kept back for rows; when that is used up too, the error says so and all rows before it are there."""
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        book = Journal(disk / "journal.db")
        book.append(1.0, Noted("disk", "first"))
        fill(disk)
        for number in range(20):
            book.append(2.0, Noted("disk", f"{number}"))
        told = Noted("disk", "x" * 20_000)
        with pytest.raises(DiskFull, match=r"journal\.db"):
            [book.append(3.0, told) for _ in range(1000)]
        known = len(book.rows())
        assert known > 21
        book.close()
        assert len(read(disk / "journal.db")) == known
        (disk / "filler").unlink()
        again = Journal(disk / "journal.db")
        assert again.append(4.0, told).number == known + 1
        again.close()
        assert not (disk / "journal.db-reserve").exists()


@with_own_mounts
def test_what_sessions_rest_on_is_known_on_a_full_disk(tmp_path: Path) -> None:
    """Their journals are read where there is no byte for SQLite's own files: nobody's evidence goes to make room."""
    with small_disk(tmp_path / "disk", "size=4m") as disk:
        book = Journal(disk / "journal.db")
        book.append(1.0, Noted("disk", "first"))
        book.close()
        fill(disk)
        assert len(read(disk / "journal.db")) == 1


@with_own_mounts
def test_a_kernel_goes_where_there_is_no_room_for_a_folder(tmp_path: Path) -> None:
    """On a disk that is full to the last block or inode, too: making room takes none."""
    with small_disk(tmp_path / "disk", "size=4m,nr_inodes=40") as disk:
        (tmp_path / "build").mkdir()
        image, log = tmp_path / "build/image", tmp_path / "build/log"
        image.write_bytes(b"kernel")
        log.touch()
        store = Store(disk / "kernels")
        store.put_kernel("k", Built("c" * 40, "6.1", image, "CONFIG_X=y\n", log))
        store.let_go("k")
        with suppress(OSError):
            for number in range(40):
                (disk / str(number)).touch()
        assert os.statvfs(disk).f_favail == 0
        assert store.evict("k")
        assert [*store.entries()] == []


@pytest.mark.parametrize("options", ["size=1m", "size=1m,nr_inodes=3"])
@with_own_mounts
def test_a_file_that_is_replaced_keeps_its_old_text(tmp_path: Path, options: str) -> None:
    """Reports, queue markers and notices: without room, or without inodes, the old content stays and is whole."""
    with small_disk(tmp_path / "disk", options) as disk:
        kept = disk / "report.md"
        kept.write_text("old")
        for number in range(os.statvfs(disk).f_ffree if "inodes" in options else 0):
            (disk / f"{number}").touch()
        if "inodes" not in options:
            fill(disk)
        with pytest.raises(DiskFull, match=r"report\.md"):
            replace_text(kept, "new" * 5000)
        assert kept.read_text() == "old"
