"""Git, through GitPython: questions about the user's history, a private worktree, and `git bisect` inside it.

The user's checkout, index and bisection stay as they are: whatever writes does so in a worktree of our
own, whose HEAD, index and refs/bisect/ git keeps apart from all others. No hook of the user's runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# GitPython refuses to be imported where git is missing; that is for us to tell, as any other missing tool.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
import git

from bisectbot.errors import ConfigError, DiskFull, InfraError, ToolMissing
from bisectbot.model import Culprit, Range, Stuck, Terms, TryNext, Verdict
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
_DIFFSTAT_LINES = 200
_ONLY_SKIPPED = 2  # git-bisect(1)'s exit code when nothing testable is left
_NOTHING_TO_TEST = 4  # ... when the paths given touch no commit


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
            raise _failure(args, code, err)
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


def _failure(args: Iterable[str], code: int, err: str) -> InfraError:
    command = "git " + " ".join(args)
    if "No space left on device" in err:
        return DiskFull(f"{command}: no space left on device", hint="free some disk space, then resume")
    return InfraError(f"{command[:200]}: exit code {code}: {err.strip()[:500]}", hint="run it by hand to see more")


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
            raise _failure(("merge-base", "--is-ancestor", older, newer), code, err)
        return code == 0

    def merge_base(self, a: str, b: str) -> str | None:
        """Return the best common ancestor, or None."""
        code, out, _ = self._git.ask("merge-base", a, b)
        return out.strip() if code == 0 else None

    def candidates(self, range_: Range) -> tuple[str, ...]:
        """Return what `git bisect` would search, newest first."""
        return tuple(self._git.run("rev-list", *_revisions(range_, range_.bad, range_.goods)).split())

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


def _revisions(range_: Range, bad: str, goods: Iterable[str]) -> list[str]:
    """Return the arguments that name the candidates to git rev-list, options first."""
    options = ["--first-parent"] if range_.first_parent else []
    return [*options, bad, *(f"^{good}" for good in goods), "--", *range_.paths]


class GitTree:
    """A private worktree; fits ports.Tree. Whoever makes one holds the lock of its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git = Git(path)

    @classmethod
    def prepare(cls, user: Git, path: Path, commit: str) -> GitTree:
        """Return the worktree at `path`, made or mended if need be.

        Only a holder of the folder's lock comes here, so a lock file of git's left there is a dead run's.
        """
        tree = cls(path)
        if tree._usable(user):
            tree._drop_stale_locks()
            return tree
        if path.exists():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # twice --force: the folder may be registered, and locked, from a run whose cache was deleted
        user.run("worktree", "add", "--force", "--force", "--detach", "--no-checkout", "--", str(path), commit)
        tree._git.run("reset", "--hard", "--quiet", commit)
        return tree

    def _usable(self, user: Git) -> bool:
        if not (self.path / ".git").is_file():
            return False
        code, out, _ = self._git.ask("rev-parse", "--path-format=absolute", "--git-common-dir")
        wanted = user.run("rev-parse", "--path-format=absolute", "--git-common-dir")
        return code == 0 and out == wanted

    def _drop_stale_locks(self) -> None:
        admin = Path(self._git.run("rev-parse", "--absolute-git-dir").strip())
        for lock in admin.glob("*.lock"):
            lock.unlink()

    def checkout(self, commit: str) -> None:
        """Make the tracked files those of `commit`; only what differs is written."""
        self._git.run("checkout", "--quiet", "--force", "--detach", commit)

    def apply(self, patch: str) -> bool:
        """Lay a patch over files and index; False, with nothing changed, if it doesn't apply."""
        code, _, _ = self._git.ask("apply", "--index", "--whitespace=nowarn", "-", stdin=patch.encode())
        return code == 0

    def intact(self) -> bool:
        """Whether the tracked files are still those that were written: nobody deleted or edited one."""
        return self.path.is_dir() and self._git.ask("diff", "--quiet")[0] == 0


class GitBisect:
    """`git bisect` in the private worktree; fits ports.Ledger.

    --no-checkout keeps the files where the builder put them: what git wants tested next stands in BISECT_HEAD.
    Nothing that git says in words is read: only exit codes, refs and the variables of --bisect-vars.
    """

    def __init__(self, tree: Path) -> None:
        self._git = Git(tree)
        self._range: Range | None = None
        self._code = 0
        self._answer: TryNext | Culprit | Stuck | None = None  # until the next mark

    def start(self, range_: Range) -> None:
        """Begin anew with both ends marked."""
        self._git.run("bisect", "reset")
        self._range = range_
        options = ["--no-checkout", f"--term-bad={range_.terms.bad}", f"--term-good={range_.terms.good}"]
        if range_.first_parent:
            options.append("--first-parent")
        self._bisect("start", *options, range_.bad, *range_.goods, "--", *range_.paths)

    def mark(self, commit: str, verdict: Verdict) -> None:
        """Mark a commit; git computes the next one at once."""
        terms = self.terms()
        word = {Verdict.BAD: terms.bad, Verdict.GOOD: terms.good, Verdict.SKIP: "skip"}[verdict]
        self._bisect(word, commit)

    def _bisect(self, *args: str) -> None:
        self._answer = None
        self._code, _, err = self._git.ask("bisect", *args)
        if self._code == _NOTHING_TO_TEST:
            raise ConfigError("no commit of the range touches the given --path", hint="leave --path out, or widen it")
        if self._code not in (0, _ONLY_SKIPPED):
            raise _failure(("bisect", *args), self._code, err)

    def answer(self) -> TryNext | Culprit | Stuck:
        """Return what git wants next, or what it found."""
        if self._answer is None:
            self._answer = self._ask()
        return self._answer

    def _ask(self) -> TryNext | Culprit | Stuck:
        range_ = self._started()
        bad = self._git.run("rev-parse", "--verify", f"refs/bisect/{range_.terms.bad}").strip()
        goods = self._git.run("for-each-ref", "--format=%(objectname)", f"refs/bisect/{range_.terms.good}-*").split()
        revisions = _revisions(range_, bad, goods)
        if self._code == _ONLY_SKIPPED:
            left = self._git.run("rev-list", *revisions).split()
            return Stuck(tuple(left) if bad in left else (bad, *left))
        facts = _variables(self._git.run("rev-list", "--bisect-vars", *revisions))
        if facts["bisect_rev"] == bad:
            return self._culprit(bad)
        commit = self._git.run("rev-parse", "--verify", "BISECT_HEAD").strip()
        return TryNext(commit, int(facts["bisect_steps"]))

    def _culprit(self, bad: str) -> Culprit:
        """Return `bad` as the culprit, if git's own log has that last word too."""
        if f"[{bad}]" not in self.log().splitlines()[-1]:
            raise InfraError(f"git bisect doesn't agree that {bad} is the first bad commit", hint="see: git bisect log")
        return Culprit(bad)

    def log(self) -> str:
        """Return the log that `git bisect replay` takes."""
        return self._git.run("bisect", "log")

    def terms(self) -> Terms:
        """Return the words in use."""
        return self._started().terms

    def _started(self) -> Range:
        if self._range is None:
            raise InfraError("the bisection wasn't started", hint="this is a bug in bisectbot")
        return self._range


def _variables(text: str) -> Mapping[str, str]:
    """Return the variables that `git rev-list --bisect-vars` prints for a shell."""
    rows = (line.partition("=") for line in text.splitlines())
    return {name: value.strip("'") for name, _, value in rows}
