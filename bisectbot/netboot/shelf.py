"""What lies ready over HTTP: a script for each machine, and behind it the files of the job that it has, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bisectbot.netboot.scripts import dashed, ipxe_home, ipxe_job
from bisectbot.reach import NetbootJob

_INITRAMFS = "initramfs"
_KERNEL = "kernel"


@dataclass
class Lot:
    """A job on the shelf. `secret` is part of its files' addresses: nobody finds them but through the script."""

    job: NetbootJob
    secret: str
    script: str
    handed: bool = False  # the script went out, or was withdrawn: it never does again
    left: set[str] = field(default_factory=set)  # the files that the machine hasn't fetched yet

    @property
    def taken(self) -> bool:
        """Whether the machine has all of it."""
        return not self.left

    def file(self, name: str) -> Path | None:
        """Return a file of the job that wasn't fetched yet."""
        files = {_KERNEL: self.job.kernel, _INITRAMFS: self.job.initramfs}
        return files.get(name) if name in self.left else None


class Shelf:
    """The jobs of all machines of a network; `base` is the beginning of every URL."""

    def __init__(self, base: str, machines: frozenset[str]) -> None:
        self._base = base
        self._lots: dict[str, Lot] = {}
        self._machines = frozenset(map(dashed, machines))

    def put(self, job: NetbootJob, secret: str) -> Lot:
        """Lay a job ready in place of the machine's last one; ConfigError for words that can't be handed on."""
        place = f"{self._base}/{secret}"
        second = f"{place}/{_INITRAMFS}" if job.initramfs else None
        script = ipxe_job(f"{place}/{_KERNEL}", second, job.cmdline)
        names = {_KERNEL, _INITRAMFS} if job.initramfs else {_KERNEL}
        lot = self._lots[dashed(job.mac)] = Lot(job, secret, script, left=names)
        return lot

    def remove(self, lot: Lot) -> None:
        """Take a job away, unless another one has its place."""
        if self._lots.get(dashed(lot.job.mac)) is lot:
            del self._lots[dashed(lot.job.mac)]

    def find(self, path: str) -> Path | bytes | None:
        """Return what is at a URL's path. Reading a job's script hands it out: the next reader is sent home."""
        folder, _, name = path.removeprefix("/").partition("/")
        if folder == "boot":
            return self._script(name.removesuffix(".ipxe").replace(":", "-").lower())
        lot = self._lot(folder)
        return lot.file(name) if lot else None

    def sent(self, path: str) -> None:
        """Take note that everything at a path arrived."""
        folder, _, name = path.removeprefix("/").partition("/")
        if lot := self._lot(folder):
            lot.left.discard(name)

    def _script(self, machine: str) -> bytes | None:
        if machine not in self._machines:
            return None
        lot = self._lots.get(machine)
        if lot is None or lot.handed:
            return ipxe_home().encode()
        lot.handed = True
        return lot.script.encode()

    def _lot(self, secret: str) -> Lot | None:
        return next((lot for lot in list(self._lots.values()) if lot.secret == secret and lot.handed), None)
