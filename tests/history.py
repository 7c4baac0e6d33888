"""Small real git repositories, made by one `git fast-import` each."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# enough for a commit to pass as a kernel's
KERNEL_FILES = ("Kbuild", "Kconfig", "Makefile", "scripts/kconfig/merge_config.sh")


@dataclass(frozen=True)
class History:
    """A repository and the full hash of each commit by its title."""

    path: Path
    commits: Mapping[str, str]

    def __getitem__(self, title: str) -> str:
        return self.commits[title]

    def title(self, commit: str) -> str:
        """Return the title of a full hash."""
        return next(title for title, known in self.commits.items() if known == commit)


def git(path: Path, *args: str, stdin: str = "") -> str:
    """Return what a git command prints in `path`."""
    done = subprocess.run(["git", "-C", path, *args], input=stdin, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def make_history(path: Path, graph: Mapping[str, Sequence[str]]) -> History:
    """Make commits from {title: titles of its parents}, parents first; the last one is checked out as `main`."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    marks = {title: number for number, title in enumerate(graph, 1)}
    stream = "".join(_commit(title, parents, marks) for title, parents in graph.items())
    last = list(graph)[-1]
    marks_file = path / ".git/marks"
    git(path, "fast-import", "--quiet", f"--export-marks={marks_file}", stdin=stream)
    hashes = dict(line.split() for line in marks_file.read_text().splitlines())
    commits = {title: hashes[f":{mark}"] for title, mark in marks.items()}
    git(path, "reset", "-q", "--hard", commits[last])
    return History(path, commits)


def line(count: int) -> dict[str, list[str]]:
    """Return a graph of `count` commits in a row, titled c00, c01, ..."""
    titles = [f"c{number:02}" for number in range(count)]
    return {title: titles[max(0, place - 1) : place] for place, title in enumerate(titles)}


def _commit(title: str, parents: Sequence[str], marks: Mapping[str, int]) -> str:
    who = "A. Tester <tester@example.org> 1704164645 +0000"
    rows = [f"commit refs/heads/main\nmark :{marks[title]}\nauthor {who}\ncommitter {who}\n", _data(title)]
    if parents:
        rows.append(f"from :{marks[parents[0]]}\n")
        rows.extend(f"merge :{marks[parent]}\n" for parent in parents[1:])
    else:
        rows.append("deleteall\n")
        rows.extend(f"M 644 inline {name}\n{_data('')}" for name in KERNEL_FILES)
    rows.append(f"M 644 inline files/{title}\n{_data(title)}\n")
    return "".join(rows)


def _data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"
