"""Consoles that never stop: lines, rubbish, zeros, a line without end. Deadlines hold, logs and memory stay bounded."""

from __future__ import annotations

import os
import resource
import sys
import tracemalloc
from pathlib import Path

import pytest
from fakes import a_kernel
from test_qemu import Stage

from bisectbot.console.lines import LineReader
from bisectbot.effects import consolelog
from bisectbot.effects.clock import SystemClock
from bisectbot.model import Deadlines, Ending
from bisectbot.ports import Chunk
from bisectbot.probe.trials import probe
from bisectbot.probe.watcher import Asked, Watcher

_BLOCK = 1 << 16
_PATIENT = Asked("deadbeef", Deadlines(boot=1e9, silence=1e9, heartbeat=1e9, run=1e9))
_FLOODS = {
    "kernel lines": b"[   12.345678] e1000 0000:00:03.0 eth0: all is well\n" * 100,
    "lines": b"y\n" * 300,
    "a line without end": b"x" * _BLOCK,
    "zeros": b"\0" * _BLOCK,
    "rubbish": bytes(range(256)) * 64,
    "no UTF-8": b"\xff\xfe\x80" * 10_000,
    "colours": b"\x1b[31mred\x1b[0m" * 2000,
    "an escape without end": b"\x1b]" * 10_000,
    "facts cut off": b'@bb {"t":"out"' * 2000,
    "warnings": b"[   12.345678] WARNING: CPU: 0 PID: 1 at kernel/x.c:12 foo+0x1/0x2\n" * 60,
    "carriage returns": b"\r" * 500,
}


@pytest.mark.parametrize("block", _FLOODS.values(), ids=_FLOODS)
def test_memory_doesn_t_grow_with_what_comes(block: bytes) -> None:
    """After ten times as much of it the watcher and the reader hold no more than before."""
    watcher, lines = Watcher(a_kernel("a" * 40), _PATIENT), LineReader()

    def take(times: int) -> int:
        for _ in range(times):
            watcher.feed(Chunk(1.0, block))
            for _ in lines.feed(block):
                pass
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = take(4)
        assert take(36) < before + (1 << 16)
    finally:
        tracemalloc.stop()
    assert not watcher.finished


@pytest.mark.parametrize("noise", ["yes", "cat /dev/zero", "cat /dev/urandom"])
def test_the_deadline_holds_and_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: str) -> None:
    """A guest that floods its console as fast as it can is given up in time; QEMU's own messages are bounded too."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    stage = Stage(tmp_path)
    machine = stage.machine(f"{noise} >$console")
    asked = Asked("deadbeef", Deadlines(boot=1.0, silence=5.0, heartbeat=5.0, run=5.0))
    log, clock = tmp_path / "console.log", SystemClock()
    began = clock.now()
    (trial,) = probe(machine, a_kernel("a" * 40), tmp_path / "i", asked, log, 1, clock)
    assert trial.ending is Ending.BOOT_HUNG
    assert "init did not answer within 1 s" in trial.reason
    assert clock.now() - began < 10.0
    assert 0 < log.stat().st_size <= consolelog.LIMIT * 1.1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20, "a gigabyte"


_LINE = "[   12.345678] e1000 0000:00:03.0 eth0: all is well, and it was so before, and before that"
_MIB = 1 << 20


@pytest.mark.real  # for the minutes that it takes
@pytest.mark.soak
@pytest.mark.parametrize(
    ("noise", "mib"), [(f"yes '{_LINE}'", 1024), ("cat /dev/urandom", 64)], ids=["1 GiB of lines", "64 MiB of rubbish"]
)
def test_a_console_without_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise: str, mib: int) -> None:
    """All of it is read, at some MiB a second; the log has its bound, and memory doesn't grow."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    machine = Stage(tmp_path).machine(f"{noise} | head -c {mib * _MIB} >$console; echo all >{tmp_path / 'sent'}")
    asked = Asked("deadbeef", Deadlines(boot=1e4, silence=1e4, heartbeat=1e4, run=1e4))
    log, clock = tmp_path / "console.log", SystemClock()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = _peak_kib(), clock.now()
    (trial,) = probe(machine, a_kernel("a" * 40), tmp_path / "i", asked, log, 1, clock)
    seconds, grown = clock.now() - began, _peak_kib() - before
    sys.stderr.write(
        f"{mib} MiB in {seconds:.0f} s, the peak of memory {grown} KiB higher, {log.stat().st_size} logged\n"
    )
    assert (tmp_path / "sent").read_text() == "all\n"
    assert trial.ending.verdictless
    assert consolelog.LIMIT // 2 < log.stat().st_size <= consolelog.LIMIT * 1.1
    assert grown < 64 << 10
    assert seconds < mib * 2.0


def _peak_kib() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])
