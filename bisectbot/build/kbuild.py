"""One run of make in one build folder: what it needs, what it gets, and what it leaves or why it failed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bisectbot.arch import traits
from bisectbot.build import kconfig, modules
from bisectbot.build.buildlog import Diagnosis, diagnose, wants_new_config
from bisectbot.build.compiled import BuildFolder
from bisectbot.build.configure import tail
from bisectbot.build.digest import digest
from bisectbot.build.store import Built
from bisectbot.build.toolchain import as_arguments
from bisectbot.errors import DiskFull, ToolMissing
from bisectbot.model import Arch
from bisectbot.ports import Deadline, Proc

_UNFINISHED = ".bisectbot-unfinished"
_STAGE = ".bisectbot-modules"  # where modules_install puts them
_LONGEST_RELEASE = 64  # bytes of utsname.release
_LAST_BYTES = 16 << 20  # less than that free after a failure, and the failure is the disk's
# Equal sources give equal kernels, whoever builds them and when.
_STAMPS = {
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "bisectbot",
    "KBUILD_BUILD_HOST": "bisectbot",
    "KBUILD_BUILD_VERSION": "1",
    "LANG": "C",
}


@dataclass(frozen=True)
class Room:
    """Bytes that must be free before a build begins, where nothing was built yet and where something was."""

    first: int = 3 << 30
    again: int = 512 << 20


@dataclass(frozen=True)
class Ccache:
    """Where ccache keeps its objects and how many; `limit` as CCACHE_MAXSIZE takes it."""

    folder: Path
    limit: str = "5G"

    def environment(self) -> dict[str, str]:
        """Return what it is told. A checkout changes files right before they are compiled, which it distrusts else."""
        return {
            "CCACHE_DIR": str(self.folder),
            "CCACHE_MAXSIZE": self.limit,
            "CCACHE_SLOPPINESS": "include_file_mtime,include_file_ctime",
        }


@dataclass(frozen=True)
class Make:
    """What is to be built, where, and into which log."""

    tree: Path
    folder: Path  # O=
    commit: str
    arch: Arch
    config: str
    variables: Mapping[str, str]
    suffix: str  # LOCALVERSION: what makes the release string this kernel's own
    jobs: int
    log: Path
    deadline: Deadline
    modules: bool = False

    @property
    def command(self) -> list[str]:
        """The words of the command line."""
        targets = (traits(self.arch).target, *(("modules",) if self.modules else ()))
        return self._command({**self.variables, "LOCALVERSION": self.suffix}, *targets)

    @property
    def install(self) -> list[str]:
        """The words that put what was built into the stage; depmod is for the machine that will use it."""
        ours = {"LOCALVERSION": self.suffix, "INSTALL_MOD_PATH": str(self.stage), "DEPMOD": "true"}
        return self._command({"INSTALL_MOD_STRIP": "1", **self.variables, **ours}, "modules_install")

    @property
    def stage(self) -> Path:
        """The root that modules are installed below."""
        return self.folder / _STAGE

    def _command(self, variables: Mapping[str, str], *targets: str) -> list[str]:
        make = ["make", "-C", str(self.tree), f"O={self.folder}", f"-j{self.jobs}", *as_arguments(variables)]
        return ["nice", "-n", "10", *make, *targets]


def run(make: Make, proc: Proc, room: Room, ccache: Ccache) -> Built | Diagnosis | None:
    """Build; None if the tree doesn't take the configuration as it is. Raises InfraError for the machine's faults."""
    used = make.folder.exists()
    outcome = _run_once(make, proc, room, ccache)
    if isinstance(outcome, Diagnosis) and used and not outcome.in_source:
        # No line of a source file is to blame: what an earlier commit left in the folder may be.
        shutil.rmtree(make.folder)
        outcome = _run_once(make, proc, room, ccache)
    return outcome


def _run_once(make: Make, proc: Proc, room: Room, ccache: Ccache) -> Built | Diagnosis | None:
    _check_room(make, room)
    start = make.log.stat().st_size
    failure = None
    config = make.folder / ".config"
    with guarded(make.folder):
        _write_if_other(config, make.config)
        environment = {**_STAMPS, **ccache.environment()}
        done = proc.run(make.command, log=make.log, deadline=make.deadline, env=environment)
        if done.code:
            failure = _failure(make, tail(make.log, start))
            if failure.fault and not isinstance(failure.fault, ToolMissing):
                raise failure.fault  # in here, because a full disk can leave files that are cut off
    if failure is None:
        if kconfig.drift(make.config, config.read_text(errors="replace")):
            return None
        built = _built(make)
        return _install(make, built, proc, environment) if make.modules and isinstance(built, Built) else built
    if failure.fault:
        raise failure.fault
    return None if wants_new_config(tail(make.log, start)) else failure


def _failure(make: Make, text: str) -> Diagnosis:
    failure = diagnose(text, str(make.tree))
    if not failure.fault and shutil.disk_usage(make.folder).free < _LAST_BYTES:
        full = DiskFull(f"{make.folder}: the disk is full", hint="free some space, then: bisectbot resume")
        return Diagnosis(failure.title, failure.file, full)
    return failure


def _built(make: Make) -> Built | Diagnosis:
    image = traits(make.arch).image
    if not (make.folder / image).is_file():
        return Diagnosis(f"make succeeded, but left no {image}")
    release = (make.folder / "include/config/kernel.release").read_text().strip()
    if len(release.encode()) > _LONGEST_RELEASE or not release.endswith(make.suffix):
        return Diagnosis(f"the release {release!r} doesn't tell which kernel this is")
    left = BuildFolder(make.tree, make.folder)
    return Built(
        make.commit,
        release,
        make.folder / image,
        make.config,
        make.log,
        sources=left.sources(image, modules=make.modules),
        digest=digest(left, image, make.config, make.suffix, modules=make.modules),
    )


def _install(make: Make, built: Built, proc: Proc, environment: Mapping[str, str]) -> Built | Diagnosis:
    """Add the modules; the stage is made anew, so that nothing of another kernel or of a killed bot gets in."""
    if make.stage.exists():
        shutil.rmtree(make.stage)
    start = make.log.stat().st_size
    try:
        done = proc.run(make.install, log=make.log, deadline=make.deadline, env=environment)
        if done.code:
            failure = _failure(make, tail(make.log, start))
            if failure.fault:
                raise failure.fault
            return failure
        archive = make.folder / f"{_STAGE}.tar.gz"
        if not modules.pack(make.stage, built.release, archive):
            return Diagnosis(f"make modules_install succeeded, but left no lib/modules/{built.release}")
        return replace(built, modules=archive)
    finally:
        shutil.rmtree(make.stage, ignore_errors=True)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Use a build folder, made anew when its last user was killed in it: an object may be cut off and look finished.

    Whatever is raised inside leaves the folder to be thrown away.
    """
    mark = folder / _UNFINISHED
    if mark.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    yield
    mark.unlink()


def _write_if_other(path: Path, text: str) -> None:
    """Write a file only if that changes it: kbuild goes by the time of the last change."""
    if not path.is_file() or path.read_text(errors="replace") != text:
        path.write_text(text)


def _check_room(make: Make, room: Room) -> None:
    needed = room.again if make.folder.exists() else room.first
    free = shutil.disk_usage(make.tree).free
    if free < needed:
        raise DiskFull(
            f"{make.tree}: {free >> 20} MiB are free, a build needs {needed >> 20} MiB",
            hint="free some space or move the cache (BISECTBOT_CACHE), then: bisectbot resume",
        )
