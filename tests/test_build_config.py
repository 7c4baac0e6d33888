"""Builds whose configuration is the matter: bases, fragments, what gets lost, what is cached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from buildsite import TINY, Site

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.errors import ConfigError
from bisectbot.model import Arch, BrokenBy, BuildRecipe


def test_most_steps_make_no_configuration(site: Site) -> None:
    """A commit that changes no file that decides over the configuration goes straight to make."""
    site.build(site.linux.first)
    site.proc.ran.clear()
    site.build(site.linux.commit("a C file", {"kernel/sched.c": "int schedule(void) { return 2; }\n"}))
    assert site.proc.targets() == ["bzImage"]
    site.proc.ran.clear()
    site.build(site.linux.edit("a Kconfig file", "kernel/Kconfig", "Networking", "Networks"))
    assert site.proc.targets() == ["tinyconfig", "merge_config.sh", "olddefconfig", "bzImage"]


def test_a_configuration_that_is_the_same_gives_the_same_kernel(site: Site) -> None:
    """The store's key is that of the final .config: another comment in a fragment builds nothing."""
    first = site.build(site.linux.first, site.wanting("# why\nCONFIG_NET=y\n"))
    again = site.build(site.linux.first, site.wanting("# because\nCONFIG_NET=y\n"))
    other = site.build(site.linux.first, site.wanting("CONFIG_RSEQ=y\n# CONFIG_NET is not set\n"))
    assert again.key == first.key
    assert again.from_store
    assert other.key != first.key


@pytest.mark.parametrize("base", ["tinyconfig", "defconfig"])
def test_the_base_is_a_target_of_the_tree(site: Site, base: str) -> None:
    """Tinyconfig and defconfig are the tree's own."""
    kernel = site.build(site.linux.first, replace(TINY, base=base))
    assert ("CONFIG_SMP=y" in kernel.config.read_text()) == (base == "defconfig")


def test_the_base_may_be_the_users_own_file(site: Site, tmp_path: Path) -> None:
    """A .config is copied, merged upon and completed; a suffix of the release in it doesn't reach the kernel's name."""
    own = tmp_path / "my.config"
    own.write_text('CONFIG_SMP=y\nCONFIG_NR_CPUS=64\nCONFIG_LOCALVERSION="-mine"\nCONFIG_LOCALVERSION_AUTO=y\n')
    kernel = site.build(site.linux.first, replace(TINY, base=str(own)))
    text = kernel.config.read_text()
    assert "CONFIG_NR_CPUS=64" in text
    assert 'CONFIG_LOCALVERSION=""' in text
    assert "# CONFIG_LOCALVERSION_AUTO is not set" in text
    with pytest.raises(ConfigError, match="nowhere"):
        site.outcome(site.linux.first, replace(TINY, base="nowhere.config"))


@pytest.mark.parametrize("arch", list(Arch))
def test_the_shipped_fragments_hold_here(site: Site, arch: Arch) -> None:
    """The tiny tree knows every required option of base, the architecture and kvm-rseq, on both architectures."""
    files = fragments.resolve(["kvm-rseq"], arch, places.data("kconfigs"))
    kernel = site.build(site.linux.first, BuildRecipe(arch, fragments=files), required=True)
    assert "CONFIG_KVM=y" in kernel.config.read_text()


def test_a_lost_required_option_stops_at_an_end(site: Site) -> None:
    """At the ends of the range the option, its fragment and its unmet dependency are named, and nothing is built."""
    recipe = site.wanting("# the bug is in there\nCONFIG_KVM=y\n")
    with pytest.raises(ConfigError) as raised:
        site.outcome(site.linux.first, recipe, required=True)
    assert "CONFIG_KVM=y (fragment-0.config:2) became n: depends on NET [=n]" in raised.value.message
    assert "bzImage" not in site.proc.targets()


def test_a_lost_required_option_skips_an_inner_commit(site: Site) -> None:
    """Inside the range the same loss is the commit's own fault."""
    recipe = site.wanting("CONFIG_DEBUG_RSEQ=y\nCONFIG_DEBUG_KERNEL=y\n")
    site.build(site.linux.first, recipe, required=True)
    gone = site.linux.edit("rename", "kernel/Kconfig", "depends on RSEQ && DEBUG_KERNEL", "depends on RSEQ && NET")
    broken = site.broken(gone, recipe)
    assert broken.by is BrokenBy.CONFIG
    assert broken.title == (
        "required option lost: CONFIG_DEBUG_RSEQ=y (fragment-0.config:1) became n: depends on NET [=n]"
    )


def test_lost_optional_options_are_listed(site: Site) -> None:
    """What is only nice to have doesn't stop anything, but is told with its reason at the ends."""
    recipe = site.wanting("# optional: nice\nCONFIG_NO_SUCH_THING=y\n# optional: nice\nCONFIG_KVM=y\n")
    kernel = site.build(site.linux.first, recipe, required=True)
    assert kernel.lost_optional == (
        "CONFIG_NO_SUCH_THING=y (fragment-0.config:2) became n: this tree has no such option for this architecture",
        "CONFIG_KVM=y (fragment-0.config:4) became n: depends on NET [=n]",
    )


def test_drift_against_the_reference_is_told(site: Site) -> None:
    """A step whose configuration differs from the bad end's says in what; a reference that is gone is told too."""
    first = site.build(site.linux.first)
    other = site.linux.edit("default", "kernel/Kconfig", 'sequences"\n\tdefault y', 'sequences"')
    assert site.build(other, reference=first.config).drift == ("CONFIG_RSEQ: y -> n",)
    assert site.build(site.linux.first, reference=first.config).drift == ()
    (told,) = site.build(other, reference=site.folder / "gone").drift
    assert told.startswith("unknown: ")


def test_a_kconfig_file_that_doesn_t_parse_is_the_commits_fault(site: Site) -> None:
    """A tree that can't be configured is broken by its configuration."""
    broken = site.broken(site.linux.commit("oops", {"BREAK": "config\n"}))
    assert (broken.by, broken.file) == (BrokenBy.CONFIG, "kernel/Kconfig")


def test_a_configuration_that_the_tree_refuses_is_made_anew(site: Site) -> None:
    """If make finds a cached configuration incomplete, it isn't blamed on the commit but configured again."""
    kernel = site.build(site.linux.first)
    (cached,) = (site.folder / "configs").glob("*.json")
    cached.write_text(cached.read_text().replace("CONFIG_X86=y", "# CONFIG_X86 is not set"))
    again = site.build(site.linux.first)
    assert again.key == kernel.key
    assert "CONFIG_X86=y" in cached.read_text()


def test_a_damaged_cached_configuration_is_made_anew(site: Site) -> None:
    """A cache file that was cut off counts as none."""
    kernel = site.build(site.linux.first)
    (cached,) = (site.folder / "configs").glob("*.json")
    cached.write_text(cached.read_text()[:100])
    assert site.build(site.linux.first).key == kernel.key
