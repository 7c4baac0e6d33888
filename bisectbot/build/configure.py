"""Makes the .config of a commit: the base, the fragments, the tree's own merge_config.sh and olddefconfig."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bisectbot.arch import traits
from bisectbot.build import fragments, kconfig
from bisectbot.build.buildlog import Diagnosis, diagnose
from bisectbot.build.fragments import Want
from bisectbot.build.toolchain import Toolchain, as_arguments
from bisectbot.errors import ConfigError, Overdue, os_fault
from bisectbot.model import BuildRecipe
from bisectbot.ports import Deadline, Proc

_TARGETS = ("tinyconfig", "defconfig")
_MERGE = "scripts/kconfig/merge_config.sh"
_UNMET = Path(__file__).resolve().parent.parent / "effects/unmet.py"  # a program of its own
_EXPLAIN_SECONDS = 120.0
_KEPT = 400  # configurations in the cache, about 40 KiB each
# Merged last, over whatever the user's .config says: the release string is bisectbot's proof of what booted.
_RELEASE = 'CONFIG_LOCALVERSION=""\n# CONFIG_LOCALVERSION_AUTO is not set\n'


@dataclass(frozen=True)
class Wanted:
    """What a recipe asks of a configuration, with the texts of its files."""

    base: str  # a target of make, or the text of a .config
    is_target: bool
    fragments: tuple[tuple[str, str], ...]  # (name, text), in the order they are merged
    wants: tuple[Want, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Everything that has a say in the result."""
        return (self.base, _RELEASE, *(word for fragment in self.fragments for word in fragment))


@dataclass(frozen=True)
class Configured:
    """A final .config, and why it lacks what it lacks."""

    text: str
    why: Mapping[str, str] = field(default_factory=dict)  # option -> unmet dependency

    @property
    def has_modules(self) -> bool:
        """Whether anything can be a module."""
        return kconfig.parse(self.text).get("CONFIG_MODULES") == "y"

    def contract(self, wanted: Wanted) -> kconfig.Contract:
        """Return what it lost of what was wanted."""
        return kconfig.compare(wanted.wants, kconfig.parse(self.text), self.why)


def wanted_by(recipe: BuildRecipe) -> Wanted:
    """Read a recipe's files; ConfigError if one can't be read or understood."""
    texts = tuple((path.name, fragments.text_of(path)) for path in recipe.fragments)
    wants = fragments.read(recipe.fragments)
    if recipe.base in _TARGETS:
        return Wanted(recipe.base, True, texts, wants)
    try:
        return Wanted(Path(recipe.base).read_text(encoding="utf-8"), False, texts, wants)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the base configuration {recipe.base!r} can't be read: {error}",
            hint=f"give {' or '.join(_TARGETS)}, or the path of a .config",
        ) from error


@dataclass(frozen=True)
class Job:
    """One configuration to be made in the tree as it is checked out now."""

    wanted: Wanted
    toolchain: Toolchain
    make_vars: tuple[tuple[str, str], ...]
    folder: Path  # kbuild's O=, used for nothing else
    log: Path
    deadline: Deadline
    explain: bool = False  # look up the reason for lost optional options too; required ones always


class Configurator:
    """Runs the steps in one tree."""

    def __init__(self, tree: Path, proc: Proc) -> None:
        self._tree = tree
        self._proc = proc

    def make(self, job: Job) -> Configured | Diagnosis:
        """Return the final configuration, or why the tree can't be configured (its own fault).

        Raises InfraError for the machine's faults.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        files = _write_fragments(job)
        steps: list[list[str]] = []
        if job.wanted.is_target:
            steps.append(self._make(job, job.wanted.base))
        else:
            (job.folder / ".config").write_text(job.wanted.base)
        steps += [self._merge(job, files), self._make(job, "olddefconfig")]
        for step in steps:
            if (failure := self._step(job, step)) is not None:
                return failure
        text = (job.folder / ".config").read_text(errors="replace")
        return Configured(text, self._why(job, text))

    def _make(self, job: Job, target: str) -> list[str]:
        variables = as_arguments(job.toolchain.variables(job.make_vars))
        return ["make", "-C", str(self._tree), f"O={job.folder}", *variables, target]

    def _merge(self, job: Job, files: Sequence[Path]) -> list[str]:
        script = self._tree / _MERGE
        shell = [] if os.access(script, os.X_OK) else ["sh"]
        return [*shell, str(script), "-m", "-O", str(job.folder), str(job.folder / ".config"), *map(str, files)]

    def _step(self, job: Job, argv: Sequence[str]) -> Diagnosis | None:
        start = job.log.stat().st_size if job.log.exists() else 0
        # in the folder, because merge_config.sh leaves a temporary file where it stands
        done = self._proc.run(argv, log=job.log, deadline=job.deadline, cwd=job.folder, env={"LANG": "C"})
        if done.code == 0:
            return None
        failure = diagnose(tail(job.log, start), str(self._tree))
        if failure.fault is not None:
            raise failure.fault
        return failure

    # --- why something was lost

    def _why(self, job: Job, text: str) -> Mapping[str, str]:
        contract = kconfig.compare(job.wanted.wants, kconfig.parse(text))
        lost = contract.lost if job.explain else contract.required
        if not lost:
            return {}
        wants = [str(one.want) for one in lost]
        program = [sys.executable, "-P", str(_UNMET), str(job.folder / ".config"), *wants]
        deadline = Deadline.after(job.deadline.clock, min(_EXPLAIN_SECONDS, job.deadline.remaining))
        try:
            code, answer = self._proc.output(program, deadline=deadline, cwd=job.folder, env=self._environment(job))
            reasons = json.loads(answer) if code == 0 else None
        except (Overdue, ValueError) as error:
            code, answer, reasons = 1, str(error), None
        if not isinstance(reasons, dict):
            said = (answer.strip().splitlines() or ["without a word"])[-1][:200]
            return {one.want.option: f"dependency unknown ({said})" for one in lost}
        return {str(option): str(why) for option, why in reasons.items()}

    def _environment(self, job: Job) -> dict[str, str]:
        """Return what a tree's Kconfig files read from kbuild's environment."""
        toolchain, row = job.toolchain, traits(job.toolchain.arch)
        tools = {tool.upper(): f"{toolchain.cross}{tool}" for tool in ("ld", "nm", "ar", "objcopy")}
        return {
            **tools,
            "srctree": str(self._tree),
            "ARCH": row.make_arch,
            "SRCARCH": Path(row.image).parts[1],
            "CC": toolchain.compiler,
            "HOSTCC": "gcc",
            "CC_VERSION_TEXT": toolchain.identity.partition("\n")[0],
            "PAHOLE": "pahole",
            "LANG": "C",
        }


def _write_fragments(job: Job) -> list[Path]:
    """Write the fragments as they were read, and return the files: what is merged is what the cache's key says."""
    files = []
    for number, (name, text) in enumerate((*job.wanted.fragments, ("release.config", _RELEASE))):
        files.append(job.folder / f"fragment-{number:02}-{name}")
        files[-1].write_text(text)
    return files


def tail(log: Path, start: int, most: int = 4 << 20) -> str:
    """Return what a log has gained since `start` (bytes), at most the last `most` bytes of it."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        # shorter than it was: it had to be cut
        file.seek(max(start if start <= size else 0, size - most))
        return file.read().decode(errors="replace")


class Cache:
    """Final configurations by their key (kconfig.config_key), so that most steps of a bisection make none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Configured | None:
        """Return what is known, None for nothing or for a damaged file."""
        try:
            known = json.loads(self._path(key).read_text())
            configured = Configured(str(known["text"]), {str(k): str(v) for k, v in known["why"].items()})
            os.utime(self._path(key))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return configured

    def put(self, key: str, configured: Configured) -> None:
        """Keep one; those not used for longest go."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            new = self._folder / f".{key}.{os.getpid()}"
            new.write_text(json.dumps({"text": configured.text, "why": dict(configured.why)}))
            new.replace(self._path(key))
        except OSError as error:
            raise os_fault(error) from error
        old = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_KEPT]
        for path in old:
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
