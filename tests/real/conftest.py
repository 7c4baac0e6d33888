"""Real kernels for the real tests: built from the demo tree, by the builder, into the user's own cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from machineroom import base
from machineroom.base import Base
from machineroom.room import Room, opened
from real_demo import Demo

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.cli.wiring import Desk, bench, open_desk
from bisectbot.model import Arch, BuildRecipe, Kernel
from bisectbot.ports import Deadline
from csrc import lacking
from demo import plan, tree
from demo.__main__ import ARCHIVE, _sources

_BUILD_SECONDS = 3600.0
_LAB = ("mmdebstrap", "mke2fs", "qemu-img", "qemu-system-x86_64", "ssh", "ipmi_sim", "ipmitool", "snmpd", "snmpget")


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

    def build(self, arch: Arch, rev: str, *concerns: str, sources: bool = False) -> Kernel:
        """Return the kernel of a revision with these fragments; with `sources`, what it was made from is known."""
        commit = self.desk.graph.resolve(rev)
        recipe = BuildRecipe(arch, fragments=fragments.resolve(concerns, arch, places.data("kconfigs")), jobs=2)
        deadline = Deadline.after(self.desk.clock, _BUILD_SECONDS)
        with bench(self.desk, commit) as taken:
            log = self.logs / f"{arch}-{commit[:12]}.log"
            built = taken.builder.build(recipe, commit, log=log, deadline=deadline, required=True, sources=sources)
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
def examined(kernels: Kernels) -> Callable[[Arch, str], Kernel]:
    """Return a maker of kernels of which it is known what they were made from."""
    return lambda arch, revision: kernels.build(arch, revision, "kvm-rseq", sources=True)


@pytest.fixture(scope="session")
def lab_kernel(kernels: Kernels) -> Callable[[], Kernel]:
    """Return a maker of the kernel that boots by every firmware, with a network, a crash store and a machine's root."""
    return lambda: kernels.build(Arch.X86_64, "demo-good", "kvm-rseq", "net", "uefi", "pstore", "virtio-root")


@pytest.fixture(scope="session")
def crash_kernel(kernels: Kernels) -> Callable[[Arch], Kernel]:
    """Return a maker of kernels that can be told to fail."""
    return lambda arch: kernels.build(arch, "demo-good", "crash-test")


@pytest.fixture(scope="session")
def base_system() -> Base:
    """Return the known-good system of the lab's machines, made if it isn't in the cache."""
    for tool in _LAB:
        if shutil.which(tool) is None:
            lacking(f"{tool} is not installed: see debian-packages.txt")
    if os.geteuid() != 0:
        lacking("the lab's base system needs root to be made")
    os.environ["BISECTBOT_CACHE"] = str(places.cache())
    return base.obtain(places.cache())


@pytest.fixture
def room(base_system: Base, tmp_path: Path) -> Iterator[Room]:
    """Return a room for machines, BMCs and consoles; all of its processes end with the test."""
    with opened(tmp_path / "room", base_system) as made:
        yield made
