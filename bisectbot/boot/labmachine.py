"""A real machine as ports.Machine: proven, locked, booted into the candidate, listened to, and always brought home."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bisectbot.boot import home, hostroot, kexec, pstore
from bisectbot.boot.hold import Hold, Parts
from bisectbot.boot.home import Way
from bisectbot.boot.identity import Identity, identify
from bisectbot.boot.labconsole import LabConsole, Sight
from bisectbot.boot.words import candidate_words, longest, value
from bisectbot.errors import Dropped, HostSick, InfraError, Refused
from bisectbot.lab import BootMethod, Homed, LabHost, Payload
from bisectbot.model import Kernel
from bisectbot.ports import Deadline
from bisectbot.power.switching import Switching
from bisectbot.reach import NetbootJob, Offer, Shell, Wire

_TOUCH_SECONDS = 6.0  # for one look while a candidate is listened to
_LEFT_WITHIN = 120.0  # seconds that the old system may take to go down after the jump


@dataclass
class _Stream:
    """What the reproducer says over SSH, and whether that has ended; fits reach.Wire."""

    wire: Wire
    ended: bool = False

    def read(self, patience: float) -> bytes | None:
        """Return as the wire does."""
        data = self.wire.read(patience)
        self.ended = self.ended or data == b""
        return data


@dataclass
class _Boot:
    """One boot under way."""

    kernel: Kernel
    token: str
    before: Identity
    jumped: float = 0.0
    offer: Offer | None = None
    asked: tuple[str, ...] = ()
    streaming: ExitStack | None = None  # payload host: until the reproducer was started over SSH
    stream: _Stream | None = None  # ... and from then on
    watched: bool = False  # by the machine's own watchdog
    seen_before: frozenset[str] = field(default_factory=frozenset)  # what pstore held already


class LabMachine:
    """See above. One boot at a time; stop() may be called from another thread."""

    leavable = False  # it brings itself home at the end of its runs; before that it takes a reset

    def __init__(self, way: Way, parts: Parts) -> None:
        self.name = way.host.name
        self._way = replace(way, stopping=lambda: self._stopping)
        self._host: LabHost = way.host
        self._parts = parts
        self._clock = way.clock
        self._stopping = False
        self._homed: Homed | None = None
        self._hold = Hold(self._way, parts)

    # --- ports.Machine

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, cmdline: Sequence[str], log: Path) -> Iterator[LabConsole]:
        """Start `kernel` there. The machine is home again when this is left, or set aside."""
        with ExitStack() as stack:
            recorded = stack.enter_context(self._parts.recorder.cut(stack.enter_context(self._parts.log(log))))
            cut = self._clock.now()
            before = self._hold.settle()
            self._hold.listen(recorded)
            boot = _Boot(kernel, value(cmdline, "bisectbot.token"), before, asked=tuple(cmdline))
            console = LabConsole(
                recorded,
                clock=self._clock,
                look=lambda: self._look(boot, console),
                stopping=lambda: self._stopping,
                spoken=lambda: boot.offer.withdraw() if boot.offer else None,  # its next start leads home
                cut=cut,
            )
            if self._parts.facts is not None:  # until it is home: the last fact tells that it restarts
                self._parts.facts.expect(boot.token)
                stack.enter_context(self._parts.recorder.adding(self._parts.facts, "facts over the network"))
            stack.callback(self._go_home, boot, console, log)
            boot.streaming = stack.enter_context(ExitStack())
            self._hold.send_away()
            self._start(boot, initramfs, stack)
            boot.jumped = self._clock.now()
            yield console

    def homed(self) -> Homed | None:
        """Return how the machine came home after the last boot, once."""
        homed, self._homed = self._homed, None
        return homed

    def stop(self) -> None:
        """Let boot() come back soon."""
        self._stopping = True

    def close(self) -> None:
        """Give the machine back."""
        self._hold.give_back()

    # --- the start

    def _start(self, boot: _Boot, initramfs: Path, stack: ExitStack) -> None:
        """Start the candidate by the first way that the machine doesn't refuse."""
        *others, last = self._host.boots
        for method in others:
            try:
                self._start_by(method, boot, initramfs, stack)
            except Refused as error:
                self._parts.recorder.note(f"{method}: {error.message}; trying the next way")
            else:
                return
        self._start_by(last, boot, initramfs, stack)

    def _start_by(self, method: BootMethod, boot: _Boot, initramfs: Path, stack: ExitStack) -> None:
        if method is BootMethod.KEXEC:
            self._start_by_kexec(boot, initramfs)
        else:
            self._start_by_pxe(boot, initramfs, stack)

    def _start_by_kexec(self, boot: _Boot, initramfs: Path) -> None:
        host = self._host
        with self._way.door.open(self._hold.deadline()) as shell:
            found = kexec.preflight(shell, host, self._hold.deadline())
            boot.seen_before = pstore.names(shell, self._hold.deadline())
            deadline = Deadline.after(self._clock, host.patiences.upload)
            if host.payload is Payload.HOST:
                assert self._parts.programs is not None  # noqa: S101  the wiring's promise
                kexec.check(found, host, hostroot.files(boot.kernel, self._parts.programs))
                files = hostroot.prepare(shell, host, boot.kernel, self._parts.programs, deadline)
            else:
                kexec.check(found, host, [boot.kernel.image, initramfs])
                files = kexec.upload(shell, host, boot.kernel.image, initramfs, deadline)
            self._parts.recorder.note(f"{files.sent} bytes uploaded; loading")
            kexec.load(shell, files, self._words(boot), Deadline.after(self._clock, host.patiences.load))
            if armed := kexec.arm_watchdog(shell, longest(self._host, boot.asked), self._hold.deadline()):
                boot.watched = True
                self._parts.recorder.note(f"watchdog armed: {armed}")
            self._parts.recorder.note("loaded; jumping")
            kexec.jump(shell, self._hold.deadline())

    def _start_by_pxe(self, boot: _Boot, initramfs: Path, stack: ExitStack) -> None:
        netboot, pxe = self._parts.netboot, self._host.pxe
        assert netboot is not None and pxe is not None  # noqa: S101, PT018  the wiring's promise
        job = NetbootJob(pxe.mac, boot.kernel.image, initramfs, self._words(boot))
        boot.offer = stack.enter_context(netboot.offer(job))
        deadline = Deadline.after(self._clock, self._host.patiences.power)
        if self._way.switch is not None and self._way.switch.netboot_once(deadline):
            self._parts.recorder.note("the firmware was asked to boot from the network, once")
        self._parts.recorder.note("offered over the network; rebooting")
        try:
            home.reboot(self._way)
        except InfraError:
            if self._way.switch is None:
                raise
            Switching(self._way.switch, self._clock, self._host.patiences).cycle()

    def _words(self, boot: _Boot) -> tuple[str, ...]:
        port = self._parts.facts.port if self._parts.facts else None
        return candidate_words(self._host, boot.before.cmdline, port, boot.asked)

    # --- meanwhile

    def _look(self, boot: _Boot, console: LabConsole) -> Sight:
        """See what runs there now, if anything answers."""
        seen = self._touch(boot)
        if seen is None:
            if boot.offer is not None and not boot.offer.taken():
                boot.offer.check()
            return Sight.NOTHING
        if seen.token == boot.token:
            if boot.stream is not None and boot.stream.ended:
                raise Dropped(f'the connection to the reproducer on host "{self.name}" broke: the candidate runs on')
            return Sight.NOTHING
        if seen.boot_id == boot.before.boot_id:
            return self._still_there(boot)
        if seen.token:
            return Sight.NOTHING
        if boot.offer is not None and not boot.offer.taken() and not console.spoke:
            raise HostSick(f'host "{self.name}" booted its own disk, not what was offered over the network')
        return Sight.HOME

    def _touch(self, boot: _Boot) -> Identity | None:
        """Connect and ask; where the candidate answers on its machine's own root, start the reproducer over it."""
        deadline = Deadline.after(self._clock, _TOUCH_SECONDS)
        with suppress(InfraError), ExitStack() as stack:
            shell = stack.enter_context(self._way.door.open(deadline))
            seen = identify(shell, self._host.marker, deadline)
            if seen.token == boot.token and self._host.payload is Payload.HOST:
                self._run_over(shell, boot, stack)
            return seen
        return None

    def _run_over(self, shell: Shell, boot: _Boot, stack: ExitStack) -> None:
        programs, streaming = self._parts.programs, boot.streaming
        if programs is None or streaming is None:
            return
        argv = hostroot.runner_argv(self._host, programs, boot.asked)
        boot.stream = _Stream(stack.enter_context(shell.stream(argv)))
        stack.enter_context(self._parts.recorder.adding(boot.stream, "the reproducer over SSH"))
        streaming.push(stack.pop_all())
        boot.streaming = None

    def _still_there(self, boot: _Boot) -> Sight:
        if self._clock.now() - boot.jumped >= _LEFT_WITHIN:
            raise HostSick(
                f'host "{self.name}" still runs its old system {_LEFT_WITHIN:.0f} s after it was told to leave'
            )
        return Sight.NOTHING

    # --- afterwards

    def _go_home(self, boot: _Boot, console: LabConsole, log: Path) -> None:
        if boot.offer is not None:
            boot.offer.withdraw()
        jumped = boot.jumped > 0
        expected = not jumped or console.goes_home()
        seen, homed = self._hold.bring_home(expected=expected, release=boot.before.release)
        console.deaf = jumped and self._hold.deaf(console.recorded)
        if boot.watched and seen.boot_id == boot.before.boot_id:
            self._disarm()
        crash_log = None
        if self._host.payload is Payload.HOST:
            self._clean()
        if jumped and seen.boot_id != boot.before.boot_id:
            crash_log = self._collect(boot, log)
        self._homed = replace(homed, crash_log=crash_log)

    def _collect(self, boot: _Boot, log: Path) -> Path | None:
        """Fetch what the machine kept of a crash; that it can't be fetched is no reason to stop."""
        with suppress(InfraError), self._way.door.open(self._hold.deadline()) as shell:
            return pstore.collect(shell, boot.seen_before, log.with_suffix(".pstore.txt"), self._hold.deadline())
        return None

    def _disarm(self) -> None:
        """Stop the watchdog of a machine that never left: it would reset it in the middle of another boot."""
        with suppress(InfraError), self._way.door.open(self._hold.deadline()) as shell:
            kexec.disarm_watchdog(shell, self._hold.deadline())

    def _clean(self) -> None:
        """Leave no trace on the machine's root; what can't be removed now is removed before the next boot."""
        with suppress(InfraError), self._way.door.open(self._hold.deadline()) as shell:
            hostroot.clean(shell, self._host, self._hold.deadline())
