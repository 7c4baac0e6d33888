"""The culprit in a report: its trailers, its parents, and every reason to doubt it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import (
    CLEAN_WHY,
    COMMITS,
    CULPRIT,
    STEPS,
    bad,
    clean,
    fired,
    session,
    sha,
)

from bisectbot.report import Session, draw_up
from bisectbot.report.culprit import changed_files
from bisectbot.report.trailers import Trailer, parse_trailers, upstream

TINYLINUX = Path(__file__).parent / "tinylinux"


def cautions(whole: Session) -> tuple[str, ...]:
    """Return the doubts about a session's culprit."""
    found = draw_up(whole).culprit
    assert found is not None
    return found.cautions


def plainly() -> Session:
    """Return a session with nothing to doubt."""
    return replace(session(), steps=(*STEPS[:4], bad("c3", 6), *STEPS[5:]))


def test_nothing_to_doubt() -> None:
    """A culprit that always fired, built like its parent and touching the kernel, comes without a caution."""
    assert cautions(plainly()) == ()


def test_a_rare_bug_is_doubted() -> None:
    """Where bad commits fired in 2 of 5 runs, three clean ones miss the bug in (3/5)^3 of cases, and it says so."""
    rare = replace(bad("c3", 6), trials=(clean("c3", 6),) * 3 + (fired("c3", 7),))
    (caution,) = cautions(replace(plainly(), steps=(*STEPS[:4], rare, *STEPS[5:])))
    assert "fired in 2 of 5 runs on 2 commits" in caution
    assert "3 clean runs in about 22% of cases" in caution


def test_a_merge_is_doubted() -> None:
    """A merge as culprit says how to look at the merge itself."""
    (caution,) = cautions(with_merge(plainly()))
    assert "git show --remerge-diff" in caution


def test_a_merge_of_first_parents_says_where_to_go_on() -> None:
    """With --first-parent the culprit hides in the merged branch, and the next range is given."""
    whole = with_merge(plainly())
    (caution,) = cautions(replace(whole, range_=replace(whole.range_, first_parent=True)))
    assert f"--good {sha('c2')[:12]} --bad {sha('side')[:12]}" in caution


def with_merge(whole: Session) -> Session:
    """Return the session with a culprit of two parents."""
    merge = replace(COMMITS[CULPRIT], parents=(sha("c2"), sha("side")))
    steps = tuple(replace(step, commit=merge) if step.commit.commit == CULPRIT else step for step in whole.steps)
    return replace(whole, steps=steps)


def test_a_change_of_configuration_is_doubted() -> None:
    """An option that changed between the good parent and the culprit is a rival explanation."""
    (caution,) = cautions(session())
    assert "CONFIG_GENERIC_ENTRY: y -> n" in caution
    assert sha("c2")[:12] in caution


@pytest.mark.parametrize(
    ("paths", "doubted"),
    [
        (("Documentation/x86/entry.rst", "tools/testing/selftests/kvm/rseq_test.c"), True),
        (("arch/arm64/kvm/arm.c",), True),
        (("arch/x86/kvm/x86.c",), False),
        (("Documentation/x86/entry.rst", "kernel/entry/kvm.c"), False),
        ((".../very/long/name.c",), False),
        (("arch/{arm64 => riscv}/kvm.c",), False),
    ],
)
def test_a_culprit_outside_the_kernel_is_doubted(paths: tuple[str, ...], *, doubted: bool) -> None:
    """A commit that changes nothing that was built can't be the reason; abbreviated paths are never taken for that."""
    diffstat = "".join(f" {path} | 3 ++-\n" for path in paths) + f" {len(paths)} files changed, 2 insertions(+)\n"
    found = cautions(replace(plainly(), diffstat=diffstat))
    assert [("changes no file of the kernel" in text) for text in found] == [True] * doubted


def test_diffstat_paths() -> None:
    """The paths are read from `git show --stat`, binary files and renames among them, the sum left out."""
    text = " a/b.c            | 10 +++++-----\n x => y/z.bin     | Bin 0 -> 12 bytes\n 2 files changed, 5 insertions(+)"
    assert changed_files(text) == ("a/b.c", "x => y/z.bin")


def test_untested_parents_are_not_called_good() -> None:
    """A parent without trials of its own says on what its innocence rests."""
    found = draw_up(with_merge(plainly())).culprit
    assert found is not None
    assert [(one.word, one.why) for one in found.parents] == [
        ("good", CLEAN_WHY),
        ("not tested", "not tested itself: older than a commit that was found good"),
    ]


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        (COMMITS[CULPRIT].body, ["Fixes", "Reported-by", "Link", "Signed-off-by", "Signed-off-by", "Signed-off-by"]),
        ("Prose.\n\nNote: prose with a colon.", []),
        ("Prose.\nSigned-off-by: A <a@b.c>", []),
        ("Signed-off-by: A <a@b.c>", ["Signed-off-by"]),
        (
            'P.\n\nFixes: 0123 ("x")\n\nCc: stable@vger.kernel.org # v5.10+\nAcked-by: B <b@c.d>\n',
            ["Fixes", "Cc", "Acked-by"],
        ),
        (
            "P.\n\nAcked-by: B\n[ c: a note\n  of two lines ]\nReviewed-and-tested-by: C <c@d.e>",
            ["Acked-by", "Reviewed-and-tested-by"],
        ),
        ("", []),
    ],
)
def test_trailers(body: str, keys: list[str]) -> None:
    """Trailers are the last paragraphs that hold nothing else, around maintainers' notes."""
    assert [trailer.key for trailer in parse_trailers(body)] == keys


def test_a_folded_trailer_is_one() -> None:
    """A value that goes on in the next line is put together."""
    body = "P.\n\nLink: one\n  two\nSigned-off-by: A <a@b.c>"
    assert parse_trailers(body)[0] == Trailer("Link", "one two")


@pytest.mark.parametrize(
    "text",
    ["commit {} upstream.", "[ Upstream commit {} ]", "(cherry picked from commit {})"],
)
def test_upstream(text: str) -> None:
    """The three ways in which stable trees name the mainline commit are known."""
    assert upstream(f"{text.format('a' * 40)}\n\nProse.") == "a" * 40
    assert upstream("see commit aaaa upstream") is None
