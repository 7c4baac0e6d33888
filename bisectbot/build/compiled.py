"""What kbuild's .cmd files tell: which files of the tree went into what was just built."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bisectbot.model import Kernel

_KERNEL = "vmlinux"
# Pieces of something else: only that something's own .cmd file says whether they are still part of it. Any other
# target (linker scripts, vDSOs, generated headers, host programs) is read by something that names it nowhere.
_PIECES = (".o", ".a", ".ko", ".mod", ".order", ".symvers")
_ALWAYS_THERE = "init/main.o"
_TOP_ARCHIVES = ("built-in.a", "built-in.o")  # the latter before 4.19
_BETWEEN = re.compile(r"""[\s"'`();:,=|<>@]+""")
_STAMPS = "include/config/"  # empty files that stand for options


@dataclass(frozen=True)
class Trail:
    """What a walk from some targets came by; every path relative to the tree or to the build folder."""

    targets: frozenset[str]  # made by a rule that left a .cmd file
    sources: frozenset[str]  # files of the tree
    made: frozenset[str]  # files of the build folder whose making no .cmd file tells: headers that were echoed


class BuildFolder:
    """A build folder right below or beside the tree it was built from, as it is at this moment."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self.folder = folder
        self.tree = tree
        self._commands = dict(_commands(folder))

    def sources(self, image: str, *, modules: bool) -> tuple[str, ...] | None:
        """Return the files of the tree that `image` and vmlinux, with or without modules, were made from, sorted.

        None if kbuild left nothing to tell it by. The list may have files too many (objects of an earlier
        configuration, where it isn't understood what the image is linked of), not too few. What it can't have: a
        header that isn't there yet but would be found before another one of its name. That commit counts as one that
        this kernel doesn't see, unless the header is there at the other end of the range.
        """
        if not self._commands:
            return None
        trail = self.walk(self._roots(image, modules=modules))
        if _ALWAYS_THERE not in trail.targets:
            trail = self.walk(self._commands)
        return tuple(sorted(trail.sources))

    def walk(self, roots: Iterable[str], stop: str = "") -> Trail:
        """Follow what the .cmd files of `roots` name, and theirs; `stop` isn't entered."""
        walked = {stop}
        words: set[str] = set()
        waiting = [root for root in roots if root in self._commands]
        while waiting:
            target = waiting.pop()
            if target in walked:
                continue
            walked.add(target)
            named = set(self.command(target).split())
            waiting += self._beside(target, named)
            waiting += (piece for piece in _pieces(named - words) if piece in self._commands)
            words |= named
        return self._trail(frozenset(walked - {stop}), words)

    def command(self, target: str) -> str:
        """Return the text of a target's .cmd file."""
        return self._commands[target].read_text(errors="replace")

    def modules(self) -> tuple[str, ...] | None:
        """Return the .ko files that this build made; None if it can't be told."""
        try:
            lines = (self.folder / "modules.order").read_text().split()
        except OSError:
            return None
        # since 6.4 it lists the .o; before 5.3 all were below "kernel/", as where they are installed
        names = (line.removesuffix(".o").removesuffix(".ko") + ".ko" for line in lines)
        found = [self._first_file(name, name.removeprefix("kernel/")) for name in names]
        return tuple(one for one in found if one) if all(found) else None

    def _roots(self, image: str, *, modules: bool) -> Iterator[str]:
        yield from (image, _KERNEL, "vmlinux.o", "vmlinux.a")
        yield from (self.modules() or (name for name in self._commands if name.endswith(".ko"))) if modules else ()
        for target in self._commands:
            # Before 6.1 no .cmd file names what is linked besides the archives: objects of the architecture, lib.a.
            if target.startswith("arch/") or target.endswith("/lib.a") or not target.endswith(_PIECES):
                yield target
        if "built-in.a" not in self._commands:
            yield from (one for one in self._commands if one.count("/") == 1 and one.endswith(_TOP_ARCHIVES))

    def _beside(self, target: str, named: set[str]) -> Iterator[str]:
        """Yield pieces that are named relative to their target: `printf "kernel/%s " fork.o sched/built-in.a`."""
        folder = target.rpartition("/")[0]
        pieces = (os.path.normpath(f"{folder}/{word}") for word in named if word.endswith(_PIECES))
        return (piece for piece in pieces if piece in self._commands)

    def _trail(self, walked: frozenset[str], words: set[str]) -> Trail:
        sources, made = set(), set()
        up = os.path.relpath(self.tree, self.folder) + "/"
        for piece in _pieces(words):
            path = piece.removeprefix(f"{self.tree}/") if piece.startswith("/") else piece.removeprefix(up)
            if path != piece:
                if not path.startswith("../") and (self.tree / path).is_file() and not self._is_ours(path):
                    sources.add(path)
            elif self._is_made(piece):
                made.add(piece)
        return Trail(walked, frozenset(sources), frozenset(made))

    def _is_ours(self, path: str) -> bool:
        return (self.tree / path).is_relative_to(self.folder)

    def _is_made(self, piece: str) -> bool:
        inside = not piece.startswith((_STAMPS, "../", "/")) and piece not in self._commands
        return inside and (self.folder / piece).is_file()

    def _first_file(self, *names: str) -> str | None:
        return next((name for name in names if (self.folder / name).is_file()), None)


def listed(kernel: Kernel) -> frozenset[str] | None:
    """Return the files of the tree that a kernel was made from; None if that isn't known (any more)."""
    if kernel.sources is None:
        return None
    try:
        return frozenset(kernel.sources.read_text().splitlines())
    except OSError:  # the store has let it go since
        return None


def _commands(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each target that has a .cmd file (`kernel/.fork.o.cmd`), relative to the folder."""
    for where, _, names in os.walk(folder):
        inside = os.path.relpath(where, folder)
        for name in names:
            if name.startswith(".") and name.endswith(".cmd"):
                yield os.path.normpath(f"{inside}/{name[1:-4]}"), Path(where, name)


def _pieces(words: Iterable[str]) -> Iterator[str]:
    """Yield what of the words of a shell command or a make rule could be a path."""
    for word in words:
        for piece in _BETWEEN.split(word):
            if piece and not piece.startswith("-") and "$" not in piece:
                # "./arch/x86/kvm/../../../virt/kvm/kvm_main.o", as virt/kvm/Makefile.kvm has it
                yield os.path.normpath(piece) if "./" in piece else piece
