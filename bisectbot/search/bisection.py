"""The search over real `git bisect`: both ends proven first, then what git picks, down to its last word."""

from __future__ import annotations

from bisectbot.facts import State
from bisectbot.model import Answer, EndUnproven, Judgement, Range, TryNext, Verdict
from bisectbot.ports import Ledger
from bisectbot.search.wanted import Test, Wanted
from bisectbot.verdict import clean_left


class Bisection:
    """Decides from the state alone; git's ledger is brought up to date by replay, never asked to remember."""

    def __init__(self, range_: Range, ledger: Ledger) -> None:
        self._range = range_
        self._ledger = ledger
        self._marked: set[str] = set()
        ledger.start(range_)

    def decide(self, state: State, booted: str | None = None) -> Wanted | Answer:
        """Return what to test next, or the answer."""
        del booted  # a boot has as many runs as are wanted of it
        unproven = [self._unproven(state, end) for end in self._range.ends]
        for found in unproven:
            if isinstance(found, EndUnproven):
                return found
        self._mark(state)
        answer = self._ledger.answer()
        open_ends = tuple(end for end, proven in zip(self._range.ends, unproven, strict=True) if proven is not None)
        if isinstance(answer, TryNext):
            return _wanted(state, (*open_ends, answer.commit), len(open_ends) + 1 + answer.remaining)
        # git has its answer from the marks of the ends alone: an answer only once they are proven
        return _wanted(state, open_ends, len(open_ends)) if open_ends else answer

    def log(self) -> str:
        """Return the log that `git bisect replay` takes."""
        return self._ledger.log()

    def _unproven(self, state: State, end: str) -> EndUnproven | str | None:
        """Return None for a proven end, the end itself if it is still to be tested, or what it turned out to be."""
        found = state.judgement(end)
        if not isinstance(found, Judgement):
            return end
        expected = Verdict.BAD if end == self._range.bad else Verdict.GOOD
        return None if found.verdict is expected else EndUnproven(end, expected, found)

    def _mark(self, state: State) -> None:
        for commit, judgement in state.judged():
            if commit not in self._marked and commit not in self._range.ends:
                self._ledger.mark(commit, judgement.verdict)
                self._marked.add(commit)


def _wanted(state: State, commits: tuple[str, ...], remaining: int) -> Wanted:
    runs = (clean_left(state.trials.get(commit, ()), state.plan.probe) for commit in commits)
    return Wanted(tuple(Test(commit, number) for commit, number in zip(commits, runs, strict=True)), remaining)
