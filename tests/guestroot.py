"""PID 1 of a guest as PID 1 of a namespace here: its root folder, and what its console shows."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bisectbot.console.guest import Fact, GuestReader
from csrc import lacking

# --kill-child: what a test leaves behind dies with unshare. A reboot in a PID namespace ends its PID 1 by SIGHUP.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--mount", "--fork", "--kill-child", "chroot")
WORDS = "bisectbot.token=cafe bisectbot.trials=1 bisectbot.limit=20"


@cache
def namespaces() -> bool:
    """Whether this user may make a PID namespace here."""
    return subprocess.run([*NAMESPACE, "/", "true"], check=False, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Guest:
    """A root folder as the initramfs would make it."""

    root: Path

    def arguments(self, *args: str) -> None:
        """Write what the reproducer is run with."""
        (self.root / "bisectbot/argv").write_bytes(b"".join(arg.encode() + b"\0" for arg in args))

    def command(self, *args: str, words: str = WORDS) -> list[str]:
        """Return the command that boots it once."""
        if args:
            self.arguments(*args)
        (self.root / "proc/cmdline").write_text(f"console=ttyS0 {words} quiet\n")
        return [*NAMESPACE, str(self.root), "/init"]

    def boot(self, *args: str, words: str = WORDS) -> bytes:
        """Return what the console shows until init reboots."""
        done = subprocess.run(self.command(*args, words=words), check=False, capture_output=True, timeout=60)
        assert done.returncode in (-signal.SIGHUP, 128 + signal.SIGHUP), done.stderr
        return done.stdout

    def facts(self, *args: str, words: str = WORDS) -> list[Fact]:
        """Return what the bot reads from that."""
        return GuestReader().feed(self.boot(*args, words=words))


def make_root(root: Path, init: Path, program: Path) -> Guest:
    """Make a root folder with init and a reproducer; its files are plain ones, which an ordinary user may make."""
    if not namespaces():
        lacking("this user may make no PID namespace here")
    for folder in ("bisectbot", "dev", "proc", "sys", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "dev/null").touch()
    shutil.copy(init, root / "init")
    shutil.copy(program, root / "bisectbot/reproducer")
    (root / "bisectbot/argv").touch()
    return Guest(root)
