"""Figures of an earlier simulation of such a search, to compare with: mean seconds, at 120 s a build and 30 s a boot.

They include proving the bad end, and stop at 99 %. Nothing here guards against rates that differ between commits.
"""

from __future__ import annotations

from bench.searching.world import Cell, Prices

_PRICES = Prices(120.0, 30.0)
_P30 = (0.95, 0.6, 0.3, 0.1)
_ADAPTIVE = {
    16: (1050, 1493, 2494, 6232),
    128: (1621, 2285, 3711, 9151),
    1024: (2188, 3023, 4856, 11874),
    8192: (2751, 3763, 5924, 14177),
}


def adaptive(cell: Cell, prices: Prices) -> float | None:
    """Return the earlier mean seconds, or None where none were published."""
    if prices != _PRICES or cell.commits not in _ADAPTIVE or cell.p30 not in _P30:
        return None
    return float(_ADAPTIVE[cell.commits][_P30.index(cell.p30)])
