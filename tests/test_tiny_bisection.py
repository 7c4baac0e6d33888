"""Whole bisections of a tiny kernel tree: all of the bot but QEMU is real, from make to the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from buildsite import CountingProc, Site
from fakes import FakeClock, Inline, Quiet, a_host
from guestscript import PANIC, ScriptedConsole, ScriptedMachine, banner, cmdline, done, end, ready, start

from bisectbot.effects.retry import Patience
from bisectbot.effects.worktree import GitBisect
from bisectbot.facts import Opened, State, replay
from bisectbot.journal import Journal
from bisectbot.loop import Bot
from bisectbot.model import Arch, BuildRecipe, Culprit, Ending, Kernel, ProbeRecipe, Range, Verdict
from bisectbot.plan import Plan
from bisectbot.search.bisection import Bisection
from bisectbot.session import Folder
from bisectbot.stages import LocalStages

_HAS_BUG, _PANICS = "stale_cpu_id", "boom"  # words in the sources, and so in a tiny kernel's image


class TinyMachine:
    """Boots what tinylinux builds: its image holds the release and the sources, so it is seen what they would do."""

    name = "tiny"
    leavable = True

    def __init__(self) -> None:
        self.booted: list[str] = []

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, words: Sequence[str], log: Path) -> Iterator[ScriptedConsole]:
        """Play what the sources in the image say."""
        del initramfs, log
        told = dict(word.split("=", 1) for word in words)
        release, _, sources = kernel.image.read_text().partition("\n")
        self.booted.append(release)
        token, runs = told["bisectbot.token"], int(told["bisectbot.trials"])
        script = [banner(release), cmdline(token)]
        if _PANICS in sources:
            script.append(PANIC)
        else:
            script.append(ready(token, release))
            code = int(_HAS_BUG in sources)
            script += [part for run in range(1, runs + 1) for part in (start(run), end(run, code=code))]
            script.append(done())
        timed = [(0.1 * place, part) for place, part in enumerate(script, 1)]
        yield ScriptedConsole(ScriptedMachine(timed, reset=True))

    def homed(self) -> None:
        """Have no home, as a guest."""

    def stop(self) -> None:
        """Have nothing to stop."""


def _history(site: Site) -> tuple[str, str]:
    """Commit a bug, two commits that don't compile and one that panics; return the bad end and the culprit."""
    for number in range(4):
        site.linux.commit(f"before {number}", {"lib/note.txt": f"{number}\n"})
    site.linux.commit("doesn't compile", {"BREAK": "compile kernel/sched.c:3:1: error: expected ';'\n"})
    site.linux.commit("compiles again", {"BREAK": None, "lib/note.txt": "again\n"})
    sched = (site.linux.path / "kernel/sched.c").read_text()
    culprit = site.linux.commit("tidy up", {"kernel/sched.c": f"{sched}/* {_HAS_BUG} */\n"})
    sources = (site.linux.path / "lib/string.c").read_text()
    site.linux.commit("panics", {"lib/string.c": f"{sources}/* {_PANICS} */\n"})
    site.linux.commit("boots again", {"lib/string.c": sources, "lib/note.txt": "boots\n"})
    tip = culprit
    for number in range(4):
        tip = site.linux.commit(f"after {number}", {"lib/note.txt": f"after {number}\n"})
    return tip, culprit


def _bisect(site: Site, tmp_path: Path, machine: TinyMachine, bad: str, name: str) -> State:
    plan = Plan(
        site.linux.path,
        Range(bad, (site.linux.first,)),
        BuildRecipe(Arch.X86_64),
        ProbeRecipe(Path("/none"), runs=2),
        a_host(),
    )
    folder = Folder(tmp_path / name)
    folder.path.mkdir()
    builder = site.builder()
    journal = Journal(folder.journal)
    state = replay([journal.append(1.0, Opened(plan, {}))])
    assert state is not None
    stages = LocalStages(
        plan,
        folder,
        builder,
        machine,
        tmp_path / "initramfs",
        FakeClock(),
        Patience(first_wait=0),
        site.proc,
        60.0,
        lambda _bad, _culprit: None,
    )
    bot = Bot(
        state=state,
        search=Bisection(plan.range_, GitBisect(site.tree)),
        stages=stages,
        facts=journal,
        clock=FakeClock(),
        show=Quiet(),
        slots={"build": Inline(), "boot": Inline()},
    )
    ended = bot.run()
    assert replay(journal.rows()) == ended, "the journal isn't the state"
    journal.close()
    return ended


@pytest.fixture
def bisected(site: Site, tmp_path: Path) -> tuple[State, str, TinyMachine, str]:
    """Return the state after one bisection, the culprit, the machine and the bad end."""
    bad, culprit = _history(site)
    machine = TinyMachine()
    return _bisect(site, tmp_path, machine, bad, "first"), culprit, machine, bad


def test_the_culprit_is_named_through_real_builds(bisected: tuple[State, str, TinyMachine, str]) -> None:
    """Git, make, the builder, the watcher, the verdicts and the journal together name the commit with the bug."""
    state, culprit, machine, _ = bisected
    assert state.answered is not None
    assert state.answered.answer == Culprit(culprit)
    endings = {trial.ending for trials in state.trials.values() for trial in trials}
    assert {Ending.FIRED, Ending.CLEAN} <= endings
    judged = [state.builds[commit] for commit, found in state.judged() if found.verdict is not Verdict.SKIP]
    boots = [machine.booted.count(built.release) for built in judged if isinstance(built, Kernel)]
    assert boots == [1] * len(judged), "a kernel that gave a verdict was booted again"


def test_a_second_session_builds_nothing(
    bisected: tuple[State, str, TinyMachine, str], site: Site, tmp_path: Path
) -> None:
    """The next session over the same range takes each kernel, and each failure to build, from the store."""
    first, culprit, machine, bad = bisected
    site.proc = CountingProc()
    second = _bisect(site, tmp_path, machine, bad, "second")
    assert second.answered is not None
    assert second.answered.answer == Culprit(culprit)
    assert set(second.builds) == set(first.builds)
    assert all(built.from_store for built in second.builds.values())
    assert site.proc.ran == []
