"""What must be true before a machine is touched: it is the listed one, marked as ours, and used by nobody else."""

from __future__ import annotations

import json

from bisectbot.boot.identity import Identity
from bisectbot.errors import Busy, HostSick, Refused, Stranger
from bisectbot.lab import LabHost, Owner
from bisectbot.ports import Deadline
from bisectbot.reach import Me, Said, Shell
from bisectbot.visible import visible

# What a lock may outlive its holder. A bot renews it with each boot, and gives it back when it is done.
LEASE_SECONDS = 3600

# $1 our folder, $2 us, $3 seconds, $4 whose lock may be taken over ("" nobody's). flock keeps two bots from deciding at
# once. The host's own clock alone is asked, so bots whose clocks differ agree.
_TAKE = """
umask 077
mkdir -p "$1" && cd "$1" || exit 4
exec 9>guard && flock -w 10 9 || exit 4
now=$(date +%s)
if [ -s lock ]; then
  { read -r until; read -r holder; } <lock
  if [ "$holder" != "$2" ] && [ "$holder" != "$4" ] && [ "$until" -gt "$now" ]; then
    echo "$((until - now))"; echo "$holder"; exit 3
  fi
fi
printf '%s\\n%s\\n' "$((now + $3))" "$2" >lock.new && sync && mv lock.new lock || exit 4
"""
_GIVE_BACK = """
cd "$1" && exec 9>guard && flock -w 10 9 || exit 4
{ read -r until; read -r holder; } <lock
[ "$holder" = "$2" ] && rm -f lock
exit 0
"""
_HELD = 3


def check_machine(host: LabHost, seen: Identity, me: Owner) -> None:
    """Raise Stranger or Refused unless this is the machine that may be rebooted."""
    if seen.boot_id == me.boot_id or (seen.machine_id and seen.machine_id == me.machine_id):
        raise Stranger(
            f'host "{host.name}" is the machine that bisectbot runs on',
            hint=f"correct hosts.{host.name}.ssh.address in hosts.toml",
        )
    if not seen.marked:
        raise Refused(
            f'host "{host.name}" has no file {host.marker}: it isn\'t marked as a machine that may be rebooted',
            hint=f"if it may be: echo {host.name} >{host.marker} on it",
        )
    named = seen.marker.split()
    if named and host.name not in named:
        raise Stranger(
            f'{host.marker} names {named[0]}, not "{host.name}": another machine answers at this address',
            hint="correct the address in hosts.toml, or the marker on the machine",
        )
    if seen.machine != host.arch:
        raise Stranger(
            f'host "{host.name}" is {seen.machine}, not {host.arch}',
            hint=f"correct hosts.{host.name}.arch in hosts.toml",
        )


def take_lock(shell: Shell, host: LabHost, me: Me, deadline: Deadline) -> None:
    """Take or renew the lock that is kept on the host itself, so that bots on other machines respect it. Else Busy."""
    said = _take(shell, host, me, "", deadline)
    if said.code == _HELD and (holder := _holder(said)) and me.gone(holder):
        said = _take(shell, host, me, str(holder), deadline)
    if said.code == _HELD:
        raise _busy(host, said)
    if said.code != 0:
        raise HostSick(f"the lock in {host.folder} can't be taken: {visible(said.text, 200)}")


def give_lock_back(shell: Shell, host: LabHost, me: Me, deadline: Deadline) -> None:
    """Let others have the host; a lock that isn't ours stays."""
    shell.run(["sh", "-c", _GIVE_BACK, "sh", host.folder, str(me.owner())], deadline)


def _take(shell: Shell, host: LabHost, me: Me, over: str, deadline: Deadline) -> Said:
    words = ["sh", "-c", _TAKE, "sh", host.folder, str(me.owner()), str(LEASE_SECONDS), over]
    return shell.run(words, deadline)


def _holder(said: Said) -> Owner | None:
    try:
        return Owner(**json.loads(said.text.partition("\n")[2]))
    except (ValueError, TypeError):
        return None


def _busy(host: LabHost, said: Said) -> Busy:
    left, _, text = said.text.partition("\n")
    holder = _holder(said)
    who = f"{visible(holder.machine, 80)}, pid {holder.pid}" if holder else visible(text, 80)
    seconds = int(left) if left.strip().isdigit() else LEASE_SECONDS
    return Busy(
        f'host "{host.name}" is in use by another bisectbot ({who}; its lock lapses in {seconds / 60:.0f} min '
        "unless it is renewed)",
        hint=f"wait for it; if that bisectbot is gone for good, remove {host.folder}/lock on the host",
    )
