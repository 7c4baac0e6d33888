"""A context that stays open while anybody needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Kept(Generic[_T]):
    """Opened by the first who holds it, closed by the last; for one thread."""

    def __init__(self, make: Callable[[], AbstractContextManager[_T]]) -> None:
        self._make = make
        self._stack = ExitStack()
        self._held: list[_T] = []

    @contextmanager
    def hold(self) -> Iterator[_T]:
        """Keep it open for as long as this context lasts; raises what opening it raises."""
        if not self._held:
            stack = ExitStack()
            made = stack.enter_context(self._make())
            self._stack = stack
        else:
            made = self._held[0]
        self._held.append(made)
        try:
            yield made
        finally:
            self._held.pop()
            if not self._held:
                self._stack.close()
