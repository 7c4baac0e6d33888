"""The verdict rules as a table: what was seen of a commit, and what follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import a_kernel, a_trial
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.model import BrokenBy, BuildBroken, Ending, Judgement, NotYet, ProbeRecipe, Trial, Verdict
from bisectbot.verdict import clean_left, judge

_COMMIT = "a" * 40
_RECIPE = ProbeRecipe(Path("/r"), runs=3, tries=2)
_C, _F = Ending.CLEAN, Ending.FIRED


def _trials(*boots: tuple[Ending, ...]) -> tuple[Trial, ...]:
    return tuple(a_trial(_COMMIT, number, ending) for number, endings in enumerate(boots, 1) for ending in endings)


@pytest.mark.parametrize(
    ("boots", "expected"),
    [
        ((), None),
        (((_C,),), None),
        (((_C, _C, _C),), Verdict.GOOD),
        (((_C,), (_C, _C)), Verdict.GOOD),
        (((_F,),), Verdict.BAD),
        (((_C, _C, _F),), Verdict.BAD),
        (((_C, _C, _C, _F),), Verdict.BAD),
        (((Ending.HUNG,), (_F,)), Verdict.BAD),
        (((Ending.HUNG,), (_C, _C, _C)), Verdict.GOOD),
        (((Ending.HUNG,),), None),
        (((Ending.HUNG,), (Ending.LOST,)), Verdict.SKIP),
        (((_C, _C, Ending.HUNG), (_C, Ending.HUNG)), Verdict.GOOD),
        (((_C, Ending.HUNG), (_C, Ending.HUNG)), Verdict.SKIP),
        (((Ending.CRASHED,), (Ending.CRASHED,)), Verdict.SKIP),
        (((Ending.CANT_TELL,), (Ending.CANT_TELL,)), Verdict.SKIP),
    ],
)
def test_what_was_seen_decides(boots: tuple[tuple[Ending, ...], ...], expected: Verdict | None) -> None:
    """A fire is bad, enough clean trials are good, boots that say nothing end in a skip, all else needs more."""
    found = judge(a_kernel(_COMMIT), _trials(*boots), _RECIPE)
    assert (found.verdict if isinstance(found, Judgement) else None) == expected


@pytest.mark.parametrize("by", list(BrokenBy))
def test_a_commit_that_does_not_build_is_a_skip(by: BrokenBy) -> None:
    """Whatever breaks a build, the commit is skipped and the reason told."""
    found = judge(BuildBroken(_COMMIT, by, "the reason"), (), _RECIPE)
    assert isinstance(found, Judgement)
    assert found.verdict is Verdict.SKIP
    assert "the reason" in found.why


@pytest.mark.parametrize("ending", [ending for ending in Ending if ending not in (_C, _F)])
def test_no_other_ending_is_ever_good_or_bad(ending: Ending) -> None:
    """However often a boot says nothing, it never becomes a good or a bad."""
    found = judge(a_kernel(_COMMIT), _trials(*[(ending,)] * 9), _RECIPE)
    assert isinstance(found, Judgement)
    assert found.verdict is Verdict.SKIP


@given(st.lists(st.lists(st.sampled_from(list(Ending)), min_size=1, max_size=4), max_size=6))
def test_bad_needs_a_fire_and_good_needs_silence(boots: list[list[Ending]]) -> None:
    """For any trials: bad if and only if one fired, good only with enough clean ones and no fire."""
    trials = _trials(*(tuple(boot) for boot in boots))
    found = judge(a_kernel(_COMMIT), trials, _RECIPE)
    endings = [trial.ending for trial in trials]
    verdict = found.verdict if isinstance(found, Judgement) else None
    assert (verdict is Verdict.BAD) == (_F in endings)
    assert verdict is not Verdict.GOOD or endings.count(_C) >= _RECIPE.runs
    if isinstance(found, NotYet):
        assert 1 <= clean_left(trials, _RECIPE) <= _RECIPE.runs
