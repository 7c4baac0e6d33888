"""docs/reproducers.md: its example works as it stands there, and its table of options is the program's own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from bisectbot.boot.programs import check_program
from csrc import GUIDE, HERE, compile_example, ours


def test_the_example_keeps_the_contract(tmp_path: Path) -> None:
    """It compiles without a warning, fits a guest, is clean here, and its last line has its counts and its reason."""
    program = compile_example(tmp_path)
    check_program(program, HERE)
    done = subprocess.run([str(program)], check=False, capture_output=True, text=True, timeout=60)
    *beats, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, last["reason"], last["back"]) == (0, "time went on", 0)
    assert beats
    assert beats[-1]["hops"] <= last["hops"]
    assert 0 < beats[-1]["seconds"] <= last["seconds"] < 60


def test_the_example_can_tell_that_it_cant_tell(tmp_path: Path) -> None:
    """On one CPU its answer is 125."""
    argv = ["taskset", "-c", str(min(os.sched_getaffinity(0))), str(compile_example(tmp_path))]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, json.loads(done.stdout)["reason"]) == (125, "fewer than 2 CPUs")


def test_the_options_are_those_of_the_help() -> None:
    """What the guide says of rseq-kvm's options is what the program says."""
    done = subprocess.run([str(ours().reproducer), "--help"], check=False, capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if line.startswith("  --")]
    assert len(told) == 8
    assert all(line in GUIDE.read_text().splitlines() for line in told)


def test_every_count_is_explained() -> None:
    """Each member of the program's last line stands in the guide."""
    done = subprocess.run([str(ours().reproducer), "--help"], check=False, capture_output=True, text=True)
    members = json.loads(done.stdout.splitlines()[-1])
    assert [name for name in members if f"`{name}`" not in GUIDE.read_text()] == []
