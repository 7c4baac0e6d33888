"""Kernels booted in QEMU: its arguments, its console, and its own failures told apart from the kernel's."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisectbot.arch import traits
from bisectbot.boot.accel import Answers, Here, choose
from bisectbot.errors import HostSick, InfraError, ToolMissing
from bisectbot.model import Accel, Arch, Kernel, QemuHost
from bisectbot.ports import Chunk, Clock, ConsoleLog, ConsolePipe, Deadline, Proc, Running
from bisectbot.visible import visible

# A panic resets the guest, and with -no-reboot that ends QEMU: the report's end is seen at once. Distributions build
# kernels that show errors only; a warning is evidence too. A host's own words come later and win.
_WORDS = ("panic=-1", "loglevel=7")
_LOOK = 0.25  # seconds at most between two looks whether QEMU still runs
_GOING = 5.0  # seconds that QEMU may take to end once it closed the console
_VERSION_SECONDS = 30.0
_TOLD_BYTES = 8192  # of QEMU's own messages


@dataclass(frozen=True)
class Guest:
    """What is booted: a kernel image, an initramfs, and the words of its command line."""

    image: Path
    initramfs: Path
    words: tuple[str, ...]


def qemu_argv(host: QemuHost, guest: Guest, accel: Accel, chardev: str) -> list[str]:
    """Return the command that boots `guest`, its console on `chardev` (as -chardev takes it, without the id).

    Nothing that isn't asked for: no devices by default, no network, no monitor, no display.
    """
    row = traits(host.arch)
    return [
        row.qemu,
        *("-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-monitor", "none", "-net", "none"),
        *("-machine", host.machine, "-accel", accel, "-cpu", _cpu(host, accel)),
        # Sockets: a kernel without ACPI takes them from the MP table; it would not find cores or threads.
        *("-smp", f"cpus={host.cpus},sockets={host.cpus},cores=1,threads=1", "-m", f"{host.memory_mib}M"),
        *("-chardev", f"{chardev},id=console", "-serial", "chardev:console"),
        *("-kernel", str(guest.image), "-initrd", str(guest.initramfs)),
        *("-append", " ".join((f"console={row.tty}", *_WORDS, *host.cmdline, *guest.words))),
        *host.qemu_args,
    ]


def _cpu(host: QemuHost, accel: Accel) -> str:
    """With KVM, QEMU must refuse to start rather than leave out a feature that the description asks for (svm)."""
    enforced = accel is Accel.KVM and host.arch is Arch.X86_64
    return f"{host.cpu},enforce" if enforced else host.cpu


class QemuConsole:
    """The console of a running QEMU; fits ports.Console."""

    def __init__(self, running: Running, pipe: ConsolePipe, log: ConsoleLog, clock: Clock, told: Path) -> None:
        self.reset = False
        self.gap = False
        self._running = running
        self._pipe = pipe
        self._log = log
        self._clock = clock
        self._told = told
        self._began = clock.now()

    def chunks(self, patience: float) -> Iterator[Chunk | None]:
        """Yield bytes as they come, None after `patience` seconds without any; stop when the guest reset itself.

        HostSick if QEMU ended for a reason of its own.
        """
        quiet_since = self._clock.now()
        while True:
            over = self._running.poll() is not None
            data = self._pipe.read(0 if over else min(patience, _LOOK))
            now = self._clock.now()
            if data:
                yield self._keep(Chunk(now - self._began, data))
                quiet_since = now
            elif over or data == b"":
                break
            elif now - quiet_since >= patience:
                yield None
                quiet_since = now
        self._ended(started=data == b"")

    def _keep(self, chunk: Chunk) -> Chunk:
        self._log.write(chunk)
        return chunk

    def _ended(self, *, started: bool) -> None:
        code = self._exit_code()
        said = _last_words(self._told)
        # QEMU exits with 0 when a guest resets, and also when somebody ends it with a signal; then it says so.
        if code != 0 or not started or "terminating on signal" in said:
            raise HostSick(f"QEMU {_how(code)}: {said or 'no message'}", hint=f"its command and messages: {self._told}")
        self.reset = True

    def _exit_code(self) -> int:
        deadline = Deadline.after(self._clock, _GOING)
        while (code := self._running.poll()) is None:
            if deadline.passed:
                self._running.stop()
                raise HostSick("QEMU closed its console and did not end", hint=f"its messages: {self._told}")
            self._clock.sleep(0.005)
        return code


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _last_words(told: Path) -> str:
    """Return QEMU's own last messages on one line; warnings about CPU features are no reason to end."""
    with told.open("rb") as file:
        file.seek(max(0, told.stat().st_size - _TOLD_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    telling = [text for text in lines if text and "warning:" not in text and not text.startswith("$ ")]
    return visible("; ".join(telling[-3:]))


class QemuMachine:
    """A machine that QEMU plays; fits ports.Machine. Not to be shared between threads."""

    leavable = True

    def __init__(  # noqa: PLR0913  (what it needs from outside, given once by name)
        self,
        host: QemuHost,
        *,
        proc: Proc,
        clock: Clock,
        pipe: Callable[[], AbstractContextManager[ConsolePipe]],
        log: Callable[[Path], AbstractContextManager[ConsoleLog]],
        answers: Answers,
    ) -> None:
        self.name = host.name
        self._host = host
        self._proc = proc
        self._clock = clock
        self._pipe = pipe
        self._log = log
        self._answers = answers
        self._accel: Accel | None = None

    @contextmanager
    def boot(self, kernel: Kernel, initramfs: Path, cmdline: Sequence[str], log: Path) -> Iterator[QemuConsole]:
        """Start `kernel`. The console goes to `log`, QEMU's own command and messages to `log`.qemu.

        ToolMissing without QEMU; HostSick if it can't start, ended early by itself, or was ended from outside.
        """
        guest = Guest(kernel.image, initramfs, tuple(cmdline))
        with self._started(guest, self._settle(guest, log), log) as console:
            yield console

    def homed(self) -> None:
        """Return None: a guest is gone after its boot."""

    def stop(self) -> None:
        """Do nothing: QEMU is a child, and ends with all of them."""

    def _settle(self, guest: Guest, log: Path) -> Accel:
        """Return the accelerator, the same for all boots once it is known."""
        if self._accel is None:
            here = Here.look(self._version())
            self._accel = choose(self._host, here, self._answers, lambda *what: self._look(guest, log, *what))
        if self._accel is None:
            return Accel.KVM if self._host.accel is Accel.KVM else Accel.TCG
        return self._accel

    def _version(self) -> str:
        row = traits(self._host.arch)
        if self._proc.which(row.qemu) is None:
            raise ToolMissing(f"{row.qemu} is not installed", hint=f"apt-get install {row.qemu_package}")
        deadline = Deadline.after(self._clock, _VERSION_SECONDS)
        code, text = self._proc.output([row.qemu, "--version"], deadline=deadline)
        if code != 0:
            raise InfraError(f"{row.qemu} --version {_how(code)}: {visible(text)}")
        return visible(text.partition("\n")[0])

    def _look(self, guest: Guest, log: Path, accel: Accel, wanted: bytes, seconds: float) -> bool:
        """Boot for a moment: whether `wanted` comes. QEMU's own failure is a no."""
        try:
            with self._started(guest, accel, log.with_suffix(f".try-{accel}.log")) as console:
                return _comes(console, wanted, Deadline.after(self._clock, seconds))
        except HostSick:
            return False

    @contextmanager
    def _started(self, guest: Guest, accel: Accel, log: Path) -> Iterator[QemuConsole]:
        told = log.with_name(f"{log.name}.qemu")
        with self._log(log) as kept, self._pipe() as pipe:
            by_hand = qemu_argv(self._host, guest, accel, "stdio,signal=off")
            told.write_text(f"$ {shlex.join(by_hand)}\n")
            console = "file,path=" + str(pipe.path).replace(",", ",,")  # QEMU's way to write a comma
            running = self._proc.start(qemu_argv(self._host, guest, accel, console), log=told)
            try:
                yield QemuConsole(running, pipe, kept, self._clock, told)
            finally:
                running.stop()


def _comes(console: QemuConsole, wanted: bytes, deadline: Deadline) -> bool:
    seen = b""
    for chunk in console.chunks(_LOOK):
        if chunk:
            seen = seen[-len(wanted) :] + chunk.data
        if wanted in seen:
            return True
        if deadline.passed:
            break
    return False
