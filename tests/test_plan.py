"""Ranges in the user's words: what can be bisected is resolved, what can't is refused with the way out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from history import History, git, line, make_history

from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.errors import ConfigError
from bisectbot.model import Terms
from bisectbot.plan import RangeRequest, check_range

# main: c0 - c1 - c2, and a side branch from c1
_FORK: dict[str, Sequence[str]] = {"c0": (), "c1": ("c0",), "side": ("c1",), "c2": ("c1",)}


@pytest.fixture
def fork(tmp_path: Path) -> History:
    """Return a history with a side branch that main doesn't contain."""
    return make_history(tmp_path / "user", _FORK)


Check = Callable[[History, str, str], None]


def _graph(history: History) -> GitGraph:
    return GitGraph(open_git(history.path))


def test_names_become_full_hashes(fork: History) -> None:
    """A branch, a relative name and an abbreviation all end as the commits they name; a good end counts once."""
    asked = RangeRequest("main", ("main~2", fork["c0"][:10]))
    range_ = check_range(_graph(fork), asked)
    assert (range_.bad, range_.goods) == (fork["c2"], (fork["c0"],))


@pytest.mark.parametrize(
    ("bad", "good", "says"),
    [
        ("main", "nonsense", "'nonsense': no such commit"),
        ("nonsense", "main~2", "'nonsense': no such commit"),
        ("main~2", "main", "the ends are swapped"),
        ("main", "main", "the same commit"),
        ("--all", "main~1", "'--all': no such commit"),
    ],
)
def test_ends_that_cannot_be_bisected_are_refused(fork: History, bad: str, good: str, says: str) -> None:
    """Unknown, swapped and equal ends are refused with what is wrong."""
    with pytest.raises(ConfigError, match=says):
        check_range(_graph(fork), RangeRequest(bad, (good,)))


def test_a_good_end_on_a_side_branch_is_refused_with_the_merge_base(fork: History) -> None:
    """A good end that is no ancestor of the bad one is refused, and their merge base offered as it can be typed."""
    with pytest.raises(ConfigError) as caught:
        check_range(_graph(fork), RangeRequest("main", (fork["side"],)))
    assert f"--good {fork['c1']}" in caught.value.hint


def test_a_tree_that_is_no_kernel_is_refused(fork: History) -> None:
    """A repository without Kconfig and merge_config.sh is refused, and what it lacks is named."""
    git(fork.path, "rm", "-q", "Kconfig")
    git(fork.path, "commit", "-qm", "no Kconfig")
    with pytest.raises(ConfigError, match=r"not a Linux tree.*Kconfig"):
        check_range(_graph(fork), RangeRequest("main", ("main~1",)))


def test_a_shallow_clone_is_refused(tmp_path: Path) -> None:
    """A clone whose history is cut off is refused, with the command that mends it."""
    whole = make_history(tmp_path / "whole", line(6))
    git(tmp_path, "clone", "-q", "--depth", "3", f"file://{whole.path}", "shallow")
    with pytest.raises(ConfigError) as caught:
        check_range(GitGraph(open_git(tmp_path / "shallow")), RangeRequest("HEAD", ("HEAD~1",)))
    assert caught.value.hint == "git fetch --unshallow"


def test_paths_that_no_commit_touches_are_refused(fork: History) -> None:
    """A --path outside of everything in the range is a mistake, not an empty search."""
    with pytest.raises(ConfigError, match="--path"):
        check_range(_graph(fork), RangeRequest("main", ("main~2",), paths=("no/such/file",)))


@pytest.mark.parametrize(
    "terms", [Terms("bad", "bad"), Terms("skip", "good"), Terms("with space", "good"), Terms("", "x")]
)
def test_terms_that_git_refuses_are_refused_first(fork: History, terms: Terms) -> None:
    """Words that git bisect has a meaning for, or that are equal, are refused before anything is started."""
    with pytest.raises(ConfigError, match="terms"):
        check_range(_graph(fork), RangeRequest("main", ("main~2",), terms=terms))


@pytest.mark.parametrize("make", [lambda path: path / "missing", lambda path: path])
def test_a_folder_without_a_repository_is_refused(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """A path that isn't there, or is no repository, is named."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(ConfigError, match="--tree"):
        open_git(make(tmp_path / "plain"))
