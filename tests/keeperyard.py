"""A keeper over a real logs folder, with real journals and children that do what a test says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fakes import FakeClock, a_plan

from bisectbot.effects.files import replace_text
from bisectbot.errors import DiskFull
from bisectbot.facts import Fact, Opened
from bisectbot.journal import Journal
from bisectbot.keeper.decide import Decision, Hosts
from bisectbot.keeper.queued import Shelf, needs_a_hand, put
from bisectbot.keeper.rounds import Keeper, Outside, Session
from bisectbot.lab import LabHost
from bisectbot.model import Range
from bisectbot.session import Folder

_A, _B = "a" * 40, "b" * 40


@dataclass
class FakeChild:
    """A process that ends when a test says so, or when it is asked to."""

    pid: int = 77
    code: int | None = None
    words: frozenset[str] = frozenset()
    deaf: bool = False  # whether it doesn't mind being asked
    asked: list[str] = field(default_factory=list)

    def heard(self) -> frozenset[str]:
        """Return each word once."""
        words, self.words = self.words, frozenset()
        return words

    def poll(self) -> int | None:
        """Return what the test set."""
        return self.code

    def terminate(self) -> None:
        """End, or don't."""
        self.asked.append("terminate")
        self.code = self.code if self.deaf else 130

    def kill(self) -> None:
        """End."""
        self.asked.append("kill")
        self.code = -9

    def close(self) -> None:
        """Take note."""
        self.asked.append("close")


@dataclass
class Yard:
    """A logs folder, a keeper, and the children that it started."""

    logs: Path
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)
    children: dict[str, list[FakeChild]] = field(default_factory=dict)
    awake: list[bool] = field(default_factory=list)
    hooked: list[Session] = field(default_factory=list)
    held: set[Path] = field(default_factory=set)
    fault: DiskFull | None = None
    hosts: Hosts = field(default_factory=Hosts)
    moved: list[tuple[str, str]] = field(default_factory=list)  # sessions that were given another host

    def __post_init__(self) -> None:
        self.keeper = self.again()

    def again(self) -> Keeper:
        """Return another keeper over the same folder, which remembers nothing."""
        outside = Outside(
            hosts=lambda: self.hosts,
            held=lambda lock: lock in self.held,
            last_words=lambda _: "it said no",
            needs_a_hand=lambda folder, why: needs_a_hand(folder, why, replace_text),
            say=self.said.append,
            pulse=lambda _: None,
            stay_awake=self.awake.append,
            each_round=self.hooked.append,
        )
        return Keeper(Shelf(self.logs), self, self.clock, outside)

    def start(self, name: str, log: Path, on: str | None) -> FakeChild:
        """Fit rounds.Starter."""
        assert log == self.logs / name / "service.log"
        if self.fault:
            raise self.fault
        if on is not None:
            self.moved.append((name, on))
        child = FakeChild()
        self.children.setdefault(name, []).append(child)
        return child

    def session(self, name: str, *facts: Fact, of_tag: LabHost | None = None) -> None:
        """Make a session and queue it; `of_tag`: the real machine that it got for its tag."""
        folder = Folder(self.logs / name)
        folder.path.mkdir(parents=True)
        plan = a_plan(Path("/t"), Range(_B, (_A,)))
        if of_tag is not None:
            plan = replace(plan, host=of_tag, tag=of_tag.tags[0])
        self.write(name, Opened(plan, {}), *facts)
        put(self.logs, folder, replace_text)

    def write(self, name: str, *facts: Fact) -> None:
        """Add to a session's journal, as its process would."""
        book = Journal(self.logs / name / "journal.db")
        for fact in facts:
            book.append(self.clock.wall(), fact)
        book.close()

    def ends(self, name: str, code: int, *facts: Fact) -> Decision:
        """Let a session's process write and end, and return what the next round decided."""
        self.write(name, *facts)
        self.children[name][-1].code = code
        return self.keeper.round()

    def started(self, name: str) -> int:
        """Return how many times a session was started."""
        return len(self.children.get(name, ()))

    def rounds(self, seconds: Iterable[float]) -> None:
        """Pass some time, with a round after each step."""
        for step in seconds:
            self.clock.sleep(step)
            self.keeper.round()

    def passes(self, seconds: int) -> None:
        """Pass some time as a keeper that isn't kept from anything does."""
        self.rounds([5] * (seconds // 5))
