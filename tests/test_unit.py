"""The unit file: whatever stands in a path, systemd reads the very words that were meant."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bisectbot.errors import ConfigError
from bisectbot.keeper.unit import Unit, unit_text
from csrc import lacking

_ODD = ("/o p/py%n", "-P", "a b", "$HOME $$ ${X}", 'quo"te', "back\\slash", "%h", "tab", "'", ";", "ü")


def _unit(argv: tuple[str, ...] = _ODD, *, of_system: bool = True, folder: str = "/work dir/%t") -> Unit:
    return Unit(argv, Path("/logs of %u"), Path(folder), (("PATH", "/a b:/c%d"), ("HOME", '/h"$X')), of_system)


def test_what_it_says() -> None:
    """It restarts for ever, is watched, and ends in time; each odd word is quoted."""
    lines = unit_text(_unit()).splitlines()
    assert {"Type=notify", "NotifyAccess=main", "WatchdogSec=120", "Restart=always", "KillMode=mixed"} <= set(lines)
    assert {"StartLimitIntervalSec=0", "TimeoutStopSec=15", "WantedBy=multi-user.target"} <= set(lines)
    assert lines[lines.index("[Service]") + 3] == "WorkingDirectory=-/work dir/%%t"
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert start == (
        'ExecStart="/o p/py%%n" -P "a b" "$$HOME $$$$ $${X}" "quo\\"te" "back\\\\slash" "%%h" tab "\'" ";" "ü"'
    )
    assert 'Environment="HOME=/h\\"$X"' in lines


def test_a_users_unit_waits_for_no_network() -> None:
    """A user's systemd has no such target; it is started with the login."""
    text = unit_text(_unit(of_system=False))
    assert "network" not in text
    assert "WantedBy=default.target" in text


@pytest.mark.parametrize("word", ["a\nb", "a\x07b", "bytes \udcff", "at the end\\"])
def test_what_no_unit_can_hold_is_refused(word: str) -> None:
    """A line break would be another directive."""
    with pytest.raises(ConfigError, match="can't stand in a systemd unit"):
        unit_text(_unit(("/p", word)))
    with pytest.raises(ConfigError, match="can't stand in a systemd unit"):
        unit_text(_unit(folder=f"/{word}"))


def test_a_program_that_systemd_wont_start_is_refused() -> None:
    """Quotes in its own path are too much for systemd; it would only say so in the night."""
    with pytest.raises(ConfigError, match="systemd starts no such program"):
        unit_text(_unit(('/a "b"/python',)))


@pytest.mark.parametrize("of_system", [True, False])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, *, of_system: bool) -> None:
    """`systemd-analyze verify` is silent."""
    if shutil.which("systemd-analyze") is None:
        lacking("systemd-analyze is not installed: apt-get install systemd")
    program = tmp_path / "a b%n$X"
    program.symlink_to("/bin/true")
    unit = _unit((str(program), *_ODD[1:]), of_system=of_system, folder=str(tmp_path))
    file = tmp_path / "bisectbot.service"
    file.write_text(unit_text(unit))
    argv = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "bisectbot" in line] == []
    assert done.returncode == 0, done.stderr
