"""A private git worktree, and `git bisect` inside it.

The user's checkout, index and bisection stay as they are: whatever writes does so here, and git keeps the HEAD, index
and refs/bisect/ of each worktree apart from all others.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from bisectbot.effects.repo import Git, failure, in_the_way, revisions
from bisectbot.errors import ConfigError, DiskFull, InfraError
from bisectbot.model import Culprit, Range, Stuck, Terms, TryNext, Verdict

PINS = "refs/worktree/bisectbot"  # below it, what git mustn't prune as long as somebody works here
_OURS_ALONE = ("index.lock", "HEAD.lock")
_ONLY_SKIPPED = 2  # git-bisect(1)'s exit code when nothing testable is left
_NOTHING_TO_TEST = 4  # ... when the paths given touch no commit


class GitTree:
    """A private worktree; fits ports.Tree. Whoever makes one holds the lock of its folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git = Git(path)
        self._strayed = False  # whether a checkout failed half-way

    @classmethod
    def prepare(cls, user: Git, path: Path, commit: str) -> GitTree:
        """Return the worktree at `path`, made or mended if need be.

        Only a holder of the folder's lock comes here, so a lock file of git's left there is a dead run's.
        """
        tree = cls(path)
        if tree._usable(user):
            tree._drop_stale_locks()
            tree._mend_index()
            tree._drop_strays()
            tree._drop_pins()
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
        for lock in self._admin().rglob("*.lock"):
            lock.unlink(missing_ok=True)

    def _admin(self) -> Path:
        """Return the folder of git's that is this worktree's own."""
        return Path(self._git.run("rev-parse", "--absolute-git-dir").strip())

    def _mend_index(self) -> None:
        """Make an index anew that is gone, or that a power cut left unreadable; the files stay as they are."""
        index = self._admin() / "index"
        if not index.is_file() or self._git.ask("ls-files", "--stage")[0]:
            index.unlink(missing_ok=True)
            self._git.run("reset", "--mixed", "--quiet")

    def _drop_strays(self) -> None:
        """Remove files that a checkout had written when it was killed: they belong to another commit.

        A header that isn't of this commit may be found before the one that is.
        """
        self._git.run("clean", "-ffdxq", "--exclude=/.bb-*")

    def _drop_pins(self) -> None:
        for ref in self._git.run("for-each-ref", "--format=%(refname)", PINS).split():
            self._git.run("update-ref", "-d", ref)

    def checkout(self, commit: str) -> None:
        """Make the tracked files those of `commit`; only what differs is written."""
        args = ("checkout", "--quiet", "--force", "--detach", commit)
        code, _, err = self._alone(*args)
        if code:
            raise failure(args, code, err, self.path)

    def apply(self, patch: str) -> bool:
        """Lay a patch over files and index; False, with nothing changed, if it doesn't apply."""
        args = ("apply", "--index", "--whitespace=nowarn", "-")
        code, _, err = self._alone(*args, stdin=patch.encode())
        if code and isinstance(fault := failure(args, code, err, self.path), DiskFull):
            raise fault
        return code == 0

    def _alone(self, *args: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        """Ask git what writes files and index, once more if the lock of a git that was killed is in the way.

        Nobody but us writes these; git bisect, which another thread may be at, has other locks.
        """
        if self._strayed:
            self._drop_strays()
        code, out, err = self._git.ask(*args, stdin=stdin)
        stale = Path(in_the_way(err))
        if code and stale.name in _OURS_ALONE and stale.parent == self._admin():
            stale.unlink(missing_ok=True)
            self._drop_strays()
            code, out, err = self._git.ask(*args, stdin=stdin)
        self._strayed = code != 0
        return code, out, err

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
            raise failure(("bisect", *args), self._code, err)

    def answer(self) -> TryNext | Culprit | Stuck:
        """Return what git wants next, or what it found."""
        if self._answer is None:
            self._answer = self._ask()
        return self._answer

    def _ask(self) -> TryNext | Culprit | Stuck:
        range_ = self._started()
        bad = self._git.run("rev-parse", "--verify", f"refs/bisect/{range_.terms.bad}").strip()
        goods = self._git.run("for-each-ref", "--format=%(objectname)", f"refs/bisect/{range_.terms.good}-*").split()
        candidates = revisions(range_, bad, goods)
        if self._code == _ONLY_SKIPPED:
            left = self._git.run("rev-list", *candidates).split()
            return Stuck(tuple(left) if bad in left else (bad, *left))
        facts = _variables(self._git.run("rev-list", "--bisect-vars", *candidates))
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
