"""Builds that fail: whose fault it is, what is remembered, and what the next build finds."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from buildsite import TINY, Bare, Site
from history import git

from bisectbot.build.kbuild import Room
from bisectbot.effects.clock import SystemClock
from bisectbot.errors import ConfigError, DiskFull, InfraError, OutOfMemory, Overdue, ToolMissing
from bisectbot.model import Arch, BrokenBy, BuildRecipe, Compiler, Fixup, Span
from bisectbot.ports import Deadline


def test_a_commit_that_doesn_t_compile_is_broken_and_remembered(site: Site) -> None:
    """The root-cause line and the guilty file are told, relative to the tree; the next session doesn't try again."""
    commit = site.linux.commit("oops", {"BREAK": "compile\n"})
    broken = site.broken(commit)
    assert broken.by is BrokenBy.COMPILE
    assert broken.title == "kernel/sched.c:12:9: error: 'cpu' undeclared (first use in this function)"
    assert broken.file == "kernel/sched.c"
    assert broken.log == site.log(commit)
    site.proc.ran.clear()
    again = site.broken(commit)
    assert again.from_store
    assert (again.title, again.file) == (broken.title, broken.file)
    assert site.proc.ran == []


def test_make_that_leaves_no_image_is_broken(site: Site) -> None:
    """An exit code of 0 alone is no kernel."""
    assert "left no arch/x86/boot/bzImage" in site.broken(site.linux.commit("oops", {"BREAK": "noimage\n"})).title


@pytest.mark.parametrize(
    ("how", "fault"),
    [("oom", OutOfMemory), ("killed", OutOfMemory), ("disk", DiskFull), ("tool", ToolMissing), ("header", ToolMissing)],
)
def test_the_machines_fault_is_no_verdict(site: Site, how: str, fault: type[InfraError]) -> None:
    """A compiler killed for memory, a full disk or a missing tool is raised, and never stored."""
    commit = site.linux.commit("fine", {"BREAK": f"{how}\n"})
    with pytest.raises(fault):
        site.outcome(commit)
    with pytest.raises(fault):
        site.outcome(commit)


def test_a_tree_that_changes_under_a_build_is_no_verdict(site: Site) -> None:
    """When files of the private tree are gone, what doesn't compile isn't blamed on the commit, now or later."""
    commit = site.linux.commit("fine", {"BREAK": "vanish\n"})
    for _ in range(2):
        with pytest.raises(InfraError, match="was changed while it was built in"):
            site.outcome(commit)


def test_a_passing_fault_leaves_no_trace(site: Site, tmp_path: Path) -> None:
    """A commit whose compiler was killed once builds the next time."""
    commit = site.linux.commit("fine", {"BREAK": f"once {tmp_path}/flag\n"})
    with pytest.raises(OutOfMemory):
        site.outcome(commit)
    assert site.build(commit).release.startswith("6.1.0-bb-")


def test_a_build_that_hangs_is_overdue(site: Site) -> None:
    """Past its deadline a build is ended, and that says nothing about the commit."""
    with pytest.raises(Overdue):
        site.outcome(site.linux.commit("hm", {"BREAK": "hang\n"}), seconds=0.3)


def test_a_killed_build_s_folder_is_not_trusted(site: Site) -> None:
    """What a build that was killed has left may be cut off and look finished: the next one begins anew."""
    hang = site.linux.commit("hm", {"BREAK": "hang\n"})
    with pytest.raises(Overdue):
        site.outcome(hang, seconds=0.3)
    (folder,) = site.tree.glob(".bb-*-build")
    (folder / "kernel").mkdir(exist_ok=True)
    (folder / "kernel/sched.o").write_text("cut o")
    os.utime(folder / "kernel/sched.o", (2e9, 2e9))
    kernel = site.build(site.linux.commit("fine", {"BREAK": None}))
    assert "cut o" not in kernel.image.read_text()
    assert "int schedule" in kernel.image.read_text()


def test_a_stale_build_folder_breaks_no_commit(site: Site) -> None:
    """A failure that no source file is to blame for is tried again in a fresh folder before the commit is skipped."""
    site.build(site.linux.first)
    assert site.build(site.linux.commit("renames", {"BREAK": "stale\n"})).release


def test_a_link_error_survives_the_fresh_folder(site: Site) -> None:
    """A commit that really doesn't link is broken all the same."""
    site.build(site.linux.first)
    broken = site.broken(site.linux.commit("oops", {"BREAK": "link\n"}))
    assert broken.title == "kernel/sched.c:(.text+0x1): undefined reference to `missing'"


def test_too_little_room_stops_before_the_build(site: Site) -> None:
    """A disk without the room that a build needs is found before make is started."""
    site.room = Room(first=1 << 60)
    with pytest.raises(DiskFull, match="MiB are free"):
        site.outcome(site.linux.first)
    assert "bzImage" not in site.proc.targets()


def test_fix_ups_go_on_in_their_span_and_come_off(site: Site) -> None:
    """A fix-up is laid over the commits of its span alone, changes the key, and is gone afterwards."""
    fine = site.linux.first
    oops = site.linux.commit("oops", {"BREAK": "compile\n"})
    mended = site.linux.commit("mended", {"BREAK": None})
    patch = git(site.linux.path, "diff", oops, mended) + "\n"
    recipe = replace(TINY, fixups=(Fixup("mend", patch, Span(oops, mended)),))
    site.broken(oops)
    kernel = site.build(oops, recipe)
    assert (site.tree / "BREAK").read_text() == "compile\n"
    assert kernel.key != site.build(mended, recipe).key
    assert site.build(fine, recipe).key == site.build(fine).key


def test_fix_ups_come_off_after_an_error_too(site: Site) -> None:
    """Whatever happens to the build, the worktree is left as the commit has it."""
    patch = "--- a/lib/string.c\n+++ b/lib/string.c\n@@ -1 +1 @@\n-int vsnprintf(void) { return 0; }\n+int x;\n"
    commit = site.linux.commit("oom", {"BREAK": "oom\n"})
    with pytest.raises(OutOfMemory):
        site.outcome(commit, replace(TINY, fixups=(Fixup("x", patch),)))
    assert (site.tree / "lib/string.c").read_text() == "int vsnprintf(void) { return 0; }\n"


def test_a_fix_up_that_doesn_t_apply_breaks_the_build(site: Site) -> None:
    """Without its fix-up the commit wouldn't be what the user asked for: a skip, with the fix-up's name."""
    broken = site.broken(
        site.linux.first, replace(TINY, fixups=(Fixup("mend.patch", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"),))
    )
    assert (broken.by, broken.title) == (BrokenBy.FIXUP, "the fix-up mend.patch doesn't apply")


@pytest.mark.parametrize("name", ["LOCALVERSION", "O", "ARCH", "KBUILD_BUILD_USER", "not-a-name"])
def test_make_variables_of_ours_are_refused(site: Site, name: str) -> None:
    """A variable that would break the proof of which kernel runs is the user's mistake."""
    with pytest.raises(ConfigError, match=name):
        site.outcome(site.linux.first, replace(TINY, make_vars=((name, "x"),)))


def test_a_missing_compiler_is_named_with_its_package(site: Site) -> None:
    """A compiler that isn't installed stops at once; for a cross compiler the package is named."""
    with pytest.raises(ToolMissing, match="gcc-99") as raised:
        site.outcome(site.linux.first, replace(TINY, compilers=(Compiler("gcc-99"),)))
    assert raised.value.hint == "apt-get install gcc-99"
    site.proc = Bare()
    builder = site.builder()
    builder.toolchains.machine = "riscv64"
    with pytest.raises(ToolMissing) as raised:
        builder.build(
            BuildRecipe(Arch.AARCH64), site.linux.first, log=site.log("x"), deadline=Deadline.after(SystemClock(), 60)
        )
    assert raised.value.hint == "apt-get install gcc-aarch64-linux-gnu"


def test_a_compiler_for_another_machine_is_refused(site: Site) -> None:
    """A compiler that makes code for another architecture would fail in a thousand odd ways: it is told up front."""
    with pytest.raises(ConfigError, match="makes code for aarch64"):
        site.outcome(site.linux.first, replace(TINY, compilers=(Compiler("aarch64-linux-gnu-gcc"),)))


def test_stopping_the_bot_ends_its_build(site: Site) -> None:
    """A build in another thread ends with an infrastructure fault, soon after the bot was told to stop."""
    commit = site.linux.commit("hm", {"BREAK": "hang\n"})
    faults: list[InfraError] = []

    def build() -> None:
        try:
            site.outcome(commit)
        except InfraError as fault:
            faults.append(fault)

    thread = threading.Thread(target=build)
    thread.start()
    while not any(words[-1] == "bzImage" for words in site.proc.ran):
        thread.join(0.005)
    site.proc.stop_all()
    thread.join(20)
    assert [type(fault) for fault in faults] == [InfraError]


def test_a_cache_that_make_can_t_work_in_is_told_up_front(site: Site, tmp_path: Path) -> None:
    """A folder with a space in its name would break every commit: it is the user's setting, told before any build."""
    site.folder = tmp_path / "my cache"
    with pytest.raises(ConfigError, match="my cache") as raised:
        site.outcome(site.linux.first)
    assert "BISECTBOT_CACHE" in raised.value.hint
