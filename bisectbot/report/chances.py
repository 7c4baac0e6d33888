"""Probabilities, rates and spans of time in words and figures that promise no more than is known."""

from __future__ import annotations

import math
from decimal import ROUND_FLOOR, Decimal

from bisectbot.odds import Rate

OLDER = "older than the range"  # as a name for what the bug may be
_FINEST = 6  # decimals
_EVEN = 0.5  # from here on what is missing to 1 matters, below it the probability itself
_UNITS = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))
_MOST = 99.5  # of a unit, before the next one is taken


def figure(chance: float) -> str:
    """Return a probability with two figures that matter: 0.993, 0.0052, > 0.999999; never rounded up to 1 or to 0."""
    if math.isnan(chance):
        return "unknown"
    least = 10.0**-_FINEST
    if chance > 1 - least:
        return f"> {1 - least:.{_FINEST}f}"
    if 0 < chance < least:
        return f"< {least:.{_FINEST}f}"
    return _nearly_one(chance) if chance >= _EVEN else _small(chance)


def probability(chance: float) -> str:
    """Return the same for a sentence: `more than 0.999999`."""
    return figure(chance).replace("> ", "more than ").replace("< ", "less than ")


def equation(name: str, chance: float) -> str:
    """Return `P(culprit) = 0.993`, or with > or < where the figures end."""
    word = figure(chance)
    return f"P({name}) {word}" if word[0] in "<>" else f"P({name}) = {word}"


def _nearly_one(chance: float) -> str:
    digits = max(3, math.floor(-math.log10(1 - chance)) + 2)
    floor = Decimal(repr(chance)).quantize(Decimal(1).scaleb(-min(_FINEST, digits)), ROUND_FLOOR)
    whole, _, decimals = str(floor).partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def _small(chance: float) -> str:
    if chance == 0:
        return "0"
    digits = 1 - math.floor(math.log10(chance))
    return f"{chance:.{max(2, min(_FINEST, digits))}f}"


def span(seconds: float) -> str:
    """Return a time with two figures: 0.033 s, 33 s, 12 min, 3.1 h."""
    figure, unit = _scaled(seconds)
    return f"{figure} {unit}"


def between(low: float, high: float) -> str:
    """Return `18 to 71 s`, or `50 s to 3.1 min`."""
    (first, unit), (last, other) = _scaled(low), _scaled(high)
    return f"{first} to {last} {other}" if unit == other else f"{first} {unit} to {last} {other}"


def _scaled(seconds: float) -> tuple[str, str]:
    unit, size = next(((name, size) for name, size in _UNITS if seconds < _MOST * size), _UNITS[-1])
    value = seconds / size
    if value >= _MOST:
        return f"{value:,.0f}", unit
    return (f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"), unit  # noqa: PLR2004  two figures


def how_often(rate: Rate) -> str:
    """Return `fires once in 33 s (95 %: 18 to 71 s)`; or how rare it has to be."""
    mean = rate.mean_seconds
    if mean is None:
        return f"if at all, it fires less than once in {span(1 / rate.high)} (95 % sure)" if rate.seconds else "not run"
    return f"fires once in {span(mean)} (95 %: {between(1 / rate.high, 1 / rate.low)})"


def times(number: int) -> str:
    """Return `once` or `3 times`."""
    return "once" if number == 1 else f"{number:,} times"
