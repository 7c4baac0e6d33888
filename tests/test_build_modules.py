"""Kernels with modules: what is kept of them, what they don't change, and how they fail."""

from __future__ import annotations

import os
import subprocess
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from buildsite import TINY, CountingProc, Site

from bisectbot.build import modules
from bisectbot.build.builder import _Order
from bisectbot.build.configure import Configured, wanted_by
from bisectbot.build.toolchain import Toolchain
from bisectbot.cli import single
from bisectbot.cli.options import Words, build_recipe
from bisectbot.effects.clock import SystemClock
from bisectbot.errors import DiskFull, InfraError
from bisectbot.lab import BootMethod, Host, LabHost, Payload, Ssh
from bisectbot.model import Arch, BuildRecipe, Fixup, QemuHost
from bisectbot.ports import Deadline, Graph

MODULAR = "CONFIG_MODULES=y\nCONFIG_CRC=m\n"


def modular(site: Site, text: str = MODULAR) -> BuildRecipe:
    """Return a recipe that asks for modules of a configuration that has some."""
    return replace(site.wanting(text), modules=True)


def members(archive: Path | None) -> dict[str, tarfile.TarInfo]:
    """Return what is in an archive."""
    assert archive is not None
    with tarfile.open(archive) as tar:
        return {entry.name: entry for entry in tar}


def contents(archive: Path | None, name: str) -> str:
    """Return one of its files."""
    assert archive is not None
    with tarfile.open(archive) as tar:
        file = tar.extractfile(name)
        assert file is not None
        return file.read().decode()


def stopped_when(flag: Path, site: Site, build: Callable[[], object]) -> None:
    """Build in a thread, and tell the bot to stop as soon as `flag` is there."""
    faults: list[InfraError] = []

    def run() -> None:
        try:
            build()
        except InfraError as fault:
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    while not flag.exists() and thread.is_alive():
        thread.join(0.005)
    site.proc.stop_all()
    thread.join(20)
    assert len(faults) == 1


def test_modules_are_kept_beside_the_kernel(site: Site) -> None:
    """They are made in the image's own call of make, stripped, of the kernel's release, and depmod isn't asked."""
    kernel = site.build(site.linux.first, modular(site))
    assert kernel.modules == kernel.image.parent / "modules.tar.gz"
    top = f"lib/modules/{kernel.release}"
    assert sorted(members(kernel.modules)) == [
        top,
        f"{top}/kernel",
        f"{top}/kernel/lib",
        f"{top}/kernel/lib/crc.ko",
        f"{top}/modules.builtin",
        f"{top}/modules.order",
    ]
    assert contents(kernel.modules, f"{top}/kernel/lib/crc.ko").splitlines() == [
        f"vermagic={kernel.release}",
        "int crc(void) { return 0; }",
    ]
    assert site.proc.ran[-2][-2:] == ["bzImage", "modules"]
    assert {"modules_install", "DEPMOD=true", "INSTALL_MOD_STRIP=1"} <= set(site.proc.ran[-1])


def test_an_archive_belongs_to_root_and_to_no_time(site: Site) -> None:
    """Owner, times and modes don't depend on who built and when, and nothing in it leads out of it."""
    for entry in members(site.build(site.linux.first, modular(site)).modules).values():
        assert (entry.uid, entry.gid, entry.uname, entry.mtime) == (0, 0, "root", 946684800)
        assert entry.mode == (0o755 if entry.isdir() else 0o644)
        assert entry.isdir() or entry.isfile()


def test_equal_modules_make_equal_archives(tmp_path: Path) -> None:
    """Neither the order nor the times of the files, nor the place they lie in, has a say in the archive's bytes."""
    archives = []
    for number, names in enumerate((("a.ko", "b.ko"), ("b.ko", "a.ko"))):
        top = tmp_path / f"{number}/lib/modules/6.1.0"
        top.mkdir(parents=True)
        for age, name in enumerate(names):
            (top / name).write_text(name)
            os.utime(top / name, (age, age))
        assert modules.pack(tmp_path / str(number), "6.1.0", tmp_path / f"{number}.tar.gz")
        archives.append((tmp_path / f"{number}.tar.gz").read_bytes())
    assert archives[0] == archives[1]


def test_unpacking_leaves_a_lib_that_is_a_link_alone(site: Site, tmp_path: Path) -> None:
    """On a machine whose /lib leads to usr/lib, tar puts the modules there and doesn't replace the link by a folder."""
    kernel = site.build(site.linux.first, modular(site))
    root = tmp_path / "root"
    (root / "usr/lib/modules").mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    said = subprocess.run(["tar", "-xzf", str(kernel.modules), "-C", str(root)], check=True, capture_output=True)  # noqa: S607
    assert said.stderr == b""
    assert (root / "lib").is_symlink()
    assert (root / f"usr/lib/modules/{kernel.release}/kernel/lib/crc.ko").is_file()


def test_a_kernel_without_its_modules_is_not_enough(site: Site) -> None:
    """What the store has without modules isn't taken for a recipe that wants them, nor the other way round."""
    recipe = modular(site)
    bare = site.build(site.linux.first, replace(recipe, modules=False))
    kernel = site.build(site.linux.first, recipe)
    assert bare.modules is None
    assert kernel.key != bare.key
    assert (kernel.from_store, kernel.modules is None) == (False, False)
    assert site.build(site.linux.first, replace(recipe, modules=False)).key == bare.key


def test_modules_come_from_the_store(site: Site) -> None:
    """The next session gets image and modules without running anything."""
    first = site.build(site.linux.first, modular(site))
    site.proc.ran.clear()
    again = site.build(site.linux.first, modular(site))
    assert (again.from_store, again.modules, site.proc.ran) == (True, first.modules, [])


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_damaged_modules_are_built_again(site: Site, damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """An entry whose archive is gone or cut off counts as none."""
    first = site.build(site.linux.first, modular(site))
    assert first.modules is not None
    damage(first.modules)
    again = site.build(site.linux.first, modular(site))
    assert not again.from_store
    assert any(name.endswith("crc.ko") for name in members(again.modules))


def test_without_the_option_everything_is_built_in(site: Site) -> None:
    """Where CONFIG_MODULES is off there are none, which the log tells; it is the very kernel of a recipe without."""
    kernel = site.build(site.linux.first, replace(TINY, modules=True))
    assert kernel.modules is None
    assert kernel.log is not None
    assert "# CONFIG_MODULES is off: everything is built in" in kernel.log.read_text()
    assert site.build(site.linux.first).key == kernel.key


def test_modules_may_all_be_built_in(site: Site) -> None:
    """An archive that holds no module still has the lists that the machine's depmod reads."""
    kernel = site.build(site.linux.first, modular(site, "CONFIG_MODULES=y\nCONFIG_CRC=y\n"))
    names = set(members(kernel.modules))
    assert f"lib/modules/{kernel.release}/modules.builtin" in names
    assert not any(name.endswith(".ko") for name in names)


def test_modules_are_built_incrementally(site: Site) -> None:
    """The next commit compiles what it changed, and its archive holds its own release alone."""
    site.build(site.linux.first, modular(site))
    commit = site.linux.commit("a module", {"lib/crc.c": "int crc(void) { return 1; }\n"})
    kernel = site.build(commit, modular(site))
    assert kernel.log is not None
    assert [line.split()[1] for line in kernel.log.read_text().splitlines() if line.startswith("  CC")] == ["lib/crc.o"]
    assert all(kernel.release in name for name in members(kernel.modules))


@pytest.mark.parametrize(
    ("how", "title", "file"),
    [
        ("module", "lib/crc.c:1:5: error: conflicting types for 'crc'", "lib/crc.c"),
        ("modpost", 'ERROR: modpost: "missing" [lib/crc.ko] undefined!', "modules"),
        ("noinstall", "make modules_install succeeded, but left no lib/modules/", ""),
    ],
)
def test_modules_that_don_t_build_break_the_commit(site: Site, how: str, title: str, file: str) -> None:
    """A module's error is the commit's, by line and file, and is remembered; the image alone still builds."""
    commit = site.linux.commit("oops", {"BREAK": f"{how}\n"})
    recipe = modular(site)
    broken = site.broken(commit, recipe)
    assert broken.title.startswith(title)
    assert broken.file.startswith(file)
    assert site.broken(commit, recipe).from_store
    assert site.build(commit, replace(recipe, modules=False)).modules is None


def test_a_full_disk_while_modules_are_installed_is_no_verdict(site: Site) -> None:
    """The machine's fault is raised, never stored, and leaves nothing behind that takes room."""
    commit = site.linux.commit("fine", {"BREAK": "fullinstall\n"})
    for _ in range(2):
        with pytest.raises(DiskFull):
            site.outcome(commit, modular(site))
    assert list(site.tree.glob(".bb-*-build/.bisectbot-modules*")) == []


def test_modules_that_were_half_installed_don_t_get_in(site: Site, tmp_path: Path) -> None:
    """A bot ended during modules_install may leave half of them: the next build begins there anew, and only there."""
    recipe = modular(site)
    hang = site.linux.commit("hm", {"BREAK": f"hanginstall {tmp_path}/flag\n"})
    stopped_when(tmp_path / "flag", site, lambda: site.outcome(hang, recipe))
    (folder,) = site.tree.glob(".bb-*-build")
    release = (folder / "include/config/kernel.release").read_text().strip()
    left = folder / f".bisectbot-modules/lib/modules/{release}/kernel/half.ko"
    left.parent.mkdir(parents=True)  # as kill -9 leaves it
    left.touch()
    site.log(hang).unlink()
    site.proc = CountingProc()
    kernel = site.build(hang, recipe)
    assert kernel.release == release
    assert [name for name in members(kernel.modules) if name.endswith(".ko")] == [
        f"lib/modules/{release}/kernel/lib/crc.ko"
    ]
    assert "  CC" not in site.log(hang).read_text()


@pytest.mark.parametrize(
    ("config", "modules", "key"),
    [
        ("# CONFIG_MODULES is not set\n", False, "72457b7b9b4de5e18802e81e558766ac9f2e782079e7d8cdaba8acfed52b9490"),
        ("# CONFIG_MODULES is not set\n", True, "72457b7b9b4de5e18802e81e558766ac9f2e782079e7d8cdaba8acfed52b9490"),
        ("CONFIG_MODULES=y\n", False, "6a26f6827cae1b0dd5ac371ce8e6ae5c9ba969766bb9084a93e6534af696bbc2"),
        ("CONFIG_MODULES=y\n", True, "fac0b409070cfdecda3a0113a2db630745e881a0198540b9714be403c3caa3a4"),
    ],
)
def test_the_keys_of_the_store_stay(site: Site, config: str, modules: bool, key: str) -> None:  # noqa: FBT001  a column
    """The kernels in everybody's stores were kept under these keys: a version that changes them builds all anew."""
    recipe = BuildRecipe(
        Arch.X86_64, make_vars=(("KCFLAGS", "-O1 -g"),), fixups=(Fixup("f", "--- a\n"),), modules=modules
    )
    told = "gcc-12 12.2.0\nx86_64-linux-gnu\nGNU ld 2.40\nno pahole"
    toolchain = Toolchain(Arch.X86_64, "gcc-12", "", told, ccache=True)
    deadline = Deadline.after(SystemClock(), 60)
    order = _Order(recipe, "a" * 40, Path("/log"), deadline, False, toolchain, wanted_by(recipe), recipe.fixups)
    builder = site.builder()
    builder.graph = cast("Graph", SimpleNamespace(info=lambda _: SimpleNamespace(tree="7" * 40)))
    assert builder._key(order, Configured(f"CONFIG_64BIT=y\n{config}")) == key


def a_lab_host(payload: Payload) -> LabHost:
    """Return a machine that is never reached."""
    return LabHost("box7", Arch.X86_64, Ssh("box7.lab", ("ssh-ed25519 AAAA",)), (BootMethod.KEXEC,), payload=payload)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (QemuHost("qemu", Arch.X86_64), False),
        (a_lab_host(Payload.INITRAMFS), False),
        (a_lab_host(Payload.HOST), True),
    ],
)
def test_modules_are_for_the_hosts_own_root(site: Site, host: Host, wanted: bool) -> None:  # noqa: FBT001  a column
    """Only a candidate that runs with the machine's own root file system has a place to load modules from."""
    words = Words(site.linux.path, None, None, (), "tinyconfig", (), (), (), 1)
    recipe, _ = build_recipe(words, host, site.builder().graph, None)
    assert recipe.modules is wanted


def test_the_command_line_tells_where_modules_are(site: Site) -> None:
    """`bisectbot build` names the archive in both of its voices, and no archive where there is none."""
    kernel = site.build(site.linux.first, modular(site))
    assert single._build_facts(kernel)["modules"] == str(kernel.modules)
    assert f"modules: {kernel.modules}" in single._build_lines(kernel)
    bare = replace(kernel, modules=None)
    assert single._build_facts(bare)["modules"] is None
    assert not any(line.startswith("modules") for line in single._build_lines(bare))
