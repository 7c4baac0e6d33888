"""How many jobs make gets, and how much memory there is: from /proc, control groups, and builds that ran out of it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from buildsite import TINY, Site

from bisectbot.build.buildlog import diagnose
from bisectbot.build.jobs import EACH, Jobs, fitting
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.memory import available
from bisectbot.errors import OutOfMemory
from bisectbot.model import Kernel
from bisectbot.ports import Deadline

_MIB = 1 << 20


@pytest.mark.parametrize(
    ("asked", "free", "most", "jobs"),
    [(8, None, None, 8), (8, 100 * EACH, None, 8), (8, 3 * EACH, None, 3), (8, 1, None, 1), (8, 100 * EACH, 2, 2)],
)
def test_jobs_fit_into_memory(asked: int, free: int | None, most: int | None, jobs: int) -> None:
    """As many as were asked for, as there is memory for, and no more than what ran out before; one at least."""
    assert fitting(asked, free, most) == jobs


def test_after_memory_ran_out_half_the_jobs_are_left_and_that_is_told() -> None:
    """It halves down to one, and each number is told once."""
    told: list[str] = []
    jobs, given = Jobs(lambda: 100 * EACH, told.append), []
    for _ in range(5):
        with suppress(OutOfMemory), jobs.of(8) as number:
            given.append(number)
            raise OutOfMemory("no memory")
    assert given == [8, 4, 2, 1, 1]
    assert [text.partition(" jobs")[0] for text in told] == [f"make gets {number} of 8" for number in (4, 2, 1)]


def test_a_build_gets_fewer_jobs_the_next_time(site: Site, tmp_path: Path) -> None:
    """A real build whose compiler was killed for memory is tried with half the jobs, and isn't stored as broken."""
    commit = site.linux.commit("fine", {"BREAK": f"once {tmp_path}/flag\n"})
    builder, recipe = site.builder(), replace(TINY, jobs=4)
    deadline = Deadline.after(SystemClock(), 60)
    with pytest.raises(OutOfMemory):
        builder.build(recipe, commit, log=site.log(commit), deadline=deadline)
    assert isinstance(builder.build(recipe, commit, log=site.log(commit), deadline=deadline), Kernel)
    makes = [words for words in site.proc.ran if "-j4" in words or "-j2" in words]
    assert [next(word for word in words if word.startswith("-j")) for words in makes] == ["-j4", "-j2"]


def test_memory_is_the_least_of_machine_and_groups(tmp_path: Path) -> None:
    """Version 2 and 1 of control groups count, with every group above ours; cached files are as good as free."""
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    8192000 kB\n")
    assert available(tmp_path, tmp_path / "groups") == 8192000 << 10
    (tmp_path / "self/cgroup").write_text("4:memory:/old\n0::/a/b\n")
    groups = tmp_path / "groups"
    for folder, rows in {
        "a/b": {"memory.max": "max", "memory.current": "5"},
        "a": {"memory.max": f"{900 * _MIB}", "memory.current": f"{800 * _MIB}"},
        "memory/old": {"memory.limit_in_bytes": f"{700 * _MIB}", "memory.usage_in_bytes": f"{100 * _MIB}"},
    }.items():
        (groups / folder).mkdir(parents=True, exist_ok=True)
        for name, text in rows.items():
            (groups / folder / name).write_text(f"{text}\n")
    assert available(tmp_path, groups) == 100 * _MIB
    (groups / "a/memory.stat").write_text(f"anon 1\ninactive_file {650 * _MIB}\n")
    assert available(tmp_path, groups) == 600 * _MIB


def test_this_machine_has_memory() -> None:
    """The real files are read, whatever kind of groups there is."""
    found = available()
    assert found is not None
    assert 1 * _MIB < found < 1 << 50


@pytest.mark.parametrize("tool", ["cc", "as", "ld"])
def test_real_tools_without_memory_are_the_machine_s_fault(tool: str, tmp_path: Path) -> None:
    """Under any address space that is too small, what gcc, as and ld say is never taken for the commit's fault."""
    rows = "".join(f"sym{number}: .quad {number}\n.globl sym{number}\n" for number in range(60_000))
    (tmp_path / "big.s").write_text(f".data\n{rows}")
    text = "".join(f"int f{n}(int x){{int s=0;for(int k=0;k<x;k++)s+=k*{n};return s;}}\n" for n in range(2000))
    (tmp_path / "big.c").write_text(text)
    assert _said(["as", "big.s", "-o", "big.o"], tmp_path, 4096) is None
    argv = {
        "cc": ["gcc", "-O2", "-S", "big.c", "-o", "out"],
        "as": ["as", "big.s", "-o", "out"],
        "ld": ["ld", "-r", "big.o", "-o", "out"],
    }[tool]
    limits = {"cc": (40, 48, 64, 80, 96), "as": (10, 14, 20), "ld": (10, 14, 20)}[tool]
    failed = [said for mib in limits if (said := _said(argv, tmp_path, mib)) is not None]
    assert failed, "none of the limits was too small"
    for said in failed:
        assert isinstance(diagnose(said).fault, OutOfMemory), said


def _said(argv: list[str], folder: Path, mib: int) -> str | None:
    limited = [shutil.which("prlimit") or "prlimit", f"--as={mib * _MIB}", *argv]
    done = subprocess.run(limited, cwd=folder, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None
