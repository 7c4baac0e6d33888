"""The history of a range as the search sees it, and how what is built changes what is likely beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import a_kernel, a_plan
from history import History, line, make_history
from worlds import MERGES

from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.facts import Built, Opened, Row, State, replay
from bisectbot.model import Kernel, Range
from bisectbot.plan import PriorKind, PriorRule, SearchRecipe
from bisectbot.search.dag import Dag
from bisectbot.search.past import Lens, Past, View, past_of
from bisectbot.search.prior import HIDDEN, MERGED

GOOD_END, OTHER_GOOD = "a" * 40, "b" * 40
COMMITS = tuple(f"{place:040x}" for place in range(8))
TOUCHED = {commit: ("fs/x.c",) if place % 2 else ("kernel/fork.c",) for place, commit in enumerate(COMMITS)}
LINE = Dag(COMMITS, [[place - 1] if place else [] for place in range(8)])
TREE = frozenset({"fs/x.c", "kernel/fork.c"})
PAST = Past(LINE, TOUCHED, dict.fromkeys(COMMITS, "A <a@example.org>"), (TREE, TREE))
RECIPE = SearchRecipe(confidence=0.97, older=0.1, background=1e-3, show_within=77.0)


def compiled(kernel: Kernel) -> frozenset[str] | None:
    """Tell that every kernel was made from one file."""
    del kernel
    return frozenset({"kernel/fork.c"})


def session(*built: Kernel, goods: tuple[str, ...] = (GOOD_END,)) -> State:
    """Return a session that has built these kernels."""
    plan = a_plan(Path("/tree"), Range(COMMITS[-1], goods), search=RECIPE)
    state = replay([Row(0.0, Opened(plan, {})), *(Row(1.0, Built(kernel)) for kernel in built)])
    assert state is not None
    return state


def kernels(digests: Mapping[str, str]) -> list[Kernel]:
    """Return kernels with their digests, by commit."""
    return [replace(a_kernel(commit), digest=digest) for commit, digest in digests.items()]


def view(*built: Kernel, past: Past = PAST, recipe: SearchRecipe = RECIPE) -> View:
    """Return what a fresh lens shows of a session."""
    return Lens(past, recipe, compiled).view(session(*built))


# --- what git knows


def in_titles(history: History, past: Past) -> dict[str, list[str]]:
    """Return the parents of each commit, by titles."""
    dag = past.dag
    name = {commit: title for title, commit in history.commits.items()}
    return {
        name[commit]: [name[dag.commits[one]] for one in row]
        for commit, row in zip(dag.commits, dag.parents, strict=True)
    }


def read(history: History, bad: str, *goods: str, paths: Sequence[str] = (), first_parent: bool = False) -> Past:
    """Return the past of a range of titles."""
    range_ = Range(history[bad], tuple(history[good] for good in goods), tuple(paths), first_parent)
    return past_of(GitGraph(open_git(history.path)), range_)


@pytest.fixture
def merges(tmp_path: Path) -> History:
    """Return a history with two side branches."""
    return make_history(tmp_path / "user", MERGES)


def test_the_graph_of_a_range_is_gits(merges: History) -> None:
    """Every commit but the good end and what it contains, with its parents, the bad end last."""
    past = read(merges, "tip", "base")
    assert in_titles(merges, past) == {
        title: [parent for parent in parents if parent != "base"]
        for title, parents in MERGES.items()
        if title != "base"
    }
    assert past.dag.commits[-1] == merges["tip"]
    assert past.dag.ancestors(len(past.dag) - 1).all()
    assert past.touched[merges["s1"]] == ("files/s1",)
    assert past.authors[merges["s1"]] == "A. Tester <tester@example.org>"


def test_several_good_ends_cut_the_range(merges: History) -> None:
    """What any of them contains is out, and the trees of all ends are known, the bad one's first."""
    past = read(merges, "tip", "s2", "m1")
    assert set(in_titles(merges, past)) == {"m2", "merge-s", "t1", "t2", "m3", "merge-t", "m4", "tip"}
    assert len(past.trees) == 3
    assert "files/tip" in past.trees[0] - past.trees[1]
    assert "files/s2" in past.trees[1] - past.trees[2]


def test_along_first_parents_there_is_a_line(merges: History) -> None:
    """A merge stands for its whole branch, and has one parent."""
    past = read(merges, "tip", "base", first_parent=True)
    titles = ["m1", "m2", "merge-s", "m3", "merge-t", "m4", "tip"]
    assert in_titles(merges, past) == {title: titles[max(0, at - 1) : at] for at, title in enumerate(titles)}


def test_paths_leave_the_commits_that_touch_them(tmp_path: Path) -> None:
    """Parents are the nearest that remain; the bad end stays, though it touches none of the paths."""
    history = make_history(tmp_path / "user", line(9))
    past = read(history, "c08", "c00", paths=["files/c02", "files/c05"])
    assert in_titles(history, past) == {"c02": [], "c05": ["c02"], "c08": ["c05"]}
    assert past.dag.ancestors(2).all()


# --- what is likely beforehand


def test_the_settings_are_the_users() -> None:
    """What the user asked for reaches the search."""
    settings = view().problem.settings
    assert (settings.confidence, settings.older, settings.background, settings.show_within) == (0.97, 0.1, 1e-3, 77.0)


def test_before_the_ends_are_built_all_commits_are_alike() -> None:
    """Without sight there is no figure of what was saved, and the flat prior is flat."""
    for known in (view(), view(*kernels({COMMITS[-1]: "1"}))):
        assert known.problem.prior == pytest.approx([1 / 8] * 8)
        assert known.shrunk is None
        assert known.twins == ()


def test_what_the_ends_were_made_from_hides_commits() -> None:
    """Once both are built: commits that touch nothing of either are unlikely; the flat prior doesn't know of it."""
    known = view(*kernels({COMMITS[-1]: "1", GOOD_END: "2"}))
    prior = known.problem.prior
    assert prior.sum() == pytest.approx(1)
    assert prior / prior[0] == pytest.approx([1, HIDDEN] * 4)
    assert known.shrunk is not None
    assert (known.shrunk.visible, known.shrunk.of) == (4, 8)
    assert known.flat.prior == pytest.approx([1 / 8] * 8)
    assert known.flat.settings == known.problem.settings


def test_sight_takes_all_good_ends() -> None:
    """One that isn't built may have been made from anything."""
    lens = Lens(replace(PAST, trees=(TREE, TREE, TREE)), RECIPE, compiled)
    one, both = kernels({COMMITS[-1]: "1", GOOD_END: "2"}), kernels({OTHER_GOOD: "3"})
    goods = (GOOD_END, OTHER_GOOD)
    assert lens.view(session(*one, goods=goods)).shrunk is None
    assert lens.view(session(*one, *both, goods=goods)).shrunk is not None


def test_kernels_whose_lists_are_lost_hide_nothing() -> None:
    """A build of an older version has no list of its sources."""
    lens = Lens(PAST, RECIPE, lambda kernel: None if kernel.commit == GOOD_END else compiled(kernel))
    known = lens.view(session(*kernels({COMMITS[-1]: "1", GOOD_END: "2"})))
    assert known.problem.prior == pytest.approx([1 / 8] * 8)


def test_rules_and_authors_count() -> None:
    """What users say is likelier is so, with or without sight; a merge that changes nothing itself is unlikely."""
    rules = (PriorRule(PriorKind.PATH, "fs/", 5.0), PriorRule(PriorKind.AUTHOR, "zed", 2.0))
    past = replace(PAST, authors={**PAST.authors, COMMITS[2]: "Zed <z@z>"}, touched={**TOUCHED, COMMITS[4]: ()})
    prior = view(past=past, recipe=replace(RECIPE, priors=rules)).problem.prior
    assert prior / prior[0] == pytest.approx([1, 5, 2, 5, 1, 5, 1, 5])
    ends = kernels({COMMITS[-1]: "1", GOOD_END: "2"})
    seen = view(*ends, past=past).problem.prior
    assert seen / seen[0] == pytest.approx([1, HIDDEN, 1, HIDDEN, MERGED, HIDDEN, 1, HIDDEN])


def test_what_lies_between_equal_kernels_is_nearly_impossible() -> None:
    """Commits 3 to 5 changed nothing of the kernel: little is left for them, and for the others what they had."""
    known = view(*kernels({COMMITS[2]: "same", COMMITS[5]: "same", COMMITS[6]: "other"}))
    prior = known.problem.prior
    assert prior / prior[0] == pytest.approx([1, 1, 1, HIDDEN, HIDDEN, HIDDEN, 1, 1])
    assert prior.sum() == pytest.approx(1)
    assert known.twins == ((COMMITS[2], COMMITS[5]),)
    assert known.flat.prior == pytest.approx([1 / 8] * 8)


def test_a_commit_like_the_good_end_clears_all_that_it_contains() -> None:
    """The good end contains nothing of the range."""
    prior = view(*kernels({GOOD_END: "same", COMMITS[4]: "same"})).problem.prior
    assert prior / prior[7] == pytest.approx([HIDDEN] * 5 + [1] * 3)


def test_equal_sides_of_a_merge_clear_what_they_dont_share() -> None:
    """0 - 1 and 0 - 2 are one kernel: neither 1 nor 2 changed it, of 0 and of the merge nothing is said."""
    dag = Dag(COMMITS[4:], [[], [0], [0], [1, 2]])
    past = replace(PAST, dag=dag)
    prior = view(*kernels({COMMITS[5]: "same", COMMITS[6]: "same"}), past=past).problem.prior
    assert prior / prior[0] == pytest.approx([1, HIDDEN, HIDDEN, 1])


def test_nothing_is_ever_impossible() -> None:
    """However many kernels are the same, and if both ends are: then nothing can be said."""
    many = view(*kernels(dict.fromkeys(COMMITS[:7], "same"))).problem.prior
    assert np.all(many > 0)
    assert many[0] + many[7] > 0.99  # of what all of them contain they say nothing
    ends = view(*kernels({GOOD_END: "same", COMMITS[-1]: "same"})).problem.prior
    assert np.all(ends > 0)
    assert ends[1] / ends[0] == pytest.approx(HIDDEN)  # by sight, and by nothing else


def test_if_all_kernels_are_the_same_nothing_is_said() -> None:
    """Both ends and one between them: something must have changed, and no commit is likelier than another to have."""
    digests = {GOOD_END: "same", COMMITS[3]: "same", COMMITS[-1]: "same"}
    prior = Lens(PAST, RECIPE, lambda _: None).view(session(*kernels(digests))).problem.prior
    assert prior == pytest.approx([1 / 8] * 8)


def test_many_equal_kernels_say_no_more_than_two() -> None:
    """That 3 changed nothing is told by the kernels before and behind it, once."""
    few, many = (
        view(*kernels(dict.fromkeys((COMMITS[place] for place in places), "same"))).problem.prior
        for places in ((2, 5), (2, 3, 4, 5))
    )
    assert many == pytest.approx(few)


def test_kernels_without_a_digest_are_nobodys_twins() -> None:
    """Not known is not equal."""
    assert view(*kernels({COMMITS[2]: "", COMMITS[5]: ""})).twins == ()


def test_a_view_is_made_once() -> None:
    """The same until something was built that matters: a digest, or an end."""
    made: list[str] = []

    def sources(kernel: Kernel) -> frozenset[str]:
        made.append(kernel.commit)
        return frozenset({"kernel/fork.c"})

    lens = Lens(PAST, RECIPE, sources)
    ends = kernels({COMMITS[-1]: "1", GOOD_END: "2"})
    first = lens.view(session(*ends))
    assert lens.view(session(*ends)) is first
    assert made == [COMMITS[-1], GOOD_END]
    assert lens.view(session(*ends, *kernels({COMMITS[3]: "3"}))) is not first
    assert lens.view(session(*ends)).problem.prior == pytest.approx(first.problem.prior)
