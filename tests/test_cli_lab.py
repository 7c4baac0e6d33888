"""The command line on sessions of a real machine: what is foreseen, where one stands, and what its facts say."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import a_kernel, a_plan, a_trial
from history import History, line, make_history
from lab_samples import LAB, private

from bisectbot.cli.main import main
from bisectbot.facts import BootBegan, Built, CameHome, Fact, Faulted, Opened, Paused, Tried
from bisectbot.journal import Journal
from bisectbot.lab import Homed
from bisectbot.model import Ending, Range

_HOSTS = """
default = "rack1"
[hosts.rack1]
boot = ["kexec", "pxe"]
arch = "x86_64"
[hosts.rack1.ssh]
address = "rack1.lab.example"
host_keys = ["ssh-ed25519 {key}"]
[hosts.rack1.power]
kind = "ipmi"
address = "bmc7.lab.example"
user = "opsuser"
password = {{ env = "LAB_BMC_PASSWORD" }}
[hosts.rack1.console]
kind = "sol"
[hosts.rack1.pxe]
network = "lab"
mac = "52:54:00:ab:cd:ef"
[pxe.lab]
mode = "proxy"
interface = "lo"
address = "127.0.0.1"
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return a repository that passes for a kernel's, and work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_history(tmp_path / "user", line(6))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what runs a command that is to end with 0, and returns what it printed."""

    def command(*words: str | Path) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert caught.value.code == 0, err
        return out

    return command


def hosts_file(folder: Path) -> Path:
    """Write a hosts.toml of a lab that isn't there."""
    parts = (b"ssh-ed25519", b"k" * 32)
    raw = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    file = folder / "hosts.toml"
    file.write_text(_HOSTS.format(key=base64.b64encode(raw).decode()))
    return file


def session(user: History) -> Path:
    """Write the journal of a session: a crash, a power cycle, and a machine that could not be brought home."""
    folder = Path("logs/mine").absolute()
    folder.mkdir(parents=True)
    bad, good = user["c05"], user["c00"]
    plan = replace(a_plan(user.path, Range(bad, (good,)), runs=1), host=LAB)
    kept = folder / "consoles/002-x.pstore.txt"
    where = f"{LAB.ssh.user}@{LAB.ssh.address}:2222: no answer"
    facts: tuple[Fact, ...] = (
        Opened(plan, {"git": "2.39"}),
        Built(a_kernel(bad)),
        BootBegan(bad, 1),
        Tried(a_trial(bad, 1, Ending.BOOT_CRASHED)),
        CameHome(bad, 1, Homed("rack1", "by itself", 40.0)),
        BootBegan(bad, 2),
        Tried(a_trial(bad, 2, Ending.FIRED)),
        CameHome(bad, 2, Homed("rack1", "by a power cycle", 97.5, (f"by itself: {where}",), kept)),
        Faulted(good, "boot", where),
        Paused("fault", f'boot of {good[:12]}: host "rack1" could not be brought back: {where}\n  next: see to it'),
    )
    journal = Journal(folder / "journal.db")
    for at, fact in enumerate(facts):
        journal.append(1_700_000_000.0 + at, fact)
    journal.close()
    return folder


def test_a_dry_run_says_how_a_machine_will_be_booted(user: History, run: Callable[..., str], tmp_path: Path) -> None:
    """How it is started, with what, its power and console; that it isn't connected to; and no address of the lab."""
    words = ("run", "--tree", user.path, "--good", "main~5", "--bad", "main", "--dry-run")
    hosts = ("--hosts", hosts_file(tmp_path))
    text = run(*words, *hosts)
    assert "candidates started by kexec over SSH, then PXE, run with an initramfs" in text
    assert "power: a BMC over IPMI; console: serial over LAN" in text
    assert "nothing was built or started; rack1 was not connected to" in text
    told = json.loads(run(*words, *hosts, "--json"))
    assert (told["machine"]["name"], told["machine"]["boots"]) == ("rack1", "kexec over SSH, then PXE")
    assert "lab.example" not in text + json.dumps(told)
    assert json.loads(run(*words, "--json"))["machine"] is None


def test_status_names_the_machine(user: History, run: Callable[..., str]) -> None:
    """Which machine a session is on stands in its line and in its object."""
    session(user)
    assert "mine: stopped (fault); on rack1: 1 commits judged, 2 boots" in run("status")
    (told,) = json.loads(run("status", "--json"))["sessions"]
    assert told["host"] == "rack1"


def test_the_log_tells_homecomings(user: History, run: Callable[..., str]) -> None:
    """Every homecoming is a line, the ordinary ones too, and an object with all that is known."""
    folder = session(user)
    lines = run("log").splitlines()
    assert lines[4].endswith("boot 1: rack1 is home again by itself, after 40.0 s")
    assert "boot 2: rack1 is home again by a power cycle, after 97.5 s (by itself: bisect-user@" in lines[7]
    assert lines[7].endswith(f"; it kept a crash log: {folder}/consoles/002-x.pstore.txt")
    facts = json.loads(run("log", "--json"))["facts"]
    assert [json.dumps(fact) for fact in facts if "by a power cycle" in json.dumps(fact)]


def test_the_report_of_a_machine_comes_from_the_journal(user: History, run: Callable[..., str]) -> None:
    """Homecomings, time, crash log and quarantine are in it, and nothing that the lab keeps to itself."""
    folder = session(user)
    told = json.loads(run("report", "--json"))
    assert (told["ending"], told["host"], told["machine"]["came_home_by_itself"]) == ("fault", "rack1", 1)
    assert told["stage_seconds"]["coming home"] == 137.5
    texts = [(folder / name).read_text() for name in ("report.md", "report.html")]
    assert "[crash log of boot 2](consoles/002-x.pstore.txt)" in texts[0]
    assert "could not be brought back" in texts[0]
    leaked = {secret for secret in private(LAB) if secret in "".join((*texts, json.dumps(told), run("report")))}
    assert leaked == set()
