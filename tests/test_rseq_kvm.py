"""The reproducer run on this very machine: what it says when it can't tell, and that it says nothing else then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from csrc import compile_one, lacking, ours

KVM = Path("/dev/kvm")
CLEAN, MISMATCH, CANT_TELL = 0, 1, 125
COUNTS = ("migrations", "moves", "kvm_runs", "reads", "retries", "mismatches")


@dataclass(frozen=True)
class Said:
    """A run: its exit code, its last line, the heartbeats before that."""

    code: int
    counts: dict[str, object]
    beats: list[dict[str, int]]
    stderr: str

    @property
    def reason(self) -> str:
        """Return why."""
        return str(self.counts["reason"])


def run(*args: str, before: tuple[str, ...] = (), **environment: str) -> Said:
    """Run the reproducer, behind the words of another program if need be."""
    done = subprocess.run(
        [*before, str(ours().reproducer), *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    *beats, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert all("beat" in beat for beat in beats)
    return Said(done.returncode, last, beats, done.stderr)


@pytest.fixture
def kvm() -> None:
    """Skip where this machine has no KVM: the same is shown in emulated machines by tests/real."""
    if not os.access(KVM, os.R_OK | os.W_OK):
        lacking(f"no access to {KVM}")


# --- it can't tell ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--migrations", "0"), "wrong option or value: 0"),
        (("--migrations", "-5"), "wrong option or value: -5"),
        (("--migrations", "many"), "wrong option or value: many"),
        (("--migrations", "99999999999999999999"), "wrong option or value: 99999999999999999999"),
        (("--migrations",), "wrong option or value: --migrations"),
        (("--seconds", "0"), "wrong option or value: 0"),
        (("--seconds", "nan"), "wrong option or value: nan"),
        (("--seconds", "1e9"), "wrong option or value: 1e9"),
        (("--delay", "sometimes"), "wrong option or value: sometimes"),
        (("--delay-length", "1us"), "wrong option or value: 1us"),
        (("--guest", "sits"), "wrong option or value: sits"),
        (("--no-such-option",), "wrong option or value: --no-such-option"),
        (("5000",), "no such argument: 5000"),
        (("--migrations", "1", "--seconds", "1"), "--migrations and --seconds exclude each other"),
        (("--delay-length", "2000000", "--patience", "2"), "--patience must be longer than the delay"),
        (("--help",), "help was asked for"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_wrong_usage_is_no_verdict(args: tuple[str, ...], reason: str) -> None:
    """What can't be followed ends in 125 with its reason: 1 or 2 would call a kernel bad, 0 would call it good."""
    said = run(*args)
    assert (said.code, said.counts["verdict"], said.reason) == (CANT_TELL, "can't tell", reason)


def test_help_is_help() -> None:
    """The options are told on stderr; stdout keeps to JSON lines."""
    said = run("--help")
    assert said.stderr.startswith("usage: rseq-kvm")
    assert all(option in said.stderr for option in ("--migrations", "--seconds", "--delay", "--keep-going"))


def test_one_cpu_is_no_verdict() -> None:
    """Nothing migrates on one CPU, and everything looks good for ever."""
    cpu = min(os.sched_getaffinity(0))
    said = run(before=("taskset", "-c", str(cpu)))
    assert (said.code, said.reason) == (CANT_TELL, "fewer than 2 CPUs (1): nothing can migrate")
    assert (said.counts["cpu_count"], said.counts["cpus"]) == (1, str(cpu))


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("/nowhere/kvm", "/nowhere/kvm: No such file or directory"),
        ("/dev/null", "/dev/null doesn't speak KVM's API version 12"),
        ("/" + "x" * 300, "/" + "x" * 199 + ": File name too long"),
    ],
    ids=["missing", "something else", "long"],
)
def test_no_kvm_is_no_verdict(device: str, reason: str) -> None:
    """Without KVM nothing was tried."""
    said = run("--device", device)
    assert (said.code, said.reason) == (CANT_TELL, reason)
    assert [said.counts[name] for name in COUNTS] == [0] * len(COUNTS)
    assert said.counts["first_mismatch"] is None


def test_no_rseq_is_no_verdict(tmp_path: Path) -> None:
    """A kernel without the system call has nothing that could be wrong."""
    said = run(before=(str(compile_one("without_rseq", tmp_path)),))
    assert (said.code, said.reason) == (CANT_TELL, "this kernel has no rseq (CONFIG_RSEQ)")


def test_hostile_words_stay_json() -> None:
    """A reason that quotes the command line is still one line of JSON, whatever stands there."""
    said = run('"\\\n\x1b[2J\udcff')
    assert (said.code, said.reason) == (CANT_TELL, 'no such argument: "\\\n\x1b[2J\xff')


# --- who registers rseq ------------------------------------------------------------------------------


@pytest.mark.parametrize(("tunable", "who"), [("1", "glibc"), ("0", "own")])
def test_rseq_is_registered_by_the_c_library_or_by_us(tunable: str, who: str) -> None:
    """Glibc 2.35 and newer register it, older ones and one that is told not to leave it to us."""
    said = run("--device", "/nowhere", GLIBC_TUNABLES=f"glibc.pthread.rseq={tunable}")
    assert said.counts["rseq"] == who


@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize("tunable", ["1", "0"])
def test_a_good_kernel_is_clean(tunable: str) -> None:
    """The kernel that this test runs on keeps its promise, and the checks behind that were made."""
    said = run("--migrations", "20", "--delay-length", "20000", GLIBC_TUNABLES=f"glibc.pthread.rseq={tunable}")
    assert (said.code, said.reason) == (CLEAN, "rseq.cpu_id was right in every check")
    counts = {name: int(str(said.counts[name])) for name in COUNTS}
    assert (counts["migrations"], counts["mismatches"]) == (20, 0)
    assert counts["kvm_runs"] >= counts["reads"] > counts["moves"] >= 5
    assert said.counts["seconds"] >= 0.4  # type: ignore[operator]


# --- while it runs -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kvm")
def test_heartbeats() -> None:
    """Each second tells the counts so far, which never go back."""
    said = run("--seconds", "2.5", "--delay-length", "20000")
    assert [beat["beat"] for beat in said.beats] == [1, 2]
    rows: list[Mapping[str, object]] = [*said.beats, said.counts]
    assert all(int(str(a[name])) <= int(str(b[name])) for a, b in pairwise(rows) for name in COUNTS)
    assert said.beats[0]["migrations"] > 0
    assert float(str(said.counts["seconds"])) >= 2.5


@pytest.mark.usefixtures("kvm")
def test_a_vcpu_that_never_comes_back_is_given_up() -> None:
    """A first KVM_RUN that hangs (the sick boots of reproducer.md) ends in 125 by itself, long before any limit."""
    said = run("--guest", "spins", "--patience", "0.5")
    assert said.code == CANT_TELL
    assert said.reason == "the vCPU thread didn't come back from KVM_RUN for 0.5 s (after 0 KVM_RUNs and 0 migrations)"
    assert (said.counts["kvm_runs"], said.counts["seconds"]) == (0, 0)


@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize("delay", ["none", "getcpu"])
def test_too_few_checks_are_no_verdict(delay: str) -> None:
    """Clean is said only behind enough checks on both sides of a migration, whatever the delay let through."""
    said = run("--migrations", "2000", "--delay", delay, "--delay-length", "1")
    counts = {name: int(str(said.counts[name])) for name in COUNTS}
    enough = min(counts["kvm_runs"], counts["reads"], counts["moves"]) >= 500
    assert (said.code, counts["mismatches"]) == (CLEAN if enough else CANT_TELL, 0)
    assert enough or "are needed to tell" in said.reason


def test_nobody_reads_it() -> None:
    """Output that can't be written changes no exit code."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([str(ours().reproducer), "--help"], check=False, stdout=full, stderr=sys.stderr)
    assert done.returncode == CANT_TELL
