"""The reproducer's counts, taken from a stranger."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisectbot.probe.counts import MAX_ITEMS, read_counts


@settings(deadline=None)  # a loaded machine is no mistake
@given(st.text(), st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists))
def test_counts_of_any_kind_can_be_kept(text: str, value: object) -> None:
    """What is taken for counts goes through JSON and UTF-8 and comes back as it was, on one line."""
    for line in (text, json.dumps({"a": value, text: 1})):
        found = read_counts(line)
        assert found is None or json.loads(json.dumps(found, allow_nan=False).encode()) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[1]",
        "1",
        '{"a":NaN}',
        '{"a":1e999}',
        '{"a":%s}' % ("9" * 500),
        '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":[[[[[[1]]]]]]}',
        json.dumps({str(number): 1 for number in range(MAX_ITEMS + 1)}),
        '{"a":"%s"}' % ("x" * 70_000),
    ],
    ids=lambda line: str(line)[:12],
)
def test_counts_beyond_the_bounds_are_no_counts(line: str) -> None:
    """Anything but a small, flat enough JSON object is an ordinary line."""
    assert read_counts(line) is None


def test_counts_are_made_harmless() -> None:
    """Control characters of a reproducer never reach a terminal or a report."""
    assert read_counts('{"a\\u001b[2J":"b\\u202ec"}') == {"a\\x1b[2J": "b\\u202ec"}
