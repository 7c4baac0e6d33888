"""How likely each commit is to be the culprit before anything was tested: by what it touches, and by what users say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bisectbot.odds import Shrunk
from bisectbot.plan import PriorKind, PriorRule
from bisectbot.search.sight import Sight

# What Sight can be wrong about: a list that lacks a file (a header that shadows another, a file that a script reads and
# no .cmd file names), or a bug that depends on where the linker puts things. All of them together are rarer than one
# culprit in a thousand, and hidden commits can be ten times as many as the visible ones: this factor gives all of them
# together 0.1 % there. It can't make a wrong answer final: an answer also needs 0.9 with all commits equally likely
# (noisy.py), and a single fire on the culprit's parent rules the culprit out, whatever the priors were.
HIDDEN = 1e-4
# A merge that only puts two sides together. It can be the culprit (each side is good, both aren't), and then the method
# made no mistake; but among culprits such merges are far rarer than among commits.
MERGED = 1e-2
_SMALLEST = 1e-12  # of the likeliest commit's weight, whatever users multiply
_LIKELIER = 3.0


@dataclass(frozen=True)
class Prior:
    """Probabilities before the first test, one for each commit, and what the sight of the kernels alone does."""

    weights: NDArray[np.float64]  # shape (commits,), of 1, none 0
    shrunk: Shrunk | None  # None: it isn't known what the kernels were made from


def weights(
    commits: Sequence[str],
    touched: Mapping[str, Sequence[str]],
    sight: Sight | None,
    rules: Sequence[PriorRule] = (),
    authors: Mapping[str, str] | None = None,
) -> Prior:
    """Return the prior of commits; ValueError if there are none.

    `touched`: the paths that each changes, none for a merge that only puts its sides together. `sight` None: all
    commits can be seen. `authors`: "Name <address>" by commit, needed by rules on authors alone.
    """
    if not commits:
        msg = "no commits"
        raise ValueError(msg)
    seen = _seen(commits, touched, sight)
    logs = np.log(seen)
    for rule in rules:
        logs += np.log(rule.factor) * _follows(rule, commits, touched, authors or {})
    unscaled = np.maximum(np.exp(logs - logs.max()), _SMALLEST)
    return Prior(unscaled / unscaled.sum(), _shrunk(seen) if sight else None)


def default_rules() -> tuple[PriorRule, ...]:
    """Return what is likelier where our own reproducer fires: KVM, entry from and to user space, restartable sequences.

    For the user's own reproducer nothing is known.
    """
    headers = ("entry-common", "entry-kvm", "kvm_host", "resume_user_mode", "rseq", "tracehook")
    paths = ("virt/", "arch/x86/kvm/", "arch/arm64/kvm/", "kernel/entry/", "kernel/rseq.c")
    touching = (*paths, *(f"include/linux/{name}.h" for name in headers))
    return tuple(PriorRule(PriorKind.PATH, path, _LIKELIER) for path in touching)


def twins(commits: Sequence[str], digests: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of commits whose kernels are the same, in the order of `commits`; "" is a digest of none."""
    groups: dict[str, list[str]] = {}
    for commit in commits:
        if digest := digests.get(commit, ""):
            groups.setdefault(digest, []).append(commit)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _seen(commits: Sequence[str], touched: Mapping[str, Sequence[str]], sight: Sight | None) -> NDArray[np.float64]:
    if sight is None:
        return np.ones(len(commits))
    return np.array([_factor(touched[commit], sight) for commit in commits])


def _factor(paths: Sequence[str], sight: Sight) -> float:
    if not paths:
        return MERGED
    return 1.0 if any(map(sight.sees, paths)) else HIDDEN


def _follows(
    rule: PriorRule, commits: Sequence[str], touched: Mapping[str, Sequence[str]], authors: Mapping[str, str]
) -> NDArray[np.bool_]:
    """Return which commits a rule is about."""
    match rule.kind:
        case PriorKind.PATH:
            return np.array([any(_below(path, rule.what) for path in touched[commit]) for commit in commits])
        case PriorKind.AUTHOR:
            text = rule.what.casefold()
            return np.array([text in authors[commit].casefold() for commit in commits])
        case PriorKind.LIST:
            named = frozenset(rule.commits)
            return np.array([commit in named for commit in commits])


def _below(path: str, what: str) -> bool:
    return path == what.rstrip("/") or path.startswith(what.rstrip("/") + "/")


def _shrunk(seen: NDArray[np.float64]) -> Shrunk:
    shares = seen / seen.sum()
    bits = float(-(shares * np.log2(shares)).sum())
    visible = int((seen == 1.0).sum())
    return Shrunk(visible, len(seen), max(0.0, float(np.log2(len(seen))) - bits))
