"""A real bisection, watched from another terminal while it goes on, and the picture of it that is left."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from real_demo import Demo
from terminal import terminal

pytestmark = pytest.mark.real


def test_a_bisection_is_watched_from_its_first_boot_to_its_answer(demo: Demo, tmp_path: Path) -> None:
    """Boots, suspects and the console are there while they matter, the answer at the end, and a picture of it all."""
    ends = ("--good", "demo-good", "--bad", "demo-bad", "--session", "demo", "--logs", str(tmp_path / "logs"))
    argv = [sys.executable, "-m", "bisectbot", "run", "--tree", str(demo.path), *ends, "--max-hours", "0.01"]
    (tmp_path / "logs").mkdir()
    with (
        subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bot,
        terminal(["watch", "--logs", tmp_path / "logs", "--interval", "0.3"], 40, 120) as shown,
    ):
        shown.patience = 1800.0  # from cold caches kernels are built first
        shown.until(
            lambda text: "running" in text and re.search(r"boot \d+ for \d+ s.*: [0-9a-f]{12}", text) is not None
        )
        shown.until(lambda text: ("console 0" in text and "Linux version" in text) or "@bb" in text)
        shown.until(lambda text: re.search(r"█+░* [0-9a-f]{12} \S", text) is not None)
        shown.until(lambda text: "answered: the first bad commit is" in text and "0 running" in text)
        shown.press("q")
        assert shown.end() == 0
        assert bot.wait() == 0
    assert demo.truth["culprit"][:12] in shown.text
    kinds = {one.get("class") for one in ET.parse(tmp_path / "logs/demo/timeline.svg").iter()}  # noqa: S314  our own
    assert {"boot", "probe", "fired", "found"} <= kinds
