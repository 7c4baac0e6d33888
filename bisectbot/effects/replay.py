"""What a console server says again after a reconnect, told from what is new. Pure, and bounded."""

from __future__ import annotations

LIMIT = 128 * 1024  # bytes of either side that are looked at; ipmi_sim keeps 64 KiB for instance
_MOST_TRIES = 4000  # line ends; a console of empty lines must not take quadratic time


def replayed(seen: bytes, fresh: bytes) -> int:
    """Return how many bytes `fresh` begins with that `seen` ended with: the longest overlap, up to a line's end.

    The last line of `seen` may be incomplete; it isn't compared. The first line of `fresh` may lack its beginning.
    """
    seen = seen[: seen.rfind(b"\n") + 1][-LIMIT:]
    end = fresh.rfind(b"\n", 0, LIMIT) + 1
    for _ in range(_MOST_TRIES):
        if not end or seen.endswith(fresh[:end]):
            return end
        end = fresh.rfind(b"\n", 0, end - 1) + 1
    return 0
