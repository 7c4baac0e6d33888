"""The configuration contract, pure: what was wanted of a .config, what it lost, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bisectbot.build.fragments import Want

_SET = re.compile(r"^(CONFIG_\w+)=(.*)$", re.MULTILINE)

# Facts about the machine that builds, not about the kernel.
_OF_THE_TOOLS = frozenset(
    f"CONFIG_{name}"
    for name in (
        "CC_VERSION_TEXT",
        "GCC_VERSION",
        "CLANG_VERSION",
        "AS_VERSION",
        "LD_VERSION",
        "LLD_VERSION",
        "PAHOLE_VERSION",
        "RUSTC_VERSION",
        "RUSTC_VERSION_TEXT",
        "RUSTC_LLVM_VERSION",
        "BINDGEN_VERSION_TEXT",
    )
)

# Files that can have a say in what olddefconfig makes of given fragments, rather too many than too few.
_DECIDES = re.compile(
    r"Makefile"
    r"|(?:.*/)?[Kk]config[^/]*"
    r"|scripts/.*"
    r"|arch/(?:.*/)?(?:Makefile|Kbuild)[^/]*"
    r"|arch/.*/configs/.*|kernel/configs/.*"
    r"|(?!Documentation/|samples/|tools/testing/|tools/perf/).*\.(?:sh|pl|py|awk)"  # for $(shell ...)
)


@dataclass(frozen=True)
class Lost:
    """An option that isn't as wanted."""

    want: Want
    got: str  # what the final .config has; "n" for off or unknown
    why: str = ""  # the unmet dependency, or why it isn't known

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.want} ({self.want.fragment}:{self.want.line}) became {self.got}{why}"


@dataclass(frozen=True)
class Contract:
    """What a final .config lost of what the fragments wanted."""

    required: tuple[Lost, ...]
    optional: tuple[Lost, ...]

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Everything that was lost."""
        return (*self.required, *self.optional)


def parse(text: str) -> dict[str, str]:
    """Return the options that a .config sets, with their values; those that are off aren't in it."""
    return {option: value for option, value in _SET.findall(text) if value != "n"}


def compare(wants: Iterable[Want], final: Mapping[str, str], why: Mapping[str, str] | None = None) -> Contract:
    """Return what was lost between `wants` and the options of the final .config (see parse()).

    `why` gives the reason for options that are known to be lost.
    """
    reasons = why or {}
    lost = [
        Lost(want, final.get(want.option, "n"), reasons.get(want.option, ""))
        for want in wants
        if not _met(want.value, final.get(want.option, "n"))
    ]
    return Contract(
        tuple(one for one in lost if not one.want.optional), tuple(one for one in lost if one.want.optional)
    )


def _met(wanted: str, got: str) -> bool:
    """Whether `got` does what was wanted: built in is as good as a module, a module isn't as good as built in."""
    return wanted == got or (wanted == "m" and got == "y") or _same_number(wanted, got)


def _same_number(wanted: str, got: str) -> bool:
    try:
        return int(wanted, 0) == int(got, 0)
    except ValueError:
        return False


def drift(before: str, after: str) -> tuple[str, ...]:
    """Return how two .config texts differ, one "CONFIG_X: y -> n" each, sorted; the tools' versions don't count."""
    old, new = parse(before), parse(after)
    names = sorted((old.keys() | new.keys()) - _OF_THE_TOOLS)
    return tuple(
        f"{name}: {old.get(name, 'n')} -> {new.get(name, 'n')}" for name in names if old.get(name) != new.get(name)
    )


def decides(path: str) -> bool:
    """Whether a file of the tree can have a say in what olddefconfig makes of given fragments."""
    return _DECIDES.fullmatch(path) is not None


def config_key(blobs: Iterable[tuple[str, str]], inputs: Sequence[str]) -> str:
    """Return a name for the .config that these files of the tree and these inputs give, before it is made.

    `blobs` are (path, object name) of the whole tree; `inputs` all else that has a say: base, fragments, fix-ups,
    architecture, make variables, compiler. Equal names mean equal configurations.
    """
    files = sorted(blob for blob in blobs if decides(blob[0]))
    return hashlib.sha256(json.dumps([files, list(inputs)]).encode()).hexdigest()
