"""The evidence of a report: what was seen is counted once, and its logs are linked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from report_samples import (
    ENDINGS,
    FOLDER,
    bad,
    broken,
    good,
    kernel,
    session,
    sha,
    trial,
)

from bisectbot.model import (
    Ending,
)
from bisectbot.report import Report, draw_up
from bisectbot.report.evidence import counts, link

TINYLINUX = Path(__file__).parent / "tinylinux"


def report_of(ending: str) -> Report:
    """Return the report of a sample session."""
    return draw_up(ENDINGS[ending])


def test_rows_hold_what_was_seen() -> None:
    """A row counts trials by their ending, boots once, and sums seconds: booting once a boot, probing every run."""
    row = report_of("culprit").rows[1]
    assert (row.fired, row.clean, row.silent, row.boots) == (0, 3, 0, 1)
    assert (row.boot_seconds, round(row.probe_seconds, 1)) == (1.6, 12.6)
    assert row.saw == "0 mismatches, 163,797 KVM_RUNs, 15,000 migrations"
    assert [log.href for log in row.logs] == [
        f"builds/003-{row.commit[:12]}.log",
        f"consoles/002-{row.commit[:12]}.log",
    ]


def test_rows_say_what_a_commit_is() -> None:
    """Ends, culprit, its parent and merges are marked."""
    marks = [row.marks for row in report_of("culprit").rows]
    assert marks == [("bad end",), ("good end",), (), ("merge",), ("culprit",), (), ("parent of the culprit",)]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        ({}, ""),
        ({"reason": "none", "ok": True, "first_mismatch": {"seconds": 1}}, ""),
        (
            {"mismatches": 0, "kvm_runs": 1234567, "migrations": 5, "retries": 9},
            "0 mismatches, 1,234,567 KVM_RUNs, 5 migrations",
        ),
        ({"loops": 10, "rate": 0.5, "c": 1, "d": 2, "e": 3}, "loops 10, rate 0.5, c 1, d 2"),
        ({"loops": 10**300}, "loops beyond 1,000,000,000,000,000"),
    ],
)
def test_counts_are_summarised(seen: dict[str, object], text: str) -> None:
    """Our reproducer's counts in its words; at most four numbers of another one; nothing that isn't a number."""
    assert counts([trial("c1", 1, Ending.CLEAN, "", **seen)]) == text


@pytest.mark.parametrize(
    ("path", "href"),
    [
        (FOLDER / "builds/a b#c.log", "builds/a%20b%23c.log"),
        (FOLDER / "javascript:x", "javascript%3Ax"),
        (Path("consoles/1.log"), "consoles/1.log"),
        (Path("logs", FOLDER.name, "consoles/1.log"), "consoles/1.log"),
        (Path("/mnt/before", FOLDER.name, "builds/1.log"), "builds/1.log"),
        (Path("/var/log/other"), ""),
        (Path("../other"), ""),
        (FOLDER / "../other", ""),
    ],
)
def test_links_stay_in_the_folder(path: Path, href: str) -> None:
    """A link is relative to the folder, wherever that was told from or is now; what lies outside is only named."""
    found = link(FOLDER, path, "build")
    assert found.href == href
    assert found.text == ("build" if href else f"build: {path}")


def test_a_kernel_from_the_store_is_no_build() -> None:
    """Builds are counted when they were made in this session; boots once, however many trials they held."""
    steps = (replace(bad("v5.9-rc1", 1), built=kernel("v5.9-rc1", stored=True)), good("v5.8", 2), broken("c4"))
    report = draw_up(session(steps=steps))
    assert (report.builds, report.boots) == (2, 2)


def test_lost_options_are_told_once() -> None:
    """An option that only some kernels lack says how many; drift is listed by commit and bounded."""
    some = replace(
        kernel("c3"), lost_optional=("CONFIG_A", "CONFIG_B"), drift=tuple(f"CONFIG_{n}: y -> n" for n in range(50))
    )
    other = replace(kernel("c2"), lost_optional=("CONFIG_B",))
    steps = (replace(bad("c3", 1), built=some), replace(good("c2", 2), built=other))
    config = draw_up(session(steps=steps)).configuration
    assert config.lost == ("CONFIG_A (in 1 of 2 kernels)", "CONFIG_B")
    assert [(one.commit, len(one.options), one.more) for one in config.drift] == [(sha("c3"), 40, 10)]
