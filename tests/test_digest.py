"""Digests of kernels: real ELF files of a real linker, equal but for their name, or in more."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bisectbot.build.compiled import BuildFolder
from bisectbot.build.digest import digest

IMAGE = "boot/image"
HERE, THERE = "-bb-aaaaaaaaaaaa-11111111", "-bb-bbbbbbbbbbbb-22222222"
KERNEL = """
const char banner[] = "Linux version 6.1.0{suffix} (bisectbot@bisectbot)";
int answer = {answer};
const char *text = banner;
void _start(void) {{ for (;;) answer += text[0]; }}
"""
MODULE = """
__attribute__((section(".modinfo"))) const char vermagic[] = "vermagic=6.1.0{suffix} SMP";
int {callee}(int);
int crc(int of) {{ return {callee}(of); }}
"""
FLAGS = ("-g", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-fcf-protection=none", "-Wl,--build-id=sha1")
CONFIG = "CONFIG_A=y\n"


def gcc(source: str, out: Path, *flags: str) -> None:
    """Compile a text."""
    out.with_suffix(".c").write_text(source)
    words = ("gcc", *FLAGS, *flags, "-o", out.name, out.with_suffix(".c").name)
    subprocess.run(words, check=True, cwd=out.parent)


def make(tree: Path, suffix: str, answer: int = 42, callee: str = "crc_be", setup: str = "mov\n") -> BuildFolder:
    """Return a folder with vmlinux, an image around it and a module."""
    folder = tree / ".bb-build"
    (folder / "boot").mkdir(parents=True)
    (tree / "setup.S").write_text(setup)
    gcc(KERNEL.format(suffix=suffix, answer=answer), folder / "vmlinux", "-static", "-nostdlib", "-no-pie")
    gcc(MODULE.format(suffix=suffix, callee=callee), folder / "crc.ko", "-r", "-nostdlib")
    (folder / "modules.order").write_text("crc.ko\n")
    (folder / "release.h").write_text(f'#define UTS_RELEASE "6.1.0{suffix}"\n')
    (folder / "boot/.image.cmd").write_text(
        "cmd_boot/image := cat boot/setup.o boot/vmlinux.relocs vmlinux > boot/image"
    )
    (folder / "boot/.setup.o.cmd").write_text("source_boot/setup.o := ../setup.S\n  release.h \\\n")
    (folder / "boot/.vmlinux.relocs.cmd").write_text("cmd_a := arch/x86/tools/relocs vmlinux > boot/vmlinux.relocs")
    (folder / "boot/vmlinux.relocs").write_bytes(bytes(8))
    (folder / "boot/image").write_bytes(b"packed: of no matter")
    return BuildFolder(tree, folder)


def of(left: BuildFolder, suffix: str, config: str = CONFIG) -> str:
    """Return the digest, modules and all."""
    return digest(left, IMAGE, config, suffix, modules=True)


def test_kernels_that_differ_in_name_are_equal(tmp_path: Path) -> None:
    """Commit and key in the release, and the build ids that hash them, don't matter; everything else is the same."""
    here, there = make(tmp_path / "a", HERE), make(tmp_path / "b", THERE)
    assert (here.folder / "vmlinux").read_bytes() != (there.folder / "vmlinux").read_bytes()
    assert len(of(here, HERE)) == 64
    assert of(here, HERE) == of(there, THERE)


def test_lines_don_t_make_another_kernel(tmp_path: Path) -> None:
    """A comment moves only what debuggers read, in vmlinux and in a module."""
    here, there = make(tmp_path / "a", HERE), make(tmp_path / "b", HERE)
    gcc("/* why */\n\n" + KERNEL.format(suffix=HERE, answer=42), there.folder / "vmlinux", "-static", "-nostdlib")
    gcc("\n/* why */\n" + MODULE.format(suffix=HERE, callee="crc_be"), there.folder / "crc.ko", "-r", "-nostdlib")
    assert of(here, HERE) == of(there, HERE)


@pytest.mark.parametrize(
    "change",
    [{"answer": 43}, {"callee": "crc_le"}, {"setup": "nop\n"}],
    ids=["data of the kernel", "what a module calls", "what unpacks the kernel"],
)
def test_another_kernel_has_another_digest(tmp_path: Path, change: dict[str, int | str]) -> None:
    """One byte of data, one symbol that a module is linked to, or the code around the kernel are enough."""
    here, there = make(tmp_path / "a", HERE), make(tmp_path / "b", THERE, **change)  # type: ignore[arg-type]
    assert "" != of(there, THERE) != of(here, HERE)


def test_what_the_image_carries_besides_makes_another_kernel(tmp_path: Path) -> None:
    """The configuration and the list of what is moved with the kernel count; so does the command that packs it."""
    known = {of(make(tmp_path / "a", HERE), HERE), of(make(tmp_path / "b", HERE), HERE, "CONFIG_A=n\n")}
    moved = make(tmp_path / "c", HERE)
    (moved.folder / "boot/vmlinux.relocs").write_bytes(bytes(7) + b"\1")
    known.add(of(moved, HERE))
    packed = make(tmp_path / "d", HERE)
    with (packed.folder / "boot/.image.cmd").open("a") as command:
        command.write(" -9")
    assert len({*known, of(packed, HERE)}) == 4


def test_a_name_of_another_length_is_another_kernel(tmp_path: Path) -> None:
    """What a longer name moves can't be told from what a change moves."""
    assert of(make(tmp_path / "a", HERE), HERE) != of(make(tmp_path / "b", f"{THERE}0"), f"{THERE}0")


def test_without_modules_theirs_don_t_matter(tmp_path: Path) -> None:
    """A module that isn't kept is no part of the kernel."""
    here, there = make(tmp_path / "a", HERE), make(tmp_path / "b", HERE, callee="crc_le")
    found = [digest(left, IMAGE, CONFIG, HERE, modules=False) for left in (here, there)]
    assert found[0] == found[1] != ""


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "vmlinux").unlink(),
        lambda folder: (folder / "vmlinux").write_text("a tiny kernel\n"),
        lambda folder: (folder / "vmlinux").write_bytes((folder / "vmlinux").read_bytes()[:500]),
        lambda folder: (folder / "vmlinux").write_bytes(b"\x7fELF" + bytes(60)),
        lambda folder: (folder / "crc.ko").unlink(),
        lambda folder: (folder / "modules.order").unlink(),
        lambda folder: (folder / "boot/.image.cmd").unlink(),
        lambda folder: (folder / "boot/.image.cmd").write_text("cmd_boot/image := gzip arch/alpha/boot/kernel"),
        lambda folder: (folder / "boot/vmlinux.relocs").unlink(),
    ],
    ids=["no vmlinux", "no ELF", "cut", "empty", "no module", "no list", "no command", "another kernel", "no relocs"],
)
def test_what_is_not_understood_is_equal_to_nothing(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """A kernel whose parts can't be told has no digest at all: a wrong "equal" would pool different kernels' trials."""
    folder = make(tmp_path, HERE).folder
    damage(folder)
    assert of(BuildFolder(tmp_path, folder), HERE) == ""


def test_debug_sections_are_told_from_all_others(tmp_path: Path) -> None:
    """Only what strip takes off a module is left out: a section of data that was added makes another kernel."""
    left = make(tmp_path, HERE)
    before = of(left, HERE)
    (tmp_path / "btf").write_text("types")
    add = ["objcopy", f"--add-section=.BTF={tmp_path}/btf", str(left.folder / "crc.ko")]
    assert shutil.which("objcopy")
    subprocess.run(add, check=True)
    assert of(left, HERE) != before
