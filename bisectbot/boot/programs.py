"""What runs inside a candidate: our programs, compiled from csrc/, and a check of a user's own one."""

from __future__ import annotations

import platform
import struct
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bisectbot import places
from bisectbot.arch import Traits, traits
from bisectbot.errors import ConfigError, InfraError, ToolMissing
from bisectbot.model import Arch
from bisectbot.ports import Clock, Deadline, Proc

_SECONDS = 120.0  # to compile; it takes two
_NAMES = ("init", "rseq-kvm", "runner")  # in the order of Programs

# elf.h: a 64-bit little-endian file's header and one entry of its program header table.
_HEADER = struct.Struct("<4sBBB9xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC = b"\x7fELF"
_64_BIT, _LITTLE_ENDIAN = 2, 1
_EXECUTABLE, _SHARED = 2, 3  # e_type; static-pie programs are shared objects
_INTERPRETER = 3  # p_type


@dataclass(frozen=True)
class Programs:
    """Static executables for one architecture."""

    init: Path  # PID 1 of an initramfs
    reproducer: Path
    runner: Path  # init's part on a machine's own root, started over SSH: csrc/runner.c tells its arguments


def compiled(proc: Proc, clock: Clock, arch: Arch) -> Programs:
    """Return init, runner and the KVM_RUN+rseq reproducer, compiled once per source and compiler into the cache.

    Raises ToolMissing without make or a compiler for `arch`, InfraError if it doesn't compile.
    """
    deadline = Deadline.after(clock, _SECONDS)
    cross = "" if platform.machine() == arch else traits(arch).cross
    for tool in ("make", f"{cross}gcc"):
        if proc.which(tool) is None:
            raise ToolMissing(f"{tool} is not installed", hint=_install(tool, traits(arch)))
    source = places.data("csrc")
    _, identity = proc.output([f"{cross}gcc", "-v"], deadline=deadline)
    folder = places.cache() / "programs" / f"{arch}-{_key(source, arch, identity)}"
    if not folder.is_dir():  # it appears at once, with all of them in it
        _compile(proc, deadline, folder, [f"ARCH={arch}", f"CROSS_COMPILE={cross}"], source)
    return Programs(*(folder / name for name in _NAMES))


def _install(tool: str, row: Traits) -> str:
    return f"apt-get install {row.cross_package if tool == f'{row.cross}gcc' else tool}"


def _key(source: Path, arch: Arch, identity: str) -> str:
    digest = sha256("\n".join((arch, identity, *_NAMES, "")).encode())
    for file in sorted(source.iterdir()):
        if file.suffix in (".c", ".h") or file.name == "Makefile":
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _compile(proc: Proc, deadline: Deadline, folder: Path, variables: list[str], source: Path) -> None:
    """Make `folder` with all programs in it, at once: whoever sees it sees them complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as making:
        out = Path(making, "out")
        argv = ["make", "-j2", "--no-print-directory", "-C", str(source), *variables, f"OUT={out}"]
        finished = proc.run(argv, log=log, deadline=deadline)
        if finished.code:
            raise InfraError(
                f"{source} doesn't compile: {_cause(log)}", hint=f"{log} holds the command and its messages"
            )
        with suppress(OSError):  # another bisectbot was first: its programs are the same
            out.rename(folder)


def _cause(log: Path) -> str:
    """Return the first line that tells of an error, bounded."""
    lines = log.read_text(errors="replace").splitlines()
    telling = (line for line in lines if "error:" in line or "cannot find" in line or "Error " in line)
    return next(telling, "no message")[:200]


def check_program(path: Path, arch: Arch) -> None:
    """Raise ConfigError unless `path` is a program that runs in an initramfs which holds nothing but it."""
    fault = next(_faults(path, arch), None)
    if fault is not None:
        raise ConfigError(f"the reproducer {path} {fault[0]}", hint=fault[1])


def _faults(path: Path, arch: Arch) -> Iterator[tuple[str, str]]:
    """Yield what is wrong and what to do about it; the first one matters."""
    try:
        content = path.read_bytes()
    except OSError as error:
        yield f"can't be read: {error.strerror}", "check its path"
        return
    if not path.stat().st_mode & 0o111:
        yield "is not executable", f"chmod +x {path}"
    if content.startswith(b"#!"):
        yield (
            "is a script, and the initramfs holds no interpreter for it",
            "write it in C (docs/reproducers.md has an example), or wrap it in a static program",
        )
    yield from _elf_faults(content, arch)


def _elf_faults(content: bytes, arch: Arch) -> Iterator[tuple[str, str]]:
    row = traits(arch)
    build = f"compile it for {arch}: {row.cross}gcc -static ..."
    if not content.startswith(_MAGIC):
        yield "is no ELF program", build
        return
    try:
        header = _HEADER.unpack_from(content)
        segments = tuple(_segments(content, header))
    except (struct.error, OverflowError):
        yield "is cut: its ELF headers are incomplete", "compile it again"
        return
    _, bits, order, _, kind, machine, _, entry, *_ = header
    if (bits, order, machine) != (_64_BIT, _LITTLE_ENDIAN, row.elf_machine):
        yield f"is not for {arch} (ELF machine {machine} instead of {row.elf_machine})", build
    if kind not in (_EXECUTABLE, _SHARED) or not segments or not entry:
        yield "is an object file or a library, no program", build
    if _INTERPRETER in segments:
        yield "is not static: the libraries that it asks for are not in the initramfs", "link it with -static"


def _segments(content: bytes, header: tuple[int, ...]) -> Iterator[int]:
    """Yield the type of each segment; struct.error or OverflowError if they aren't all there."""
    offset, size, count = header[8], header[12], header[13]
    for number in range(count):
        yield _SEGMENT.unpack_from(content, offset + number * size)[0]
