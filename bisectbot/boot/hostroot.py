"""Payload host: a candidate on the machine's own root; its modules are shipped, its initramfs is made over there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisectbot.boot import kexec
from bisectbot.boot.kexec import Upload
from bisectbot.boot.words import value
from bisectbot.errors import Refused
from bisectbot.lab import LabHost
from bisectbot.model import Kernel
from bisectbot.ports import Deadline
from bisectbot.reach import Shell
from bisectbot.visible import visible

# $1 the archive, $2 the release, $3 our folder: unpacked aside, then put in place in one step.
_UNPACK = """
new=$3/modules.new
rm -rf "$new" && mkdir -m 700 "$new" && tar -C "$new" -xzf "$1" || exit 1
chmod 755 "$new" "$new/lib" "$new/lib/modules" "$new/lib/modules/$2"
rm -rf "/lib/modules/$2" && mv "$new/lib/modules/$2" "/lib/modules/$2" && rm -rf "$new" || exit 1
PATH=$PATH:/sbin:/usr/sbin depmod "$2"
"""

# $1 the release: the tools want its folder, even where everything is built in.
_EMPTY = 'mkdir -p "/lib/modules/$1" && touch "/lib/modules/$1/modules.order" "/lib/modules/$1/modules.builtin" && \
PATH=$PATH:/sbin:/usr/sbin depmod "$1"'

# $1 the release, $2 where it goes: the machine's own tool, whichever it has.
_MAKE = """
PATH=$PATH:/sbin:/usr/sbin
if command -v mkinitramfs >/dev/null; then mkinitramfs -o "$2" "$1"
elif command -v dracut >/dev/null; then dracut --force --kver "$1" "$2"
elif command -v mkinitcpio >/dev/null; then mkinitcpio -k "$1" -g "$2"
else echo "neither mkinitramfs, dracut nor mkinitcpio is there"; exit 127; fi
"""

# What a candidate left on the root file system, told by our releases' names. Kernels of the machine's own stay.
_CLEAN = """
for left in /lib/modules/*-bb-* /boot/config-*-bb-*; do [ -e "$left" ] && rm -rf "$left"; done
cd "$1" 2>/dev/null && rm -rf runs
exit 0
"""


@dataclass(frozen=True)
class Programs:
    """What runs on a candidate with its machine's own root."""

    runner: Path  # ours: tells the facts
    reproducer: Path
    args: tuple[str, ...]


def files(kernel: Kernel, programs: Programs) -> list[Path]:
    """Return what is going to be uploaded; modules take about three times their archive's room, and count so."""
    modules = [kernel.modules] * 4 if kernel.modules else []
    return [kernel.image, programs.runner, programs.reproducer, *modules]


def prepare(shell: Shell, host: LabHost, kernel: Kernel, programs: Programs, deadline: Deadline) -> Upload:
    """Bring everything there and make the candidate's initramfs; Refused if its tools can't."""
    root = f"{host.folder}/runs"
    shell.run(["sh", "-c", _CLEAN, "sh", host.folder], deadline)
    shell.run(["mkdir", "-p", "-m", "700", root, f"{host.folder}/kernels"], deadline)
    sent = 0
    for source, name in ((programs.runner, "runner"), (programs.reproducer, "reproducer")):
        sent += kexec.send(shell, source, f"{root}/{name}", deadline)
    shell.run(["chmod", "700", f"{root}/runner", f"{root}/reproducer"], deadline)
    image = f"{host.folder}/kernels/kernel-{kernel.key[:32]}"
    sent += kexec.send(shell, kernel.image, image, deadline)
    if kernel.modules is not None:
        archive = f"{root}/modules.tar.gz"
        sent += kexec.send(shell, kernel.modules, archive, deadline)
        _run(shell, ["sh", "-c", _UNPACK, "sh", archive, kernel.release, host.folder], "unpack modules", deadline)
    else:
        _run(shell, ["sh", "-c", _EMPTY, "sh", kernel.release], "make a modules folder", deadline)
    # where mkinitramfs looks for what the kernel can unpack
    sent += kexec.send(shell, kernel.config, f"/boot/config-{kernel.release}", deadline)
    initramfs = f"{root}/initramfs"
    _run(shell, _maker(host, kernel.release, initramfs), "make an initramfs", deadline)
    kexec.sweep(shell, host, deadline)
    return Upload(image, initramfs, sent)


def clean(shell: Shell, host: LabHost, deadline: Deadline) -> None:
    """Take away what a candidate left on the machine's root file system."""
    shell.run(["sh", "-c", _CLEAN, "sh", host.folder], deadline)


def runner_argv(host: LabHost, programs: Programs, words: Sequence[str]) -> list[str]:
    """Return the command that runs the reproducer and tells the facts; the boot's words say how often and how long."""
    root = f"{host.folder}/runs"
    counts = [value(words, "bisectbot.trials"), value(words, "bisectbot.limit")]
    runner = [f"{root}/runner", *counts, f"{root}/reproducer", *programs.args]
    # files that the reproducer makes stay in there
    return ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", root, *runner]


def _maker(host: LabHost, release: str, output: str) -> list[str]:
    if not host.make_initramfs:
        return ["sh", "-c", _MAKE, "sh", release, output]
    return [word.replace("{release}", release).replace("{output}", output) for word in host.make_initramfs]


def _run(shell: Shell, argv: Sequence[str], what: str, deadline: Deadline) -> None:
    said = shell.run(argv, deadline)
    if said.code != 0:
        raise Refused(f"the machine can't {what}: exit {said.code}: {visible(said.text[-400:], 300)}")
