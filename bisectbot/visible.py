"""Text from outside made harmless: bounded in length, with control and direction characters shown instead of obeyed."""

from __future__ import annotations

import unicodedata

_NAMES = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}


def visible(text: str, limit: int = 300) -> str:
    r"""Return `text` as one line of at most `limit` characters.

    A newline becomes `\n`, an escape character `\x1b`, a right-to-left override `\u202e`: what a reader sees is
    what is there.
    """
    text = text[: limit + 1]
    shown = text if text.isascii() and text.isprintable() else "".join(map(_shown, text))
    return cut(shown, limit)


def visible_block(text: str, lines: int = 200, width: int = 300) -> str:
    """Return `text` with its line ends kept, at most `lines` lines of `width` characters; what was cut is told."""
    rows = text.replace("\r\n", "\n").split("\n")
    kept = [visible(row.expandtabs(), width) for row in rows[:lines]]
    if len(rows) > lines:
        kept.append(f"... and {len(rows) - lines} more lines")
    return "\n".join(kept)


def cut(text: str, limit: int) -> str:
    """Return `text`, or its beginning and an ellipsis, in at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    # C*: control, format (direction marks, zero width), surrogate, private, unassigned; Zl and Zp break lines
    category = unicodedata.category(char)
    if category[0] != "C" and category not in ("Zl", "Zp"):
        return char
    return _NAMES.get(char) or _escape(ord(char))


def _escape(code: int) -> str:
    if code < 1 << 8:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"
