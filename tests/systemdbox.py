"""A real systemd as PID 1 of namespaces of its own, over this machine's files: started, asked, cut off from power."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from csrc import lacking

_UP = 30.0  # seconds; it takes one
_SYSTEMD = Path("/lib/systemd/systemd")

# Of this machine's own units only journald's are started; generators could make units of its fstab and init scripts.
_BOOT = r"""
set -e
units=$1
mount --make-rprivate /
mount -t proc proc /proc
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /etc/systemd/system
mount --bind "$units" /etc/systemd/system
for wanted in sysinit local-fs sockets timers multi-user graphical getty; do
  [ ! -d "/lib/systemd/system/$wanted.target.wants" ] || mount -t tmpfs tmpfs "/lib/systemd/system/$wanted.target.wants"
done
mount -t tmpfs tmpfs /lib/systemd/system-generators
[ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
ln -s ../systemd-journald.socket ../systemd-journald-dev-log.socket /lib/systemd/system/sockets.target.wants/
exec env -i PATH="$PATH" container=bisectbot-test \
    /lib/systemd/systemd --system --unit=multi-user.target --show-status=0 --log-target=journal
"""


@dataclass
class SystemdBox:
    """One such system; its units are kept from boot to boot."""

    folder: Path
    _started: subprocess.Popen[bytes] | None = None
    _group: Path = field(default_factory=lambda: _cgroups() / f"bisectbot-test-{secrets.token_hex(4)}")

    def boot(self) -> None:
        """Start it, and return when it is up."""
        units = self.folder / "units"
        units.mkdir(parents=True, exist_ok=True)
        self._group.mkdir(exist_ok=True)
        enter = f'echo $$ > "{self._group}/cgroup.procs"; exec "$@"'
        spaces = ["--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net"]
        argv = ["unshare", *spaces, "--fork", "--kill-child", "bash", "-c", _BOOT, "boot", str(units)]
        with (self.folder / "systemd.log").open("ab") as log:
            entered = ["bash", "-c", enter, "enter", *argv]
            self._started = subprocess.Popen(entered, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_up()

    def _wait_until_up(self) -> None:
        late = time.monotonic() + _UP
        while True:
            with suppress(FileNotFoundError, subprocess.CalledProcessError):
                if self.run("systemctl", "is-system-running", check=False) in ("running", "degraded"):
                    return
            assert time.monotonic() < late, (self.folder / "systemd.log").read_text()
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """PID 1 of the box, as it is known outside."""
        assert self._started is not None
        children = Path(f"/proc/{self._started.pid}/task/{self._started.pid}/children").read_text().split()
        if not children:
            raise FileNotFoundError
        return int(children[0])

    def run(self, *argv: str | Path, check: bool = True) -> str:
        """Return what a program says that runs in the box, where we are."""
        spaces = ["--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net", f"--wd={Path.cwd()}"]
        entered = ["nsenter", f"--target={self.pid}", *spaces, "--", *map(str, argv)]
        done = subprocess.run(
            entered,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def cut_power(self) -> None:
        """End all of it at once: nothing has time to do anything."""
        assert self._started is not None
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._started.wait(timeout=30)
        self._started = None

    def close(self) -> None:
        """Leave nothing behind."""
        if self._started is not None:
            self.cut_power()
        for folder in [*sorted(self._group.rglob("*/"), reverse=True), self._group]:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def booted(folder: Path) -> Iterator[SystemdBox]:
    """Yield a box that is up; the test is skipped (never under CI) where none can be."""
    for tool in ("unshare", "nsenter", "systemctl", str(_SYSTEMD)):
        if shutil.which(tool) is None:
            lacking(f"{tool} is not installed: apt-get install systemd util-linux")
    if os.geteuid() != 0:
        lacking("namespaces with a systemd in them need root")
    box = SystemdBox(folder)
    try:
        box.boot()
        yield box
    finally:
        box.close()


def _cgroups() -> Path:
    """Return where a cgroup of the second version can be made."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [Path(where) for _, where, kind, options, *_ in mounts if kind == "cgroup2" and "rw" in options.split(",")]
    return found[0] if found else lacking("no cgroup2 is mounted for writing")
