"""A tiny kernel tree with a builder for it: real git, real make, milliseconds a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinytree import TinyTree

from bisectbot.build.builder import Builder
from bisectbot.build.kbuild import Ccache, Room
from bisectbot.build.store import Store
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.worktree import GitTree
from bisectbot.model import Arch, BuildBroken, BuildRecipe, Kernel
from bisectbot.ports import Deadline, Finished

TINY = BuildRecipe(Arch.X86_64)


class CountingProc(Processes):
    """The real thing; keeps the command lines that were run."""

    def __init__(self) -> None:
        super().__init__(grace=0.1)
        self.ran: list[list[str]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Keep the words, then run."""
        self.ran.append(list(argv))
        return super().run(argv, log=log, deadline=deadline, cwd=cwd, env=env)

    def targets(self) -> list[str]:
        """Return the last word of each make, and the name of each script."""
        return [Path(words[0]).name if words[0].endswith(".sh") else words[-1] for words in self.ran]


class Bare(CountingProc):
    """A machine on which nothing is installed."""

    def which(self, tool: str) -> Path | None:
        """Find nothing."""
        del tool
        return None


@dataclass
class Site:
    """A tiny tree and a builder for it."""

    folder: Path
    linux: TinyTree
    proc: CountingProc = field(default_factory=CountingProc)
    room: Room = field(default_factory=lambda: Room(0, 0))

    def builder(self) -> Builder:
        """Return a new builder on the same folders, as a new session has."""
        user = open_git(self.linux.path)
        return Builder(
            GitTree.prepare(user, self.folder / "trees/x/tree", self.linux.first),
            GitGraph(user),
            self.proc,
            SystemClock(),
            Store(self.folder / "kernels"),
            self.folder / "configs",
            Ccache(self.folder / "ccache"),
            self.room,
        )

    def build(
        self,
        commit: str,
        recipe: BuildRecipe = TINY,
        *,
        required: bool = False,
        reference: Path | None = None,
        sources: bool = False,
    ) -> Kernel:
        """Build and expect a kernel."""
        product = self.outcome(commit, recipe, required=required, reference=reference, sources=sources)
        assert isinstance(product, Kernel), product
        return product

    def broken(self, commit: str, recipe: BuildRecipe = TINY) -> BuildBroken:
        """Build and expect that it can't be."""
        product = self.outcome(commit, recipe)
        assert isinstance(product, BuildBroken), product
        return product

    def outcome(  # noqa: PLR0913  the builder's own options
        self,
        commit: str,
        recipe: BuildRecipe = TINY,
        *,
        seconds: float = 60.0,
        required: bool = False,
        reference: Path | None = None,
        sources: bool = False,
    ) -> Kernel | BuildBroken:
        """Build with a new builder; the log is one file a commit."""
        deadline = Deadline.after(SystemClock(), seconds)
        return self.builder().build(
            recipe,
            commit,
            log=self.log(commit),
            deadline=deadline,
            required=required,
            reference=reference,
            sources=sources,
        )

    def log(self, commit: str) -> Path:
        """Return where the output of a commit's build goes."""
        return self.folder / f"builds/{commit[:12]}.log"

    def wanting(self, text: str, recipe: BuildRecipe = TINY) -> BuildRecipe:
        """Return a recipe with one more fragment of this text."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"fragment-{len(recipe.fragments)}.config"
        path.write_text(text)
        return replace(recipe, fragments=(*recipe.fragments, path))

    @property
    def tree(self) -> Path:
        """The private worktree."""
        return self.folder / "trees/x/tree"
