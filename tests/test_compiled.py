"""What went into a kernel, read from .cmd files as kbuild of several ages writes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bisectbot.build.compiled import BuildFolder

IMAGE = "arch/x86/boot/bzImage"
# As 6.1 writes them, long commands cut.
NEW = {
    IMAGE: f"cmd_{IMAGE} := arch/x86/boot/tools/build arch/x86/boot/setup.bin vmlinux > {IMAGE}",
    "arch/x86/boot/setup.bin": "cmd_a := objcopy  -O binary arch/x86/boot/setup.elf arch/x86/boot/setup.bin",
    "arch/x86/boot/setup.elf": "cmd_b := ld -T ../arch/x86/boot/setup.ld arch/x86/boot/a20.o -o x",
    "arch/x86/boot/a20.o": "cmd_c := ccache gcc -c -o arch/x86/boot/a20.o ../arch/x86/boot/a20.c",
    "vmlinux": 'cmd_vmlinux := ../scripts/link-vmlinux.sh "ld" "-m elf_x86_64";  true',
    "vmlinux.o": "cmd_vmlinux.o := ld -r -o vmlinux.o --whole-archive vmlinux.a --no-whole-archive lib/lib.a",
    "vmlinux.a": "cmd_vmlinux.a := rm -f vmlinux.a; ar cDPrST vmlinux.a ./built-in.a; ar mPiT",
    "built-in.a": 'cmd_built-in.a := rm -f built-in.a;  printf "./%s " init/built-in.a kernel/built-in.a | xargs ar',
    "init/built-in.a": 'cmd_x := rm -f init/built-in.a;  printf "init/%s " main.o version.o | xargs ar cDPrST',
    "kernel/built-in.a": 'cmd_x := printf "kernel/%s " fork.o sched/built-in.a | xargs ar cDPrST kernel/built-in.a',
    "kernel/sched/built-in.a": 'cmd_x := printf "kernel/sched/%s " core.o | xargs ar cDPrST kernel/sched/built-in.a',
    "init/main.o": "source_init/main.o := ../init/main.c",
    "kernel/fork.o": (
        "cmd_kernel/fork.o := gcc -Wp,-MMD,kernel/.fork.o.d -I../include -include ../include/linux/kconfig.h -c\n\n"
        "source_kernel/fork.o := ../kernel/fork.c\n\n"
        "deps_kernel/fork.o := \\\n    $(wildcard include/config/NUMA) \\\n  ../include/linux/sched.h \\\n"
        "  include/generated/bounds.h \\\n  /usr/lib/gcc/include/stdarg.h \\\n"
    ),
    "kernel/sched/core.o": "source_a := ../kernel/sched/core.c\n  ../arch/x86/kvm/../../../virt/kvm/shared.h \\\n",
    "lib/lib.a": "cmd_lib/lib.a := rm -f lib/lib.a; ar cDPrsT lib/lib.a lib/string.o",
    "lib/string.o": "source_x := ../lib/string.c",
    # named by no one: incbin, and headers made of what a compiler says
    "arch/x86/entry/vdso/vdso64.so": "cmd_v := ld -T arch/x86/entry/vdso/vdso.lds arch/x86/entry/vdso/vgetcpu.o",
    "arch/x86/entry/vdso/vgetcpu.o": "source_v := ../arch/x86/entry/vdso/vgetcpu.c",
    "kernel/bounds.s": "source_kernel/bounds.s := ../kernel/bounds.c",
    # left by another configuration
    "fs/btrfs/super.o": "source_x := ../fs/btrfs/super.c",
    "fs/btrfs/built-in.a": 'cmd_x := printf "fs/btrfs/%s " super.o | xargs ar cDPrST fs/btrfs/built-in.a',
    "modules.order": "cmd_modules.order := { echo drivers/net/veth.ko; :; } > modules.order",
    "drivers/net/veth.ko": "cmd_x := ld -r -o drivers/net/veth.ko drivers/net/veth.o drivers/net/veth.mod.o",
    "drivers/net/veth.o": "cmd_x := ld -r -o drivers/net/veth.o @drivers/net/veth.mod",
    "drivers/net/veth.mod": "cmd_x := printf '%s\\n'   veth_main.o | awk '!x[$$0]++ { print(\"drivers/net/\"$$0) }'",
    "drivers/net/veth_main.o": "source_x := ../drivers/net/veth_main.c",
}
MADE_OF = [
    "arch/x86/boot/a20.c",
    "arch/x86/boot/setup.ld",
    "arch/x86/entry/vdso/vgetcpu.c",
    "include/linux/kconfig.h",
    "include/linux/sched.h",
    "init/main.c",
    "kernel/bounds.c",
    "kernel/fork.c",
    "kernel/sched/core.c",
    "lib/string.c",
    "scripts/link-vmlinux.sh",
    "virt/kvm/shared.h",
]
NOT_IN_IT = ["fs/btrfs/super.c", "drivers/net/veth_main.c", "drivers/usb/core/hub.c"]


def site(tree: Path, commands: Mapping[str, str], files: Mapping[str, str] | None = None) -> BuildFolder:
    """Return a build folder with these .cmd files, in a tree that has every source of this file."""
    folder = tree / ".bb-x86_64-build"
    made = {str(Path(target).parent / f".{Path(target).name}.cmd"): text for target, text in commands.items()}
    sources = dict.fromkeys((*MADE_OF, *NOT_IN_IT, "arch/x86/kernel/head_64.S"), "")
    for root, texts in ((tree, sources), (folder, made), (folder, files or {})):
        for name, text in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return BuildFolder(tree, folder)


def test_sources_are_those_that_the_image_is_linked_of(tmp_path: Path) -> None:
    """Sources, headers and scripts of the image and of what is embedded in it; not options, nor system headers."""
    assert site(tmp_path, NEW).sources(IMAGE, modules=False) == tuple(MADE_OF)


def test_modules_count_where_they_are_kept(tmp_path: Path) -> None:
    """With modules, theirs are added, those of a module of several objects too."""
    left = site(tmp_path, NEW, {"modules.order": "drivers/net/veth.ko\n", "drivers/net/veth.ko": ""})
    assert left.sources(IMAGE, modules=True) == tuple(sorted([*MADE_OF, "drivers/net/veth_main.c"]))


def test_an_older_kbuild_names_no_objects_of_the_architecture(tmp_path: Path) -> None:
    """Before 6.1 only the environment tells the script that links; they and the top archives count all the same."""
    gone = ("built-in.a", "vmlinux.a", "vmlinux.o", "init/built-in.a")
    old = {target: text for target, text in NEW.items() if target not in gone}
    old["init/built-in.a"] = "cmd_init/built-in.a := rm -f init/built-in.a; ar cDPrST init/built-in.a init/main.o"
    old["arch/x86/kernel/head_64.o"] = "source_x := ../arch/x86/kernel/head_64.S"
    assert site(tmp_path, old).sources(IMAGE, modules=False) == tuple(sorted([*MADE_OF, "arch/x86/kernel/head_64.S"]))


def test_what_is_not_understood_counts_as_a_whole(tmp_path: Path) -> None:
    """If it can't be told what the image is linked of, everything that was ever compiled there is in the list."""
    strange = {target: text for target, text in NEW.items() if not target.endswith("built-in.a")}
    found = site(tmp_path, strange).sources(IMAGE, modules=False)
    assert found == tuple(sorted([*MADE_OF, "fs/btrfs/super.c", "drivers/net/veth_main.c"]))


def test_no_trace_is_no_list(tmp_path: Path) -> None:
    """Where kbuild left nothing, it isn't known what the kernel was made from: that isn't the same as nothing."""
    assert site(tmp_path, {}).sources(IMAGE, modules=False) is None


def test_a_tree_that_is_named_in_full_is_the_same_tree(tmp_path: Path) -> None:
    """Absolute names, as some kbuilds write them, mean the same files; another file in the build folder none."""
    full = {target: text.replace("../", f"{tmp_path}/") for target, text in NEW.items() if "kvm/.." not in text}
    full["kernel/sched/core.o"] = f"s := {tmp_path}/kernel/sched/core.c {tmp_path}/virt/kvm/shared.h"
    full["kernel/fork.o"] += f" {tmp_path}/.bb-x86_64-build/include/generated/bounds.h"
    left = site(tmp_path, full, {"include/generated/bounds.h": ""})
    assert left.sources(IMAGE, modules=False) == tuple(MADE_OF)


def test_a_walk_stays_out_of_where_it_stops(tmp_path: Path) -> None:
    """What is around the kernel can be told from the kernel, with the headers that no .cmd file tells the making of."""
    files = {"include/generated/bounds.h": "", "include/config/NUMA": ""}
    left = site(tmp_path, NEW, files)
    around = left.walk([IMAGE], stop="vmlinux")
    assert around.sources == {"arch/x86/boot/a20.c", "arch/x86/boot/setup.ld"}
    assert "vmlinux" not in around.targets
    assert left.walk(["kernel/fork.o"]).made == {"include/generated/bounds.h"}


@pytest.mark.parametrize(
    ("order", "files", "found"),
    [
        ("drivers/net/veth.ko\n", ["drivers/net/veth.ko"], ("drivers/net/veth.ko",)),
        ("drivers/net/veth.o\n", ["drivers/net/veth.ko"], ("drivers/net/veth.ko",)),
        ("kernel/drivers/net/veth.ko\n", ["drivers/net/veth.ko"], ("drivers/net/veth.ko",)),
        ("kernel/torture.ko\n", ["kernel/torture.ko"], ("kernel/torture.ko",)),
        ("drivers/net/gone.ko\n", ["drivers/net/veth.ko"], None),
        ("", [], ()),
    ],
    ids=["6.1", "6.4", "5.2", "one of kernel/ itself", "a file is missing", "no modules"],
)
def test_modules_are_found_by_every_kind_of_list(
    tmp_path: Path, order: str, files: list[str], found: tuple[str, ...] | None
) -> None:
    """modules.order has been written in three ways; a module that isn't there means that it wasn't understood."""
    left = site(tmp_path, NEW, {"modules.order": order, **dict.fromkeys(files, "")})
    assert left.modules() == found


def test_no_list_of_modules_is_not_an_empty_one(tmp_path: Path) -> None:
    """Without modules.order it isn't known which modules there are."""
    assert site(tmp_path, NEW).modules() is None
