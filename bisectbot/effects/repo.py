"""Git, through GitPython: the one door to it, and questions about the user's history. No hook of the user's runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# GitPython refuses to be imported where git is missing; that is for us to tell, as any other missing tool.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
import git

from bisectbot.errors import ConfigError, DiskFull, InfraError, ToolMissing
from bisectbot.model import Range
from bisectbot.ports import CommitInfo

# Set in the environment of whoever runs us from a hook or an alias, they would point git elsewhere.
_LOCAL_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_GRAFT_FILE",
    "GIT_REPLACE_REF_BASE",
)
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "log.showSignature=false",
    "core.quotePath=false",
)
_ENVIRONMENT = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_PAGER": "cat"}
_MOST_BYTES = 64 << 20  # of any answer that git gives
_LAST_BYTES = 1 << 20  # less than that free after a failure, and the failure is the disk's
_LOCKED = re.compile(r"[Uu]nable to create '([^'\n]+\.lock)': File exists")
_DIFFSTAT_LINES = 200


def forget_surroundings() -> None:
    """Drop the GIT_* variables that would redirect every git command; call once, at the program's start."""
    for name in _LOCAL_VARIABLES:
        os.environ.pop(name, None)


class Git:
    """The one door to git: arguments in, text out, failures as our own errors."""

    def __init__(self, path: Path) -> None:
        """`path`: any folder inside the repository or worktree that commands run in."""
        self.path = path
        self._git = git.Git(str(path))

    def run(self, *args: str, stdin: bytes | None = None) -> str:
        """Return stdout as text (bytes that are no UTF-8 are replaced); InfraError if git fails."""
        code, out, err = self.ask(*args, stdin=stdin)
        if code:
            raise failure(args, code, err)
        return out

    def ask(self, *args: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        """Return (exit code, stdout, stderr) of a command whose failure is an answer too."""
        code, out, err = self.raw(*args, stdin=stdin)
        return code, out.decode(errors="replace"), err

    def raw(self, *args: str, stdin: bytes | None = None) -> tuple[int, bytes, str]:
        """Return (exit code, stdout as it is, stderr)."""
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        try:
            with _as_file(stdin) as source:
                code, out, err = self._git.execute(
                    ["git", *settings, *args],
                    istream=source,
                    with_extended_output=True,
                    with_exceptions=False,
                    stdout_as_string=False,
                    strip_newline_in_stdout=False,
                    env=_ENVIRONMENT,
                    start_new_session=True,  # a Ctrl-C on the terminal is ours to handle, not git's
                )
        except git.GitCommandNotFound as error:
            raise ToolMissing("git is not installed", hint="apt-get install git") from error
        return code, bytes(out)[:_MOST_BYTES], str(err)


@contextmanager
def _as_file(data: bytes | None) -> Iterator[BinaryIO | None]:
    """Hand out an unnamed file with `data` in it, at its start: a child's stdin has to be a real one."""
    if data is None:
        yield None
        return
    with tempfile.TemporaryFile() as handle:
        handle.write(data)
        handle.seek(0)
        yield handle


def failure(args: Iterable[str], code: int, err: str, where: Path | None = None) -> InfraError:
    """Return the fault of ours that a failed git command is; `where`: the worktree that it wrote to.

    A git that can't write a file doesn't always say why.
    """
    command = "git " + " ".join(args)
    if "No space left on device" in err or (where is not None and _full(where)):
        return DiskFull(f"{command}: no space left on device", hint="free some disk space, then resume")
    if lock := in_the_way(err):
        return InfraError(
            f"{lock} is in the way: another git is at work there, or was killed there",
            hint=f"if no git runs there any more: rm {shlex.quote(lock)}; then: bisectbot resume",
        )
    return InfraError(f"{command[:200]}: exit code {code}: {err.strip()[:500]}", hint="run it by hand to see more")


def _full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _LAST_BYTES
    except OSError:
        return False


def in_the_way(err: str) -> str:
    """Return the lock file that git says it can't make because it is there already, else nothing."""
    found = _LOCKED.search(err)
    return found[1] if found else ""


def open_git(tree: Path) -> Git:
    """Return git in the user's tree; ConfigError if there is none."""
    if not tree.is_dir():
        raise ConfigError(f"--tree {tree}: no such folder", hint="give the folder of a Linux git tree")
    door = Git(tree)
    code, _, err = door.ask("rev-parse", "--git-dir")
    if code and "dubious ownership" in err:
        raise ConfigError(
            f"--tree {tree}: git refuses it, because it belongs to another user",
            hint=f"git config --global --add safe.directory {tree}",
        )
    if code:
        raise ConfigError(f"--tree {tree}: not a git repository", hint="give the folder of a Linux git tree")
    return door


class GitGraph:
    """Questions about the user's history; fits ports.Graph."""

    def __init__(self, door: Git) -> None:
        self._git = door

    def resolve(self, rev: str) -> str:
        """Return the full hash of the commit that `rev` names."""
        code, out, _ = self._git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
        if code:
            raise ConfigError(
                f"{rev!r}: no such commit in {self._git.path}",
                hint="git fetch it, or check the spelling with: git rev-parse " + rev,
            )
        return out.strip()

    def is_shallow(self) -> bool:
        """Whether the clone's history is cut off."""
        return self._git.run("rev-parse", "--is-shallow-repository").strip() == "true"

    def common_dir(self) -> Path:
        """Return the folder that all worktrees of this repository share."""
        found = Path(self._git.run("rev-parse", "--git-common-dir").strip())
        return (self._git.path / found).resolve()

    def info(self, commit: str) -> CommitInfo:
        """Return who, when and what."""
        out = self._git.run("show", "-s", "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%s%x00%b", commit)
        sha, tree, parents, author, email, date, title, body = out.split("\0", 7)
        return CommitInfo(sha, tree, tuple(parents.split()), author, email, date, title, body.strip())

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` contains `older`."""
        code, _, err = self._git.ask("merge-base", "--is-ancestor", older, newer)
        if code not in (0, 1):
            raise failure(("merge-base", "--is-ancestor", older, newer), code, err)
        return code == 0

    def merge_base(self, a: str, b: str) -> str | None:
        """Return the best common ancestor, or None."""
        code, out, _ = self._git.ask("merge-base", a, b)
        return out.strip() if code == 0 else None

    def candidates(self, range_: Range) -> tuple[str, ...]:
        """Return what `git bisect` would search, newest first."""
        return tuple(self._git.run("rev-list", *_candidates(range_)).split())

    def history(self, range_: Range) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each candidate with its parents among the candidates; parents first, the bad end last."""
        rows = self._whole("rev-list", "--parents", "--topo-order", "--reverse", *_candidates(range_)).splitlines()
        listed = [row.split() for row in rows]
        inside = {row[0] for row in listed}
        # of a merge git names all parents, whichever it follows
        last = 2 if range_.first_parent else None
        found = [(row[0], tuple(one for one in row[1:last] if one in inside)) for row in listed]
        if range_.bad not in inside:
            found.append((range_.bad, tuple(commit for commit, _ in found[-1:])))
        return tuple(found)

    def touched(self, commits: Sequence[str], *, first_parent: bool = False) -> Mapping[str, tuple[str, ...]]:
        """Return the paths that each commit changes; of a merge those that differ from all of its parents."""
        how = ("-r", "-c", "-z", "--root", "--always", "--no-renames", "--name-only", "--no-ext-diff")
        asked = tuple(dict.fromkeys(commits))
        rows = self._with_first_parents(asked) if first_parent else asked
        words = self._whole("diff-tree", "--stdin", *how, asked=rows).split("\0")
        found: dict[str, list[str]] = {}
        paths: list[str] = []
        for word in words[:-1]:
            # each commit asked for, in that order, and behind it its paths
            if len(found) < len(asked) and word == asked[len(found)]:
                paths = found[word] = []
            else:
                paths.append(word)
        return {commit: tuple(paths) for commit, paths in found.items()}

    def _with_first_parents(self, commits: Sequence[str]) -> tuple[str, ...]:
        """Return "COMMIT PARENT" for each, which git diff-tree takes for one that has no other parents."""
        if not commits:
            return ()  # git would tell of HEAD
        rows = self._whole("rev-list", "--no-walk=unsorted", "--parents", "--stdin", asked=commits).splitlines()
        return tuple(" ".join(row.split()[:2]) for row in rows)

    def authors(self, commits: Sequence[str]) -> Mapping[str, str]:
        """Return "Name <address>" of each commit's author."""
        if not commits:
            return {}  # git would tell of HEAD
        rows = self._whole("log", "--no-walk=unsorted", "--stdin", "--format=%H %an <%ae>", asked=commits)
        # not splitlines(): a name may hold what Python takes for the end of a line
        return dict(row.split(" ", 1) for row in rows.rstrip("\n").split("\n"))

    def _whole(self, *args: str, asked: Sequence[str] | None = None) -> str:
        """Return an answer that mustn't be cut off; `asked`: the commits that it is about, on stdin."""
        stdin = None if asked is None else "".join(f"{commit}\n" for commit in asked).encode()
        out = self._git.run(*args, stdin=stdin)
        if len(out.encode()) >= _MOST_BYTES:
            raise InfraError(
                f"git {args[0]}: more than {_MOST_BYTES >> 20} MiB to read",
                hint="give ends that are closer together, or --path",
            )
        return out

    def blobs(self, commit: str) -> tuple[tuple[str, str], ...]:
        """Return (path, object name) of each file of a commit."""
        rows = self._git.run("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
        return tuple((row.split("\t", 1)[1], row.split("\t", 1)[0].split()[2]) for row in rows if row)

    def has_file(self, commit: str, path: str) -> bool:
        """Whether a commit holds a path."""
        return self._git.ask("cat-file", "-e", f"{commit}:{path}")[0] == 0

    def show(self, commit: str, path: str) -> bytes:
        """Return a file of a commit."""
        code, out, _ = self._git.raw("cat-file", "blob", f"{commit}:{path}")
        if code:
            raise ConfigError(f"{commit[:12]} has no file {path}", hint="is this a Linux tree?")
        return out

    def diffstat(self, commit: str) -> str:
        """Return the files that a commit changes and by how much, bounded; a merge against its first parent."""
        out = self._git.run("show", "--stat=100", "--format=", "--first-parent", "-m", commit)
        return "\n".join(out.strip("\n").splitlines()[:_DIFFSTAT_LINES])

    def patch(self, commit: str) -> str:
        """Return a commit as a patch against its first parent."""
        return self._git.run("diff", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", f"{commit}^", commit)


def _candidates(range_: Range) -> list[str]:
    return revisions(range_, range_.bad, range_.goods)


def revisions(range_: Range, bad: str, goods: Iterable[str]) -> list[str]:
    """Return the arguments that name the candidates to git rev-list, options first."""
    options = ["--first-parent"] if range_.first_parent else []
    return [*options, bad, *(f"^{good}" for good in goods), "--", *range_.paths]
