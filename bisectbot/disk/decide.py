"""What may be tidied away, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bisectbot.facts import State
from bisectbot.model import Kernel

_DAY = 24 * 3600


class Kind(StrEnum):
    """What a thing is; in the order in which things go. All but the logs can be made again."""

    KERNEL = "kernels"
    TREE = "build folders"
    CCACHE = "ccache"
    LOG = "logs"  # packed, never removed


@dataclass(frozen=True)
class Thing:
    """Something that takes room. `used`: its last use, seconds since the epoch; `device`: the file system it is on."""

    kind: Kind
    path: Path
    size: int  # bytes
    used: float
    device: int = 0
    kept: str = ""  # why it has to stay; nothing if it may go


@dataclass(frozen=True)
class Rules:
    """When a thing goes though there is room: seconds since its last use, and bytes of all kernels."""

    max_age: float
    max_kernels: int
    pack_after: float

    @classmethod
    def of_days(cls, max_age: float, max_kernels: int, pack_after: float) -> Rules:
        """Return the rules with both ages given in days."""
        return cls(max_age * _DAY, max_kernels, pack_after * _DAY)


def due(things: Iterable[Thing], rules: Rules, now: float) -> tuple[Thing, ...]:
    """Return what goes by its age, and kernels beyond their bytes; in the order in which it goes."""
    ordered = _ordered(things)
    found = [one for one in ordered if not one.kept and now - one.used > _age(one, rules)]
    kernels = [one for one in ordered if one.kind is Kind.KERNEL]
    excess = sum(one.size for one in kernels if one not in found) - rules.max_kernels
    return tuple(_ordered([*found, *_beyond([one for one in kernels if one not in found], excess)]))


def spare(things: Iterable[Thing], devices: Iterable[int]) -> tuple[Thing, ...]:
    """Return all that could go for want of room on these file systems, in the order in which it goes."""
    full = frozenset(devices)
    return tuple(one for one in _ordered(things) if one.device in full and not one.kept and one.size > 0)


def _age(thing: Thing, rules: Rules) -> float:
    match thing.kind:
        case Kind.LOG:
            return rules.pack_after
        case Kind.CCACHE:
            return -float("inf")  # it knows its own limit; it is only told to keep to it
        case Kind.KERNEL | Kind.TREE:
            return rules.max_age


def _beyond(kernels: Iterable[Thing], excess: int) -> Iterator[Thing]:
    """Yield the kernels, least recently used first, without which there is no excess."""
    for one in kernels:
        if excess > 0 and not one.kept:
            excess -= one.size
            yield one


def _ordered(things: Iterable[Thing]) -> list[Thing]:
    order = [*Kind]
    return sorted(things, key=lambda one: (order.index(one.kind), one.used, one.path))


def evidence(state: State) -> frozenset[str]:
    """Return the store's keys of the kernels that a session needs: all while it has no answer, then what it rests on.

    An answer rests on its ends, the culprit, its parents, the runner-up and the revert: all are commits that gave a
    verdict by a boot, so whatever did is kept.
    """
    needed = state.builds if state.answered is None else {*state.plan.range_.ends, *_booted(state), *_made(state)}
    built = (state.builds.get(commit) for commit in needed)
    return frozenset(one.key for one in built if isinstance(one, Kernel))


def _booted(state: State) -> set[str]:
    return {commit for commit, trials in state.trials.items() if any(not one.ending.verdictless for one in trials)}


def _made(state: State) -> set[str]:
    return {one.commit for one in state.reverts.values() if one.commit}
