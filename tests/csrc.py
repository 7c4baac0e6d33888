"""What tests compile: the programs of csrc/ through the product's own door, and single C files beside it."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from bisectbot import places
from bisectbot.arch import traits
from bisectbot.boot import programs
from bisectbot.boot.programs import Programs
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.model import Arch

SOURCES = Path(__file__).parent / "programs"
GUIDE = Path(__file__).parents[1] / "docs/reproducers.md"
HERE = Arch(os.uname().machine)  # where the fast tests run programs


def lacking(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks; fail it under CI, where nothing may be lacking."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def prefix(arch: Arch) -> str:
    """Return the compiler's prefix for an architecture; skip the test (never under CI) if it isn't installed."""
    cross = "" if arch is HERE else traits(arch).cross
    if shutil.which(f"{cross}gcc") is None:
        lacking(f"{cross}gcc is not installed: apt-get install {traits(arch).cross_package}")
    return cross


def ours(arch: Arch = HERE) -> Programs:
    """Return init and the reproducer, compiled once in this test process."""
    prefix(arch)
    return _ours(arch)


@cache
def _ours(arch: Arch) -> Programs:
    folder = tempfile.mkdtemp(prefix="bisectbot-csrc-")
    atexit.register(shutil.rmtree, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISECTBOT_CACHE", folder)
        return programs.compiled(Processes(), SystemClock(), arch)


@cache
def hurried() -> Programs:
    """Return our programs with less patience for whom they wait for: seconds, not tens of them."""
    folder = Path(tempfile.mkdtemp(prefix="bisectbot-csrc-"))
    atexit.register(shutil.rmtree, folder)
    words = "CPPFLAGS=-DREPORT_START=1 -DREPORT_FINISH=2 -DTELL_PATIENCE=1"
    make = ["make", "-s", "-C", str(places.data("csrc")), f"ARCH={HERE}", words, f"OUT={folder}"]
    subprocess.run(make, check=True)
    return Programs(*(folder / name for name in programs._NAMES))


def compile_one(name: str, folder: Path, arch: Arch = HERE, *flags: str) -> Path:
    """Compile tests/programs/<name>.c into a folder, static unless `flags` say otherwise."""
    program = folder / f"{name}-{arch}"
    argv = [f"{prefix(arch)}gcc", *(flags or ("-static",)), "-O1", "-o", str(program), str(SOURCES / f"{name}.c")]
    subprocess.run(argv, check=True)
    return program


def compile_example(folder: Path, arch: Arch = HERE) -> Path:
    """Compile the example of docs/reproducers.md as it stands there, every warning an error."""
    _, begin, rest = GUIDE.read_text().partition("```c\n")
    assert begin, "the guide has lost its example"
    source = folder / "hop.c"
    source.write_text(rest.partition("```")[0])
    program = folder / f"hop-{arch}"
    argv = [f"{prefix(arch)}gcc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(source)]
    subprocess.run(argv, check=True)
    return program
