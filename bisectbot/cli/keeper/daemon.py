"""`run --daemon`: the session is queued, and a keeper in the background is there to work on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from bisectbot.cli.output import Output
from bisectbot.cli.planning import write_down
from bisectbot.cli.wiring import Desk
from bisectbot.config import hostsfile
from bisectbot.effects.children import last_words, ourselves
from bisectbot.effects.detached import detach, ended
from bisectbot.effects.files import replace_text
from bisectbot.effects.lock import holder
from bisectbot.errors import InfraError
from bisectbot.facts import Opened
from bisectbot.keeper.queued import put
from bisectbot.ports import Clock, Deadline
from bisectbot.session import Folder, keeper_lock, keeper_log

_UP = 20.0  # seconds for a keeper to be there: Python, our modules and hosts.toml
_LOOK = 0.05


def hand_over(output: Output, desk: Desk, said: Mapping[str, Any], folder: Folder, opened: Opened) -> NoReturn:
    """Queue a new session, see that a keeper runs, and end the command with how to follow it."""
    logs: Path = said["logs"]
    write_down(desk, folder, opened)
    place = put(logs, folder, replace_text)
    # the marker is there by now: a keeper that is about to end looks again after it has let go of its lock
    pid, fresh = ensure_keeper(logs, said["hosts"], desk.clock)
    facts = {"ending": "queued", "session": folder.name, "place": place, "keeper": pid, "folder": str(folder.path)}
    output.finish(facts, _told(logs, folder, place, pid, fresh=fresh))
    raise AssertionError  # finish() ends the command


def _told(logs: Path, folder: Folder, place: int, pid: int, *, fresh: bool) -> list[str]:
    at = "" if logs == Path("logs") else f" --logs {logs}"
    whose = f"started in the background, ends with the queue (its log: {keeper_log(logs)})" if fresh else "runs already"
    return [
        f"session {folder.name}: number {place} in the queue",
        f"keeper: {whose}, pid {pid}",
        f"follow it:   bisectbot watch{at}    bisectbot status{at}    bisectbot queue list{at}",
        f"take it off: bisectbot queue rm{at} {folder.name}",
        f"stop all:    kill {pid}    (the queue stays; go on: bisectbot service run{at})",
    ]


def ensure_keeper(logs: Path, hosts: Path | None, clock: Clock) -> tuple[int, bool]:
    """Return the pid of the keeper of a logs folder and whether it was started now; InfraError if it can't be."""
    if pid := holder(keeper_lock(logs)):
        return pid, False
    argv = [*ourselves(), "service", "run", "--logs", str(logs.absolute()), "--until-empty"]
    argv += hosts_words(hosts)
    started = detach(argv, keeper_log(logs))
    deadline = Deadline.after(clock, _UP)
    while not (pid := holder(keeper_lock(logs))):
        if ended(started) or deadline.passed:
            raise InfraError(
                f"the keeper can't be started: {last_words(keeper_log(logs))}",
                hint=f"the session is queued; see {keeper_log(logs)}, then: bisectbot service run --logs {logs}",
            )
        clock.sleep(_LOOK)
    return pid, pid == started


def hosts_words(hosts: Path | None) -> list[str]:
    """Return --hosts with the absolute path of the file in force, for a process that works elsewhere."""
    file = hosts or hostsfile.find()
    return [] if file == hostsfile.packaged() else ["--hosts", str(file.absolute())]
