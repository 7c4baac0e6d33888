"""When the lab is suspected, and what proves it: by tables of boots, and in whole bisections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeStages, Late, World, a_kernel, a_plan, a_trial
from history import line, make_history
from worlds import Lab

from bisectbot.doubt import Prove, Void, doubt_of
from bisectbot.facts import Built, Doubted, Opened, Resumed, Row, State, Tried, replay
from bisectbot.model import Crash, CrashKind, Culprit, Ending, EndUnproven, Judgement, Range, Verdict
from bisectbot.plan import SearchRecipe

Maker = Callable[[dict[str, Sequence[str]]], Lab]
_PANIC = Ending.BOOT_CRASHED
_BY_ODDS = SearchRecipe()


def _state(boots: str, tmp_path: Path, doubted: tuple[int, ...] = (), search: SearchRecipe | None = _BY_ODDS) -> State:
    """Return a state after boots: a letter is a commit, followed by . (clean), ! (fired), n (no output) or h (hung)."""
    endings = {".": Ending.CLEAN, "!": Ending.FIRED, "n": Ending.NO_OUTPUT, "h": Ending.BOOT_HUNG}
    plan = a_plan(tmp_path, Range("0" * 40, ("1" * 40,)), search=search)
    rows = [Row(0.0, Opened(plan, {}))]
    for number, word in enumerate(boots.split(), 1):
        commit = word[0] * 40
        rows += [Row(0.0, Built(a_kernel(commit))), Row(0.0, Tried(a_trial(commit, number, endings[word[1]])))]
    if doubted:
        rows.append(Row(0.0, Doubted(doubted, "")))
    state = replay(rows)
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("boots", "expected"),
    [
        ("", None),
        ("an bn cn dn", None),  # nothing has ever booted: there is nothing to prove it on
        ("a! bn cn", None),
        ("a! bn bn cn cn", None),  # two commits, however often
        ("a! bn cn dn", "a"),
        ("a! bn bn cn cn dn dn", "a"),
        ("a! bn ch dn", None),  # not in the same way
        ("a! bh cn dn en", "a"),
        ("a! bn c. dn en", None),  # not in a row
        ("a! b. b. bn bn bn", None),  # no other commit
        ("a! b. b. bn cn", "b"),  # one that had booted, and another one
        ("a! b. b. cn dn en", "b"),  # the one that booted most often
        ("a! bn cn dn a.", None),  # proven: they are broken
        ("a! bn cn dn a. en fn", None),  # the count begins anew
        ("a! bn cn dn an", "a"),  # once more: one boot may fail by accident
        ("a! bn cn dn ah a!", None),
        ("a! bn cn dn an an", (2, 3, 4, 5, 6)),
        ("a! bn cn dn an ah", (2, 3, 4, 5, 6)),
    ],
)
def test_what_is_done_about_failures(boots: str, expected: str | tuple[int, ...] | None, tmp_path: Path) -> None:
    """Several commits that fail alike are held against a kernel known to boot; two failures of that void all."""
    found = doubt_of(_state(boots, tmp_path))
    match expected:
        case None:
            assert found is None
        case str():
            assert found == Prove(expected * 40)
        case _:
            assert isinstance(found, Void)
            assert found.boots == expected


@pytest.mark.parametrize(
    ("boots", "expected"),
    [
        ("a! an", "a"),  # one boot may fail by accident
        ("a! an an", (2, 3)),
        ("a! an an a.", None),
        ("a! a! bn", "a"),
        ("a! bn an", "a"),
        ("a! bn an an", (2, 3, 4)),
    ],
)
def test_an_answer_that_nothing_was_learned_isnt_given_on_the_word_of_a_sick_lab(
    boots: str, expected: str | tuple[int, ...] | None, tmp_path: Path
) -> None:
    """A kernel that had booted and doesn't any more is enough to void what it says, whether others failed or not."""
    answer = EndUnproven("a" * 40, Verdict.BAD, Judgement(Verdict.SKIP, "no output"))
    found = doubt_of(_state(boots, tmp_path), answer)
    match expected:
        case None:
            assert found is None
        case str():
            assert found == Prove(expected * 40)
        case _:
            assert isinstance(found, Void)
            assert found.boots == expected


def test_two_different_panics_are_no_pattern(tmp_path: Path) -> None:
    """Crashes are alike only if their titles are."""
    state = _state("a! bn cn dn", tmp_path)
    crashes = iter(["x", "x", "y"])

    def crashed(commit: str) -> tuple[object, ...]:
        (trial,) = state.trials[commit]
        return (replace(trial, ending=_PANIC, crash=Crash(CrashKind.PANIC, next(crashes))),)

    trials = {**state.trials, **{letter * 40: crashed(letter * 40) for letter in "bcd"}}
    assert doubt_of(replace(state, trials=trials)) is None  # type: ignore[arg-type]


def test_after_a_doubt_the_lab_has_to_prove_itself_first(tmp_path: Path) -> None:
    """A resumed session begins with the kernel that is known to boot, and goes on once it did."""
    state = _state("a! bn cn dn an an", tmp_path, (2, 3, 4, 5, 6))
    assert doubt_of(state) == Prove("a" * 40)
    assert not state.trials["b" * 40]
    assert doubt_of(_state("a! bn cn dn an an a.", tmp_path, (2, 3, 4, 5, 6))) is None


def test_a_plain_bisection_asks_no_good_kernel_again(tmp_path: Path) -> None:
    """What git was told of a commit may not turn: only one that fired already is booted for a proof."""
    assert doubt_of(_state("a! b. bn cn dn en", tmp_path, search=None)) == Prove("a" * 40)
    assert doubt_of(_state("b. cn dn en", tmp_path, search=None)) is None


def test_a_lab_that_was_doubted_is_given_up_again_after_two_boots(tmp_path: Path) -> None:
    """A session that is resumed too early pauses again; it doesn't boot for ever."""
    before, doubted = "a! bn cn dn an an", (2, 3, 4, 5, 6)
    assert doubt_of(_state(f"{before} an", tmp_path, doubted)) == Prove("a" * 40)
    found = doubt_of(_state(f"{before} an an", tmp_path, doubted))
    assert isinstance(found, Void)
    assert found.boots == (7, 8)
    assert found.why.startswith("aaaaaaaaaaaa, which had booted before, fails again")


@pytest.fixture
def lab(tmp_path: Path) -> Maker:
    """Return a maker of labs."""
    return lambda graph: Lab(tmp_path, make_history(tmp_path / "user", graph))


class _Dying(FakeStages):
    """A lab that stops working after a number of boots, and works again when somebody has mended it."""

    def __init__(self, world: World, after: int) -> None:
        super().__init__(world)
        self.after = after

    def _rolled(self, commit: str) -> Ending:
        return Ending.NO_OUTPUT if len(self.booted) > self.after else super()._rolled(commit)

    def mend(self) -> None:
        """Work again."""
        self.after = 10**9


@pytest.mark.parametrize("search", [None, SearchRecipe(revert=False)], ids=["plain", "noisy"])
@pytest.mark.parametrize("after", range(1, 7))
def test_a_lab_that_dies_costs_no_commit_its_verdict(lab: Maker, after: int, search: SearchRecipe | None) -> None:
    """When nothing boots any more the session pauses, no commit is skipped for it, and the right culprit is found."""
    here = lab(dict(line(40)))
    rows: list[Row] = []
    stages = _Dying(World(bad=here.with_bug_from("c23")), after)
    plan = here.plan(search=search)
    state = here.bot(plan, stages, rows).run()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "Doubted")
    assert Verdict.SKIP not in [word.verdict for _, word in state.judged()]
    assert len(stages.booted) < after + 12
    stages.mend()
    rows.append(Row(1.0, Resumed()))
    state = here.bot(plan, stages, rows).run()
    assert state.answered is not None
    assert isinstance(state.answered.answer, Culprit)
    assert state.answered.answer.commit == here.history["c23"]


def test_resumed_before_the_lab_is_mended_it_costs_two_boots(lab: Maker) -> None:
    """Each time, and it is the same pause."""
    here = lab(dict(line(40)))
    rows: list[Row] = []
    stages = _Dying(World(bad=here.with_bug_from("c23")), 3)
    before = here.bot(here.plan(), stages, rows).run().boots
    for again in (1, 2, 3):
        rows.append(Row(1.0, Resumed()))
        state = here.bot(here.plan(), stages, rows).run()
        assert state.paused is not None
        assert (state.paused.kind, state.boots) == ("Doubted", before + 2 * again)


def test_the_proof_is_waited_for_however_long_it_boots(lab: Maker) -> None:
    """A boot that is to prove the lab isn't left before it has told something."""
    here = lab(dict(line(40)))
    rows: list[Row] = []
    stages = _Dying(World(bad=here.with_bug_from("c23")), 3)
    here.bot(here.plan(), stages, rows).run()
    rows.append(Row(1.0, Resumed()))
    bot, late, turns, left = here.bot(here.plan(), stages, rows), Late(), iter(range(3)), list[int]()
    stages.leavable, stages.leave = True, left.append  # type: ignore[method-assign,assignment]  # QEMU's are so
    bot.flight.slots["boot"], bot.beat = late, 0.001
    bot.pulse = lambda: late.let_run() if next(turns, None) is None else None
    bot.run()
    assert left == []


def test_a_stretch_of_broken_kernels_is_believed_after_a_proof(lab: Maker) -> None:
    """Kernels that really don't boot are skipped, at the price of a boot or two of one that does."""
    here = lab(dict(line(40)))
    dead = {here.history[f"c{n:02}"]: (Ending.NO_OUTPUT,) for n in range(12, 24)}
    stages = FakeStages(World(bad=here.with_bug_from("c30"), endings=dead))
    state = here.bot(here.plan(), stages, []).run()
    assert state.answered is not None
    assert state.answered.answer == Culprit(here.history["c30"])
    assert not state.doubted
