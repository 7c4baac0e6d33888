"""What is shown of sessions: lines, a close look at one, and machines; values and words for people and programs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from bisectbot.facts import BootBegan, State, Tried
from bisectbot.fit import Fit
from bisectbot.forecast import in_words
from bisectbot.model import Culprit
from bisectbot.odds import Odds
from bisectbot.report import answer_in_words
from bisectbot.report.chances import OLDER, figure
from bisectbot.visible import visible, visible_block
from bisectbot.watching.follow import Followed, silent_boot

_SUSPECTS = 6
_CONSOLE_LINES = 30
_WIDTH = 300
_STUB = re.compile(r"[0-9a-f]{12}")
_HASH = re.compile(r"\b([0-9a-f]{12})(?:[0-9a-f]{28}|[0-9a-f]{52})\b")


@dataclass(frozen=True)
class Known:
    """What is known of a session beside its rows."""

    name: str
    running: bool = False
    queued: int | None = None  # its place, from 1
    best: tuple[str, float] | None = None  # who is suspected most
    fit: Fit | None = None
    steps: float | None = None  # that are left
    seconds: float | None = None
    trouble: str = ""  # why nothing can be told of it


@dataclass(frozen=True)
class Line:
    """A session in one line. Texts are shown as they are: what is data in them was made harmless."""

    name: str
    standing: str
    host: str = ""
    step: str = ""
    best: str = ""
    left: str = ""
    budget: str = ""


@dataclass(frozen=True)
class Likely:
    """A suspect."""

    commit: str
    title: str
    probability: float


@dataclass(frozen=True)
class Close:
    """The session that is looked at closely."""

    name: str
    doing: tuple[str, ...]
    suspects: tuple[Likely, ...]
    ahead: str
    facts: tuple[tuple[float, str], ...]  # when (seconds since the epoch) and what; newest last
    console_name: str
    console: tuple[str, ...]
    note: str = ""  # why there are no odds


@dataclass(frozen=True)
class HostLine:
    """A machine, who uses it, and whether it is set aside."""

    name: str
    users: tuple[str, ...] = ()
    aside: str = ""


@dataclass(frozen=True)
class View:
    """All that is shown at one moment."""

    at: float
    logs: str
    sessions: tuple[Line, ...]
    hosts: tuple[HostLine, ...] = ()
    close: Close | None = None


def line_of(known: Known, seen: Followed | None) -> Line:
    """Return a session's line."""
    name = visible(known.name, 100)
    if known.trouble or seen is None:
        return Line(name, visible(known.trouble, 200) or "nothing was written yet")
    state = seen.state
    return Line(
        name=name,
        standing=standing(known, state),
        host=visible(state.plan.host.name, 60),
        step=_step(known, state),
        best=_best(known, state),
        left="" if state.answered or known.seconds is None else in_words(known.seconds),
        budget=_budget(known),
    )


def standing(known: Known, state: State) -> str:
    """Return whether somebody works on it, and if not, why."""
    if known.running:
        return "confirming" if state.found and not state.answered else "running"
    if state.answered:
        return "answered"
    if known.queued is not None:
        return f"queued ({known.queued})"
    return f"stopped ({state.paused.why})" if state.paused else "stopped (killed)"


def _step(known: Known, state: State) -> str:
    done = state.boots if state.plan.search else len(state.judged())
    if state.answered or known.steps is None:
        return str(done)
    return f"{done} of ~{done + max(1, round(known.steps))}"


def _best(known: Known, state: State) -> str:
    if state.answered:
        answer = state.answered.answer
        return f"{answer.commit[:12]} found" if isinstance(answer, Culprit) else answer_in_words(answer)
    if known.best is None:
        return ""
    name = "older" if known.best[0] == OLDER else visible(known.best[0][:12], 40)
    return f"{name} {figure(known.best[1])}"


def _budget(known: Known) -> str:
    return "" if known.fit is None else str(known.fit.word())


def best_of(odds: Mapping[str, object]) -> tuple[str, float] | None:
    """Return who is suspected most by an odds.json that may be any JSON; None before anything fired."""
    rate, suspects, older = odds.get("rate"), odds.get("suspects"), odds.get("older")
    if not isinstance(rate, dict) or not rate.get("fires") or not isinstance(suspects, list) or not suspects:
        return None
    first = suspects[0]
    if not isinstance(first, dict):
        return None
    commit, chance, else_ = first.get("commit"), number(first.get("probability")), number(older)
    if not isinstance(commit, str) or chance is None:
        return None
    return (OLDER, else_) if else_ is not None and else_ > chance else (commit, chance)


def number(value: object) -> float | None:
    """Return a finite number from JSON, where it may have any number of digits; None for all else."""
    with suppress(OverflowError):
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    return None


def likely_of(odds: Odds | None, titles: Mapping[str, str]) -> tuple[Likely, ...]:
    """Return the likeliest commits with their titles, and the hypothesis beside them where it counts."""
    if odds is None or not odds.rate.fires:
        return ()
    found = [
        Likely(one.commit[:12], visible(titles.get(one.commit, ""), 120), one.probability) for one in odds.suspects
    ]
    found.append(Likely(OLDER, "", odds.older))
    return tuple(sorted(found, key=lambda one: -one.probability)[:_SUSPECTS])


def doing(known: Known, seen: Followed, build: str, titles: Mapping[str, str], now: float) -> tuple[str, ...]:
    """Return what goes on, a line each; `build`: the first 12 digits of the commit whose build log grows."""
    state = seen.state
    if not known.running:
        return (_resting(known, state),)
    lines = []
    if seen.boot is not None and isinstance(seen.boot.fact, BootBegan):
        fact = seen.boot.fact
        runs = f", {seen.runs} silent" if seen.runs else ""
        lines.append(f"boot {fact.boot} for {_since(seen.boot.at, now)}{runs}: {_named(fact.commit, titles)}")
    if seen.home is not None:
        lines.append(f"bringing {visible(state.plan.host.name, 60)} home for {_since(seen.home.at, now)}")
    if _STUB.fullmatch(build) and not any(commit.startswith(build) for commit in state.builds):
        full = next((commit for commit in titles if commit.startswith(build)), build)
        lines.append(f"building for {_since(seen.chosen, now)}: {_named(full, titles)}")
    return tuple(lines) or (f"choosing what to do next for {_since(state.latest, now)}",)


def _resting(known: Known, state: State) -> str:
    if state.answered:
        return f"answered: {answer_in_words(state.answered.answer)}"
    if known.queued is not None:
        return f"waits in the queue, place {known.queued}"
    return f"stopped: {visible(state.paused.text, 300)}" if state.paused else "was killed; resume it to go on"


def _named(commit: str, titles: Mapping[str, str]) -> str:
    return f"{commit[:12]} {visible(titles.get(commit, ''), 100)}".rstrip()


def _since(at: float, now: float) -> str:
    return in_words(max(0.0, now - at))


def ahead(known: Known, state: State) -> str:
    """Return what is still to do, and whether that fits into the budget."""
    if state.answered:
        return ""
    steps = "" if known.steps is None else f"about {max(1, round(known.steps))} steps, "
    left = f"{steps}time left: {'not known yet' if known.seconds is None else in_words(known.seconds)}"
    if known.fit is None:
        return left
    limits = [f"{in_words(known.fit.seconds)} of it left"] if known.fit.seconds is not None else []
    limits += [f"{known.fit.boots} boots left"] if known.fit.boots is not None else []
    return f"{left}; budget: {known.fit.word()} ({', '.join(limits)})"


def wanted_titles(seen: Followed, odds: Odds | None) -> tuple[str, ...]:
    """Return the commits that a close look names."""
    suspects = [one.commit for one in odds.suspects[:_SUSPECTS]] if odds else []
    booting = [seen.boot.fact.commit] if seen.boot and isinstance(seen.boot.fact, BootBegan) else []
    proposed = [odds.proposal.commit] if odds and odds.proposal else []
    return tuple(dict.fromkeys((*suspects, *booting, *proposed)))


def console_boot(seen: Followed) -> tuple[int, str] | None:
    """Return the number and the commit of the boot whose console is the newest."""
    if seen.boot is not None and isinstance(seen.boot.fact, BootBegan):
        return seen.boot.fact.boot, seen.boot.fact.commit
    last = (trial for trials in seen.state.trials.values() for trial in trials)
    found = max(last, key=lambda trial: trial.boot, default=None)
    return (found.boot, found.commit) if found else None


def console_lines(data: bytes) -> tuple[str, ...]:
    """Return the end of a console as harmless lines, whatever bytes it is made of."""
    text = data.decode(errors="replace").replace("\r", "")
    block = visible_block(text[-(1 << 14) :], 1 << 14, _WIDTH)
    # what matters to us init says several times
    lines = (line for line, _ in groupby(line for line in block.split("\n") if line.strip()))
    return tuple(lines)[-_CONSOLE_LINES:]


def hosts_of(names: Sequence[tuple[str, str]], users: Sequence[tuple[str, str]]) -> tuple[HostLine, ...]:
    """Return the machines: `names` with why each is set aside, `users` as (host, session) of who works."""
    every = dict.fromkeys([*(host for host, _ in users), *(name for name, _ in names)])
    aside = dict(names)
    return tuple(
        HostLine(
            visible(name, 60),
            tuple(visible(session, 60) for host, session in users if host == name),
            visible(aside.get(name, ""), 200),
        )
        for name in every
    )


def facts_of(seen: Followed, tell: Mapping[int, str], most: int = 10) -> tuple[tuple[float, str], ...]:
    """Return the newest facts; `tell`: their words, by the row's number."""
    found = []
    for one in seen.recent[-most:]:
        words = tell.get(one.row.number, "")
        fact = one.row.fact
        if isinstance(fact, Tried) and silent_boot(one.row) is not None and one.runs > 1:
            words = f"{fact.trial.commit} boot {fact.trial.boot}: silent in {one.runs} runs"
        found.append((one.row.at, visible(_HASH.sub(r"\1", words), 200)))
    return tuple(found)
