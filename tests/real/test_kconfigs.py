"""The fragments for real machines on a real tree: nothing that is required gets lost."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from bisectbot import places
from bisectbot.build import fragments
from bisectbot.build.configure import Configurator, Configured, Job, wanted_by
from bisectbot.build.toolchain import Toolchains
from bisectbot.cli.wiring import Desk, bench
from bisectbot.model import Arch, BuildRecipe
from bisectbot.ports import Deadline
from csrc import prefix

pytestmark = pytest.mark.real

SECONDS = 300.0


class Builds(Protocol):
    """What builds kernels of the demo tree."""

    @property
    def desk(self) -> Desk:
        """Return what they share."""
        ...


def configured(kernels: Builds, recipe: BuildRecipe, folder: Path) -> tuple[list[str], list[str]]:
    """Return what the demo tree's end loses of a recipe's options, required and optional."""
    desk = kernels.desk
    commit = desk.graph.resolve("demo-good")
    deadline = Deadline.after(desk.clock, SECONDS)
    toolchain = Toolchains(desk.proc).pick(recipe, commit, desk.graph, deadline)
    wanted = wanted_by(recipe)
    with bench(desk, commit) as taken:
        taken.tree.checkout(commit)
        job = Job(wanted, toolchain, recipe.make_vars, folder / "out", folder / "log", deadline, explain=True)
        made = Configurator(taken.tree.path, desk.proc).make(job)
    assert isinstance(made, Configured), made
    contract = made.contract(wanted)
    return list(map(str, contract.required)), list(map(str, contract.optional))


@pytest.mark.parametrize("arch", Arch)
@pytest.mark.parametrize(
    ("base", "concerns"),
    [
        ("tinyconfig", ("net",)),
        ("tinyconfig", ("uefi",)),
        ("tinyconfig", ("pstore",)),
        ("tinyconfig", ("virtio-root",)),
        ("tinyconfig", ("kvm-rseq", "uefi", "net", "pstore", "virtio-root")),
        ("defconfig", ("kvm-rseq", "uefi", "net", "pstore", "virtio-root")),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_no_required_option_is_lost(
    kernels: Builds, tmp_path: Path, arch: Arch, base: str, concerns: tuple[str, ...]
) -> None:
    """Each fragment alone brings what its options depend on; all of them together lose not even an optional one."""
    prefix(arch)
    files = fragments.resolve(concerns, arch, places.data("kconfigs"))
    required, optional = configured(kernels, BuildRecipe(arch, base=base, fragments=files), tmp_path)
    assert required == []
    assert len(concerns) == 1 or optional == []
