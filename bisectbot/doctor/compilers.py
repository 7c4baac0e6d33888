"""Compilers: one for each architecture that links static programs, and the headers that some configs want."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bisectbot import places
from bisectbot.arch import traits
from bisectbot.doctor.finding import Bench, Finding, Status, lacking
from bisectbot.doctor.tools import Tool, check
from bisectbot.model import Arch
from bisectbot.visible import visible

_PROGRAM = '#include <stdio.h>\nint main(void) { return puts("") == EOF; }\n'
_HEADERS = (
    ("libelf.h", "libelf-dev", "objtool and BTF"),
    ("openssl/opensslv.h", "libssl-dev", "signed modules"),
)


def compilers(bench: Bench, arch: Arch, native: str, absent: Status) -> Iterator[Finding]:
    """Check what an architecture's programs are compiled with, on a machine whose `uname -m` is `native`."""
    row = traits(arch)
    prefix = "" if arch == native else row.cross
    if prefix:  # the machine's own gcc is looked at among the tools
        packages = (row.cross_package, row.cross_libc_package)
        yield check(bench, Tool(f"{prefix}gcc", packages, f"{arch} kernels are compiled with it", absent))
    if bench.proc.which(f"{prefix}gcc") is None:
        return
    static = _static(bench, arch, f"{prefix}gcc", absent)
    yield static
    if static.status is Status.OK and bench.proc.which("make"):
        yield _programs(bench, arch, prefix, absent)


def _static(bench: Bench, arch: Arch, compiler: str, absent: Status) -> Finding:
    """Init and the reproducer are static: a candidate's initramfs holds no libraries."""
    name = f"static libc {arch}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "static.c"
        source.write_text(_PROGRAM)
        code, text = bench.ask(compiler, "-static", "-o", f"{folder}/static", str(source))
    if code:
        package = "libc6-dev" if compiler == "gcc" else traits(arch).cross_libc_package
        return lacking(name, absent, f"{compiler} can't link a static program: {visible(text, 150)}", package)
    return Finding(name, Status.OK, f"{compiler} links static programs")


def _programs(bench: Bench, arch: Arch, prefix: str, absent: Status) -> Finding:
    name = f"init, rseq-kvm {arch}"
    with tempfile.TemporaryDirectory() as folder:
        code, text = bench.ask(
            "make", "-s", "-C", str(places.data("csrc")), f"ARCH={arch}", f"CROSS_COMPILE={prefix}", f"OUT={folder}"
        )
    if code:
        return Finding(name, absent, visible(text), f"see: make -C {places.data('csrc')} ARCH={arch} OUT=/tmp/out")
    return Finding(name, Status.OK, "compile")


def headers(bench: Bench) -> Iterator[Finding]:
    """Check headers that the shipped fragments on tinyconfig don't need, but other configs do."""
    if bench.proc.which("gcc") is None:
        return
    for header, package, purpose in _HEADERS:
        code, _ = bench.ask("gcc", "-E", "-include", header, "-x", "c", "/dev/null", "-o", "/dev/null")
        if code:
            yield lacking(
                header, Status.WARN, f"not there; configs with {purpose} need it, tinyconfig doesn't", package
            )
        else:
            yield Finding(header, Status.OK, "there")
