"""Whole builds of the tiny kernel tree: what a kernel is, and what isn't built twice."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from buildsite import TINY, Site
from history import git

from bisectbot.build.compiled import listed
from bisectbot.model import Arch, BuildRecipe, Compiler, Span


def test_a_commit_becomes_a_kernel_that_names_it(site: Site) -> None:
    """The image is built from the commit's files, and its release carries the commit and a part of the store's key."""
    commit = site.linux.commit("another scheduler", {"kernel/sched.c": "int schedule(void) { return 1; }\n"})
    kernel = site.build(commit)
    assert kernel.commit == commit
    assert kernel.release == f"6.1.0-bb-{commit[:12]}-{kernel.key[:8]}"
    assert kernel.image.read_text().splitlines()[0] == kernel.release
    assert "return 1" in kernel.image.read_text()
    assert "CONFIG_PRINTK=y" in kernel.config.read_text()
    assert not kernel.from_store
    assert kernel.seconds > 0


def test_the_log_begins_with_a_line_that_can_be_redone(site: Site) -> None:
    """Every command stands in the log as it can be pasted, and running the last one again needs no bisectbot."""
    kernel = site.build(site.linux.first)
    assert kernel.log == site.log(site.linux.first)
    commands = [line for line in kernel.log.read_text().splitlines() if line.startswith("$ ")]
    assert [line.rsplit(" ", 1)[1] for line in commands if line.endswith(("config", "bzImage"))]
    assert "KBUILD_BUILD_TIMESTAMP=" in commands[-1]
    assert commands[-1].endswith(" bzImage")
    assert os.system(commands[-1].removeprefix("$ ") + " >/dev/null") == 0  # noqa: S605  as a person would


def test_stamps_don_t_depend_on_who_builds_and_when(site: Site) -> None:
    """User, host, time and build number are fixed, so that equal sources give equal images."""
    log = site.build(site.linux.first).log
    assert log is not None
    assert re.search(r"KBUILD_BUILD_USER=bisectbot .*KBUILD_BUILD_VERSION=1 ", log.read_text())


def test_what_is_in_the_store_is_neither_checked_out_nor_made(site: Site) -> None:
    """The second build of a commit, in another session, runs no command, and leaves the worktree alone."""
    first = site.build(site.linux.first)
    (site.tree / "kernel/sched.c").write_text("marker")
    site.proc.ran.clear()
    again = site.build(site.linux.first)
    assert again.from_store
    assert (again.key, again.release, again.image) == (first.key, first.release, first.image)
    assert site.proc.ran == []
    assert (site.tree / "kernel/sched.c").read_text() == "marker"
    assert again.log is not None
    assert "is in the store" in again.log.read_text()


def test_an_equal_tree_is_the_same_kernel(site: Site) -> None:
    """A commit that changes no file gets the kernel of the one before it, with that one's release."""
    first = site.build(site.linux.first)
    empty = site.linux.commit("nothing changed", {})
    again = site.build(empty)
    assert again.from_store
    assert again.commit == empty
    assert again.release == first.release


def test_a_build_is_incremental(site: Site) -> None:
    """Only what a commit changed is compiled again."""
    site.build(site.linux.first)
    commit = site.linux.commit("a C file", {"kernel/sched.c": "int schedule(void) { return 3; }\n"})
    log = site.build(commit).log
    assert log is not None
    assert re.findall(r"CC +(\S+)", log.read_text()) == ["kernel/sched.o"]


def test_compilers_have_their_spans(site: Site) -> None:
    """The first compiler whose span holds the commit is the one that make gets; another compiler is another kernel."""
    old = site.linux.first
    new = site.linux.commit("needs a new compiler", {})
    recipe = replace(TINY, compilers=(Compiler("gcc -m64", Span(since=new)), Compiler("ccache gcc")))
    assert site.build(old, recipe).key == site.build(old).key
    assert site.build(new, recipe).key != site.build(old).key
    assert any(word.endswith("gcc -m64") for word in site.proc.ran[-1])


def test_make_variables_reach_make_and_the_key(site: Site) -> None:
    """A make variable of the user's is on the command line, and makes another kernel."""
    with_it = replace(TINY, make_vars=(("KCFLAGS", "-O1 -g"),))
    assert site.build(site.linux.first, with_it).key != site.build(site.linux.first).key
    assert any("KCFLAGS=-O1 -g" in words for words in site.proc.ran)


def test_cross_builds_name_the_prefix(site: Site) -> None:
    """A kernel for the other architecture is made with its cross compiler, in a folder of its own."""
    kernel = site.build(site.linux.first, BuildRecipe(Arch.AARCH64))
    assert {"ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "Image"} <= set(site.proc.ran[-1])
    assert "CONFIG_ARM64=y" in kernel.config.read_text()


def test_the_users_tree_is_never_touched(site: Site) -> None:
    """Whatever is built, the user's files, index and HEAD stay, dirty ones too."""
    (site.linux.path / "kernel/sched.c").write_text("int dirty;\n")
    before = git(site.linux.path, "status", "--porcelain"), git(site.linux.path, "rev-parse", "HEAD")
    site.build(site.linux.first)
    after = git(site.linux.path, "status", "--porcelain"), git(site.linux.path, "rev-parse", "HEAD")
    assert after == before
    assert git(site.tree, "status", "--porcelain") == ""


def test_a_kernel_tells_what_it_was_made_from(site: Site) -> None:
    """The list names the files of the tree, by their paths in it."""
    kernel = site.build(site.linux.first)
    assert listed(kernel) == frozenset({"init/main.c", "kernel/sched.c", "lib/string.c"})
    assert kernel.sources is not None
    kernel.sources.unlink()
    assert listed(kernel) is listed(replace(kernel, sources=None)) is None


def test_a_stored_kernel_is_built_again_for_its_sources_alone(site: Site) -> None:
    """One of a store that kept none is as good as any, until somebody asks for them: then it is made, once."""
    image = site.build(site.linux.first).image
    (image.parent / "contents.json").unlink()
    site.proc.ran.clear()
    without = site.build(site.linux.first)
    assert (without.sources, site.proc.ran) == (None, [])
    found = site.build(site.linux.first, sources=True)
    assert found.sources is not None
    assert found.image == image
    assert site.proc.targets() == ["bzImage"]
    assert site.build(site.linux.first, sources=True).from_store
    assert site.proc.targets() == ["bzImage"]
