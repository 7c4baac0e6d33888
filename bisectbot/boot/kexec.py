"""A candidate started from the running system by kexec: copied once, compared, loaded, seen to be loaded, jumped to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import HostSick, InfraError, Refused
from bisectbot.lab import LabHost
from bisectbot.ports import Deadline
from bisectbot.reach import Shell
from bisectbot.visible import visible

_MIB = 1 << 20
_KEPT_UPLOADS = 4  # kernels that stay on the host: both ends, and what may be booted again

_PREFLIGHT = """
say() { printf '%s=%s\\n' "$1" "$2"; }
say tool "$(command -v kexec || PATH=$PATH:/sbin:/usr/sbin command -v kexec)"
say disabled "$(cat /proc/sys/kernel/kexec_load_disabled 2>/dev/null)"
say loaded "$(cat /sys/kernel/kexec_loaded 2>/dev/null)"
say lockdown "$(cat /sys/kernel/security/lockdown 2>/dev/null)"
for f in /sys/firmware/efi/efivars/SecureBoot-*; do
  [ -e "$f" ] && say secureboot "$(tail -c 1 "$f" | od -An -tu1 | tr -d ' ')"
done
mkdir -p -m 700 "$1" && say free "$(df -Pk "$1" | awk 'NR == 2 { print $4 }')"
say root "$(id -u)"
for w in /sys/class/watchdog/*; do [ -e "$w" ] && say watchdog "$(cat "$w/identity" 2>/dev/null)"; done
exit 0
"""

# $1 folder, $2 how many stay: the newest of our own uploads.
_SWEEP = """
cd "$1" 2>/dev/null || exit 0
ls -1t | tail -n +$(($2 + 1)) | while read -r name; do rm -rf "./$name"; done
"""

# A file that isn't there has no checksum; that is no error.
_CHECKSUM = 'sha256sum "$1" 2>/dev/null || echo none'

# -s: kexec_file_load, which a kernel that wants signatures accepts; -c: the older call, where -s isn't to be had.
_LOAD = """
PATH=$PATH:/sbin:/usr/sbin
if said=$(kexec -s -l "$1" --initrd="$2" --command-line="$3" 2>&1); then exit 0; fi
if again=$(kexec -c -l "$1" --initrd="$2" --command-line="$3" 2>&1); then exit 0; fi
printf '%s; with -c: %s\\n' "$said" "$again"
dmesg 2>/dev/null | tail -n 3
exit 1
"""

# Past the point of no return: services stopped and disks synced where there is systemd, else disks synced and made
# read-only.
_JUMP = """
PATH=$PATH:/sbin:/usr/sbin
if [ -d /run/systemd/system ]; then systemctl kexec && exit 0; fi
sync
echo s >/proc/sysrq-trigger; echo u >/proc/sysrq-trigger
kexec -e
"""

# The machine's own watchdog, left armed: closing without the magic letter doesn't stop it. Many a driver stops it when
# the system is left, though, unless the system was booted with watchdog.stop_on_reboot=0; that is told.
_ARM = """
for w in /sys/class/watchdog/*; do
  [ -e "$w" ] || continue
  case $(cat "$w/identity") in "Software Watchdog") continue ;; esac
  dev=/dev/${w##*/}
  command -v wdctl >/dev/null && wdctl --settimeout "$1" "$dev" >/dev/null 2>&1
  echo >"$dev" || continue
  stops=$(cat /sys/module/watchdog/parameters/stop_on_reboot 2>/dev/null)
  [ "$stops" = 0 ] || may=", but it may stop at the jump: watchdog.stop_on_reboot is ${stops:-not there}, not 0"
  printf '%s, %s s%s' "$(cat "$w/identity")" "$(cat "$w/timeout")" "$may"
  exit 0
done
exit 1
"""

# The magic letter.
_DISARM = 'for w in /sys/class/watchdog/*; do [ -e "$w" ] && printf V >"/dev/${w##*/}"; done; exit 0'


@dataclass(frozen=True)
class Preflight:
    """What stands in the way of kexec on a machine, and what is there to help."""

    tool: str
    refusals: tuple[str, ...]  # each a reason that no retry mends
    free_mib: int
    watchdogs: tuple[str, ...]


@dataclass(frozen=True)
class Upload:
    """The files of one boot, as they lie on the host."""

    kernel: str
    initramfs: str
    sent: int  # bytes; 0 if all of it was there


def preflight(shell: Shell, host: LabHost, deadline: Deadline) -> Preflight:
    """Look whether this machine can be made to kexec; nothing is changed but that our folder is made."""
    said = shell.run(["sh", "-c", _PREFLIGHT, "sh", host.folder], deadline)
    rows = [line.partition("=") for line in said.text.splitlines()]
    facts = {key: value.strip() for key, _, value in rows}
    if "root" not in facts:
        raise HostSick(f"the machine can't be looked at: exit {said.code}: {visible(said.text, 200)}")
    free = facts.get("free", "")
    return Preflight(
        tool=visible(facts.get("tool", ""), 100),
        refusals=tuple(_refusals(facts, host)),
        free_mib=int(free) >> 10 if free.isdigit() else 0,
        watchdogs=tuple(visible(value.strip(), 80) for key, _, value in rows if key == "watchdog"),
    )


def _refusals(facts: dict[str, str], host: LabHost) -> list[str]:
    lockdown = facts.get("lockdown", "")
    rows = (
        (facts["root"] != "0", f"{host.ssh.user} isn't root there"),
        (not facts.get("tool"), "the program kexec isn't installed there (package kexec-tools)"),
        (facts.get("loaded", "") == "", "its kernel was built without CONFIG_KEXEC"),
        (facts.get("disabled") == "1", "kernel.kexec_load_disabled is 1, which only a reboot takes back"),
        (facts.get("secureboot") == "1", "secure boot is on: only signed kernels can be loaded"),
        (
            "[" in lockdown and "[none]" not in lockdown,
            f"its kernel is locked down ({visible(lockdown, 60)}): only signed kernels can be loaded",
        ),
    )
    return [reason for stands, reason in rows if stands]


def check(found: Preflight, host: LabHost, needed: Sequence[Path]) -> None:
    """Raise Refused for what no retry mends, HostSick if there is too little room."""
    if found.refusals:
        raise Refused(
            f'host "{host.name}" can\'t kexec: {"; ".join(found.refusals)}',
            hint=f"mend that, or give it another way to boot: hosts.{host.name}.boot in hosts.toml",
        )
    mib = sum(path.stat().st_size for path in needed) // _MIB + 16
    if found.free_mib < mib:
        raise HostSick(
            f'host "{host.name}" has {found.free_mib} MiB free in {host.folder}; {mib} are needed',
            hint=f"free some room there, or set hosts.{host.name}.folder",
        )


def upload(shell: Shell, host: LabHost, kernel: Path, initramfs: Path, deadline: Deadline) -> Upload:
    """Bring both files there unless they are there already, whole; HostSick if what arrived isn't what was sent."""
    root = f"{host.folder}/kernels"
    shell.run(["mkdir", "-p", "-m", "700", root], deadline)
    targets = [f"{root}/{path.name}-{checksum(path)[:32]}" for path in (kernel, initramfs)]
    sent = sum(send(shell, path, target, deadline) for path, target in zip((kernel, initramfs), targets, strict=True))
    sweep(shell, host, deadline)
    return Upload(targets[0], targets[1], sent)


def send(shell: Shell, source: Path, target: str, deadline: Deadline) -> int:
    """Bring one file there unless it is there already, whole; return the bytes sent. HostSick if it arrives damaged."""
    wanted = checksum(source)
    if remote_checksum(shell, target, deadline) == wanted:
        shell.run(["touch", target], deadline)
        return 0
    shell.put(source, target, deadline)
    arrived = remote_checksum(shell, target, deadline)
    if arrived != wanted:
        # a cut-off kernel loads without complaint, and then resets or hangs the machine
        shell.run(["rm", "-f", target], deadline)
        raise HostSick(f"{source.name} arrived damaged: sha256 {arrived[:16]}, not {wanted[:16]}")
    return source.stat().st_size


def sweep(shell: Shell, host: LabHost, deadline: Deadline) -> None:
    """Let only the newest uploads stay; what was just asked for is among them, for it was touched."""
    shell.run(["sh", "-c", _SWEEP, "sh", f"{host.folder}/kernels", str(2 * _KEPT_UPLOADS)], deadline)


def remote_checksum(shell: Shell, path: str, deadline: Deadline) -> str:
    """Return the SHA-256 of a file there, "none" if it can't be read."""
    return shell.run(["sh", "-c", _CHECKSUM, "sh", path], deadline).text.split(" ")[0].strip()


def load(shell: Shell, files: Upload, cmdline: Sequence[str], deadline: Deadline) -> None:
    """Load the candidate and see that it is loaded. Refused if the kernel there won't have it."""
    said = shell.run(["sh", "-c", _LOAD, "sh", files.kernel, files.initramfs, " ".join(cmdline)], deadline)
    if said.code != 0:
        raise Refused(f"kexec refuses to load the kernel: {visible(said.text, 300)}")
    if (loaded := shell.run(["cat", "/sys/kernel/kexec_loaded"], deadline).text.strip()) != "1":
        raise HostSick(f"kexec loaded nothing: /sys/kernel/kexec_loaded is {visible(loaded, 40)}")


def arm_watchdog(shell: Shell, seconds: int, deadline: Deadline) -> str:
    """Arm the machine's own hardware watchdog and leave it armed; return what it is, "" if there is none."""
    try:
        said = shell.run(["sh", "-c", _ARM, "sh", str(seconds)], deadline)
    except InfraError:
        return ""
    return visible(said.text, 200) if said.code == 0 else ""


def disarm_watchdog(shell: Shell, deadline: Deadline) -> None:
    """Stop it again, where its driver lets go."""
    shell.run(["sh", "-c", _DISARM], deadline)


def jump(shell: Shell, deadline: Deadline) -> None:
    """Leave the running system for the loaded one; returns at once."""
    shell.detach(["sh", "-c", _JUMP], deadline)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file here."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
