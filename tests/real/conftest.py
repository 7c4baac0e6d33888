"""Real kernels for the real tests: built from the demo tree, by the builder, into the user's own cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_demo import Demo

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.cli.wiring import Desk, bench, open_desk
from bisectbot.model import Arch, BuildRecipe, Kernel
from bisectbot.ports import Deadline
from demo import plan, tree
from demo.__main__ import ARCHIVE, _sources

_BUILD_SECONDS = 3600.0


@pytest.fixture(scope="session")
def demo() -> Demo:
    """Return the demo tree, made if it isn't in the cache; the seal changes HOME later, so the cache is pinned here."""
    os.environ["BISECTBOT_CACHE"] = str(places.cache())
    made = tree.obtain(places.cache() / "demo", plan.read(Path(plan.__file__).parent), _sources(ARCHIVE))
    return Demo(made.path, made.truth)


@dataclass(frozen=True)
class Kernels:
    """Builds what a test asks for; the store remembers it from run to run."""

    desk: Desk
    logs: Path

    def build(self, arch: Arch, rev: str, *concerns: str) -> Kernel:
        """Return the kernel of a revision with these fragments."""
        commit = self.desk.graph.resolve(rev)
        recipe = BuildRecipe(arch, fragments=fragments.resolve(concerns, arch, places.data("kconfigs")), jobs=2)
        deadline = Deadline.after(self.desk.clock, _BUILD_SECONDS)
        with bench(self.desk, commit) as taken:
            log = self.logs / f"{arch}-{commit[:12]}.log"
            built = taken.builder.build(recipe, commit, log=log, deadline=deadline, required=True)
        assert isinstance(built, Kernel), built
        return built


@pytest.fixture(scope="session")
def kernels(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """Return the builder of this run."""
    return Kernels(open_desk(demo.path, places.data("hosts.toml")), tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="session")
def kernel(kernels: Kernels, demo: Demo) -> Callable[[Arch, str], Kernel]:
    """Return a maker of the pair: "bad" is the regression itself, "good" its parent."""
    revisions = {"bad": demo.truth["culprit"], "good": f"{demo.truth['culprit']}^"}
    return lambda arch, which: kernels.build(arch, revisions[which], "kvm-rseq")


@pytest.fixture(scope="session")
def crash_kernel(kernels: Kernels) -> Callable[[Arch], Kernel]:
    """Return a maker of kernels that can be told to fail."""
    return lambda arch: kernels.build(arch, "demo-good", "crash-test")
