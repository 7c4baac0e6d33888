"""QEMU's arguments, its console, its own failures, and the accelerator: with a program that plays QEMU."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
from fakes import FakeClock

from bisectbot.boot.accel import Answers, Here
from bisectbot.boot.qemu import Guest, QemuConsole, QemuMachine, qemu_argv
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.consolelog import console_log
from bisectbot.effects.fifo import fifo
from bisectbot.effects.proc import Processes
from bisectbot.errors import HostSick, InfraError, ToolMissing
from bisectbot.model import Accel, Arch, Kernel, QemuHost
from bisectbot.ports import Chunk

X86 = QemuHost(
    "sut",
    Arch.X86_64,
    cpus=2,
    memory_mib=512,
    cpu="EPYC,+svm",
    machine="pc",
    accel=Accel.TCG,
    qemu_args=("-device", "i6300esb"),
    cmdline=("tsc_early_khz=2600000",),
)
ARM = QemuHost("arm", Arch.AARCH64, 4, 1024, "max", "virt,virtualization=on,gic-version=3", Accel.TCG)
KERNEL = Kernel("a" * 40, "key", "6.1.0", Path("/k/bzImage"), Path("/k/config"))
GUEST = Guest(Path("/k/image"), Path("/i.cpio"), ("bisectbot.token=12",))


def test_arguments_for_x86() -> None:
    """The whole command line of an x86_64 guest, word by word."""
    assert qemu_argv(X86, GUEST, Accel.TCG, "file,path=/c") == [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-monitor",
        "none",
        "-net",
        "none",
        "-machine",
        "pc",
        "-accel",
        "tcg",
        "-cpu",
        "EPYC,+svm",
        "-smp",
        "cpus=2,sockets=2,cores=1,threads=1",
        "-m",
        "512M",
        "-chardev",
        "file,path=/c,id=console",
        "-serial",
        "chardev:console",
        "-kernel",
        "/k/image",
        "-initrd",
        "/i.cpio",
        "-append",
        "console=ttyS0 panic=-1 loglevel=7 tsc_early_khz=2600000 bisectbot.token=12",
        "-device",
        "i6300esb",
    ]


def test_arguments_for_aarch64() -> None:
    """An aarch64 guest has its own program, machine, CPU and serial port."""
    argv = qemu_argv(ARM, GUEST, Accel.TCG, "file,path=/c")
    asked = dict(pairwise(argv))
    assert argv[0] == "qemu-system-aarch64"
    assert (asked["-machine"], asked["-cpu"]) == ("virt,virtualization=on,gic-version=3", "max")
    assert (asked["-smp"], asked["-m"]) == ("cpus=4,sockets=4,cores=1,threads=1", "1024M")
    assert asked["-append"] == "console=ttyAMA0 panic=-1 loglevel=7 bisectbot.token=12"


def test_kvm_must_give_the_cpu_that_was_asked_for() -> None:
    """With KVM, a host that lacks a feature (svm) makes QEMU refuse instead of booting without it."""
    argv = qemu_argv(X86, GUEST, Accel.KVM, "stdio")
    assert argv[argv.index("-accel") + 1] == "kvm"
    assert argv[argv.index("-cpu") + 1] == "EPYC,+svm,enforce"
    assert "max" in qemu_argv(ARM, GUEST, Accel.KVM, "stdio")


# --- a program that plays QEMU ---


@dataclass
class Stage:
    """A machine whose QEMU is a shell script: `$console` is where its serial port leads."""

    folder: Path

    def machine(self, script: str, host: QemuHost = X86) -> QemuMachine:
        """Return the machine."""
        told = 'case "$1" in --version) echo "QEMU emulator version 0.0"; exit;; esac\n'
        find = 'for word; do case "$word" in file,path=*) console=${word#*path=};; esac; done; console=${console%,id=*}'
        program = self.folder / "bin/qemu-system-x86_64"
        program.write_text(f"#!/bin/sh\n{told}{find}\n{script}\n")
        program.chmod(0o755)
        return QemuMachine(
            host,
            proc=Processes(),
            clock=SystemClock(),
            pipe=fifo,
            log=console_log,
            answers=Answers(self.folder / "accel.json"),
        )

    @property
    def log(self) -> Path:
        """Return where the console is kept."""
        return self.folder / "consoles/001.log"

    def told(self) -> str:
        """Return QEMU's own messages."""
        return self.log.with_name("001.log.qemu").read_text()

    def watch(self, script: str) -> tuple[list[Chunk | None], QemuConsole]:
        """Return what came from the console until it ended."""
        with self.machine(script).boot(KERNEL, Path("/i.cpio"), ("a=b",), self.log) as console:
            return list(console.chunks(60.0)), console


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a folder with a program named as QEMU's, found before the real one."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return Stage(tmp_path)


def test_the_console_comes_with_its_times_and_is_kept(stage: Stage) -> None:
    """Bytes come in order, and their log has each line's time; an exit with 0 means that the guest reset itself."""
    chunks, console = stage.watch(r'printf "one\r\ntwo\nth" >"$console"')
    assert b"".join(chunk.data for chunk in chunks if chunk) == b"one\r\ntwo\nth"
    assert all(chunk.at >= 0 for chunk in chunks if chunk)
    assert [line[10:] for line in stage.log.read_bytes().split(b"\n")] == [b"] one\r", b"] two", b"] th"]
    assert console.reset


def test_many_bytes_come_whole(stage: Stage) -> None:
    """A console that prints faster than we read loses nothing."""
    chunks, _ = stage.watch('seq 1 200000 >"$console"')
    assert b"".join(chunk.data for chunk in chunks if chunk) == b"".join(b"%d\n" % n for n in range(1, 200001))


def test_the_command_is_kept_for_people(stage: Stage) -> None:
    """Beside the log stands the command that repeats the boot by hand, its console on the terminal."""
    stage.watch('echo >"$console"')
    words = shlex.split(stage.told().splitlines()[0])
    assert words[:2] == ["$", "qemu-system-x86_64"]
    assert "stdio,signal=off,id=console" in words


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'qemu: -foo: invalid option' >&2; exit 1", "ended with exit code 1: qemu: -foo: invalid option"),
        ("echo 'qemu: warning: no rdseed' >&2; exit 1", "ended with exit code 1: no message"),
        ("exit 0", "ended with exit code 0: no message"),
        ('echo hello >"$console"; echo assertion >&2; kill -ABRT $$', "killed by SIGABRT: assertion"),
        ('echo hello >"$console"; kill -KILL $$', "killed by SIGKILL"),
        ('echo hello >"$console"; echo "qemu: terminating on signal 15 from pid 1" >&2', "terminating on signal 15"),
        ('echo hello >"$console"; printf "\\033[2Jboo" >&2; exit 1', r"\x1b[2Jboo"),
    ],
    ids=["bad option", "only warnings", "never started", "aborted", "killed", "ended from outside", "hostile words"],
)
def test_qemus_own_failure_is_never_the_kernels(stage: Stage, script: str, why: str) -> None:
    """Whatever ends QEMU but a reset of the guest is our fault, told in QEMU's own words."""
    with pytest.raises(HostSick) as told:
        stage.watch(script)
    assert why in told.value.message
    assert "001.log.qemu" in told.value.hint


class Stuck:
    """A QEMU that closed its console and doesn't end; fits ports.Running and ports.ConsolePipe."""

    pid = 1
    path = Path("/nowhere")
    stopped = False

    def poll(self) -> int | None:
        """Run on."""
        return None

    def stop(self) -> int:
        """End at last."""
        self.stopped = True
        return -15

    def read(self, patience: float) -> bytes | None:
        """Tell that the writer is gone."""
        del patience
        return b""


def test_a_qemu_that_closed_its_console_must_end(tmp_path: Path) -> None:
    """It gets a few seconds, then it is ended, and that is our own fault."""
    stuck, clock = Stuck(), FakeClock()
    with console_log(tmp_path / "log") as log, pytest.raises(HostSick, match="did not end"):
        list(QemuConsole(stuck, stuck, log, clock, tmp_path / "told").chunks(1.0))
    assert stuck.stopped
    assert clock.now() < FakeClock().now() + 10


def test_leaving_ends_qemu(stage: Stage) -> None:
    """A QEMU that would run for ever is gone when the context is left."""
    machine = stage.machine('echo $$ >"$console"; exec tail -f /dev/null')
    with machine.boot(KERNEL, Path("/i.cpio"), (), stage.log) as console:
        first = next(console.chunks(60.0))
        assert first is not None
        os.kill(int(first.data), 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(first.data), 0)


def test_silence_is_told(stage: Stage) -> None:
    """Without a byte the console says so after the patience that was asked for, and goes on."""
    machine = stage.machine('exec 3>"$console"; echo hello >&3; exec tail -f /dev/null')
    with machine.boot(KERNEL, Path("/i.cpio"), (), stage.log) as console:
        coming = console.chunks(0.01)
        came = [next(coming) for _ in range(40)]
        assert [chunk.data for chunk in came if chunk] == [b"hello\n"]
        assert None in came


def test_without_qemu_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing QEMU is a missing tool, with the package that holds it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    machine = QemuMachine(
        ARM, proc=Processes(), clock=SystemClock(), pipe=fifo, log=console_log, answers=Answers(tmp_path / "a")
    )
    with pytest.raises(ToolMissing) as told, machine.boot(KERNEL, Path("/i"), (), tmp_path / "log"):
        pass
    assert told.value.hint == "apt-get install qemu-system-arm"


def test_a_qemu_that_cannot_tell_its_version(stage: Stage) -> None:
    """A QEMU that doesn't even start is our fault before any boot."""
    machine = stage.machine("")
    (stage.folder / "bin/qemu-system-x86_64").write_text("#!/bin/sh\necho libfoo is missing; exit 127\n")
    with pytest.raises(InfraError, match="libfoo is missing"), machine.boot(KERNEL, Path("/i"), (), stage.log):
        pass


@pytest.fixture
def kvm_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that /dev/kvm is there and may be opened."""
    monkeypatch.setattr(Here, "look", lambda qemu: Here("x86_64", "6.1", qemu, device=True))


@pytest.mark.usefixtures("kvm_here")
def test_the_first_boot_settles_it_for_all(stage: Stage) -> None:
    """A KVM that makes QEMU fail costs one look; this boot and all later ones are emulated, also in a new process."""
    script = """
    case "$*" in *"-accel kvm"*) echo "Assertion failed" >&2; kill -ABRT $$;; esac
    echo "Linux version 6.1" >"$console"
    """
    for _ in range(2):
        machine = stage.machine(script, replace(X86, accel=Accel.AUTO))
        with machine.boot(KERNEL, Path("/i.cpio"), (), stage.log) as console:
            assert [chunk.data for chunk in console.chunks(60.0) if chunk] == [b"Linux version 6.1\n"]
        assert "-accel tcg" in stage.told()
    looks = stage.log.with_name("001.try-kvm.log.qemu")
    assert "Assertion failed" in looks.read_text()


@pytest.mark.usefixtures("kvm_here")
@pytest.mark.parametrize("wish", [Accel.AUTO, Accel.KVM])
def test_a_kernel_that_boots_nowhere_settles_nothing(stage: Stage, wish: Accel) -> None:
    """Such a boot goes the way that was wished for, emulated if none was, and the next kernel is asked again."""
    machine = stage.machine('echo hello >"$console"', replace(X86, accel=wish))
    with machine.boot(KERNEL, Path("/i.cpio"), (), stage.log) as console:
        assert [chunk.data for chunk in console.chunks(60.0) if chunk] == [b"hello\n"]
    assert f"-accel {Accel.KVM if wish is Accel.KVM else Accel.TCG} " in stage.told()
    assert not (stage.folder / "accel.json").exists()
