"""The known-good system that every machine of the lab comes back to: a small Debian, made once a recipe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_SECONDS = 900.0  # to download and install; it takes 35
_DISK = "2G"  # sparse

PACKAGES = (
    "linux-image-amd64",  # not the cloud one: this has i6300esb, ipmi_si, e1000, ramoops
    "openssh-server",
    "kexec-tools",
    "initramfs-tools",
    "lz4",  # its initrd
    "busybox-static",
    "kmod",
    "iproute2",
    "udev",
    "systemd-sysv",  # for machines that are booted with it as PID 1
)
# Not unpacked: nothing in a virtual machine has them, and they are two thirds of the image.
_UNWANTED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/lib/modules/*/kernel/sound/*",
    *(f"/lib/modules/*/kernel/drivers/{name}/*" for name in ("gpu", "media", "infiniband", "staging", "iio", "isdn")),
    *(f"/lib/modules/*/kernel/drivers/net/{name}/*" for name in ("wireless", "usb", "can", "wwan")),
)


@dataclass(frozen=True)
class Base:
    """The files of a base system: what firmware starts, the disk that all machines share, and who may log in.

    `release`: its `uname -r`. `key`: the private half of the key that root's authorized_keys holds.
    """

    kernel: Path
    initrd: Path
    disk: Path
    release: str
    key: Path


def obtain(cache: Path) -> Base:
    """Return the base system, made below `cache` (30 to 60 s) unless it is there.

    Needs root, mmdebstrap and the network; RuntimeError with the end of the log if it can't be made.
    """
    shelf = cache / "machineroom"
    folder = shelf / _identity()
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".making-", dir=shelf) as making:
                _make(Path(making))
                Path(making, "base").rename(folder)
    release = (folder / "release").read_text().strip()
    return Base(folder / "kernel", folder / "initrd", folder / "disk", release, folder / "key")


def _identity() -> str:
    """Return a name that changes with the recipe, and not with what the archive holds today."""
    digest = hashlib.sha256(repr((PACKAGES, _UNWANTED, _DISK, _codename())).encode())
    for file in (*(_HERE / name for name in ("base.py", "finish-root", "initrd-init")), *_files(_HERE / "rootfs")):
        digest.update(f"{file.relative_to(_HERE)} {file.stat().st_mode:o}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _make(making: Path) -> None:
    root, ready = making / "root", making / "base"
    ready.mkdir()
    key = ready / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "machineroom", "-f", key], check=True)  # noqa: S607
    _install(making, root)
    login = root / "root/.ssh"
    login.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), login / "authorized_keys")
    (kernel,) = root.glob("boot/vmlinuz-*")
    shutil.copy(kernel, ready / "kernel")
    (root / "boot/machineroom.initrd").rename(ready / "initrd")
    (ready / "release").write_text(kernel.name.removeprefix("vmlinuz-") + "\n")
    argv = ["mke2fs", "-qq", "-t", "ext4", "-L", "machineroom", "-d", str(root), str(ready / "disk"), _DISK]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, env=_environment())
    shutil.rmtree(root)


def _install(making: Path, root: Path) -> None:
    settings = making / "apt.conf"
    settings.write_text(_apt_settings())
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        f"--aptopt={settings}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNWANTED),
        f'--extract-hook=cp -a --no-preserve=ownership "{_HERE}/rootfs/." "$1/"',
        f'--customize-hook="{_HERE}/finish-root" "$1"',
        _codename(),
        str(root),
        *_sources(),
    ]
    log = making / "log"
    with log.open("wb") as out:
        done = subprocess.run(
            argv, check=False, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=_SECONDS, env=_environment()
        )
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{log.read_text(errors='replace')[-4000:]}")


def _environment() -> dict[str, str]:
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **proxies}


def _codename() -> str:
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return words["VERSION_CODENAME"].strip('"')


def _sources() -> list[str]:
    """Return the apt sources of this machine that offer its own release."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    known = [file for file in files if file.suffix in (".list", ".sources") and file.is_file()]
    return [str(file) for file in known if _codename() in file.read_text().split()]


def _apt_settings() -> str:
    """Return how this machine's apt fetches, its proxy for one: mmdebstrap's own knows nothing of it."""
    dumped = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True)  # noqa: S607
    return dumped.stdout
