"""A seal around every test: home, git's configuration, dates and the cache are pinned to a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from buildsite import Site
from history import History, line, make_history
from tinytree import TinyTree

from bisectbot import places

_PINNED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_AUTHOR_DATE": "2024-01-02T03:04:05+00:00",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
    "GIT_COMMITTER_DATE": "2024-01-02T03:04:05+00:00",
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
}


@pytest.fixture(autouse=True)
def seal(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is the developer's own out of the tests; the real ones share a cache, or they would take hours."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    (tmp_path / "home").mkdir()
    if "real" not in request.keywords:
        monkeypatch.setenv("BISECTBOT_CACHE", str(tmp_path / "cache"))
    for name, value in _PINNED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a tiny kernel tree with a builder, in the sealed cache."""
    return Site(places.cache(), TinyTree(tmp_path / "linux"))


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return a repository that passes for a kernel's, and work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_history(tmp_path / "user", line(6))
