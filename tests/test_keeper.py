"""The queue's decisions, as tables: who is started, who waits and until when, who is taken off, who needs a hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial
from lab_samples import LAB

from bisectbot.facts import Answered, Built, Fact, Faulted, Notified, Opened, Paused, Resumed, Row, Tried
from bisectbot.keeper.decide import (
    Decision,
    Ending,
    Entry,
    Hosts,
    Known,
    Lapse,
    Start,
    Wait,
    decide,
    in_order,
    known,
    lapse,
)
from bisectbot.lab import Payload
from bisectbot.model import Arch, Culprit, QemuHost, Range
from bisectbot.model import Ending as TrialEnding

_A, _B = "a" * 40, "b" * 40
_NOW = 1_700_000_000.0
_ONE, _TWO = (QemuHost(name, Arch.X86_64) for name in ("one", "two"))
_RACK1, _RACK2, _ARM = (
    replace(LAB, name=name, tags=("big",), arch=arch, payload=Payload.INITRAMFS)
    for name, arch in (("rack1", Arch.X86_64), ("rack2", Arch.X86_64), ("arm1", Arch.AARCH64))
)
_LAB = Hosts((_RACK1, _ARM, _RACK2))
_FAULT = Paused("fault", "disk full", "DiskFull")
_INTERRUPTED = Paused("interrupted", "SIGTERM")
_PLAN = a_plan(Path("/t"), Range(_B, (_A,)))


def _rows(*facts: Fact) -> tuple[Row, ...]:
    return tuple(Row(_NOW + at, fact, at + 1) for at, fact in enumerate((Opened(_PLAN, {}), *facts)))


def _entry(name: str, order: float = 1, host: QemuHost = _ONE, **more: object) -> Entry:
    return Entry(name, order, Known(host), **more)  # type: ignore[arg-type]  # the callers pass an Entry's fields


def _paused(faults: int, at: float = _NOW) -> Known:
    return Known(_ONE, paused=_FAULT, paused_at=at, faults=faults)


def _of_tag(tag: str = "big", **more: object) -> Known:
    return Known(_RACK1, tag, **more)  # type: ignore[arg-type]  # as above


def _wait(decision: Decision, name: str) -> float:
    until = decision.waits[name].until
    assert until is not None
    return until - _NOW


def test_one_at_a_time_a_host_in_order() -> None:
    """The first of each host is started, the others wait and know for whom."""
    queue = [_entry("c", 3), _entry("b", 2), _entry("a", 2), _entry("other", 9, _TWO)]
    assert [entry.name for entry in in_order(queue)] == ["a", "b", "c", "other"]
    found = decide(queue, Hosts(), _NOW)
    assert found.start == (Start("a"), Start("other"))
    assert found.waits == {"b": Wait("one works on a"), "c": Wait("one works on a")}


def test_a_host_at_work_is_left_alone() -> None:
    """A session that runs isn't started again, and whoever stands before it in the queue waits for the host."""
    found = decide([_entry("a", 1), _entry("b", 2, running=True)], Hosts(), _NOW)
    assert found.start == ()
    assert found.waits == {"a": Wait("one works on b")}


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ((Paused("budget", "the time is used up"),), "out of budget"),
        ((Paused("budget", "the time is used up"), Notified(2, "budget", "mail")), "out of budget"),
        ((Answered(Culprit(_B), ""),), "answered"),
        ((Answered(Culprit(_B), ""), Notified(2, "found", "mail")), "answered"),
    ],
)
def test_what_is_over_leaves_the_queue(facts: tuple[Fact, ...], why: str) -> None:
    """An answer or a used-up budget ends a session's time in the queue, whoever wrote of notices since."""
    found = decide([Entry("a", 1, known(_rows(*facts)))], Hosts(), _NOW)
    assert found.over == {"a": why}
    assert (found.start, found.waits) == ((), {})


def test_a_budget_given_anew_is_no_end() -> None:
    """A session that was resumed after its budget is started again."""
    rows = _rows(Paused("budget", "the time is used up"), Resumed())
    assert decide([Entry("a", 1, known(rows))], Hosts(), _NOW + 60).start == (Start("a"),)


@pytest.mark.parametrize(
    ("faults", "seconds"), [(1, 30), (2, 60), (3, 120), (4, 300), (5, 600), (6, 1200), (7, 1800), (8, 1800), (99, 1800)]
)
def test_faults_are_waited_for_longer_and_longer(faults: int, seconds: float) -> None:
    """The pause after the nth fault in a row is kept to the second, and half an hour from the seventh on."""
    entry = Entry("a", 1, _paused(faults))
    early = decide([entry], Hosts(), _NOW + seconds - 1)
    assert early.start == ()
    assert _wait(early, "a") == seconds
    assert early.wakes == _NOW + seconds
    assert decide([entry], Hosts(), _NOW + seconds).start == (Start("a"),)


def test_a_session_at_rest_lets_the_next_one_have_the_host() -> None:
    """While the first rests, the second is started; when it has rested, it waits for its turn."""
    queue = [Entry("a", 1, _paused(3)), _entry("b", 2)]
    assert decide(queue, Hosts(), _NOW).start == (Start("b"),)
    later = [queue[0], replace(queue[1], running=True)]
    assert decide(later, Hosts(), _NOW + 120).waits == {"a": Wait("one works on b")}


def test_a_clock_set_back_ends_a_rest() -> None:
    """A pause that was written in what is now the future isn't waited for."""
    assert decide([Entry("a", 1, _paused(3, at=_NOW + 3600))], Hosts(), _NOW).start == (Start("a"),)


@pytest.mark.parametrize(
    ("facts", "faults"),
    [
        ((), 0),
        ((_FAULT,), 1),
        ((_FAULT, Resumed(), _FAULT), 2),
        ((_FAULT, Resumed(), Notified(2, "fault", "mail"), _FAULT), 2),
        ((_FAULT, Resumed(), Built(a_kernel(_B)), _FAULT), 1),
        ((Faulted(_B, "build", "no memory"), _FAULT, Resumed(), Built(a_kernel(_B)), _FAULT), 1),
        ((Faulted(_B, "boot", "no route"), _FAULT, Resumed(), Built(a_kernel(_B)), _FAULT), 2),  # built ahead
        ((_FAULT, Resumed(), Tried(a_trial(_B, 1, TrialEnding.CLEAN)), _FAULT), 1),
        ((_FAULT, Resumed(), Tried(a_trial(_B, 1, TrialEnding.HUNG)), _FAULT), 2),
        ((_FAULT, Resumed(), _INTERRUPTED, Resumed(), _FAULT), 2),
    ],
)
def test_faults_in_a_row_are_counted_from_the_journal(facts: tuple[Fact, ...], faults: int) -> None:
    """What shows that the stage works again begins the count anew: a build does so for builds, a verdict for all."""
    found = known(_rows(*facts))
    assert found is not None
    assert found.faults == faults


def test_what_was_interrupted_is_resumed_at_once() -> None:
    """A signal from outside is no reason to rest."""
    assert decide([Entry("a", 1, known(_rows(_INTERRUPTED)))], Hosts(), _NOW).start == (Start("a"),)


def _lapses(*endings: Ending, steps: int = 0) -> Lapse:
    found: Lapse | None = None
    for ending in endings:
        found = lapse(found, ending, Known(_ONE, steps=steps), steps, _NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("endings", "seconds"),
    [
        ((Ending.KILLED,), 1),
        ((Ending.KILLED,) * 2, 2),
        ((Ending.KILLED,) * 7, 60),
        ((Ending.KILLED,) * 70, 60),
        ((Ending.FAULT,), 30),
        ((Ending.BUSY,) * 2, 60),
        ((Ending.STUCK,), 5),
        ((Ending.STUCK,) * 3, 120),
        ((Ending.STUCK,) * 3 + (Ending.KILLED,), 1),
    ],
)
def test_a_process_that_gets_nowhere_rests(endings: tuple[Ending, ...], seconds: float) -> None:
    """How long depends on how it ended, and how many times in a row it ended so."""
    entry = _entry("a", lapse=_lapses(*endings))
    assert _wait(decide([entry], Hosts(), _NOW), "a") == seconds
    assert decide([entry], Hosts(), _NOW + seconds).start == (Start("a"),)


def test_a_kill_after_progress_costs_nothing() -> None:
    """A process that had finished a build or a trial is followed by the next one at once."""
    before = _lapses(*(Ending.KILLED,) * 5)
    found = lapse(before, Ending.KILLED, Known(_ONE, steps=3), 2, _NOW)
    assert (found.times, found.pause) == (1, 0.0)
    assert decide([_entry("a", lapse=found)], Hosts(), _NOW).start == (Start("a"),)


def test_bugs_and_mistakes_are_tried_three_times_more() -> None:
    """After the fourth in a row a person is asked for, and the next session has the host."""
    assert not _lapses(*(Ending.STUCK,) * 3).hopeless
    found = decide([_entry("a", lapse=_lapses(*(Ending.STUCK,) * 4)), _entry("b", 2)], Hosts(), _NOW + 9999)
    assert found.hand.keys() == {"a"}
    assert found.start == (Start("b"),)


def test_who_needs_a_hand_stays_and_is_not_started() -> None:
    """What the marker says is kept; a journal that can't be read needs a hand, too; neither keeps a keeper waiting."""
    found = decide([_entry("a", hand="no such gcc"), Entry("b", 2, None)], Hosts(), _NOW)
    assert found.hand == {"a": "no such gcc", "b": "its journal is empty or can't be read"}
    assert (found.start, found.waits) == ((), {})


def _aside(*names: str) -> Hosts:
    return replace(_LAB, aside=frozenset(names))


def _busy_on(host: str) -> Lapse:
    return Lapse(Ending.BUSY, _NOW - 3600, 1, 0, host)


@pytest.mark.parametrize(
    ("entry", "hosts", "start"),
    [
        (Entry("a", 1, _of_tag()), _LAB, Start("a")),
        (Entry("a", 1, _of_tag()), _aside("rack1"), Start("a", "rack2")),
        (Entry("a", 1, _of_tag("")), _aside("rack1"), Start("a")),  # it fails there, and rests
        (Entry("a", 1, _of_tag("small")), _aside("rack1"), Start("a")),
        (Entry("a", 1, _of_tag()), _aside("rack1", "rack2"), Start("a")),
        (Entry("a", 1, _of_tag(), lapse=_busy_on("rack1")), _LAB, Start("a", "rack2")),
        (Entry("a", 1, _of_tag(), lapse=_busy_on("rack2")), _LAB, Start("a")),
        (Entry("a", 1, _of_tag(paused=_FAULT, paused_at=_NOW, faults=3)), _aside("rack1"), Start("a", "rack2")),
    ],
)
def test_another_host_with_the_tag_takes_over(entry: Entry, hosts: Hosts, start: Start) -> None:
    """Where a host was asked for by tag, the next sound one of the same architecture does; by name, none else does."""
    assert decide([entry], hosts, _NOW).start == (start,)


def test_two_of_one_tag_run_side_by_side() -> None:
    """The second session of a tag doesn't wait for the first one's host, the third one does."""
    queue = [Entry(name, order, _of_tag()) for order, name in enumerate("abc")]
    found = decide(queue, _LAB, _NOW)
    assert found.start == (Start("a"), Start("b", "rack2"))
    assert found.waits == {"c": Wait("rack1 works on a")}


def test_another_payload_is_no_substitute() -> None:
    """A machine whose candidates run with its own root needs other kernels."""
    own_root = replace(_RACK2, payload=Payload.HOST)
    hosts = Hosts((_RACK1, own_root), frozenset({"rack1"}))
    assert decide([Entry("a", 1, _of_tag())], hosts, _NOW).start == (Start("a"),)
