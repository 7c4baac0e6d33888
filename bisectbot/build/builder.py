"""Recipe + commit -> Kernel | BuildBroken: looks into the store, configures, runs make, reads why it failed."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bisectbot.build import kbuild, kconfig
from bisectbot.build.buildlog import Diagnosis
from bisectbot.build.configure import Cache, Configurator, Configured, Job, Wanted, wanted_by
from bisectbot.build.jobs import Jobs
from bisectbot.build.kbuild import Ccache, Make, Room
from bisectbot.build.kconfig import Contract
from bisectbot.build.store import Built, Store
from bisectbot.build.toolchain import Toolchain, Toolchains, span_holds
from bisectbot.errors import ConfigError, InfraError, os_fault
from bisectbot.model import BrokenBy, BuildBroken, BuildRecipe, Fixup, Kernel
from bisectbot.ports import Clock, Deadline, Graph, Proc, Tree

_BUILDABLE = re.compile(r"[\w/.+,@=~^-]+")  # kbuild refuses spaces and colons, make reads #, $ and % its own way


@dataclass(frozen=True)
class _Order:
    """One build, with all that is known before the tree is touched."""

    recipe: BuildRecipe
    commit: str
    log: Path
    deadline: Deadline
    required: bool
    toolchain: Toolchain
    wanted: Wanted
    fixups: tuple[Fixup, ...]  # those that apply to this commit
    sources: bool = False  # a kernel without its list of sources isn't enough


class _Checkout:
    """The order's files in the tree, put there when they are first needed."""

    def __init__(self, tree: Tree, order: _Order) -> None:
        self._tree = tree
        self._order = order
        self._ready = False
        self._patched = False

    def ready(self) -> BuildBroken | None:
        """Check the commit out with its fix-ups; a fix-up that doesn't apply breaks the build."""
        if not self._ready:
            self._tree.checkout(self._order.commit)
            for fixup in self._order.fixups:
                self._patched = True
                if not self._tree.apply(fixup.patch):
                    title = f"the fix-up {fixup.name} doesn't apply"
                    return BuildBroken(self._order.commit, BrokenBy.FIXUP, title)
            self._ready = True
        return None

    def take_off(self) -> None:
        """Take the fix-ups off again."""
        if self._patched:
            self._tree.checkout(self._order.commit)


@dataclass
class Builder:
    """Builds commits in one tree, one after the other."""

    tree: Tree
    graph: Graph
    proc: Proc
    clock: Clock
    store: Store
    configs: Path  # the cache of final configurations
    ccache: Ccache
    room: Room = field(default_factory=Room)
    jobs: Jobs = field(default_factory=Jobs)
    toolchains: Toolchains = field(init=False)

    def __post_init__(self) -> None:
        if not _BUILDABLE.fullmatch(str(self.tree.path)):
            raise ConfigError(
                f"{self.tree.path}: make can't build in a folder of that name",
                hint="set BISECTBOT_CACHE to a path of plain letters and digits, without spaces and colons",
            )
        self.toolchains = Toolchains(self.proc)
        self._cache = Cache(self.configs)
        self._configurator = Configurator(self.tree.path, self.proc)

    def build(  # noqa: PLR0913  the last three are options
        self,
        recipe: BuildRecipe,
        commit: str,
        *,
        log: Path,
        deadline: Deadline,
        required: bool = False,
        reference: Path | None = None,
        sources: bool = False,
    ) -> Kernel | BuildBroken:
        """Return the kernel of a commit, from the store if it is there, or why there can't be one.

        `sources`: a kernel of the store of which nobody wrote down what it was made from is built again for that; its
        image stays.
        `required`: a lost required option raises ConfigError instead of breaking the build (the ends of a range).
        `reference`: the .config that drift is told against. Raises InfraError for faults of this machine.
        """
        started = self.clock.now()
        fixups = tuple(one for one in recipe.fixups if span_holds(one.span, commit, self.graph))
        toolchain = self.toolchains.pick(recipe, commit, self.graph, deadline)
        order = _Order(recipe, commit, log, deadline, required, toolchain, wanted_by(recipe), fixups, sources)
        try:
            product = self._build(order)
        except OSError as error:
            raise os_fault(error) from error
        if isinstance(product, Kernel):
            product = replace(product, drift=_drift(reference, product.config))
        return replace(product, seconds=self.clock.now() - started, log=log)

    def _build(self, order: _Order) -> Kernel | BuildBroken:
        order.log.parent.mkdir(parents=True, exist_ok=True)
        order.log.touch()
        checkout = _Checkout(self.tree, order)
        try:
            product = self._try(order, checkout, trust_cache=True)
            return product or self._try(order, checkout, trust_cache=False) or _config_wont_hold(order)
        finally:
            checkout.take_off()

    def _try(self, order: _Order, checkout: _Checkout, *, trust_cache: bool) -> Kernel | BuildBroken | None:
        """Build with one configuration; None if the tree doesn't take it as it is."""
        configured = self._configured(order, checkout, trust_cache=trust_cache)
        if isinstance(configured, BuildBroken):
            return configured
        contract = configured.contract(order.wanted)
        if contract.required:
            return _lost(order, contract)
        key = self._key(order, configured)
        if order.recipe.modules and not configured.has_modules:
            _note(order, "CONFIG_MODULES is off: everything is built in, so there are no modules to keep")
        product = self._from_store(order, key)
        product = product or checkout.ready() or self._compile(order, configured, key)
        if isinstance(product, Kernel):
            return replace(product, lost_optional=tuple(map(str, contract.optional)))
        return product

    # --- configuration

    def _configured(self, order: _Order, checkout: _Checkout, *, trust_cache: bool) -> Configured | BuildBroken:
        inputs = (*order.wanted.inputs, *_identity(order))
        key = kconfig.config_key(self.graph.blobs(order.commit), inputs)
        known = self._cache.get(key) if trust_cache else None
        if known is not None:
            return known
        if (broken := checkout.ready()) is not None:
            return broken
        folder = self._folder(order, "config")
        with kbuild.guarded(folder):
            job = Job(
                order.wanted,
                order.toolchain,
                order.recipe.make_vars,
                folder,
                order.log,
                order.deadline,
                explain=order.required,
            )
            made = self._configurator.make(job)
        if isinstance(made, Diagnosis):
            return BuildBroken(order.commit, BrokenBy.CONFIG, made.title, made.file)
        self._cache.put(key, made)
        return made

    # --- the store

    def _key(self, order: _Order, configured: Configured) -> str:
        tree = self.graph.info(order.commit).tree
        facts = [tree, configured.text, *_identity(order)]
        if _with_modules(order, configured):  # said only then: kernels without are found under the keys they always had
            facts.append("modules")
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _from_store(self, order: _Order, key: str) -> Kernel | BuildBroken | None:
        known = self.store.get(key, order.commit)
        if isinstance(known, Kernel) and order.sources and not self.store.knows_contents(key):
            _note(order, f"{key} is in the store, but not what it was made from: it is built again")
            return None
        if known is not None:
            _note(order, f"{key} is in the store; the log of its build:")
            with suppress(OSError), order.log.open("ab") as log:
                log.write(self.store.log_of(key).read_bytes())
        return known

    # --- make

    def _compile(self, order: _Order, configured: Configured, key: str) -> Kernel | BuildBroken | None:
        """Build and keep the product; None if the tree doesn't take the configuration as it is."""
        make = Make(
            tree=self.tree.path,
            folder=self._folder(order, "build"),
            commit=order.commit,
            arch=order.recipe.arch,
            config=configured.text,
            variables=order.toolchain.variables(order.recipe.make_vars),
            suffix=f"-bb-{order.commit[:12]}-{key[:8]}",
            jobs=order.recipe.jobs,
            log=order.log,
            deadline=order.deadline,
            modules=_with_modules(order, configured),
        )
        with self.jobs.of(make.jobs) as jobs:
            outcome = kbuild.run(replace(make, jobs=jobs), self.proc, self.room, self.ccache)
        if outcome is None:
            return None
        if isinstance(outcome, Built):
            return replace(self.store.put_kernel(key, outcome), from_store=False)
        if not (make.folder.is_dir() and self.tree.intact()):
            # remembered as the commit's own fault, it would be one for ever
            raise InfraError(f"{self.tree.path} was changed while it was built in", hint="bisectbot resume")
        broken = BuildBroken(order.commit, BrokenBy.COMPILE, outcome.title, outcome.file)
        self.store.put_broken(key, broken, order.log)
        return broken

    def _folder(self, order: _Order, purpose: str) -> Path:
        """Return kbuild's O= for one compiler: right below the tree, so that no object holds the tree's place.

        Linux ignores names that begin with a dot.
        """
        name = hashlib.sha256(f"{order.toolchain.compiler}\n{order.toolchain.identity}".encode()).hexdigest()[:8]
        return self.tree.path / f".bb-{order.recipe.arch}-{name}-{purpose}"


def _identity(order: _Order) -> list[str]:
    """Return what besides tree and configuration has a say in the kernel, in a text that is equal for equal kernels."""
    toolchain = order.toolchain
    patches = [fixup.patch for fixup in order.fixups]
    variables = [f"{name}={value}" for name, value in sorted(order.recipe.make_vars)]
    return ["1", json.dumps(patches), order.recipe.arch, toolchain.compiler, toolchain.identity, shlex.join(variables)]


def _with_modules(order: _Order, configured: Configured) -> bool:
    return order.recipe.modules and configured.has_modules


def _note(order: _Order, text: str) -> None:
    """Add a line of ours to the log."""
    with suppress(OSError), order.log.open("ab") as log:
        log.write(f"# {text}\n".encode())


def _lost(order: _Order, contract: Contract) -> BuildBroken:
    """Return the broken build for lost required options, or raise ConfigError where they mustn't get lost."""
    lost = [str(one) for one in contract.required]
    if order.required:
        count = "a required option" if len(lost) == 1 else f"{len(lost)} required options"
        rows = "\n".join(f"  {one}" for one in lost)
        raise ConfigError(
            f"the configuration of {order.commit[:12]} lost {count}:\n{rows}",
            hint="add what they depend on to a fragment, or say `# optional:` above what the reproducer can do without",
        )
    more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
    return BuildBroken(order.commit, BrokenBy.CONFIG, f"required option lost: {lost[0]}{more}"[:400])


def _config_wont_hold(order: _Order) -> BuildBroken:
    return BuildBroken(order.commit, BrokenBy.CONFIG, "make changes the configuration that olddefconfig made")


def _drift(reference: Path | None, config: Path) -> tuple[str, ...]:
    if reference is None:
        return ()
    try:
        return kconfig.drift(reference.read_text(), config.read_text())
    except OSError as error:  # the store has let the reference go since
        return (f"unknown: {error.filename}: {error.strerror}",)
