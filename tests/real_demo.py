"""The demo tree and what is true of it, for the tests that bisect it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Demo:
    """The demo tree and the file that the bot never reads."""

    path: Path
    truth_file: Path

    @property
    def truth(self) -> Mapping[str, Any]:
        """Return what is true."""
        found: Mapping[str, Any] = json.loads(self.truth_file.read_text())
        return found
