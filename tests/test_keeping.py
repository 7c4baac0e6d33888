"""The keeper's rounds over real folders and journals, with children that do what a test says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel
from keeperyard import Yard
from lab_samples import LAB

from bisectbot.effects.files import replace_text
from bisectbot.errors import DiskFull
from bisectbot.facts import Answered, Built, Paused, Resumed
from bisectbot.keeper.decide import Hosts, Wait
from bisectbot.keeper.queued import Shelf, put, take_off
from bisectbot.model import Culprit
from bisectbot.session import Folder

_B = "b" * 40
_PULSE = frozenset({"WATCHDOG=1"})


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """Return a yard with two sessions on one host."""
    made = Yard(tmp_path / "logs")
    made.session("one")
    made.session("two")
    return made


def test_the_queue_is_worked_through(yard: Yard) -> None:
    """One after the other is started, leaves the queue with its answer, and its journal stays."""
    yard.keeper.round()
    assert (yard.started("one"), yard.started("two")) == (1, 0)
    yard.ends("one", 0, Resumed(), Answered(Culprit(_B), ""))
    assert not (yard.logs / "one/queued").exists()
    assert yard.started("two") == 1
    yard.ends("two", 0, Resumed(), Answered(Culprit(_B), ""))
    assert not (yard.logs / "two/queued").exists()
    assert (yard.logs / "two/journal.db").is_file()
    assert yard.awake == [True, True, False]


def test_a_folder_that_cant_be_written_to_is_in_nobodys_way(yard: Yard) -> None:
    """What can't be taken off the queue is told once, and the next session is started all the same."""
    yard.write("one", Answered(Culprit(_B), ""))
    marker = yard.logs / "one/queued"
    marker.unlink()
    marker.mkdir()  # which can't be unlinked, as on a disk that was mounted read-only
    yard.rounds([1, 1])
    assert yard.started("two") == 1
    assert sum("can't be taken off the queue" in line for line in yard.said) == 1
    marker.rmdir()
    put(yard.logs, Folder(yard.logs / "one"), replace_text)
    yard.rounds([1])
    assert yard.said[-1] == "one: answered, off the queue"


def test_what_was_killed_is_started_again_and_again(yard: Yard) -> None:
    """With progress at once, without it after a moment that grows; the host is kept for it."""
    yard.keeper.round()
    yard.ends("one", -9, Resumed(), Built(a_kernel(_B)))
    assert yard.started("one") == 2
    yard.ends("one", -9)
    assert (yard.started("one"), yard.started("two")) == (2, 0)
    yard.rounds([1])
    assert yard.started("one") == 3
    yard.ends("one", -9)
    yard.rounds([1])
    assert yard.started("one") == 3
    yard.rounds([1])
    assert (yard.started("one"), yard.started("two")) == (4, 0)


def test_a_fault_rests_and_is_resumed(yard: Yard) -> None:
    """The journal alone says for how long: another keeper waits for the same moment."""
    yard.keeper.round()
    decision = yard.ends("one", 5, Resumed(), Paused("fault", "disk full", "DiskFull"))
    assert decision.waits["one"].until == yard.clock.wall() + 30
    yard.ends("two", 0, Answered(Culprit(_B), ""))
    yard.keeper = yard.again()
    yard.rounds([29])
    assert yard.started("one") == 1
    yard.rounds([1])
    assert yard.started("one") == 2


def test_a_mistake_is_left_for_a_person_at_last(yard: Yard) -> None:
    """Tried four times, then the reason stands in the queue, for other keepers too; put back, it has new chances."""
    yard.keeper.round()
    take_off(Folder(yard.logs / "two"))
    for pause in (5, 30, 120):
        yard.ends("one", 2)
        yard.rounds([pause])
    assert yard.started("one") == 4
    assert yard.ends("one", 2).hand
    assert "it said no" in (yard.logs / "one/queued").read_text()
    assert yard.again().round().start == ()
    put(yard.logs, Folder(yard.logs / "one"), replace_text)
    yard.rounds([1])
    assert yard.started("one") == 5


def test_an_old_pause_says_nothing_of_a_new_end(yard: Yard) -> None:
    """A process that ends with a mistake before it writes anything rests, though its journal ends with an old fault."""
    yard.write("one", Paused("fault", "disk full", "DiskFull"))
    yard.clock.sleep(60)
    yard.keeper.round()
    decision = yard.ends("one", 2)
    assert decision.waits["one"].until == yard.clock.wall() + 5


def test_a_busy_host_is_no_mistake(yard: Yard) -> None:
    """Who ends because something is in use by others is tried again for as long as it takes."""
    take_off(Folder(yard.logs / "two"))
    yard.keeper.round()
    for _ in range(6):
        yard.children["one"][-1].words = frozenset({"ERRNO=16"})
        assert "one" in yard.ends("one", 2).waits
        yard.rounds([1800])
    assert yard.started("one") == 7


def test_a_loop_without_a_sign_of_life_is_killed(yard: Yard) -> None:
    """90 seconds after the last one; before the first one, and after its end, it has a quarter of an hour."""
    yard.keeper.round()
    child = yard.children["one"][0]
    yard.passes(800)
    child.words = _PULSE
    yard.passes(90)
    child.words = _PULSE
    yard.passes(90)
    assert child.asked == []
    yard.passes(20)
    assert child.asked == ["kill", "close"]
    assert yard.started("one") == 2
    second = yard.children["one"][1]
    second.words = frozenset({"STOPPING=1"})
    yard.passes(890)
    assert second.asked == []
    yard.passes(30)
    assert second.asked == ["kill", "close"]


def test_a_machine_that_stood_still_blames_nobody(yard: Yard) -> None:
    """After a time in which the keeper didn't get to listen, a child has as long as ever for its next sign of life."""
    yard.keeper.round()
    child = yard.children["one"][0]
    child.words = _PULSE
    yard.rounds([1, 3600])
    yard.passes(80)
    assert child.asked == []
    yard.passes(20)
    assert child.asked[0] == "kill"


def test_all_children_end_within_ten_seconds(yard: Yard) -> None:
    """Asked first, killed if they don't mind; the queue stays as it is."""
    yard.keeper.round()
    yard.children["one"][0].deaf = True
    began = yard.clock.now()
    yard.keeper.stop(yard.clock.sleep)
    assert yard.children["one"][0].asked == ["terminate", "kill", "close"]
    assert yard.clock.now() - began < 10
    assert {path.parent.name for path in yard.logs.glob("*/queued")} == {"one", "two"}
    assert yard.awake[-1] is False


def test_who_is_taken_off_and_goes_on_is_asked_to_end(yard: Yard) -> None:
    """`queue rm` asks first; the keeper asks later, in case that nobody did, and doesn't start it again."""
    yard.keeper.round()
    take_off(Folder(yard.logs / "one"))
    yard.rounds([0, 29])
    assert yard.children["one"][0].asked == []
    yard.rounds([2, 1])
    assert yard.children["one"][0].asked == ["terminate", "close"]
    assert (yard.started("one"), yard.started("two")) == (1, 1)


def test_a_session_that_somebody_works_on_is_left_alone(yard: Yard) -> None:
    """A lock that isn't a child's keeps its session, and its host, from being started twice."""
    yard.held.add(yard.logs / "one/lock")
    yard.keeper.round()
    assert yard.children == {}
    yard.held.clear()
    yard.keeper.round()
    assert yard.started("one") == 1


def test_what_cant_be_started_rests(yard: Yard) -> None:
    """A full disk isn't tried again at once, and the keeper goes on."""
    take_off(Folder(yard.logs / "two"))
    yard.fault = DiskFull("no room")
    decision = yard.keeper.round()
    assert decision.start
    yard.fault = None
    yard.rounds([1])
    assert yard.children == {}
    yard.rounds([29])
    assert yard.started("one") == 1


def test_each_session_is_shown_in_each_round(yard: Yard) -> None:
    """Whoever has something to do for sessions sees all of them: queued or not, at work or not."""
    yard.session("three")
    take_off(Folder(yard.logs / "three"))
    yard.keeper.round()
    yard.hooked.clear()
    yard.keeper.round()
    seen = {session.folder.name: (session.working, session.queued) for session in yard.hooked}
    assert seen == {"one": (True, True), "two": (False, True), "three": (False, False)}


def test_a_marker_that_cant_be_read_stands_last(yard: Yard) -> None:
    """Rubbish in a marker costs a session its place and nothing else."""
    (yard.logs / "one/queued").write_bytes(b"\xff\x00rubbish")
    yard.keeper.round()
    assert (yard.started("one"), yard.started("two")) == (0, 1)
    yard.ends("two", 0, Answered(Culprit(_B), ""))
    assert yard.started("one") == 1


def test_a_journal_is_read_again_only_after_it_has_changed(yard: Yard) -> None:
    """Looking at a queue in which nothing happens parses nothing."""
    shelf = Shelf(yard.logs)
    first = shelf.known("one")
    assert shelf.known("one") is first
    yard.write("one", Resumed())
    assert shelf.known("one") is not first


def test_a_host_that_took_over_is_the_one_that_is_taken(tmp_path: Path) -> None:
    """While a session works on another machine, that one is left alone, and its own is free once it is sound again."""
    first, second = (replace(LAB, name=name, tags=("big",)) for name in ("rack1", "rack2"))
    yard = Yard(tmp_path / "logs", hosts=Hosts((first, second), frozenset({"rack1"})))
    yard.session("one", of_tag=first)
    yard.session("two", of_tag=second)
    assert yard.keeper.round().waits == {"two": Wait("rack2 works on one")}
    assert yard.moved == [("one", "rack2")]
    assert yard.keeper.round().waits == {"two": Wait("rack2 works on one")}
    yard.hosts = Hosts((first, second))
    yard.keeper.round()
    assert yard.moved == [("one", "rack2"), ("two", "rack1")]
