"""The odds of a noisy search as numbers for programs."""

from __future__ import annotations

import math
from dataclasses import asdict

from bisectbot.fit import Fit
from bisectbot.model import Judgement
from bisectbot.odds import Odds, Tested


def odds_json(odds: Odds, fit: Fit | None = None) -> dict[str, object]:
    """Return the odds made of JSON's own types: full hashes, seconds, probabilities; null where nobody knows.

    `fits`: the probability that what is ahead fits into the budget; null without one.
    """
    found = {
        **asdict(odds),
        "rate": {**asdict(odds.rate), "mean_seconds": odds.rate.mean_seconds, "interval": 0.95},
        **fit_json(fit),
        "tested": [_tested(one) for one in odds.tested],
    }
    return {name: _plain(value) for name, value in found.items()}


def fit_json(fit: Fit | None) -> dict[str, object]:
    """Return what is left of the budget, and the probability that it is enough; null where there is none."""
    if fit is None:
        return {"fits": None, "seconds_of_budget": None, "boots_of_budget": None}
    return {"fits": round(fit.chance, 4), "seconds_of_budget": fit.seconds, "boots_of_budget": fit.boots}


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
