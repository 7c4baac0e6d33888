"""The figures of bench/main_job.py: what counts as the driver's own time."""

from __future__ import annotations

from typing import Any

from bench import main_job
from bench.main_job import Result


def test_a_build_beside_a_boot_counts_once() -> None:
    """Time is covered where anything runs, however many things run; gaps are the driver's own."""
    *sums, covered = main_job._sums([(0.0, 10.0), (12.0, 16.0)], [(10.0, 14.0), (20.0, 21.0)])
    assert sums == [2, 2, 14.0, 5.0]
    assert covered == 10.0 + 6.0 + 1.0
    assert Result("x", "0" * 40, 25.0, 1, 2, 2, 14.0, 5.0, covered).outside == 8.0


def test_the_journals_builds_and_boots_are_found() -> None:
    """A build ends when it is written down; a boot lasts as long as it took to boot, once, and all of its trials."""
    rows: list[dict[str, Any]] = [
        {"at": 5.0, "fact": {"is": "Opened"}},
        {"at": 20.0, "fact": {"is": "Built", "result": {"seconds": 12.0}}},
        {"at": 21.0, "fact": {"is": "BootBegan", "boot": 1}},
        {"at": 24.0, "fact": {"is": "Tried", "trial": {"boot": 1, "boot_seconds": 2.0, "probe_seconds": 1.0}}},
        {"at": 26.0, "fact": {"is": "Tried", "trial": {"boot": 1, "boot_seconds": 2.0, "probe_seconds": 1.5}}},
        {"at": 27.0, "fact": {"is": "BootBegan", "boot": 2}},
        {"at": 30.0, "fact": {"is": "Tried", "trial": {"boot": 2, "boot_seconds": 3.0, "probe_seconds": 0.0}}},
    ]
    assert main_job._told_spans(rows) == ([(8.0, 20.0)], [(21.0, 25.5), (27.0, 30.0)])
