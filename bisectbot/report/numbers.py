"""The odds of a noisy search as numbers for programs."""

from __future__ import annotations

import math
from dataclasses import asdict

from bisectbot.model import Judgement
from bisectbot.odds import Odds, Tested


def odds_json(odds: Odds) -> dict[str, object]:
    """Return the odds made of JSON's own types: full hashes, seconds, probabilities; null where nobody knows."""
    found = {
        **asdict(odds),
        "rate": {**asdict(odds.rate), "mean_seconds": odds.rate.mean_seconds, "interval": 0.95},
        "tested": [_tested(one) for one in odds.tested],
    }
    return {name: _plain(value) for name, value in found.items()}


def _tested(one: Tested) -> dict[str, object]:
    """Return what was seen on one commit, its judgement taken apart."""
    verdict = one.judgement.verdict if isinstance(one.judgement, Judgement) else None
    facts = {name: value for name, value in asdict(one).items() if name != "judgement"}
    return {**facts, "without": one.without or None, "verdict": verdict, "why": one.judgement.why}


def _plain(value: object) -> object:
    """Return a value in which every number is one that JSON has."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value
