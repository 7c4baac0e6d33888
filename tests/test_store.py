"""The kernel store: what comes back, what is dropped, what stays."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bisectbot.build.store import Built, Store
from bisectbot.model import BrokenBy, BuildBroken, Kernel

A, B = "a" * 40, "b" * 40
SIZE = 10_000


def built(folder: Path, commit: str = A, image: bytes = b"\x7fkernel" * 1000) -> Built:
    """Return what a build leaves."""
    folder.mkdir(exist_ok=True)
    (folder / "bzImage").write_bytes(image)
    (folder / "log").write_text("  CC      init/main.o\n")
    return Built(commit, "6.1.0-bb-aaaaaaaaaaaa-12345678", folder / "bzImage", "CONFIG_A=y\n", folder / "log")


def put(store: Store, folder: Path, key: str, age: float = 0.0) -> Kernel:
    """Keep a kernel of SIZE bytes that was last used `age` seconds ago, and let it go."""
    kernel = store.put_kernel(key, built(folder, image=b"x" * SIZE))
    meta = kernel.image.parent / "meta.json"
    when = meta.stat().st_mtime - age
    os.utime(meta, (when, when))
    store.let_go(key)
    return kernel


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "kernels")


def test_a_kernel_comes_back_in_the_next_session(tmp_path: Path, store: Store) -> None:
    """Image, configuration, release and log are kept; what the build folder does next changes none of them."""
    work = built(tmp_path / "build")
    kept = store.put_kernel("k", work)
    work.image.write_bytes(b"the next commit's")
    found = Store(tmp_path / "kernels").get("k", B)
    assert isinstance(found, Kernel)
    assert (found.commit, found.key, found.release) == (B, "k", work.release)
    assert found.from_store
    assert found.image == kept.image
    assert found.image.read_bytes() == b"\x7fkernel" * 1000
    assert found.config.read_text() == "CONFIG_A=y\n"
    assert store.log_of("k").read_text() == "  CC      init/main.o\n"


def test_what_doesn_t_build_comes_back_too(tmp_path: Path, store: Store) -> None:
    """A commit known not to build isn't tried again."""
    store.put_broken("k", BuildBroken(A, BrokenBy.COMPILE, "x.c:1: error: y", "x.c"), built(tmp_path / "build").log)
    found = Store(tmp_path / "kernels").get("k", B)
    assert found == BuildBroken(B, BrokenBy.COMPILE, "x.c:1: error: y", "x.c", from_store=True)
    assert store.has("k")


def test_an_unknown_key_is_nothing(store: Store) -> None:
    """A store that was never used knows nothing, and says so."""
    assert store.get("k", A) is None
    assert not store.has("k")


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "image").write_bytes(b"\x7fkernel" * 999),
        lambda entry: (entry / "image").unlink(),
        lambda entry: (entry / "config").write_text("CONFIG_B=y\n"),
        lambda entry: (entry / "meta.json").write_text('{"format": 1, "kind": "ker'),
        lambda entry: (entry / "meta.json").write_text("[]"),
        lambda entry: (entry / "meta.json").write_text('{"format": 99, "kind": "kernel"}'),
        lambda entry: (entry / "meta.json").write_text('{"format": 1, "kind": "kernel", "sums": {}}'),
        lambda entry: (entry / "meta.json").unlink(),
    ],
    ids=["cut image", "no image", "other config", "cut meta", "not an object", "newer format", "no release", "no meta"],
)
def test_a_damaged_entry_is_dropped(tmp_path: Path, store: Store, damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A power cut or a careless hand costs a build, never a wrong kernel; the place can be filled again."""
    kernel = store.put_kernel("k", built(tmp_path / "build"))
    damage(kernel.image.parent)
    assert store.get("k", A) is None
    assert isinstance(store.put_kernel("k", built(tmp_path / "build")), Kernel)
    assert isinstance(store.get("k", A), Kernel)


def test_a_half_made_entry_is_never_seen(tmp_path: Path, store: Store) -> None:
    """An entry appears whole or not at all: one that can't be filled leaves nothing."""
    work = built(tmp_path / "build")
    work.log.unlink()
    with pytest.raises(Exception, match="log"):
        store.put_kernel("k", work)
    assert list((tmp_path / "kernels").iterdir()) == []


def test_the_first_of_two_equal_entries_stays(tmp_path: Path, store: Store) -> None:
    """When two bots build the same, both end with one entry and one release."""
    store.put_kernel("k", built(tmp_path / "build"))
    second = Built(B, "6.1.0-another", *list(vars(built(tmp_path / "build2")).values())[2:])
    assert store.put_kernel("k", second).release == "6.1.0-bb-aaaaaaaaaaaa-12345678"


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    """Above its limit the store lets go what wasn't used for longest; reading counts as use."""
    store = Store(tmp_path / "kernels", limit=3 * SIZE)
    for age, key in ((300, "old"), (200, "read"), (100, "young")):
        Store(tmp_path / "kernels").let_go(key)
        put(Store(tmp_path / "kernels"), tmp_path / "build", key, age)
    assert isinstance(store.get("read", A), Kernel)
    store.let_go("read")
    store.put_kernel("new", built(tmp_path / "build", image=b"x" * SIZE))
    assert sorted(path.name for path in (tmp_path / "kernels").iterdir()) == ["new", "read"]


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    """What this process has got from the store is kept whatever the limit, until it is let go."""
    store = Store(tmp_path / "kernels", limit=0)
    first = store.put_kernel("first", built(tmp_path / "build"))
    store.put_kernel("second", built(tmp_path / "build"))
    assert first.image.exists()
    store.let_go("first")
    store.put_kernel("third", built(tmp_path / "build"))
    assert not store.has("first")
    assert store.has("second")


HOLDER = """
import sys
from dataclasses import replace
from pathlib import Path
from bisectbot.build.store import Store
store = Store(Path(sys.argv[1]))
store.get("k", "a" * 40)
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_another_bot_uses_stays_until_it_is_gone(tmp_path: Path) -> None:
    """A kernel that another process is about to boot isn't evicted; its death, even by kill -9, frees it."""
    put(Store(tmp_path / "kernels"), tmp_path / "build", "k")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "kernels")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        store = Store(tmp_path / "kernels", limit=0)
        put(store, tmp_path / "build", "mine")
        assert store.has("k")
        other.kill()
        other.wait()
    put(store, tmp_path / "build", "another")
    assert not store.has("k")


def test_what_a_killed_bot_left_half_made_goes_after_a_day(tmp_path: Path, store: Store) -> None:
    """A half-made entry may belong to a bot at work; one from yesterday doesn't."""
    put(store, tmp_path / "build", "k")
    fresh, stale = tmp_path / "kernels/.new-fresh", tmp_path / "kernels/.new-stale"
    for path in (fresh, stale):
        path.mkdir()
    os.utime(stale, (1, 1))
    put(store, tmp_path / "build", "k2")
    assert fresh.exists()
    assert not stale.exists()


def test_a_half_made_entry_that_another_bot_finishes_meanwhile_is_no_fault(tmp_path: Path, store: Store) -> None:
    """It was there when the folder was listed, and isn't when it is looked at; a link to nothing is the same."""
    put(store, tmp_path / "build", "k")
    (tmp_path / "kernels/.new-gone").symlink_to("nowhere")
    put(store, tmp_path / "build", "k2")
    assert store.has("k2")


def test_what_a_kernel_was_made_from_comes_back(tmp_path: Path, store: Store) -> None:
    """The list of sources and the digest are kept with the kernel."""
    store.put_kernel("k", replace(built(tmp_path / "build"), sources=("init/main.c", "kernel/fork.c"), digest="d"))
    found = Store(tmp_path / "kernels").get("k", B)
    assert isinstance(found, Kernel)
    assert found.sources is not None
    assert found.sources.read_text() == "init/main.c\nkernel/fork.c\n"
    assert found.digest == "d"
    assert store.knows_contents("k")


def test_an_entry_of_before_is_completed(tmp_path: Path, store: Store) -> None:
    """A kernel that was kept without its sources stays as it is, in use or not, and gets them from a later build."""
    old = store.put_kernel("k", built(tmp_path / "build"))
    (old.image.parent / "contents.json").unlink()
    user = Store(tmp_path / "kernels")
    found = user.get("k", A)
    assert isinstance(found, Kernel)
    assert (found.sources, found.digest, store.knows_contents("k")) == (None, "", False)
    again = replace(built(tmp_path / "again", image=b"another"), sources=("init/main.c",), digest="d")
    kept = store.put_kernel("k", again)
    assert kept.image.read_bytes() == b"\x7fkernel" * 1000
    assert kept.sources is not None
    assert (kept.sources.read_text(), kept.digest) == ("init/main.c\n", "d")
    small = Store(tmp_path / "kernels", limit=0)
    put(small, tmp_path / "more", "l")
    assert small.has("k")  # still held by its user


def test_that_sources_can_t_be_told_is_kept_too(tmp_path: Path, store: Store) -> None:
    """Otherwise such a kernel would be built again each time somebody asks."""
    kept = store.put_kernel("k", built(tmp_path / "build"))
    assert kept.sources is None
    assert store.knows_contents("k")


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "sources").write_text("init/main.c\n"),
        lambda entry: (entry / "sources").unlink(),
        lambda entry: (entry / "contents.json").write_text('{"format": 1, "dig'),
        lambda entry: (entry / "contents.json").write_text('{"format": 99, "digest": "d", "sources": null}'),
        lambda entry: (entry / "contents.json").write_text('{"format": 1, "digest": 7, "sources": null}'),
        lambda entry: (entry / "contents.json").write_text("[]"),
    ],
    ids=["cut list", "no list", "cut", "newer format", "no digest", "not an object"],
)
def test_a_damaged_list_is_none_and_costs_no_kernel(tmp_path: Path, store: Store, damage) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A list that was cut off would hide commits; it counts as unknown, and the kernel can still be booted."""
    made = replace(built(tmp_path / "build"), sources=("init/main.c", "kernel/fork.c"), digest="d")
    damage(store.put_kernel("k", made).image.parent)
    found = store.get("k", A)
    assert isinstance(found, Kernel)
    assert (found.sources, found.digest) == (None, "")
    assert not store.knows_contents("k")
