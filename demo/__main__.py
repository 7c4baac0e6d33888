"""Makes the demo tree: `python -m demo` prints the tree's path and the path of the file with the answer."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bisectbot import places
from demo import plan, source, tree
from demo.errors import DemoError
from demo.source import Source

PACKAGE = "linux-source-6.1"
ARCHIVE = Path("/usr/src/linux-source-6.1.tar.xz")


def main() -> int:
    """Return 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--source", type=Path, default=ARCHIVE, help=f"a .tar.xz of kernel sources [{ARCHIVE}]")
    parser.add_argument("--home", type=Path, default=places.cache() / "demo", help="where the tree is kept")
    args = parser.parse_args()
    began = time.monotonic()
    try:
        done = tree.obtain(args.home, plan.read(Path(__file__).parent), _sources(args.source))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    how = f"made in {time.monotonic() - began:.0f} s" if done.made else "there already"
    print(f"demo tree {how}; the answer is in {done.truth}", file=sys.stderr)
    print(done.path)
    print(done.truth)
    return 0


def _sources(archive: Path) -> Source:
    if not archive.exists():
        raise DemoError(f"{archive} isn't there; next: apt-get install --no-install-recommends {PACKAGE}")
    if archive != ARCHIVE:
        return Source(archive, archive.name, f"sha256-{source.checksum(archive)[:12]}")
    asked = ("dpkg-query", "--show", "--showformat=${Version}", PACKAGE)
    told = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if told.returncode:
        raise DemoError(f"dpkg-query doesn't know {PACKAGE}: {told.stderr.strip()}")
    return Source(archive, PACKAGE, told.stdout)


if __name__ == "__main__":
    sys.exit(main())
