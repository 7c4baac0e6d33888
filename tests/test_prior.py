"""Priors: what a configuration can see of a range, what users say is likelier, and kernels that are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from history import History, line, make_history
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.cli.options import prior_rules
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.errors import ConfigError
from bisectbot.odds import Shrunk
from bisectbot.plan import PriorKind, PriorRule
from bisectbot.search.prior import HIDDEN, MERGED, default_rules, twins, weights
from bisectbot.search.sight import Sight

COMPILED = ("kernel/fork.c", "include/linux/sched.h", "arch/arm64/kvm/arm.c", "arch/arm/xen/mm.c", "usr/cpio_list")
THERE = (*COMPILED, "fs/btrfs/super.c", "fs/btrfs/ctree.h", "arch/x86/kvm/x86.c", "arch/arm64/boot/dts/a.dts")
SIGHT = Sight(frozenset(COMPILED), frozenset(THERE))


@pytest.mark.parametrize(
    "path",
    [
        "kernel/fork.c",
        "include/linux/sched.h",
        "Makefile",
        "fs/btrfs/Makefile",
        "fs/btrfs/Kconfig",
        "lib/Kconfig.debug",
        "arch/x86/Kconfig",
        "arch/Kconfig",
        "arch/arm64/Makefile",
        "arch/arm/Makefile",
        "arch/arm64/kernel/vmlinux.lds.S",
        "arch/arm64/configs/defconfig",
        "arch/arm64/tools/sysreg",
        "virt/kvm/Makefile.kvm",
        "scripts/mod/modpost.c",
        "scripts/head-object-list.txt",
        "tools/objtool/check.c",
        "tools/include/linux/list.h",
        "include/asm-generic/Kbuild",
        "kernel/time/timeconst.bc",
        "drivers/tty/vt/defkeymap.c_shipped",
        "usr/cpio_list",
        "fs/btrfs/came-and-went.c",
        "include/linux/came-and-went.h",
    ],
)
def test_what_can_change_the_kernel_is_seen(path: str) -> None:
    """What was compiled, what steers or makes the build, and sources of which neither end knows anything."""
    assert SIGHT.sees(path)


@pytest.mark.parametrize(
    "path",
    [
        "fs/btrfs/super.c",
        "fs/btrfs/ctree.h",
        "arch/x86/kvm/x86.c",
        "arch/x86/Makefile",
        "arch/x86/configs/x86_64_defconfig",
        "arch/riscv/kernel/new.c",
        "arch/arm64/boot/dts/a.dts",
        "Documentation/process/howto.rst",
        "Documentation/Makefile",
        "LICENSES/preferred/GPL-2.0",
        "MAINTAINERS",
        ".mailmap",
        "fs/btrfs/.gitignore",
        "fs/btrfs/README",
        "tools/testing/selftests/kvm/Makefile",
        "tools/perf/builtin-top.c",
    ],
)
def test_what_no_end_was_made_from_is_not_seen(path: str) -> None:
    """Sources of the tree that neither end compiled, other architectures, documentation, tools of their own."""
    assert not SIGHT.sees(path)


def test_both_ends_must_be_known() -> None:
    """A file that went into the good end alone can hold the bug's cause; without that list nothing is hidden."""
    lists = [frozenset({"a.c"}), frozenset({"b.c"})]
    assert Sight.of(lists, [["a.c"], ["b.c", "c.c"]]) == Sight(
        frozenset({"a.c", "b.c"}), frozenset({"a.c", "b.c", "c.c"})
    )
    assert Sight.of([*lists, None], [[], [], []]) is None
    assert Sight.of([], []) is None


def test_hidden_commits_and_clean_merges_are_unlikely_and_never_impossible() -> None:
    """A hidden commit weighs 1e-4 of a visible one, a merge that changes nothing itself 1e-2."""
    touched = {"a": ["kernel/fork.c", "MAINTAINERS"], "b": ["fs/btrfs/super.c"], "m": [], "c": ["Makefile"]}
    prior = weights("abmc", touched, SIGHT)
    assert prior.weights.sum() == pytest.approx(1)
    assert prior.weights / prior.weights[0] == pytest.approx([1, HIDDEN, MERGED, 1])


def test_the_steps_saved_are_bits() -> None:
    """64 commits of which 4 can be seen: about 4 steps of bisection fewer."""
    commits = [f"c{number}" for number in range(64)]
    touched = {commit: ["Makefile" if number < 4 else "MAINTAINERS"] for number, commit in enumerate(commits)}
    shrunk = weights(commits, touched, SIGHT).shrunk
    assert shrunk is not None
    assert (shrunk.visible, shrunk.of) == (4, 64)
    assert shrunk.steps_saved == pytest.approx(4, abs=0.05)


def test_a_range_of_which_nothing_can_be_seen_is_searched_evenly() -> None:
    """If every commit is hidden, none is less likely than another; and nothing was saved."""
    prior = weights("ab", {"a": ["MAINTAINERS"], "b": ["CREDITS"]}, SIGHT)
    assert prior.weights == pytest.approx([0.5, 0.5])
    assert prior.shrunk == Shrunk(0, 2, 0.0)


def test_without_sight_all_commits_are_equal_and_no_figure_is_made_up() -> None:
    """Where it isn't known what the ends were made from, the plan says nothing of commits that remain."""
    prior = weights("ab", {"a": ["MAINTAINERS"], "b": []}, None)
    assert prior.weights == pytest.approx([0.5, 0.5])
    assert prior.shrunk is None


def test_rules_multiply() -> None:
    """Each rule that a commit follows counts by its factor, on top of what can be seen."""
    touched = {"a": ["virt/kvm/kvm_main.c"], "b": ["virtual/x.c"], "c": ["kernel/rseq.c"], "d": ["MAINTAINERS"]}
    rules = (
        PriorRule(PriorKind.PATH, "virt/", 3),
        PriorRule(PriorKind.PATH, "kernel/rseq.c", 2),
        PriorRule(PriorKind.AUTHOR, "SEAN", 5),
        PriorRule(PriorKind.LIST, "suspects", 0.5, ("c", "d")),
    )
    authors = {"a": "Sean <s@example.org>", "b": "B <b@example.org>", "c": "C <c@sean.example>", "d": "D <d@d>"}
    prior = weights("abcd", touched, SIGHT, rules, authors)
    assert prior.weights / prior.weights[1] == pytest.approx([15, 1, 5, 0.5 * HIDDEN])
    assert prior.shrunk == weights("abcd", touched, SIGHT).shrunk


@given(
    st.lists(st.sampled_from(["Makefile", "MAINTAINERS", "virt/x.c"]), min_size=1, max_size=20),
    st.lists(st.floats(1e-300, 1e300), max_size=6),
)
def test_no_commit_is_ever_impossible(paths: list[str], factors: list[float]) -> None:
    """Whatever is multiplied: all weights are numbers above 0, and they add up to 1."""
    touched = {f"c{number}": [path] for number, path in enumerate(paths)}
    rules = [PriorRule(PriorKind.PATH, "virt", factor) for factor in factors]
    found = weights(list(touched), touched, SIGHT, rules).weights
    assert np.all(found > 0)
    assert found.sum() == pytest.approx(1)


def test_no_commits_have_no_prior() -> None:
    """There is nothing to share out."""
    with pytest.raises(ValueError, match="no commits"):
        weights((), {}, SIGHT)


def test_our_own_reproducer_has_likelier_places() -> None:
    """KVM, entry code and restartable sequences; nothing of a file system."""
    touched = {"a": ["arch/x86/kvm/x86.c"], "b": ["kernel/rseq.c"], "c": ["kernel/entry/kvm.c"], "d": ["fs/exec.c"]}
    prior = weights("abcd", touched, None, default_rules())
    assert prior.weights / prior.weights[3] == pytest.approx([3, 3, 3, 1])


def test_twins_are_commits_with_one_digest() -> None:
    """Commits whose kernels are the same stand together; an unknown digest is like no other, itself included."""
    digests = {"a": "1", "b": "2", "c": "1", "d": "", "e": "", "f": "2", "g": "3"}
    assert twins("abcdefgh", digests) == (("a", "c"), ("b", "f"))


# --- --prior


@pytest.fixture
def user(tmp_path: Path) -> History:
    """Return a repository of three commits, and be in its folder."""
    return make_history(tmp_path / "user", line(3))


def test_rules_are_read_as_they_are_said(user: History, tmp_path: Path) -> None:
    """Kind, what and factor; 3 where none is given; a file's revisions are resolved when they are read."""
    listed = tmp_path / "suspects"
    listed.write_text(f"# from the mailing list\nmain~1\n\n{user['c00']}  # the first\nmain~1\n")
    texts = ["path:virt/=2.5", "path:./kernel/rseq.c", "author:A. Tester <t@x.org>=0.5", f"list:{listed}"]
    assert prior_rules(texts, GitGraph(open_git(user.path))) == (
        PriorRule(PriorKind.PATH, "virt", 2.5),
        PriorRule(PriorKind.PATH, "kernel/rseq.c", 3),
        PriorRule(PriorKind.AUTHOR, "A. Tester <t@x.org>", 0.5),
        PriorRule(PriorKind.LIST, str(listed), 3, (user["c01"], user["c00"])),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("virt/", "form"),
        ("paths:virt/=3", "form"),
        ("path:=3", "form"),
        ("author:", "form"),
        ("path:virt/=much", "'much' is no number"),
        ("path:virt/=0", "above 0"),
        ("path:virt/=-2", "above 0"),
        ("path:virt/=nan", "above 0"),
        ("path:virt/=inf", "above 0"),
        ("path:/usr/src/linux/virt", "inside the tree"),
        ("path:../virt", "inside the tree"),
        ("path:.", "inside the tree"),
        ("list:/nowhere/suspects", "No such file"),
        ("list:/", "directory"),
        ("list:/dev/null", "names no commit"),
    ],
)
def test_what_can_t_be_a_rule_is_told_with_the_next_step(user: History, text: str, told: str) -> None:
    """A prior that would silently do nothing, or the opposite, is refused by name."""
    with pytest.raises(ConfigError, match=told) as caught:
        prior_rules([text], GitGraph(open_git(user.path)))
    assert text in str(caught.value)
    assert caught.value.hint


def test_a_list_with_an_unknown_revision_is_refused(user: History, tmp_path: Path) -> None:
    """A misspelt commit would otherwise be the one that is never made likelier."""
    (tmp_path / "suspects").write_text("main\nmian~1\n")
    with pytest.raises(ConfigError, match="mian~1"):
        prior_rules([f"list:{tmp_path}/suspects"], GitGraph(open_git(user.path)))
