"""By hand: the commands of a report work, and git's log replays, without bisectbot."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from history import git, line, make_history
from markdown_it import MarkdownIt
from report_samples import (
    CULPRIT,
    ENDINGS,
    QEMU,
    session,
    sha,
)

from bisectbot.model import (
    Compiler,
    Culprit,
    EndUnproven,
    Judgement,
    Range,
    Span,
    Verdict,
)
from bisectbot.report import BISECT_LOG, MARKDOWN, draw_up, files
from bisectbot.report.byhand import commands
from bisectbot.report.shellwords import without_token

TINYLINUX = Path(__file__).parent / "tinylinux"


def test_no_token_by_hand() -> None:
    """The word that proves a boot to be the bot's is not handed out, nor where its console went."""
    script = commands(session())
    assert "bisectbot.token" not in script
    assert "console=ttyS0 tsc_early_khz=2600000 bisectbot.trials=3" in script
    assert without_token("a bisectbot.token=00 b") == "a b"


@pytest.mark.parametrize(
    ("native", "cross"), [("x86_64", ""), ("", ""), ("aarch64", "CROSS_COMPILE=x86_64-linux-gnu-")]
)
def test_cross_builds_by_hand(native: str, cross: str) -> None:
    """A cross compiler is named if the machine that builds is of another architecture."""
    script = commands(replace(session(), native=native))
    assert cross in script
    assert bool(cross) == ("CROSS_COMPILE" in script)


@pytest.mark.parametrize("ending", ["culprit", "end-unproven", "only-skipped"])
def test_which_commit_by_hand(ending: str) -> None:
    """By hand one looks at the culprit, at the end that isn't what it should be, or at the bad end."""
    wanted = CULPRIT if ending == "culprit" else sha("v5.9-rc1")
    assert f'worktree add --detach "$W/tree" {wanted}' in draw_up(ENDINGS[ending]).by_hand


def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script builds and boots the commit with git, make and QEMU (a stand-in), and leaves the user's tree alone."""
    tree = tmp_path / "my linux's"
    shutil.copytree(TINYLINUX, tree)
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "tiny")
    commit = git(tree, "rev-parse", "HEAD")
    (tree / "dirty").write_text("mine")
    fragment = tmp_path / "a fragment.config"
    fragment.write_text("CONFIG_SMP=y\n")
    qemu = tmp_path / "qemu stand-in"
    qemu.write_text('#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -kernel ] && test -s "$2"; echo "$1"; shift; done\n')
    qemu.chmod(0o755)
    whole = session(EndUnproven(commit, Verdict.BAD, Judgement(Verdict.GOOD, "clean")), ())
    recipe = replace(whole.build, fragments=(fragment,), compilers=(Compiler("gcc", Span()),), fixups=())
    script = commands(replace(whole, tree=tree, build=recipe, boot_argv=(str(qemu), *QEMU[1:])))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, done.stderr
    assert "tsc_early_khz=2600000" in done.stdout
    assert git(tree, "worktree", "list").count("\n") == 0
    assert git(tree, "status", "--porcelain") == "?? dirty"
    assert list(tmp_path.glob("tmp.*")) == []


def test_the_log_replays(tmp_path: Path) -> None:
    """The log in the report, and its block in the Markdown, bring a fresh clone to the same culprit by git alone."""
    history = make_history(tmp_path / "linux", line(12))
    git(history.path, "bisect", "start", history["c11"], history["c00"])
    while (head := git(history.path, "rev-parse", "HEAD")) and not done(history.path):
        git(history.path, "bisect", "bad" if history.title(head) >= "c07" else "good")
    log = git(history.path, "bisect", "log") + "\n"
    whole = session(Culprit(history["c07"]))
    range_ = Range(history["c11"], (history["c00"],))
    texts = files(draw_up(replace(whole, range_=range_, bisect_log=log)))
    assert texts[BISECT_LOG] == log
    fences = [token.content for token in MarkdownIt().parse(texts[MARKDOWN]) if token.type == "fence"]
    for number, text in enumerate((log, next(text for text in fences if "git bisect start" in text))):
        clone = tmp_path / f"clone{number}"
        git(tmp_path, "clone", "-q", str(history.path), str(clone))
        (tmp_path / "log").write_text(text)
        git(clone, "bisect", "replay", str(tmp_path / "log"))
        assert git(clone, "rev-parse", "refs/bisect/bad") == history["c07"]
        assert done(clone)


def done(path: Path) -> bool:
    """Whether git has named the first bad commit."""
    return "# first bad commit:" in git(path, "bisect", "log")
