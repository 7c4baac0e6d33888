"""Addresses to listen on: one that is taken is waited for, as who had it may just be on its way out."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

_Bound = TypeVar("_Bound")
SECONDS = 10.0  # what is left of a killed bot has ended by then
_LOOK = 0.1


def bound(bind: Callable[[], _Bound]) -> _Bound:
    """Return what `bind` returns, tried again for some seconds while the address is in use; its OSError otherwise."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return bind()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise
        time.sleep(_LOOK)
