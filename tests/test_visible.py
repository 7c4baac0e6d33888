"""Text from outside: what is seen is what is there, on one line, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.visible import cut, visible, visible_block


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ASCII", "plain ASCII"),
        ("naïve 日本語 ñ", "naïve 日本語 ñ"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m\x00\x7f\x85", r"\x1b[31m\x00\x7f\x85"),
        ("\u202egpj.exe\u2066\u200b\ufeff", r"\u202egpj.exe\u2066\u200b\ufeff"),
        ("\u2028\U000e0041\ud800", r"\u2028\U000e0041\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """Control, direction, zero-width and broken characters are shown as escapes, letters stay."""
    assert visible(text) == shown


@given(st.text(st.characters()), st.integers(min_value=1, max_value=50))
def test_one_bounded_line(text: str, limit: int) -> None:
    """Any text becomes one line within the limit, and showing it twice changes nothing."""
    once = visible(text, limit)
    assert len(once) <= limit
    assert len(once.splitlines()) <= 1
    assert visible(once, limit) == once


def test_a_block_keeps_its_lines() -> None:
    """Line ends stay, tabs are columns, long lines and many lines are cut and the rest is counted."""
    assert visible_block("a\r\n\tb\x1b") == "a\n        b\\x1b"
    assert visible_block("x" * 10, width=4) == "xxx…"
    assert visible_block("1\n2\n3\n4", lines=2) == "1\n2\n... and 2 more lines"


def test_cut() -> None:
    """Only what is too long is cut, and it shows."""
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")
