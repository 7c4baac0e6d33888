"""Fragments: how they are read, found and merged, and that each one shipped is as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.build.fragments import Want
from bisectbot.errors import ConfigError
from bisectbot.model import Arch

SHIPPED = places.data("kconfigs")

TEXT = """\
# What the bug needs.

# The system call.
CONFIG_RSEQ=y
CONFIG_FUTEX=y
# A menu
# optional: newer kernels only
CONFIG_MENU=m
CONFIG_IN_MENU=y

# A tick hides it.
# CONFIG_HZ_1000 is not set
CONFIG_HZ=250
# optional: a name
CONFIG_NAME="a \\"b\\" c"
CONFIG_BASE=0xfFe0
"""


def test_a_fragment_tells_what_it_wants_and_why() -> None:
    """Options carry value, reason and line; one directly below `# optional:` is optional, the next isn't."""
    wants = fragments.parse(TEXT, "bug.config")
    assert [(want.option, want.value, want.optional, want.line) for want in wants] == [
        ("CONFIG_RSEQ", "y", False, 4),
        ("CONFIG_FUTEX", "y", False, 5),
        ("CONFIG_MENU", "m", True, 8),
        ("CONFIG_IN_MENU", "y", False, 9),
        ("CONFIG_HZ_1000", "n", False, 12),
        ("CONFIG_HZ", "250", False, 13),
        ("CONFIG_NAME", '"a \\"b\\" c"', True, 15),
        ("CONFIG_BASE", "0xfFe0", False, 16),
    ]
    assert wants[1].reason == "The system call."
    assert wants[2].reason == "A menu newer kernels only"
    assert str(wants[4]) == "CONFIG_HZ_1000=n"


def test_an_empty_line_ends_a_comment() -> None:
    """A heading with an empty line below it is no option's reason, and makes nothing optional."""
    (want,) = fragments.parse("# optional: all of this\n\nCONFIG_A=y\n", "x")
    assert (want.optional, want.reason) == (False, "")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("CONFIG_A", "x.config:2: neither an option nor a comment"),
        ("config_a=y", "x.config:2: neither"),
        ("<<<<<<< HEAD", "x.config:2: neither"),
        ("CONFIG_A=yes", "x.config:2: CONFIG_A has no value"),
        ('CONFIG_A="open', "x.config:2: CONFIG_A has no value"),
        ("CONFIG_A=", "x.config:2: CONFIG_A has no value"),
        ("CONFIG_B=n", "x.config:2: CONFIG_B stands in line 1 too"),
    ],
)
def test_a_mistake_is_told_with_its_line(line: str, told: str) -> None:
    """What merge_config.sh would pass over in silence is refused, by file and line."""
    with pytest.raises(ConfigError, match=told):
        fragments.parse(f"CONFIG_B=y\n{line}\n", "x.config")


def make(folder: Path, **texts: str) -> Path:
    """Write NAME=text fragments (a double underscore stands for the dot before an architecture)."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name.replace('__', '.')}.config").write_text(text)
    return folder


def names(paths: tuple[Path, ...]) -> list[str]:
    """Return the files' names."""
    return [path.name for path in paths]


def test_base_and_architecture_come_first_and_parts_follow(tmp_path: Path) -> None:
    """The order of the merge: base, the architecture's, then what was asked for, each with its part for the arch."""
    folder = make(tmp_path / "k", base="", aarch64="", x86_64="", kasan="", kasan__x86_64="", bug="", bug__aarch64="")
    assert names(fragments.resolve(["bug", "kasan", "bug", "base"], Arch.X86_64, folder)) == [
        "base.config",
        "x86_64.config",
        "bug.config",
        "kasan.config",
        "kasan.x86_64.config",
    ]
    assert names(fragments.resolve(["bug"], Arch.AARCH64, folder))[-2:] == ["bug.config", "bug.aarch64.config"]


def test_a_fragment_for_one_architecture_alone(tmp_path: Path) -> None:
    """A name that only has a part for an architecture is known there and nowhere else."""
    folder = make(tmp_path / "k", base="", only__x86_64="")
    assert fragments.known(Arch.X86_64, folder) == ("only",)
    assert fragments.known(Arch.AARCH64, folder) == ()
    assert names(fragments.resolve(["only"], Arch.X86_64, folder))[-1] == "only.x86_64.config"
    with pytest.raises(ConfigError):
        fragments.resolve(["only"], Arch.AARCH64, folder)


def test_a_path_is_a_fragment_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the user's is taken by its path, with the part for the architecture that lies beside it."""
    folder = make(tmp_path / "k", base="")
    own = make(tmp_path / "own", mine="CONFIG_A=y\n", mine__x86_64="CONFIG_B=y\n")
    monkeypatch.chdir(own)
    found = fragments.resolve(["mine.config"], Arch.X86_64, folder)
    assert found[1:] == (own / "mine.config", own / "mine.x86_64.config")


def test_an_unknown_fragment_lists_the_known_ones(tmp_path: Path) -> None:
    """A name that is neither shipped nor a file is the user's mistake, and the way out is shown."""
    folder = make(tmp_path / "k", base="", x86_64="", kasan="", bug="")
    with pytest.raises(ConfigError, match="--kconfig kasam") as raised:
        fragments.resolve(["kasam"], Arch.X86_64, folder)
    assert raised.value.hint == "known: bug, kasan"


def test_a_file_that_can_t_be_read_is_the_users_mistake(tmp_path: Path) -> None:
    """A binary, given as a fragment by mistake, ends in a message."""
    path = tmp_path / "bzImage"
    path.write_bytes(b"\x7fELF\xff\xfe")
    with pytest.raises(ConfigError, match="can't be read"):
        fragments.read([path])


def test_the_later_value_stands_and_required_stays_required(tmp_path: Path) -> None:
    """As in the merge the last value wins; the same value asked for twice is required if either asks so."""
    folder = make(
        tmp_path / "k",
        a="CONFIG_A=y\nCONFIG_B=y\n# optional: x\nCONFIG_C=y\n",
        b="# CONFIG_A is not set\n# optional: x\nCONFIG_B=y\nCONFIG_C=y\n",
    )
    wants = fragments.read([folder / "a.config", folder / "b.config"])
    assert [(str(want), want.optional, want.fragment) for want in wants] == [
        ("CONFIG_A=n", False, "b.config"),
        ("CONFIG_B=y", False, "a.config"),
        ("CONFIG_C=y", False, "b.config"),
    ]


def test_line_ends_are_made_plain(tmp_path: Path) -> None:
    """A file from elsewhere, or without an end to its last line, merges like any other."""
    path = tmp_path / "x.config"
    path.write_bytes(b"CONFIG_A=y\r\nCONFIG_B=y")
    assert fragments.text_of(path) == "CONFIG_A=y\nCONFIG_B=y\n"


def shipped() -> list[Path]:
    """Return every fragment of the project."""
    return sorted(SHIPPED.glob("*.config"))


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_each_shipped_option_has_its_reason(path: Path) -> None:
    """A fragment can be read: nothing is switched without a word on why."""
    wants: tuple[Want, ...] = fragments.parse(fragments.text_of(path), path.name)
    assert wants
    assert [want.option for want in wants if not want.reason] == []


@pytest.mark.parametrize("arch", list(Arch))
def test_all_shipped_fragments_are_found(arch: Arch) -> None:
    """Every file of the folder is reachable under some name, on some architecture."""
    reached = fragments.resolve(fragments.known(arch, SHIPPED), arch, SHIPPED)
    others = {one for one in Arch if one != arch}
    missing = [path for path in shipped() if path not in reached and path.suffixes[0].removeprefix(".") not in others]
    assert [path.name for path in missing if path.name.removesuffix(".config") not in others] == []
