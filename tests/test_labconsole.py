"""What is taken for the candidate's words, when a silent machine is looked at, and whether it is on its way home."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from fakelab import FakeMachine
from fakes import FakeClock
from fakewires import FakeRecorded
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.boot.labconsole import LabConsole, Prologue, Sight
from bisectbot.errors import HostSick, InfraError

BEFORE = b"[  OK  ] Stopped sshd\r\nkexec_core: Starting new kernel\r\nSeaBIOS (version 1.16)\r\niPXE 1.21\r\n"
KERNEL = b"[    0.000000] Linux version 6.1.0-bb-c0ffee (x@y)\r\n"
READY = b'@bb 1 0badcafe {"t":"ready","v":1}\n'
DONE = b'@bb 9 0badcafe {"t":"done"}\n'


@dataclass
class Bench:
    """A console whose words come at the times of `tape`, and what the looks at its machine show."""

    sights: list[Sight | HostSick] = field(default_factory=list)
    stopping: bool = False
    takes: float = 0.0  # seconds, each look

    def __post_init__(self) -> None:
        self.clock = FakeClock(0.0)
        self.machine = FakeMachine(self.clock)
        self.recorded = FakeRecorded(self.machine)
        self.looks: list[float] = []
        self.console = LabConsole(self.recorded, clock=self.clock, look=self._look, stopping=lambda: self.stopping)

    def _look(self) -> Sight:
        self.looks.append(self.clock.now())
        self.clock.sleep(self.takes)
        sight = self.sights.pop(0) if self.sights else Sight.NOTHING
        if isinstance(sight, HostSick):
            raise sight
        return sight

    def say(self, *words: tuple[float, bytes]) -> None:
        """Let something come at each time."""
        self.machine.tape += words

    def hear(self, until: float) -> bytes:
        """Return what is taken for the candidate's until a time, or until the console ends."""
        heard = b""
        for chunk in self.console.chunks(0.25):
            heard += chunk.data if chunk else b""
            if self.clock.now() >= until:
                break
        return heard


# --- the prologue ------------------------------------------------------------------------------


@given(st.lists(st.integers(0, len(BEFORE + KERNEL + READY)), max_size=6), st.sampled_from([KERNEL + READY, READY]))
def test_what_comes_before_a_kernel_is_nobodys(cuts: list[int], words: bytes) -> None:
    """However the bytes arrive: the old system, firmware and boot loader are left out, a kernel's line is whole."""
    text, prologue = BEFORE + words + b"more\n", Prologue()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    heard = b"".join(prologue.feed(text[start:end]) for start, end in pairwise(edges))
    assert heard == words + b"more\n"
    assert prologue.over


def test_a_line_without_end_takes_no_memory() -> None:
    """Firmware may send the same line for ever."""
    prologue = Prologue()
    for _ in range(100):
        assert prologue.feed(b"x" * 65536) == b""
    assert len(prologue._rest) <= 16 * 1024
    assert prologue.feed(b"\n" + KERNEL) == KERNEL


def test_the_old_systems_facts_are_no_sign_of_a_kernel() -> None:
    """Its last words come through the same wire and reach nobody; the candidate's do."""
    bench = Bench()
    bench.say((0.5, BEFORE), (1.0, b"reboot: Restarting system\r\n"), (3.0, KERNEL))
    assert bench.hear(2.5) == b""
    assert (bench.console.spoke, bench.console.leaving) == (False, False)
    assert bench.hear(4.0) == KERNEL
    assert bench.console.spoke


# --- silence -----------------------------------------------------------------------------------


def test_a_silent_machine_is_looked_at() -> None:
    """After 5 s without a word, and again every 5 s; while a kernel speaks nobody looks."""
    bench = Bench()
    bench.say((0.0, KERNEL + READY), *((float(second), b"tick\n") for second in range(1, 31)))
    bench.hear(30.0)
    assert bench.looks == []
    bench.hear(47.0)
    assert bench.looks == [35.0, 40.0, 45.0]


def test_a_kernel_that_only_talks_is_looked_at_now_and_then() -> None:
    """Firmware or a boot menu may print for ever: before a candidate greets the machine is looked at all the same."""
    bench = Bench()
    bench.say(*((number / 2, b"PXE-E18: timeout\r\n") for number in range(1, 130)))
    assert bench.hear(60.0) == b""
    assert bench.looks[0] <= 21.0
    assert len(bench.looks) >= 2


def test_home_again_is_a_reset() -> None:
    """The known-good system answers: the console ends, and its reader is told that the machine was reset."""
    bench = Bench([Sight.NOTHING, Sight.HOME])
    bench.say((0.0, KERNEL))
    assert bench.hear(1000.0) == KERNEL
    assert bench.looks == [5.0, 10.0]
    assert bench.console.reset
    assert bench.console.goes_home()
    assert bench.clock.now() == 10.25


@pytest.mark.parametrize("sight", Sight)
def test_what_comes_during_a_look_is_told_before_the_time_is(sight: Sight) -> None:
    """A look takes seconds; a deadline must not pass in them over words that lie there already."""
    bench = Bench([sight])
    bench.takes = 6.0
    bench.say((6.0, KERNEL), (7.0, READY))
    told = []
    for chunk in bench.console.chunks(0.25):
        told.append((chunk.at, chunk.data) if chunk else None)
        if bench.clock.now() >= 12.0:
            break
    words = [one for one in told if one]
    assert words == [(6.0, KERNEL), (7.0, READY)]
    assert told.index(words[1]) == told.index(words[0]) + 1
    assert bench.looks == [5.0]
    assert bench.console.reset is (sight is Sight.HOME)


def test_what_a_look_raises_ends_the_boot() -> None:
    """A machine that booted its disk, or never left, is a fault of ours."""
    bench = Bench([HostSick("it still runs its old system")])
    with pytest.raises(HostSick, match="old system"):
        bench.hear(1000.0)
    assert not bench.console.reset


def test_a_bot_that_stops_hears_no_more() -> None:
    """It ends with a fault of ours, whatever the machine says."""
    bench = Bench()
    bench.say((0.0, KERNEL))
    bench.stopping = True
    with pytest.raises(InfraError, match="stopping"):
        bench.hear(1.0)


# --- on its way home ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        DONE,
        b"[   12.3] Rebooting in 10 seconds..\r\n",
        b"[   12.3] reboot: Restarting system\r\n",
        b"[   12.3] reboot: machine restart\r\n",
    ],
)
@pytest.mark.parametrize("cut", [0, 7, 20])
def test_last_words_tell_that_it_restarts(words: bytes, cut: int) -> None:
    """Init's and a kernel's, wherever the bytes are cut, before or after its reader went away."""
    early = Bench()
    early.say((0.0, KERNEL + READY), (1.0, words[:cut]), (1.1, words[cut:]))
    early.hear(2.0)
    assert early.console.leaving
    assert early.console.goes_home()
    assert early.clock.now() <= 2.5
    late = Bench()
    late.say((0.0, KERNEL + READY), (2.0, words[:cut]), (2.4, words[cut:]))
    late.hear(1.0)
    assert late.console.goes_home()
    assert late.clock.now() <= 3.5


def test_a_kernel_without_last_words_doesnt_go_home_by_itself() -> None:
    """A panic with panic=0, or silence: after 5 s it is known that nothing will happen."""
    bench = Bench()
    bench.say((0.0, KERNEL + READY), (1.0, b"---[ end Kernel panic - not syncing: Fatal exception ]---\r\n"))
    bench.hear(1.5)
    began = bench.clock.now()
    assert not bench.console.goes_home()
    assert 5.0 <= bench.clock.now() - began <= 6.0


def test_a_machine_that_talks_on_doesnt_go_home_by_itself() -> None:
    """However much it says."""
    bench = Bench()
    bench.say(*((number / 10, KERNEL) for number in range(200)))
    bench.hear(1.0)
    assert not bench.console.goes_home()
    assert bench.clock.now() <= 7.0
