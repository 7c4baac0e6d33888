"""The real effects, put together once a command: what reads, and what works."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bisectbot import places
from bisectbot.arch import traits
from bisectbot.boot import initramfs, programs
from bisectbot.boot.accel import Answers
from bisectbot.boot.hostroot import Programs
from bisectbot.boot.qemu import Guest, QemuMachine, qemu_argv
from bisectbot.build.builder import Builder
from bisectbot.build.compiled import listed
from bisectbot.build.jobs import Jobs
from bisectbot.build.kbuild import Ccache, Room
from bisectbot.build.store import Store
from bisectbot.build.toolchain import Toolchains
from bisectbot.cli.housekeeping import Premises, guard
from bisectbot.cli.labwiring import Lab, lab_machine
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config
from bisectbot.disk.survey import needed
from bisectbot.effects import memory
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.files import replace_text
from bisectbot.effects.lock import first_free
from bisectbot.effects.proc import Processes
from bisectbot.effects.repo import Git, GitGraph, open_git
from bisectbot.effects.retry import Patience
from bisectbot.effects.revert import kept
from bisectbot.effects.worktree import GitTree
from bisectbot.errors import InfraError
from bisectbot.facts import Noted, Row, State
from bisectbot.lab import Host, LabHost
from bisectbot.model import Accel, Arch, Kernel, QemuHost
from bisectbot.plan import Plan
from bisectbot.ports import Deadline, Ledger, Machine
from bisectbot.scribe import Scribe
from bisectbot.search.bisection import Bisection
from bisectbot.search.noisy import Beliefs, Noisy
from bisectbot.search.past import past_of
from bisectbot.session import Folder
from bisectbot.stages import LocalStages

_SLOTS = 8  # sessions that may work on one repository at a time, each in a worktree of its own
_GIB = 1 << 30
_QUESTION_SECONDS = 30.0
_INITRAMFS = "initramfs.cpio"


@dataclass(frozen=True)
class Desk:
    """What every command over a tree needs; nothing is started or written by making one."""

    tree: Path
    git: Git
    graph: GitGraph
    config: Config
    clock: SystemClock
    proc: Processes


def open_desk(tree: Path, hosts: Path | None) -> Desk:
    """Return a desk over the user's tree; ConfigError if tree or hosts.toml can't be used."""
    loaded = config.load(hosts)
    door = open_git(tree)
    return Desk(tree.absolute(), door, GitGraph(door), loaded, SystemClock(), Processes())


@dataclass(frozen=True)
class Bench:
    """A private worktree and the builder in it, ours until the context ends."""

    tree: GitTree
    builder: Builder


@contextmanager
def bench(desk: Desk, commit: str) -> Iterator[Bench]:
    """Take a free worktree of this repository, made or mended if need be; Busy if all are in use."""
    name = hashlib.sha256(str(desk.graph.common_dir()).encode()).hexdigest()[:12]
    places_ = [places.cache() / "trees" / name / f"{slot}" for slot in range(_SLOTS)]
    path, lock = first_free([place / "lock" for place in places_], f"every worktree of {desk.tree}")
    with lock:
        tree = GitTree.prepare(desk.git, path.parent / "src", commit)
        yield Bench(tree, _builder(desk, tree))


def _builder(desk: Desk, tree: GitTree) -> Builder:
    limits, cache = desk.config.store, places.cache()
    return Builder(
        tree=tree,
        graph=desk.graph,
        proc=desk.proc,
        clock=desk.clock,
        store=Store(cache / "kernels", round(limits.max_gib * _GIB)),
        configs=cache / "configs",
        ccache=Ccache(cache / "ccache"),
        room=Room(again=round(limits.min_free_gib * _GIB)),
        jobs=Jobs(memory.available),
    )


@contextmanager
def stages(
    desk: Desk, folder: Folder, plan: Plan, taken: Bench, reference: Path | None = None
) -> Iterator[LocalStages]:
    """Put together what the loop's slots work with; leaving ends every child.

    `reference`: the configuration of the bad end, if an earlier process built it.
    """
    with ExitStack() as stack:
        made = LocalStages(
            plan=plan,
            folder=folder,
            builder=taken.builder,
            machine=stack.enter_context(_machine(desk, folder, plan)),
            initramfs=_initramfs(desk, folder, plan),
            clock=desk.clock,
            patience=Patience(),
            children=desk.proc,
            build_seconds=desk.config.build_seconds,
            reverter=partial(kept, desk.git, taken.tree.path),
            room=guard(Premises(desk.config.store, desk.proc, desk.clock), folder, taken.builder.store),
            reference=reference if reference and reference.is_file() else None,
        )
        taken.builder.store.spared = partial(needed, folder.path.parent)
        taken.builder.jobs.note = lambda text: made.note(Noted("memory", text))
        stack.callback(made.stop)
        yield made


def bring_back(state: State, revert: Callable[[str, str], str | None]) -> None:
    """Make the reverts of a session again, in case git has dropped them since: their hashes are the same."""
    for made in state.reverts.values():
        if made.commit is not None:
            with suppress(InfraError):  # who needs the commit will say so
                revert(state.plan.range_.bad, made.culprit)


@contextmanager
def _machine(desk: Desk, folder: Folder, plan: Plan) -> Iterator[Machine]:
    if isinstance(plan.host, QemuHost):
        answers = Answers(places.cache() / "accel.json")
        yield QemuMachine(plan.host, proc=desk.proc, clock=desk.clock, pipe=fifo, log=console_log, answers=answers)
        return
    runner = programs.compiled(desk.proc, desk.clock, plan.host.arch).runner
    carried = Programs(runner, plan.probe.program, plan.probe.args)
    with lab_machine(Lab.here(desk.config.lab_hosts), plan.host, folder.path, carried) as machine:
        yield machine


def _initramfs(desk: Desk, folder: Folder, plan: Plan) -> Path:
    """Return the session's archive; a resumed session keeps the one it began with."""
    path = folder.path / _INITRAMFS
    if not path.is_file():
        ours = programs.compiled(desk.proc, desk.clock, plan.host.arch)
        program = plan.probe.program.read_bytes()
        travels = isinstance(plan.host, LabHost)  # over a network, maybe a slow one
        packed = initramfs.pack(ours.init.read_bytes(), program, plan.probe.args, compressed=travels)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(packed)
        fresh.replace(path)
    return path


def program_for(desk: Desk, arch: Arch, chosen: Path | None) -> Path:
    """Return the user's reproducer, checked, or ours, compiled if it wasn't yet."""
    if chosen is not None:
        programs.check_program(chosen, arch)
        return chosen
    return programs.compiled(desk.proc, desk.clock, arch).reproducer


def beliefs_for(desk: Desk, plan: Plan) -> Beliefs | None:
    """Return what tells the odds; None for a plain bisection, which has none."""
    return Beliefs(plan.search, past_of(desk.graph, plan.range_), listed) if plan.search else None


def search_for(plan: Plan, beliefs: Beliefs | None, ledger: Ledger, *, leavable: bool) -> Bisection | Noisy:
    """Return the search that a plan asks for."""
    return Noisy(plan, beliefs, ledger, leavable=leavable) if beliefs else Bisection(plan.range_, ledger)


def scribe_for(
    desk: Desk, folder: Folder, worktree: Path | None, beliefs: Beliefs | None, rows: Iterable[Row]
) -> Scribe:
    """Return who writes a session's report; `rows`: all that its journal holds by now."""
    return Scribe(
        rows=[*rows],
        odds=beliefs.odds if beliefs else lambda _: None,
        folder=folder,
        graph=desk.graph,
        proc=desk.proc,
        clock=desk.clock,
        write=replace_text,
        worktree=worktree,
        native=platform.machine(),
        boot_argv=lambda kernel, state: _boot_argv(folder, kernel, state),
    )


def _boot_argv(folder: Folder, kernel: Kernel, state: State) -> tuple[str, ...]:
    host = state.plan.host
    if isinstance(host, LabHost):
        return ()
    guest = Guest(kernel.image, folder.path.absolute() / _INITRAMFS, ("bisectbot.trials=1",))
    return tuple(qemu_argv(host, guest, Accel.TCG, "stdio,signal=off"))


def versions(desk: Desk, plan: Plan) -> dict[str, str]:
    """Return the versions that a report names: ours and those of what kernels are built and booted with."""
    deadline = Deadline.after(desk.clock, _QUESTION_SECONDS)
    toolchain = Toolchains(desk.proc).pick(plan.build, plan.range_.bad, desk.graph, deadline)
    _, git = desk.proc.output(["git", "--version"], deadline=deadline)
    return {
        "bisectbot": version("bisectbot"),
        "git": git.strip().removeprefix("git version "),
        "compiler": toolchain.identity.partition("\n")[0],
        **_machine_version(desk, plan.host, deadline),
        "python": platform.python_version(),
        "this machine": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _machine_version(desk: Desk, host: Host, deadline: Deadline) -> dict[str, str]:
    if isinstance(host, LabHost):
        return {"paramiko": version("paramiko")}
    _, qemu = desk.proc.output([traits(host.arch).qemu, "--version"], deadline=deadline)
    return {"QEMU": qemu.partition("\n")[0].strip().removeprefix("QEMU emulator version ")}
