"""A history, a world and the bot over them: whole bisections with real git and machines that know the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fakes import FakeClock, FakeStages, Inline, MortalJournal, Quiet, World, a_plan
from history import History

from bisectbot.build.compiled import listed
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.worktree import GitBisect, GitTree
from bisectbot.facts import Opened, Row, State, replay
from bisectbot.loop import Bot
from bisectbot.model import Range
from bisectbot.plan import Plan, SearchRecipe
from bisectbot.search.bisection import Bisection
from bisectbot.search.noisy import Beliefs, Noisy
from bisectbot.search.past import past_of

# Two side branches, one forked before the other's merge, as a kernel's history has them.
MERGES: dict[str, Sequence[str]] = {
    "base": (),
    "m1": ("base",),
    "s1": ("base",),
    "m2": ("m1",),
    "s2": ("s1",),
    "merge-s": ("m2", "s2"),
    "t1": ("m1",),
    "t2": ("t1",),
    "m3": ("merge-s",),
    "merge-t": ("m3", "t2"),
    "m4": ("merge-t",),
    "tip": ("m4",),
}


class Lab:
    """A history, its private worktree, and runs of the bot over worlds."""

    def __init__(self, tmp_path: Path, history: History) -> None:
        self.history = history
        door = open_git(history.path)
        self.graph = GitGraph(door)
        self.tree = GitTree.prepare(door, tmp_path / "tree", self.graph.resolve("main"))

    def with_bug_from(self, title: str) -> frozenset[str]:
        """Return every commit that contains the one called `title`."""
        culprit = self.history[title]
        return frozenset(c for c in self.history.commits.values() if self.graph.is_ancestor(culprit, c))

    def bot(self, plan: Plan, stages: FakeStages, rows: list[Row], dies_after: int | None = None) -> Bot:
        """Return a bot that goes on from `rows`."""
        if not rows:
            rows.append(Row(0.0, Opened(plan, {})))
        state = replay(rows)
        assert state is not None
        return Bot(
            state=state,
            search=self._search(plan),
            stages=stages,
            facts=MortalJournal(rows, dies_after),
            clock=FakeClock(),
            show=Quiet(),
            slots={"build": Inline(), "boot": Inline()},
        )

    def _search(self, plan: Plan) -> Bisection | Noisy:
        ledger = GitBisect(self.tree.path)
        if plan.search is None:
            return Bisection(plan.range_, ledger)
        beliefs = Beliefs(plan.search, past_of(self.graph, plan.range_), listed)
        return Noisy(plan, beliefs, ledger, leavable=False)

    def run(self, world: World, range_: Range | None = None, search: SearchRecipe | None = None) -> State:
        """Return how a world ends."""
        return self.bot(self.plan(range_, search), FakeStages(world), []).run()

    def plan(self, range_: Range | None = None, search: SearchRecipe | None = None) -> Plan:
        """Return a plan over the whole history, or a range of it."""
        commits = list(self.history.commits.values())
        return a_plan(self.history.path, range_ or Range(commits[-1], (commits[0],)), search=search)
