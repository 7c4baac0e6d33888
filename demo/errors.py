"""The one way in which making the demo tree fails on purpose."""

from __future__ import annotations


class DemoError(Exception):
    """The tree can't be made; the text is fit to be shown to a user."""
