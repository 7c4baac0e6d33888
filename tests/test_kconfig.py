"""The configuration contract, its reasons, the drift, and the key that saves configuring."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinytree import SOURCE

from bisectbot.build import kconfig
from bisectbot.build.configure import Cache, Configured
from bisectbot.build.fragments import parse
from bisectbot.effects import unmet
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.ports import Deadline


def contract(fragment: str, final: str) -> tuple[list[str], list[str]]:
    """Return what was lost, required and optional, as text."""
    found = kconfig.compare(parse(fragment, "f"), kconfig.parse(final))
    return list(map(str, found.required)), list(map(str, found.optional))


@pytest.mark.parametrize(
    ("wanted", "final", "met"),
    [
        ("CONFIG_A=y", "CONFIG_A=y\n", True),
        ("CONFIG_A=y", "CONFIG_A=m\n", False),  # there are no modules in the initramfs
        ("CONFIG_A=y", "# CONFIG_A is not set\n", False),
        ("CONFIG_A=y", "", False),
        ("CONFIG_A=y", "CONFIG_AB=y\nXCONFIG_A=y\n# CONFIG_A=y\n", False),
        ("CONFIG_A=m", "CONFIG_A=m\n", True),
        ("CONFIG_A=m", "CONFIG_A=y\n", True),
        ("CONFIG_A=m", "", False),
        ("CONFIG_A=n", "CONFIG_A=n\n", True),
        ("# CONFIG_A is not set", "", True),
        ("# CONFIG_A is not set", "# CONFIG_A is not set\n", True),
        ("# CONFIG_A is not set", "CONFIG_A=m\n", False),
        ("CONFIG_A=8", "CONFIG_A=8\n", True),
        ("CONFIG_A=8", "CONFIG_A=2\n", False),
        ("CONFIG_A=0x10", "CONFIG_A=16\n", True),
        ('CONFIG_A="b c"', 'CONFIG_A="b c"\n', True),
        ('CONFIG_A="b"', 'CONFIG_A=""\n', False),
    ],
)
def test_what_counts_as_lost(wanted: str, final: str, *, met: bool) -> None:
    """An option is lost unless the final .config does what was wanted of it."""
    assert (contract(wanted, final) == ([], [])) == met


def test_lost_options_are_kept_apart_and_named() -> None:
    """Each loss names option, wanted value, fragment, line and what came of it."""
    required, optional = contract("CONFIG_A=y\n# optional: x\nCONFIG_B=y\nCONFIG_C=4\n", "CONFIG_C=2\n")
    assert required == ["CONFIG_A=y (f:1) became n", "CONFIG_C=4 (f:4) became 2"]
    assert optional == ["CONFIG_B=y (f:3) became n"]


def test_drift_is_sorted_and_leaves_out_the_tools() -> None:
    """Two configurations differ in their options; the compiler's and linker's versions are no option of the kernel."""
    before = (
        'CONFIG_B=y\nCONFIG_A="x"\nCONFIG_GCC_VERSION=120200\nCONFIG_CC_VERSION_TEXT="gcc 12"\n# CONFIG_D is not set\n'
    )
    after = 'CONFIG_A="y"\nCONFIG_C=m\nCONFIG_GCC_VERSION=130000\nCONFIG_D=n\n'
    assert kconfig.drift(before, after) == ('CONFIG_A: "x" -> "y"', "CONFIG_B: y -> n", "CONFIG_C: n -> m")


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["y", "m", "n", "3"])))
def test_a_configuration_doesn_t_drift_from_itself(options: dict[str, str]) -> None:
    """However its lines are ordered and its off options written, a configuration equals itself."""
    lines = [f"CONFIG_{name}={value}\n" for name, value in options.items()]
    other = [
        f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        for name, value in options.items()
    ]
    assert kconfig.drift("".join(lines), "".join(reversed(other))) == ()


@pytest.mark.parametrize(
    "path",
    [
        "Kconfig", "Makefile", "init/Kconfig", "kernel/Kconfig.preempt", "arch/arm/Kconfig-nommu",
        "scripts/Kconfig.include",
        "scripts/kconfig/conf.c", "scripts/cc-version.sh", "scripts/Makefile.compiler", "arch/x86/Makefile",
        "arch/x86/Makefile_32.cpu", "arch/x86/configs/tiny.config", "kernel/configs/tiny.config",
        "arch/powerpc/configs/44x/a_defconfig", "arch/powerpc/tools/gcc-check-mprofile-kernel.sh", "tools/x/feature.sh",
    ],
)  # fmt: skip
def test_files_that_decide_over_a_configuration(path: str) -> None:
    """A change of one of these files makes the cache's key another."""
    assert kconfig.decides(path)
    inputs = ["tinyconfig"]
    assert kconfig.config_key([(path, "1")], inputs) != kconfig.config_key([(path, "2")], inputs)


@pytest.mark.parametrize(
    "path", ["kernel/sched/core.c", "Documentation/kbuild/a.sh", "drivers/net/Makefile", "include/linux/kernel.h"]
)
def test_files_that_don_t(path: str) -> None:
    """A change of one of these leaves the key, so that the step makes no configuration."""
    assert not kconfig.decides(path)
    inputs = ["tinyconfig"]
    assert kconfig.config_key([("Kconfig", "0"), (path, "1")], inputs) == kconfig.config_key([("Kconfig", "0")], inputs)


def test_the_key_knows_all_its_inputs() -> None:
    """Other fragments, another compiler, another order, the same words split otherwise: another key."""
    blobs = [("Kconfig", "0")]
    keys = [kconfig.config_key(blobs, inputs) for inputs in (["a", "b"], ["b", "a"], ["ab"], ["a"], [])]
    assert len(set(keys)) == 5


# --- why an option got lost: the tiny tree's own Kconfig files, read by kconfiglib


@pytest.fixture
def kconf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> unmet.Kconfig:
    """Read tests/tinylinux as an x86 tree with its options off."""
    monkeypatch.setenv("srctree", str(SOURCE))
    monkeypatch.setenv("SRCARCH", "x86")
    kconf = unmet.Kconfig("Kconfig", warn=False)
    config = tmp_path / ".config"
    config.write_text("# CONFIG_NET is not set\n# CONFIG_RSEQ is not set\nCONFIG_SMP=y\n")
    kconf.load_config(str(config))
    return kconf


@pytest.mark.parametrize(
    ("option", "wanted", "why"),
    [
        ("KVM", "y", "depends on NET [=n]"),
        ("KVM_AMD", "y", "depends on KVM [=n] (depends on NET [=n]) && CPU_SUP_AMD [=n]"),
        ("DEBUG_RSEQ", "y", "depends on RSEQ [=n] && DEBUG_KERNEL [=n]"),
        ("NO_SUCH_THING", "y", "this tree has no such option for this architecture"),
        ("ARM_GIC_V3", "y", "this tree has no such option for this architecture"),
        ("IRQ_BYPASS", "y", "it can't be set, only be selected by KVM [=n] && HAVE_KVM [=y] && NET [=n]"),
        ("HAVE_KVM", "n", "selected by X86 [=y]"),
        ("NR_CPUS", "9", "Kconfig gave it 2"),
    ],
)
def test_the_unmet_dependency_is_named(kconf: unmet.Kconfig, option: str, wanted: str, why: str) -> None:
    """For a lost option the operands that are off are told with their values, one step further where that helps."""
    assert unmet.reason(kconf, option, wanted) == why


def test_keywords_of_newer_kernels_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`modules` (v5.14) and `transitional` (v6.18) are younger than kconfiglib, and no reason to give up."""
    (tmp_path / "Kconfig").write_text(
        'config MODULES\n\tbool "Modules"\n\tmodules\n\nconfig OLD\n\tbool\n\ttransitional\n'
        '\nconfig A\n\tbool "A"\n\tdepends on MODULES\n'
    )
    monkeypatch.setenv("srctree", str(tmp_path))
    assert unmet.reason(unmet.Kconfig("Kconfig", warn=False), "A", "y") == "depends on MODULES [=n]"


def test_a_choice_tells_what_stands_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a choice only one can be on, and that one is named."""
    (tmp_path / "Kconfig").write_text(
        'choice\n\tprompt "Compression"\n\nconfig XZ\n\tbool "XZ"\n\nconfig LZ4\n\tbool "LZ4"\n\nendchoice\n'
    )
    monkeypatch.setenv("srctree", str(tmp_path))
    assert unmet.reason(unmet.Kconfig("Kconfig", warn=False), "LZ4", "y") == "XZ is chosen in its place"


def test_the_program_answers_in_json_or_says_why_not(tmp_path: Path) -> None:
    """Run as the builder runs it: reasons as JSON; a tree it can't read gives exit code 1 and one line."""
    config = tmp_path / ".config"
    config.write_text("CONFIG_SMP=y\n")
    program = [sys.executable, "-P", unmet.__file__, str(config), "CONFIG_KVM=y", "CONFIG_X86=n"]
    proc, deadline = Processes(), Deadline.after(SystemClock(), 60)
    code, answer = proc.output(program, deadline=deadline, env={"srctree": str(SOURCE), "SRCARCH": "x86"})
    assert code == 0
    assert json.loads(answer) == {
        "CONFIG_KVM": "depends on NET [=n]",
        "CONFIG_X86": "its prompt isn't offered, so its default stands",
    }
    (tmp_path / "Kconfig").write_text("config A\n\tgibberish here\n")
    code, answer = proc.output(program, deadline=deadline, env={"srctree": str(tmp_path)})
    assert code == 1
    assert answer.startswith("kconfiglib: ")
    assert "gibberish" in answer


# --- the cache


def test_the_cache_gives_back_what_it_was_given(tmp_path: Path) -> None:
    """A configuration comes back whole, reasons among them; another key knows nothing."""
    cache = Cache(tmp_path / "configs")
    made = Configured("CONFIG_A=y\n", {"CONFIG_B": "depends on C [=n]"})
    assert cache.get("k") is None
    cache.put("k", made)
    assert cache.get("k") == made
    assert cache.get("other") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"text": "x"}', '{"text": "x", "why": 3}'])
def test_a_damaged_cache_file_counts_as_none(tmp_path: Path, text: str) -> None:
    """Whatever a killed run or a full disk left there, a configuration is made anew."""
    (tmp_path / "k.json").write_text(text)
    assert Cache(tmp_path).get("k") is None
