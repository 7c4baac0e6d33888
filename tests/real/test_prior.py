"""What real kernels tell of the demo range: which commits they can see, and which of them are the same kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from real_demo import Demo

from bisectbot.build.compiled import listed
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.model import Arch, Kernel, Range
from bisectbot.search.prior import HIDDEN, twins, weights
from bisectbot.search.sight import Sight

pytestmark = pytest.mark.real

Examined = Callable[[Arch, str], Kernel]
ARCHES = pytest.mark.parametrize("arch", list(Arch))


@ARCHES
def test_the_culprit_can_be_seen_and_documentation_can_t(examined: Examined, demo: Demo, arch: Arch) -> None:
    """Both ends' own builds tell: the true culprit keeps its weight, and whatever is hidden changes no code."""
    graph = GitGraph(open_git(demo.path))
    good, bad = demo.truth["good"], demo.truth["bad"]
    commits = [commit for commit, _ in graph.history(Range(bad, (good,)))]
    touched = graph.touched(commits)
    lists = [listed(examined(arch, end)) for end in (good, bad)]
    sight = Sight.of(lists, [[path for path, _ in graph.blobs(end)] for end in (good, bad)])
    assert sight is not None
    prior = weights(commits, touched, sight)
    assert prior.shrunk is not None
    weight = dict(zip(commits, prior.weights / prior.weights.max(), strict=True))
    hidden = sorted(path for commit in commits if weight[commit] == pytest.approx(HIDDEN) for path in touched[commit])
    print(f"{arch}: {[len(one or ()) for one in lists]} files, {prior.shrunk}, hidden: {hidden}")  # noqa: T201  the figures, with -rP
    assert touched[demo.truth["culprit"]] == ("include/linux/resume_user_mode.h",)
    assert weight[demo.truth["culprit"]] == 1
    untestable = [commit for commits in demo.truth["untestable"].values() for commit in commits]
    assert {weight[commit] for commit in untestable} == {1}
    assert {path.partition("/")[0] for path in hidden} == {"Documentation"}
    assert 0 < prior.shrunk.visible < prior.shrunk.of == demo.truth["commits"]


@ARCHES
def test_kernels_are_twins_if_nothing_of_them_changed(examined: Examined, demo: Demo, arch: Arch) -> None:
    """A commit to documentation makes the kernel that was there before, to the digest; the culprit makes another."""
    bad, culprit = demo.truth["bad"], demo.truth["culprit"]
    revisions = (bad, f"{bad}^", culprit, f"{culprit}^")
    built = [examined(arch, revision) for revision in revisions]
    assert all(kernel.digest for kernel in built)
    assert len({kernel.release for kernel in built}) == 4
    found = twins([kernel.commit for kernel in built], {kernel.commit: kernel.digest for kernel in built})
    assert found == ((built[0].commit, built[1].commit),)
