"""The archive that a kernel unpacks, read back by a reader of our own."""

from __future__ import annotations

import gzip
import stat
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.boot.initramfs import pack

INIT, PROGRAM = b"\x7fELF init", b"\x7fELF program!"


@dataclass(frozen=True)
class Member:
    """A member as the header tells it."""

    inode: int
    mode: int
    mtime: int
    device: tuple[int, int]
    content: bytes


def unpack(archive: bytes) -> dict[str, Member]:
    """Return the members of a newc archive by name, as the kernel's unpacker goes over it."""
    members: dict[str, Member] = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        inode, mode, *_, mtime, size = fields[:7]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        assert archive[at + 110 + fields[11] - 1] == 0
        begin = at + -(-(110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            return members
        members[name] = Member(inode, mode, mtime, (fields[9], fields[10]), archive[begin : begin + size])
        at = begin + -(-size // 4) * 4


def unpacked(*args: str) -> dict[str, Member]:
    """Return what a kernel would find."""
    return unpack(gzip.decompress(pack(INIT, PROGRAM, args)))


def test_what_is_in_it() -> None:
    """Init, the reproducer, its arguments and the folders are there, and nothing else."""
    found = unpacked("--delay", "none")
    files = {name: member.content for name, member in found.items() if stat.S_ISREG(member.mode)}
    assert files == {"init": INIT, "bisectbot/reproducer": PROGRAM, "bisectbot/argv": b"--delay\0none\0"}
    assert {name for name, member in found.items() if stat.S_ISDIR(member.mode)} == {
        "bisectbot",
        "dev",
        "proc",
        "sys",
        "tmp",
    }
    assert all(found[name].mode & 0o111 for name in ("init", "bisectbot/reproducer"))


def test_device_nodes() -> None:
    """The kernel finds /dev/console for init before anything is mounted, and /dev/null is there without devtmpfs."""
    found = unpacked()
    nodes = {name: member.device for name, member in found.items() if stat.S_ISCHR(member.mode)}
    assert nodes == {"dev/console": (5, 1), "dev/null": (1, 3)}


def test_folders_come_before_what_is_in_them() -> None:
    """A kernel makes no parents: a file whose folder comes later would be lost."""
    names = list(unpacked())
    assert all(names.index(name.rpartition("/")[0]) < names.index(name) for name in names if "/" in name)


def test_equal_input_gives_equal_bytes() -> None:
    """Nothing of the clock, the user or the machine is in it, and members are told apart by their inodes."""
    assert pack(INIT, PROGRAM, ("a",)) == pack(INIT, PROGRAM, ("a",))
    found = unpacked("a").values()
    assert {member.mtime for member in found} == {0}
    assert len({member.inode for member in found}) == len(found)


def test_plain_and_compressed_hold_the_same() -> None:
    """Compression changes nothing but the size."""
    plain = pack(INIT, PROGRAM, ("x",), compressed=False)
    assert gzip.decompress(pack(INIT, PROGRAM, ("x",))) == plain
    assert plain.startswith(b"070701")


@given(args=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_arguments_survive(args: list[str]) -> None:
    """Whatever the arguments hold, empty ones and other languages among them, init reads the same list."""
    stored = unpacked(*args)["bisectbot/argv"].content
    assert [word.decode() for word in stored.split(b"\0")[:-1]] == args


def test_bytes_from_a_command_line_survive() -> None:
    """Python hands over an argument that is no UTF-8 as surrogates; the guest gets the very bytes."""
    assert unpacked("caf\udce9")["bisectbot/argv"].content == b"caf\xe9\0"


def test_a_nul_is_refused() -> None:
    """An argument can't hold what separates arguments."""
    with pytest.raises(ValueError, match="NUL"):
        pack(INIT, PROGRAM, ("a\0b",))


@pytest.mark.parametrize("size", range(5))
def test_padding(size: int) -> None:
    """Members of any length end where the next one is looked for."""
    program = b"x" * size
    assert unpack(pack(INIT, program, (), compressed=False))["bisectbot/reproducer"].content == program
