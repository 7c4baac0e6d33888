"""Real git repositories of tests/tinylinux, one commit at a time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from history import git

SOURCE = Path(__file__).parent / "tinylinux"


class TinyTree:
    """A repository whose first commit is tests/tinylinux as it is."""

    def __init__(self, path: Path) -> None:
        shutil.copytree(SOURCE, path)
        self.path = path
        git(path, "init", "-q", "-b", "main")
        git(path, "add", "-A")
        git(path, "commit", "-q", "-m", "tinylinux")
        self.first = git(path, "rev-parse", "HEAD")

    def commit(self, title: str, files: Mapping[str, str | None]) -> str:
        """Write files (None removes one), commit them and return the full hash."""
        for name, text in files.items():
            file = self.path / name
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        git(self.path, "add", "-A")
        git(self.path, "commit", "-q", "--allow-empty", "-m", title)
        return git(self.path, "rev-parse", "HEAD")

    def edit(self, title: str, name: str, old: str, new: str) -> str:
        """Replace a text that stands in a file, commit and return the full hash."""
        text = (self.path / name).read_text()
        assert old in text
        return self.commit(title, {name: text.replace(old, new)})
