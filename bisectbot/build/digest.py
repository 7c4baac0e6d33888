"""A kernel's digest: equal for kernels that differ in nothing but their name, and empty where that can't be told.

A wrong "equal" would lay one kernel's trials to another one's account, a wrong "different" only costs time. So whatever
could differ goes in: what is loaded of vmlinux, the sources of what unpacks it, the configuration, the modules.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from bisectbot.build.compiled import BuildFolder

_FORMAT = "1"
_KERNEL = "vmlinux"
_BUILD_ID = "NT_GNU_BUILD_ID"
_UNREADABLE = (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
_RELOCATIONS = ".relocs"  # what x86 adds to the kernel before it is packed
# What strip takes off a module; the kernel never reads it. It tells lines, which a comment moves.
_DEBUG = (".debug", ".rela.debug", ".rel.debug", ".comment")


@dataclass(frozen=True)
class _Section:
    """A section of an ELF file: `head` is all that the loader goes by, `data` is None for one of zeros."""

    head: tuple[object, ...]
    flags: int
    data: bytes | None


def digest(left: BuildFolder, image: str, config: str, suffix: str, *, modules: bool) -> str:
    """Return the digest of what a build folder holds, or "" if some part of it isn't understood.

    `image`: what is booted, relative to the folder. `suffix`: the part of the release string that is this kernel's own
    name; of one length for all kernels, it is masked wherever it stands.
    """
    hasher = hashlib.sha256()
    try:
        for name, part in _parts(left, image, config, suffix.encode(), modules=modules):
            hasher.update(json.dumps([_FORMAT, name, len(part)]).encode() + part)
    except (*_UNREADABLE, FileNotFoundError):
        return ""
    return hasher.hexdigest()


def _parts(left: BuildFolder, image: str, config: str, own: bytes, *, modules: bool) -> Iterator[tuple[str, bytes]]:
    """Yield all that makes a kernel what it is, each part with a name."""
    yield "config", config.encode()
    yield from _around(left, image, own)
    yield from _elf(left.folder / _KERNEL, own, loaded_only=True)
    for module in _modules(left) if modules else ():
        for name, part in _elf(left.folder / module, own, loaded_only=False):
            yield f"{module} {name}", part


def _around(left: BuildFolder, image: str, own: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what else but vmlinux is in the image: on x86 what sets the machine up and unpacks the rest.

    By its sources and commands, not as it was linked: there, the size of the packed kernel stands in several places,
    and its name alone changes that.
    """
    trail = left.walk([image], stop=_KERNEL)
    if image not in trail.targets or _KERNEL not in " ".join(map(left.command, trail.targets)).split():
        msg = f"no .cmd file tells how {image} is made of {_KERNEL}"
        raise ValueError(msg)
    for target in sorted(trail.targets):
        yield target, left.command(target).replace(own.decode(), "").encode()
        if target.endswith(_RELOCATIONS):
            yield f"{target} itself", (left.folder / target).read_bytes()
    for folder, paths in ((left.tree, trail.sources), (left.folder, trail.made - {_KERNEL})):
        for path in sorted(paths):
            yield path, _masked((folder / path).read_bytes(), [own])


def _modules(left: BuildFolder) -> tuple[str, ...]:
    found = left.modules()
    if found is None:
        msg = "modules.order doesn't tell which modules there are"
        raise ValueError(msg)
    return found


def _elf(path: Path, own: bytes, *, loaded_only: bool) -> Iterator[tuple[str, bytes]]:
    """Yield what of an ELF file is loaded, or (of one that is still to be linked) all but what is for debuggers."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        header = elf.header
        yield "header", repr([header[name] for name in ("e_type", "e_machine", "e_entry", "e_flags")]).encode()
        segments = ("p_type", "p_vaddr", "p_paddr", "p_memsz", "p_flags")
        yield "segments", repr([[one[name] for name in segments] for one in elf.iter_segments()]).encode()
        names = [own, *_build_ids(elf)]
        for section in _sections(elf):
            if section.flags & SH_FLAGS.SHF_ALLOC if loaded_only else not str(section.head[0]).startswith(_DEBUG):
                data = b"" if section.data is None else _masked(section.data, names)
                yield repr(section.head), data


def _sections(elf: Any) -> Iterator[_Section]:  # noqa: ANN401  pyelftools has no types
    heads = ("sh_type", "sh_flags", "sh_addr", "sh_size", "sh_addralign", "sh_entsize")
    for section in elf.iter_sections():
        zeros = section["sh_type"] == "SHT_NOBITS"
        head = (section.name, *(section[name] for name in heads))
        yield _Section(head, section["sh_flags"], None if zeros else section.data())


def _build_ids(elf: Any) -> Iterator[bytes]:  # noqa: ANN401  likewise
    """Yield the build ids, which are hashes over all the rest, the name included."""
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_NOTE":
            for note in section.iter_notes():
                if note["n_type"] == _BUILD_ID and len(note["n_descdata"]) >= 8:  # noqa: PLR2004  less could be anything
                    yield note["n_descdata"]


def _masked(data: bytes, names: Sequence[bytes]) -> bytes:
    for name in names:
        data = data.replace(name, bytes(len(name)))
    return data
