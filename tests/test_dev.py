"""./dev on machines that lack packages: programs of our own stand in for dpkg-query, id, sudo and apt-get."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_LISTED = [line.split()[0] for line in (_ROOT / "debian-packages.txt").read_text().splitlines() if line[:1].isalpha()]
_LINE = "sudo apt-get update && sudo apt-get install -y --no-install-recommends"


@dataclass(frozen=True)
class Clone:
    """A folder with what ./dev needs to begin with, and the stand-ins that it meets on PATH."""

    path: Path

    def stand_in(self, name: str, script: str) -> None:
        """Put a program of this name before the real one."""
        program = self.path / "bin" / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def dev(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run ./dev."""
        environment = {**os.environ, "PATH": f"{self.path / 'bin'}:{os.environ['PATH']}"}
        argv = (str(self.path / "dev"), *args)
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A clone on a machine without ccache and flex, used by somebody without root's rights."""
    (tmp_path / "bin").mkdir()
    for name in ("dev", "debian-packages.txt", "debian-packages-tests.txt", "pyproject.toml"):
        shutil.copy(_ROOT / name, tmp_path)
    made = Clone(tmp_path)
    made.stand_in("dpkg-query", 'case "$*" in *" ccache"|*" flex") exit 1;; *) printf installed;; esac')
    made.stand_in("id", "echo 1000")
    made.stand_in("sudo", "exit 1")
    made.stand_in("apt-get", f'echo "$@" >>{tmp_path}/apt; exit 9')
    return made


def test_without_roots_rights_the_line_to_run_is_printed(clone: Clone) -> None:
    """It names exactly what is missing, installs nothing, makes nothing, and ends with 2."""
    done = clone.dev("demo")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].strip() == f"{_LINE} flex ccache"
    assert not (clone.path / "apt").exists()
    assert not (clone.path / ".venv").exists()


def test_root_gets_the_missing_packages_and_no_others(clone: Clone) -> None:
    """Lists are fetched first; a failure of apt-get ends the command with its code."""
    clone.stand_in("id", "echo 0")
    clone.stand_in("apt-get", f'echo "$@" >>{clone.path}/apt; case "$*" in *install*) exit 9;; esac')
    done = clone.dev("test")
    assert done.returncode == 9
    update, install = (clone.path / "apt").read_text().splitlines()
    assert update.split()[-1] == "update"
    assert install.endswith(" install -y --no-install-recommends flex ccache")


def test_passwordless_sudo_is_enough(clone: Clone) -> None:
    """Packages are installed through sudo, which may not ask."""
    clone.stand_in("sudo", '[ "$1" = -n ] && shift && exec "$@"')
    clone.stand_in("apt-get", f'echo "$@" >>{clone.path}/apt; exit 9')
    assert clone.dev("lint").returncode == 9
    assert (clone.path / "apt").read_text().split()[-1] == "update"


@pytest.mark.parametrize("words", [(), ("tset",), ("--verbose",)])
def test_an_unknown_errand_is_told_what_there_is(clone: Clone, words: tuple[str, ...]) -> None:
    """Nothing is looked at or installed for it."""
    done = clone.dev(*words)
    assert done.returncode == 2
    assert "./dev test fast" in done.stderr


@pytest.mark.parametrize("name", ["debian-packages.txt", "debian-packages-tests.txt"])
def test_every_package_has_a_reason(name: str) -> None:
    """The list says of each what it is for, and names each once."""
    rows = [line for line in (_ROOT / name).read_text().splitlines() if line and line[0] != "#"]
    assert all(row.partition("#")[2].strip() for row in rows)
    names = [row.split()[0] for row in rows]
    assert sorted(set(names)) == sorted(names)
    needed = {"debian-packages.txt": {"git", "gcc", "make", "linux-source-6.1"}}
    assert needed.get(name, {"openipmi", "openssh-server", "snmpd"}) <= set(names)
