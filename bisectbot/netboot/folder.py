"""A TFTP root that somebody else serves: our files in it, written whole, and never over a file that isn't ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import ConfigError, os_fault
from bisectbot.lab import PxeNetwork
from bisectbot.netboot import scripts
from bisectbot.netboot.kept import Kept
from bisectbot.reach import NetbootJob

_README = f"""{scripts.MARK}
A machine that bisectbot may use boots through one line in the site's own iPXE script:
    chain bisectbot/${{netX/mac:hexhyp}}.ipxe || exit
or through its file in pxelinux.cfg. Without a job both lead to its local disk.
"""


@dataclass(frozen=True)
class Placed:
    """A job in the folder; fits reach.Offer, but who fetches it can't be seen."""

    home: Callable[[], None]
    withdrawn: list[bool]

    def taken(self) -> bool:
        """Whether it was withdrawn: call that when the candidate is seen to run."""
        return bool(self.withdrawn)

    def withdraw(self) -> None:
        """Send the machine home from its next boot on."""
        self.home()
        self.withdrawn.append(True)

    def check(self) -> None:
        """Nothing to look at: the servers are somebody else's."""


class Folder:
    """A folder that the listed machines (by MAC address) boot from; fits reach.Netboot. For one thread.

    The machines are ours while anybody is in idle() or offer().
    """

    def __init__(
        self,
        network: PxeNetwork,
        machines: Iterable[str],
        lock: Callable[[Path, str], AbstractContextManager[object]],
    ) -> None:
        self._network = network
        self._root = network.folder or Path()
        self._url = network.url.rstrip("/")
        self._machines = tuple(machines)
        self._lock = lock
        self._open = Kept(self._opened)

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Take the machines, each sent home to begin with.

        ConfigError if the folder isn't there or holds files of these names that aren't ours; Busy if another bisectbot
        has one of the machines; InfraError if it can't be written to.
        """
        with self._open.hold():
            yield

    @contextmanager
    def offer(self, job: NetbootJob) -> Iterator[Placed]:
        """Write a job's files; leaving the context sends the machine home and removes kernel and initramfs.

        Raises as idle(), and ConfigError for words that a boot loader would obey.
        """
        name = scripts.dashed(job.mac)
        here = self._root / "bisectbot" / name
        with self._open.hold():
            try:
                with _told():
                    self._place(job, name, here)
                yield Placed(lambda: self.home(job.mac), [])
            finally:
                self.home(job.mac)
                shutil.rmtree(here, ignore_errors=True)

    def home(self, mac: str) -> None:
        """Write the scripts that lead to the machine's local disk."""
        self._write(mac, scripts.ipxe_home(), scripts.pxelinux_home())

    @contextmanager
    def _opened(self) -> Iterator[None]:
        root, names = self._root, {mac: scripts.dashed(mac) for mac in self._machines}
        ours = root / "bisectbot"
        if self._network.folder is None or not root.is_dir():
            raise ConfigError(f"[pxe.{self._network.name}]: the folder {root} is not there")
        _refuse_strangers([ours / "README", *_scripts(root, names.values())])
        with _told():
            for each in (ours, root / "pxelinux.cfg"):
                each.mkdir(exist_ok=True)
            _replace(ours / "README", _README)
        with ExitStack() as locks:
            for mac, name in names.items():
                locks.enter_context(self._lock(ours / f".{name}.lock", f"the netboot of {mac}"))
                self.home(mac)  # a bot that was killed may have left a job there
            yield

    def _place(self, job: NetbootJob, name: str, here: Path) -> None:
        files = {"kernel": job.kernel} | ({"initramfs": job.initramfs} if job.initramfs else {})
        # iPXE takes a bare name from where the script is, pxelinux from where pxelinux.0 is.
        base = f"{self._url}/bisectbot/{name}" if self._url else name
        second = f"{base}/initramfs" if job.initramfs else None
        ipxe = scripts.ipxe_job(f"{base}/kernel", second, job.cmdline)
        tftp = f"bisectbot/{name}"
        menu = scripts.pxelinux_job(f"{tftp}/kernel", f"{tftp}/initramfs" if job.initramfs else None, job.cmdline)
        here.mkdir(exist_ok=True)
        here.chmod(0o755)
        for target, source in files.items():
            _replace(here / target, source)
        self._write(job.mac, ipxe, menu)

    def _write(self, mac: str, ipxe: str, menu: str) -> None:
        name = scripts.dashed(mac)
        with _told():
            _replace(self._root / "bisectbot" / f"{name}.ipxe", ipxe)
            _replace(self._root / "pxelinux.cfg" / f"01-{name}", menu)


def _scripts(root: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        yield root / "bisectbot" / f"{name}.ipxe"
        yield root / "pxelinux.cfg" / f"01-{name}"


def _refuse_strangers(files: Iterable[Path]) -> None:
    for file in files:
        if file.exists() and not scripts.ours(file.read_text(errors="replace")):
            raise ConfigError(
                f"{file} was not written by bisectbot, so it is left alone",
                hint="move it away, or give the machine another network in hosts.toml",
            )


def _replace(path: Path, content: Path | str) -> None:
    """Write a file that other users may read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    try:
        if isinstance(content, str):
            new.write_text(content)
        else:
            shutil.copyfile(content, new)
        new.chmod(0o644)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise os_fault(error) from error
