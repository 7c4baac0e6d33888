"""Every layer of one real machine, from the address to the power switch: what works, in how many seconds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bisectbot.boot import kexec, rails
from bisectbot.boot.echo import echoes
from bisectbot.boot.home import Way
from bisectbot.boot.hostbook import HostBook
from bisectbot.boot.identity import Identity, identify
from bisectbot.doctor.finding import Finding, Status, worst
from bisectbot.errors import BisectbotError, ConfigError, Stranger, Unreachable
from bisectbot.lab import BootMethod, NetConsole, Network, Payload
from bisectbot.ports import Console, Deadline
from bisectbot.reach import Me, Netboot, PowerState, Recorder
from bisectbot.visible import visible

_ECHO_SECONDS = 10.0
_UPTIME = "cut -d. -f1 /proc/uptime"


@dataclass(frozen=True)
class Reach:
    """What a machine is looked at with."""

    way: Way
    me: Me
    book: HostBook
    scan: Callable[[str, int, Deadline], tuple[str, ...]]  # the host keys that a server shows
    recorder: Recorder
    recorded: Console  # of `recorder`, from before the check began
    netboot: Netboot | None


@dataclass(frozen=True)
class Timed(Finding):
    """A layer of a machine, and how long it took to look at."""

    seconds: float = 0.0


def examine_host(reach: Reach) -> Iterator[Timed]:
    """Yield what each layer says; a machine that passes is in service again if it was set aside.

    Nothing is written on a machine that doesn't show its marker, nor said on a console that another bot listens to.
    """
    found: list[Timed] = []
    seen: list[Identity] = []
    for finding in _layers(reach, seen):
        found.append(finding)
        yield finding
    if worst(found) is Status.FAIL or not seen:
        return
    known = reach.book.recall(reach.way.host)
    reach.book.proven(reach.way.host, seen[0].release)
    if known and known.quarantined:
        yield from _timed(reach, "service", lambda: _service(reach, known.quarantined))


def _layers(reach: Reach, seen: list[Identity]) -> Iterator[Timed]:
    host = reach.way.host
    with ExitStack() as serving:
        if reach.netboot is not None:  # first: the machine may have its address from us
            yield from _timed(reach, "pxe", lambda: _pxe(reach, serving))
        if (yield from _is_ours(reach, seen)):
            free = yield from _timed(reach, "lock", lambda: _lock(reach))
            if BootMethod.KEXEC in host.boots:
                yield from _timed(reach, "kexec", lambda: _kexec(reach))
            if free.status is Status.OK:
                yield from _timed(reach, "console", lambda: _console(reach, seen[0]))
        yield from _timed(reach, "power", lambda: _power(reach))
        if network := host.network:
            yield from _timed(reach, "network", lambda: _network(network))


def _timed(reach: Reach, name: str, look: Callable[[], Finding]) -> Generator[Timed, None, Timed]:
    """Yield and return what a look finds; what it raises is a finding too."""
    clock = reach.way.clock
    began = clock.now()
    try:
        found = look()
    except BisectbotError as error:
        found = Finding(name, Status.FAIL, error.message, error.hint)
    seconds = round(clock.now() - began, 3)
    timed = Timed(found.name, found.status, found.detail, found.mend, found.packages, seconds)
    yield timed
    return timed


def _deadline(reach: Reach) -> Deadline:
    return Deadline.after(reach.way.clock, reach.way.host.patiences.ssh)


# --- the layers --------------------------------------------------------------------------------


def _is_ours(reach: Reach, seen: list[Identity]) -> Generator[Timed, None, bool]:
    """Yield who answers; return whether it is the machine that is meant, ready to be used. `seen` gets who it is."""
    yield from _timed(reach, "ssh", lambda: _ssh(reach, seen))
    if not seen:
        return False
    marked = yield from _timed(reach, "marker", lambda: _marker(reach, seen[0]))
    return marked.status is Status.OK


def _ssh(reach: Reach, seen: list[Identity]) -> Finding:
    host, deadline = reach.way.host, _deadline(reach)
    where = f"{host.ssh.user}@{host.ssh.address}:{host.ssh.port}"
    try:
        with reach.way.door.open(deadline) as shell:
            uptime = shell.run(["sh", "-c", _UPTIME], deadline).text.strip()
            seen.append(identify(shell, host.marker, deadline))
    except Unreachable as error:
        raise Unreachable(error.message, hint=error.hint or _is_it_on(reach)) from error
    except Stranger as error:
        raise Stranger(f"{error.message}{_shown(reach)}", hint=error.hint) from error
    return Finding("ssh", Status.OK, f"{where}: Linux {seen[0].release}, {seen[0].machine}, up {visible(uptime, 20)} s")


def _shown(reach: Reach) -> str:
    """Return the keys of a server that isn't the pinned one, so that a person can compare them and pin one."""
    ssh = reach.way.host.ssh
    try:
        return f"; it shows {'; '.join(reach.scan(ssh.address, ssh.port, _deadline(reach)))}"
    except BisectbotError:
        return ""


def _is_it_on(reach: Reach) -> str:
    name = reach.way.host.name
    if reach.way.switch is None:
        return "see whether it is on, and reachable from here"
    return f"see whether it is on: bisectbot hosts power {name} status"


def _marker(reach: Reach, seen: Identity) -> Finding:
    host = reach.way.host
    rails.check_machine(host, seen, reach.me.owner())
    if seen.token:
        return Finding("marker", Status.FAIL, "a candidate runs there", "wait for the bot that uses it, or reboot it")
    return Finding("marker", Status.OK, f"{host.marker} says {seen.marker or 'nothing'}; its known-good system runs")


def _lock(reach: Reach) -> Finding:
    deadline = _deadline(reach)
    with reach.way.door.open(deadline) as shell:
        rails.take_lock(shell, reach.way.host, reach.me, deadline)
        rails.give_lock_back(shell, reach.way.host, reach.me, deadline)
    return Finding("lock", Status.OK, f"free, and {reach.way.host.folder} can be written to")


def _kexec(reach: Reach) -> Finding:
    deadline, host = _deadline(reach), reach.way.host
    with reach.way.door.open(deadline) as shell:
        found = kexec.preflight(shell, host, deadline)
    if found.refusals:
        last = len(host.boots) == 1
        return Finding("kexec", Status.FAIL if last else Status.WARN, "; ".join(found.refusals), "mend that there")
    dogs = f", watchdog {', '.join(found.watchdogs)}" if found.watchdogs else ", no watchdog"
    return Finding("kexec", Status.OK, f"{found.tool}, {found.free_mib} MiB free{dogs}")


def _console(reach: Reach, seen: Identity) -> Finding:
    """See whether what the machine's own kernel says comes."""
    host = reach.way.host
    if host.console is None:
        if host.network is not None or host.payload is Payload.HOST:
            return Finding("console", Status.OK, "none: facts come over the network")
        return Finding("console", Status.FAIL, "none, and no network either: nothing tells what a candidate does")
    if isinstance(host.console, NetConsole):
        return Finding("console", Status.OK, "netconsole: only a candidate sends it; `hosts boot` proves it")
    deadline = _deadline(reach)
    reach.recorder.ready(deadline)
    with reach.way.door.open(deadline) as shell:
        heard = echoes(shell, reach.recorded, reach.way.clock, _ECHO_SECONDS)
    if not heard:
        words = f"what the kernel there says doesn't come within {_ECHO_SECONDS:.0f} s"
        mend = f"see that its kernel has console= for this line: {seen.cmdline[:100]}"
        return Finding("console", Status.WARN, words, mend)
    return Finding("console", Status.OK, "what the kernel there says comes")


def _power(reach: Reach) -> Finding:
    host, switch = reach.way.host, reach.way.switch
    if switch is None:
        return Finding("power", Status.WARN, "none: a machine that hangs needs a person", "see power in docs/hosts.md")
    state = switch.status(Deadline.after(reach.way.clock, host.patiences.power))
    if state is PowerState.UNKNOWN:
        return Finding("power", Status.WARN, "its state can't be asked: acts are seen by the machine alone")
    if state is PowerState.OFF:
        return Finding("power", Status.FAIL, "is off", f"bisectbot hosts power {host.name} on")
    return Finding("power", Status.OK, "is on")


def _pxe(reach: Reach, serving: ExitStack) -> Finding:
    """Serve while the machine is looked at: every machine that asks is sent to its local disk."""
    host, netboot = reach.way.host, reach.netboot
    if netboot is None or host.pxe is None:
        raise ConfigError(f'host "{host.name}" has no pxe table', hint=f"set hosts.{host.name}.pxe in hosts.toml")
    serving.enter_context(netboot.idle())
    return Finding("pxe", Status.OK, f"{host.pxe.network.mode} on {host.pxe.network.name} can be served")


def _network(network: Network) -> Finding:
    return Finding("network", Status.OK, f"facts are taken at {network.address}; `hosts boot` proves it")


def _service(reach: Reach, why: str) -> Finding:
    reach.book.check(reach.way.host)  # still set aside, where the book can't be written
    return Finding("service", Status.OK, f"was set aside ({why}), and is in service again")
