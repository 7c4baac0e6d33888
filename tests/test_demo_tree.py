"""The demo tree: same hashes everywhere, an answer that bisection finds, and nothing that gives it away."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import plan, tree
from demo.edits import Add, Edit, FileEdit, Rename, Replace
from demo.errors import DemoError
from demo.nodes import Node, unfold
from demo.plan import CULPRIT, Plan
from demo.source import Source
from demo.tree import BAD, GOOD, DemoTree

_SHIPPED = Path(__file__).parent.parent / "demo"
_GIVEAWAYS = re.compile(
    r"\b(break|broke|fix(e[sd]|up)?\b|regress|demo|bug|crash|panic|hang|hung|compile|build|bad|wrong|culprit|revert|oops)",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def shipped() -> Plan:
    """The plan that comes with bisectbot."""
    return plan.read(_SHIPPED)


@pytest.fixture
def sources(tmp_path: Path, shipped: Plan) -> Source:
    """An archive that holds just enough for every anchor of the shipped plan."""
    return _archive(tmp_path / "sources.tar.xz", _anchors(shipped))


def test_the_same_sources_give_the_same_hashes_on_every_machine(
    tmp_path: Path, shipped: Plan, sources: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither umask nor a user's git configuration, dates or hooks change a hash."""
    first = tree.obtain(tmp_path / "one", shipped, sources)
    config = tmp_path / "home" / ".gitconfig"
    config.write_text(
        "[core]\n autocrlf = true\n fileMode = false\n[init]\n defaultBranch = other\n[user]\n name = X\n"
    )
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        second = tree.obtain(tmp_path / "two", shipped, sources)
    finally:
        os.umask(before)
    assert _git(first, "rev-list", "--all") == _git(second, "rev-list", "--all") != ""
    assert first.truth.read_text() == second.truth.read_text()


def test_files_links_and_modes_are_the_archives(tmp_path: Path, shipped: Plan, sources: Source) -> None:
    """Ignored files are in, an executable is 100755, any other file 100644, and a link stays a link."""
    made = tree.obtain(tmp_path / "home", shipped, sources)
    listed = {row.split("\t")[1]: row.split()[0] for row in _git(made, "ls-tree", "-r", GOOD).splitlines()}
    assert listed["scripts/run.sh"] == "100755"
    assert listed["link"] == "120000"
    assert listed["ignored.o"] == "100644"
    assert (made.path / "link").readlink() == Path("scripts/run.sh")
    assert _git(made, "status", "--porcelain") == ""
    assert (made.path / "kernel" / "groups.c").exists()


def test_bisection_ends_on_the_culprit(tmp_path: Path, shipped: Plan, sources: Source) -> None:
    """Git, told the truth and made to skip what can't be tested, names the culprit and nothing else."""
    made = tree.obtain(tmp_path / "home", shipped, sources)
    truth = json.loads(made.truth.read_text())
    bad = set(_git(made, "rev-list", "--ancestry-path", f"{truth['culprit']}..{BAD}").split()) | {truth["culprit"]}
    skip = {commit for commits in truth["untestable"].values() for commit in commits}
    said = _git(made, "bisect", "start", "--no-checkout", BAD, GOOD)
    for _ in range(int(truth["commits"])):
        if "is the first bad commit" in said or "only 'skip'ped" in said:
            break
        commit = _git(made, "rev-parse", "BISECT_HEAD").strip()
        said = _git(made, "bisect", "skip" if commit in skip else "bad" if commit in bad else "good")
    assert said.startswith(f"{truth['culprit']} is the first bad commit")


def test_merges_are_what_git_would_make(tmp_path: Path, shipped: Plan, sources: Source) -> None:
    """Each merge commit holds both sides and nothing else."""
    made = tree.obtain(tmp_path / "home", shipped, sources)
    merges = _git(made, "rev-list", "--merges", BAD).split()
    assert len(merges) >= 3
    for merge in merges:
        ours, theirs = _git(made, "show", "-s", "--format=%P", merge).split()
        assert _git(made, "merge-tree", "--write-tree", ours, theirs).strip() == _tree(made, merge)


def test_a_tree_is_made_once(tmp_path: Path, shipped: Plan, sources: Source) -> None:
    """The second time it is taken from the cache; what a killed run left is cleared away."""
    left = tmp_path / "home" / "linux-old.part" / ".git"
    left.mkdir(parents=True)
    first = tree.obtain(tmp_path / "home", shipped, sources)
    assert first.made
    assert not left.exists()
    assert tree.obtain(tmp_path / "home", shipped, sources) == DemoTree(first.path, first.truth, made=False)


def test_sources_that_lack_an_anchor_are_named(tmp_path: Path, shipped: Plan) -> None:
    """Another version of the sources, in which an edit finds no place, is an error, and no tree is left."""
    files = _anchors(shipped)
    files["init/main.c"] = "int main(void);\n"
    with pytest.raises(DemoError, match=r"init/main\.c of linux-source-9\.9 9\.9-1 doesn't take the edit of 'init: "):
        tree.obtain(tmp_path / "home", shipped, _archive(tmp_path / "sources.tar.xz", files))
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["lock"]


def test_a_cut_archive_is_named(tmp_path: Path, shipped: Plan, sources: Source) -> None:
    """An archive that ends too early is an error, and no tree is left."""
    with sources.archive.open("r+b") as archive:
        archive.truncate(sources.archive.stat().st_size // 2)
    with pytest.raises(DemoError, match=r"sources\.tar\.xz: can't be read"):
        tree.obtain(tmp_path / "home", shipped, sources)
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (Replace("b", "x"), "abc", "axc"),
        (Add("two", "new", after=True), "one\ntwo\nthree\n", "one\ntwo\nnew\nthree\n"),
        (Add("two", "new\n", after=False), "one\ntwo\nthree\n", "one\nnew\ntwo\nthree\n"),
        (Rename("i", "cpu", "int g("), "int f(i)\n{\n}\nint g(i)\n{\n i++; hi(i);\n}\nint i;\n", None),
    ],
)
def test_edits_change_only_their_place(edit: Edit, before: str, after: str | None) -> None:
    """A replacement, added lines and a renamed local leave the rest of the file alone."""
    wanted = after or "int f(i)\n{\n}\nint g(cpu)\n{\n cpu++; hi(cpu);\n}\nint i;\n"
    assert edit.apply(before) == wanted


@pytest.mark.parametrize(
    "edit",
    [Replace("twice", "x"), Replace("absent", "x"), Add("twice", "x", after=True), Rename("a", "b", "absent(")],
)
def test_an_anchor_must_be_there_exactly_once(edit: Edit) -> None:
    """No edit guesses which of several places is meant, or does nothing in silence."""
    with pytest.raises(DemoError, match="instead of once"):
        edit.apply("twice twice\n")


def test_the_shipped_history_has_what_the_demo_promises(shipped: Plan) -> None:
    """One culprit, five commits that can't be tested, 32 commits or more, and three merges or more."""
    nodes = unfold(shipped, "import").nodes
    kinds = sorted(node.kind for node in nodes if node.kind)
    assert kinds == ["boot-hang", "boot-panic", CULPRIT, "no-compile", "no-compile", "probe-crash"]
    assert len(nodes) > 32
    assert sum(len(node.parents) > 1 for node in nodes) >= 3


def test_each_untestable_commit_is_mended_by_the_next(shipped: Plan) -> None:
    """It has exactly one child, which is an ordinary commit on the same line."""
    nodes = unfold(shipped, "import").nodes
    for at, node in enumerate(nodes):
        if node.kind and node.kind != CULPRIT:
            (child,) = (other for other in nodes if at in other.parents)
            assert child.parents == (at,)
            assert not child.kind


def test_some_side_lines_lack_the_culprit(shipped: Plan) -> None:
    """A line that began before the culprit and was merged after it is good to its tip."""
    nodes = unfold(shipped, "import").nodes
    culprit = next(at for at, node in enumerate(nodes) if node.kind == CULPRIT)
    sides = [node.parents for node in nodes if len(node.parents) > 1]
    assert any((culprit in _ancestors(nodes, ours)) != (culprit in _ancestors(nodes, theirs)) for ours, theirs in sides)


def test_messages_give_nothing_away(shipped: Plan) -> None:
    """No message of the history says which commits are special."""
    telling = [node.message for node in unfold(shipped, "import").nodes if _GIVEAWAYS.search(node.message)]
    assert telling == []


def test_messages_are_in_the_kernels_form(shipped: Plan) -> None:
    """A title of at most 72 characters, a blank line, a body of at most 75, and who signed it."""
    for node in unfold(shipped, "import").nodes[1:]:
        title, blank, *body = node.message.splitlines() + [""] * (len(node.parents) > 1)
        assert (len(title) <= 72, blank) == (True, "")
        assert all(len(line) <= 75 for line in body)
        assert len(node.parents) > 1 or f"Signed-off-by: {node.author}" in body


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"umh-done"', "", "named exactly once: umh-done"),
        ("steps = [", "steps = [ { on = 3 },", "not a step"),
        ("steps = [", "steps = [ [", "history.toml"),
    ],
)
def test_a_mistake_in_the_plan_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A commit that is forgotten, a step that is none, and broken TOML are errors that name the file or the commit."""
    (tmp_path / "commits").symlink_to(_SHIPPED / "commits")
    (tmp_path / "history.toml").write_text((_SHIPPED / "history.toml").read_text().replace(old, new))
    with pytest.raises(DemoError, match=said):
        plan.read(tmp_path)


def _git(made: DemoTree, *args: str) -> str:
    argv = ("git", *args)
    done = subprocess.run(argv, cwd=made.path, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def _tree(made: DemoTree, commit: str) -> str:
    return _git(made, "rev-parse", f"{commit}^{{tree}}").strip()


def _ancestors(nodes: tuple[Node, ...], at: int) -> set[int]:
    return {at}.union(*(_ancestors(nodes, parent) for parent in nodes[at].parents))


def _archive(path: Path, files: dict[str, str]) -> Source:
    with tarfile.open(path, "w:xz") as archive:
        for name, text in {**files, "scripts/run.sh": "#!/bin/sh\n", "ignored.o": "x", ".gitignore": "*.o\n"}.items():
            row = tarfile.TarInfo(f"linux-source-9.9/{name}")
            row.size, row.mode = len(text.encode()), 0o775 if name.endswith(".sh") else 0o640
            archive.addfile(row, io.BytesIO(text.encode()))
        link = tarfile.TarInfo("linux-source-9.9/link")
        link.type, link.linkname = tarfile.SYMTYPE, "scripts/run.sh"
        archive.addfile(link)
    return Source(path, "linux-source-9.9", "9.9-1")


def _anchors(shipped: Plan) -> dict[str, str]:
    """Return for each file of the plan a text in which every edit finds its place."""
    files: dict[str, str] = {}
    put: dict[str, str] = {}  # by the edits so far: a later one may stand on it
    for change in _file_edits(shipped):
        file, text = change.file, files.get(change.file, "")
        match change.edit:
            case Rename(old, _, function):
                body = f"{function}\n{{\n"
                text = text.replace(body, f"{body}\t{old};\n") if body in text else f"{text}{body}\t{old};\n}}\n\n"
            case Replace(anchor, new):
                text += "" if anchor in put.get(file, "") else f"{anchor}\n\n"
                put[file] = put.get(file, "") + f"{new}\n\n"
            case Add(anchor, _, _):
                text += "" if anchor in text else f"{anchor}\n\n"
        files[file] = text
    return files


def _file_edits(shipped: Plan) -> Iterator[FileEdit]:
    for node in unfold(shipped, "import").nodes:
        if len(node.parents) == 1:
            yield from node.edits
