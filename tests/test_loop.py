"""Worlds and their endings: whole bisections over real git, with builders and machines that know the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeClock, FakeStages, Inline, Killed, Late, World
from history import line, make_history
from worlds import MERGES, Lab

from bisectbot.errors import DiskFull, HostSick, InfraError
from bisectbot.facts import Faulted, Noted, Opened, Resumed, Row, State, Tried, replay
from bisectbot.flight import Flight
from bisectbot.loop import Bot, Stop
from bisectbot.model import Answer, Culprit, Ending, EndUnproven, Range, Stuck, Terms, Verdict
from bisectbot.plan import Budget
from bisectbot.search.wanted import Test, Wanted


@pytest.fixture
def lab(tmp_path: Path) -> Callable[[dict[str, Sequence[str]]], Lab]:
    """Return a maker of labs."""
    return lambda graph: Lab(tmp_path, make_history(tmp_path / "user", graph))


def _answer(state: State) -> object:
    assert state.answered is not None
    return state.answered.answer


Maker = Callable[[dict[str, Sequence[str]]], Lab]


@pytest.mark.parametrize("title", [title for title in MERGES if title != "base"])
def test_every_culprit_of_a_history_with_merges_is_found(lab: Maker, title: str) -> None:
    """Wherever the bug came in, on the main line, on a side branch or by a merge, that commit is named."""
    here = lab(MERGES)
    state = here.run(World(bad=here.with_bug_from(title)))
    assert _answer(state) == Culprit(here.history[title])


def test_a_first_parent_bisection_names_the_merge(lab: Maker) -> None:
    """With --first-parent a bug from a side branch is blamed on the merge that brought it in."""
    here = lab(MERGES)
    range_ = Range(here.history["tip"], (here.history["base"],), first_parent=True)
    state = here.run(World(bad=here.with_bug_from("s1")), range_)
    assert _answer(state) == Culprit(here.history["merge-s"])


def test_paths_narrow_the_candidates(lab: Maker) -> None:
    """With a path only commits that touch it are tested, and the culprit among them is named."""
    here = lab(dict(line(12)))
    range_ = Range(here.history["c11"], (here.history["c00"],), paths=("files/c03", "files/c07"))
    state = here.run(World(bad=here.with_bug_from("c07")), range_)
    assert _answer(state) == Culprit(here.history["c07"])
    assert {here.history.title(commit) for commit in state.builds} <= {"c00", "c11", "c03", "c07"}


def test_several_good_ends_are_all_proven(lab: Maker) -> None:
    """Each good end is tested, and what they contain is no candidate."""
    here = lab(MERGES)
    goods = (here.history["base"], here.history["s2"])
    state = here.run(World(bad=here.with_bug_from("t1")), Range(here.history["tip"], goods))
    assert _answer(state) == Culprit(here.history["t1"])
    assert set(goods) <= set(state.trials)
    assert here.history["s1"] not in state.builds


def test_custom_terms_go_to_git(lab: Maker) -> None:
    """The user's words for bad and good stand in git's own log."""
    here = lab(dict(line(8)))
    range_ = Range(here.history["c07"], (here.history["c00"],), terms=Terms(bad="slow", good="fast"))
    state = here.run(World(bad=here.with_bug_from("c05")), range_)
    assert _answer(state) == Culprit(here.history["c05"])
    assert state.answered is not None
    assert "git bisect slow" in state.answered.bisect_log


@pytest.mark.parametrize("beside", [("c06",), ("c04", "c06"), ("c06", "c07", "c08")])
def test_untestable_commits_away_from_the_culprit_do_not_hide_it(lab: Maker, beside: tuple[str, ...]) -> None:
    """Commits that don't build are skipped, and a culprit whose parent can be tested is still named."""
    here = lab(dict(line(16)))
    broken = frozenset(here.history[title] for title in beside)
    state = here.run(World(bad=here.with_bug_from("c10"), broken=broken))
    assert _answer(state) == Culprit(here.history["c10"])


def test_untestable_commits_just_before_the_culprit_leave_a_set(lab: Maker) -> None:
    """When the commits before the first bad one can't be tested, all that it could be are named, and no one alone."""
    here = lab(dict(line(16)))
    broken = frozenset(here.history[title] for title in ("c08", "c09"))
    state = here.run(World(bad=here.with_bug_from("c10"), broken=broken))
    answer = _answer(state)
    assert isinstance(answer, Stuck)
    assert set(answer.candidates) == {here.history[title] for title in ("c08", "c09", "c10")}


def test_a_boot_that_says_nothing_is_tried_again(lab: Maker) -> None:
    """A commit that hangs once and then fires is bad; one that hangs whenever it is booted is skipped."""
    here = lab(dict(line(16)))
    once, always = here.history["c07"], here.history["c03"]
    endings = {once: (Ending.HUNG, Ending.FIRED), always: (Ending.BOOT_HUNG,)}
    state = here.run(World(bad=here.with_bug_from("c05"), endings=endings))
    assert _answer(state) == Culprit(here.history["c05"])
    assert state.judgement(once).why == "it fired"
    assert [word.verdict for commit, word in state.judged() if commit == always] == [Verdict.SKIP]
    assert {trial.boot for trial in state.trials[always]} != {state.trials[always][0].boot}


def test_another_crash_is_neither_good_nor_bad(lab: Maker) -> None:
    """Commits that crash for another reason are skipped, even when they have the bug too."""
    here = lab(dict(line(16)))
    crash = {here.history[f"c{n:02}"]: (Ending.CRASHED,) for n in (7, 11)}
    state = here.run(World(bad=here.with_bug_from("c09"), endings=crash))
    assert _answer(state) == Culprit(here.history["c09"])


@pytest.mark.parametrize(
    ("culprit", "end", "expected", "found"),
    [("c00", "c00", Verdict.GOOD, Verdict.BAD), (None, "c07", Verdict.BAD, Verdict.GOOD)],
)
def test_an_end_that_is_not_as_said_stops_everything(
    lab: Maker, culprit: str | None, end: str, expected: Verdict, found: Verdict
) -> None:
    """A good end that fires, or a bad end that doesn't, is reported instead of a culprit."""
    here = lab(dict(line(8)))
    state = here.run(World(bad=here.with_bug_from(culprit) if culprit else frozenset()))
    answer = _answer(state)
    assert isinstance(answer, EndUnproven)
    assert (here.history.title(answer.commit), answer.expected, answer.judgement.verdict) == (end, expected, found)


def test_an_end_that_cannot_be_tested_stops_everything(lab: Maker) -> None:
    """A bad end that crashes for another reason proves nothing, so there is no answer."""
    here = lab(dict(line(8)))
    world = World(bad=here.with_bug_from("c05"), endings={here.history["c07"]: (Ending.BOOT_CRASHED,)})
    answer = _answer(here.run(world))
    assert isinstance(answer, EndUnproven)
    assert answer.judgement.verdict is Verdict.SKIP


def test_neighbouring_ends_need_only_themselves(lab: Maker) -> None:
    """When the good end is the bad one's parent, proving both is the whole bisection."""
    here = lab(dict(line(2)))
    stages = FakeStages(World(bad=here.with_bug_from("c01")))
    state = here.bot(here.plan(), stages, []).run()
    assert _answer(state) == Culprit(here.history["c01"])
    assert stages.booted == [here.history["c01"], here.history["c00"]]


def test_a_passing_fault_is_written_down_and_changes_nothing(lab: Maker) -> None:
    """A host that fails once costs a row in the journal, not a verdict."""
    here = lab(dict(line(8)))
    middle = here.history["c03"]
    fault = HostSick("no route to host")
    world = World(bad=here.with_bug_from("c05"), build_faults={middle: (fault, fault, fault)})
    state = here.run(World(bad=world.bad))
    assert _answer(state) == Culprit(here.history["c05"])
    stopped = here.run(world)
    assert stopped.answered is None
    assert stopped.paused is not None
    assert stopped.paused.why == "fault"


def test_a_lasting_fault_stops_at_once_and_a_resume_goes_on(lab: Maker) -> None:
    """A full disk ends the session without any verdict on that commit; once mended, it goes on to the culprit."""
    here = lab(dict(line(8)))
    middle = here.history["c03"]
    rows: list[Row] = []
    world = World(bad=here.with_bug_from("c05"), build_faults={middle: (DiskFull("no room"),)})
    stages = FakeStages(world)
    state = here.bot(here.plan(), stages, rows).run()
    assert state.paused is not None
    assert middle not in state.builds
    rows.append(Row(1.0, Resumed()))
    again = here.bot(here.plan(), FakeStages(World(bad=world.bad)), rows).run()
    assert _answer(again) == Culprit(here.history["c05"])


def test_a_bug_of_ours_is_raised_not_hidden(lab: Maker) -> None:
    """An unexpected exception in a slot comes out as it is: no verdict, no pause that looks like the lab's fault."""
    here = lab(dict(line(8)))

    class Buggy(FakeStages):
        def build(self, commit: str, on_fault: Callable[[InfraError], None]) -> object:  # type: ignore[override]
            raise ZeroDivisionError(commit, on_fault)

    with pytest.raises(ZeroDivisionError):
        here.bot(here.plan(), Buggy(World(bad=frozenset())), []).run()


def test_a_stop_pauses_the_session(lab: Maker) -> None:
    """Asked to stop, the bot ends its work and leaves a session that can be resumed."""
    here = lab(dict(line(8)))
    rows: list[Row] = []
    stages = FakeStages(World(bad=here.with_bug_from("c05")))
    bot = here.bot(here.plan(), stages, rows)
    bot.events.put(Stop("SIGTERM"))
    state = bot.run()
    assert state.paused is not None
    assert (state.paused.why, state.paused.text) == ("interrupted", "SIGTERM")
    assert stages.stopped


def test_killed_after_any_row_it_ends_the_same_and_repeats_nothing(lab: Maker) -> None:
    """Killed at any row of the journal, a resumed session names the same culprit and redoes no build or trial."""
    here = lab(MERGES)
    skipped = here.history["m3"]
    world = World(bad=here.with_bug_from("m2"), broken={skipped})
    whole: list[Row] = []
    undisturbed = FakeStages(world)
    expected = _answer(here.bot(here.plan(), undisturbed, whole).run())
    for row in range(2, len(whole)):
        rows: list[Row] = []
        first, second = FakeStages(world), FakeStages(world)
        with pytest.raises(Killed):
            here.bot(here.plan(), first, rows, dies_after=row).run()
        known = {row.fact.trial.commit for row in rows if isinstance(row.fact, Tried)}
        recorded = replay(rows)
        assert recorded is not None
        rows.append(Row(1.0, Resumed()))
        assert _answer(here.bot(here.plan(), second, rows).run()) == expected, f"killed after row {row}"
        assert not set(recorded.builds) & set(second.built), f"a build was repeated after row {row}"
        judged = {commit for commit, _ in recorded.judged()}
        assert not judged & set(second.booted), f"a finished commit was booted again after row {row}"
        assert known <= {row.fact.trial.commit for row in rows if isinstance(row.fact, Tried)}


def test_a_kernel_that_left_the_store_is_built_again(lab: Maker) -> None:
    """A resumed session rebuilds a kernel that was evicted meanwhile, if it still has to be booted."""
    here = lab(dict(line(8)))
    rows: list[Row] = []
    stages = FakeStages(World(bad=here.with_bug_from("c05")))
    with pytest.raises(Killed):
        here.bot(here.plan(), stages, rows, dies_after=2).run()
    bad_end = here.history["c07"]
    assert stages.built[0] == bad_end
    stages.lost.add(bad_end)
    rows.append(Row(1.0, Resumed()))
    state = here.bot(here.plan(), stages, rows).run()
    assert _answer(state) == Culprit(here.history["c05"])
    assert stages.built.count(bad_end) == 2


# --- an answer, and a kernel that is still up --------------------------------------------------


class _Hasty:
    """A search that answers while a boot is on, unless something has fired by then."""

    def __init__(self, bad: str) -> None:
        self._bad = bad
        self._asked = 0

    def decide(self, state: State, booted: str | None) -> Wanted | Answer:
        """Want one test, then answer."""
        del booted
        self._asked += 1
        if any(trial.ending is Ending.FIRED for known in state.trials.values() for trial in known):
            return Stuck((self._bad,))
        return Wanted((Test(self._bad, 1),), 1) if self._asked <= 2 else Culprit(self._bad)

    def log(self) -> str:
        """Have none."""
        return ""


class _LeftStages(FakeStages):
    """Stages whose boot says what it has to say when it is left."""

    def __init__(self, world: World, late: Late) -> None:
        super().__init__(world)
        self._late = late

    def leave(self, boot: int) -> None:
        """Let the boot end."""
        assert boot == 1
        self._late.let_run()


def test_what_a_running_kernel_still_says_is_heard_before_the_answer(lab: Maker) -> None:
    """A fire that comes while the boot is left can change the answer: it is decided on, not written behind it."""
    here = lab(dict(line(3)))
    late, bad = Late(), here.history["c02"]
    bot = here.bot(here.plan(), _LeftStages(World(bad=frozenset({bad})), late), [])
    bot.search, bot.flight.slots = _Hasty(bad), {"build": Inline(), "boot": late}
    late.noise = lambda: bot.events.put(Faulted(bad, "build", "a turn of the loop"))
    assert _answer(bot.run()) == Stuck((bad,))


# --- budgets, and work that won't end ----------------------------------------------------------


def test_a_number_of_boots_is_a_budget(lab: Maker) -> None:
    """With --max-boots it pauses when they are used up, has as many again when it is resumed, and ends the same."""
    here = lab(dict(line(16)))
    rows: list[Row] = []
    stages = FakeStages(World(bad=here.with_bug_from("c10")))
    plan = replace(here.plan(), budget=Budget(max_boots=2))
    spells = 0
    while (state := here.bot(plan, stages, rows).run()).answered is None:
        spells += 1
        assert state.paused is not None
        assert (state.paused.why, state.spent_boots, len(stages.booted)) == ("budget", 2, 2 * spells)
        rows.append(Row(1.0, Resumed()))
    assert spells > 1
    assert _answer(state) == Culprit(here.history["c10"])


def test_a_moment_is_a_budget(lab: Maker) -> None:
    """With --until it pauses at that moment by the time of day, whatever the steady clock says."""
    here = lab(dict(line(8)))
    plan = replace(here.plan(), budget=Budget(until=FakeClock().wall() + 10.0))
    bot = here.bot(plan, FakeStages(World(bad=here.with_bug_from("c05"))), [])
    bot.clock.sleep(11)
    state = bot.run()
    assert state.paused is not None
    assert state.paused.why == "budget"


class _Deaf(FakeStages):
    """Stages that don't stop when they are told to, and are stuck after a second of the clock."""

    def silence(self, stage: str) -> float:
        """Return a second."""
        del stage
        return 1.0


def _hanging(lab: Maker) -> tuple[Bot, FakeClock]:
    """Return a bot whose first build never ends, and its clock."""
    here = lab(dict(line(8)))
    bot = here.bot(here.plan(), _Deaf(World(bad=here.with_bug_from("c05"))), [])
    late, clock = Late(), FakeClock()
    bot.clock, bot.flight = clock, Flight({"build": late, "boot": late}, clock)
    # the clock moves whenever the bot gives a sign of life, so that nobody has to wait
    bot.pulse, bot.beat = (lambda: clock.sleep(5)), 0.001
    late.noise = lambda: bot.events.put(Noted("host", "a turn of the loop"))
    return bot, clock


def test_a_stage_that_tells_nothing_any_more_is_given_up(lab: Maker) -> None:
    """A stage past all of its deadlines pauses the session as a fault of ours, and doesn't keep the bot from ending."""
    bot, _ = _hanging(lab)
    state = bot.run()
    assert state.paused is not None
    assert (state.paused.why, state.paused.kind) == ("fault", "Overdue")
    assert "nothing was heard of it" in state.paused.text
    assert bot.flight.abandoned


def test_asked_to_stop_soon_it_does_so_whatever_hangs(lab: Maker) -> None:
    """With a grace, a stop ends the session even though a stage goes on."""
    bot, clock = _hanging(lab)
    began = clock.now()
    bot.events.put(Stop("SIGTERM", 8.0))
    state = bot.run()
    assert state.paused is not None
    assert (state.paused.why, state.paused.text) == ("interrupted", "SIGTERM")
    assert bot.flight.abandoned
    assert clock.now() - began <= 20.0


def _held_up(lab: Maker) -> Bot:
    """Return a bot whose budget is used up while a build goes on that doesn't end."""
    bot, clock = _hanging(lab)
    bot.stages.silence = lambda stage: 600.0  # type: ignore[method-assign]  # noqa: ARG005  as Stages calls it; not stuck for a long time
    bot.state = replace(bot.state, budget=Budget(until=clock.wall() + 1))
    return bot


def test_what_gets_stuck_while_it_is_asked_to_end_is_given_up(lab: Maker) -> None:
    """A pause waits for a stage as long as that can take, and no longer; its reason stays."""
    bot = _held_up(lab)
    began = bot.clock.now()
    state = bot.run()
    assert state.paused is not None
    assert state.paused.why == "budget"
    assert bot.flight.abandoned
    assert 600 <= bot.clock.now() - began <= 630


def test_in_a_pause_that_takes_its_time_a_signal_is_heard(lab: Maker) -> None:
    """SIGTERM while work is being ended for another reason ends it soon, too."""
    bot = _held_up(lab)
    began, stop = bot.clock.now(), bot.stages.stop

    def stopped() -> None:
        bot.events.put(Stop("SIGTERM", 8.0))
        stop()

    bot.stages.stop = stopped  # type: ignore[method-assign]  # a signal comes just then
    state = bot.run()
    assert state.paused is not None
    assert state.paused.why == "budget"
    assert bot.clock.now() - began <= 30


def test_a_clock_that_is_set_is_noted_and_costs_no_budget(lab: Maker) -> None:
    """An hour that the clock jumps is written down, and is no hour of work."""
    here = lab(dict(line(8)))
    clock = FakeClock()
    jumped = iter([0.0, 0.0, 0.0, 3600.0])
    offset = [0.0]

    def wall() -> float:
        return 1_700_000_000.0 + clock.time + offset[0]

    clock.wall = wall  # type: ignore[method-assign]  # the clock of a machine that somebody sets
    plan = replace(here.plan(), budget=Budget(max_seconds=600.0))
    rows = [Row(wall(), Opened(plan, {}), 1, clock.now())]
    bot = here.bot(plan, FakeStages(World(bad=here.with_bug_from("c05"))), rows)
    bot.clock = clock
    bot.__post_init__(bot.flight.slots)
    bot.pulse = lambda: offset.__setitem__(0, next(jumped, 3600.0))
    state = bot.run()
    assert _answer(state) == Culprit(here.history["c05"])
    assert [note.text for note in state.notes] == ["the clock was set forward by 60 min"]
    assert state.spent < 60
