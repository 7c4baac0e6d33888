"""One machine: firmware, disk, network card, serial port and a switch, by QEMU without acceleration."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from machineroom import chassis
from machineroom.base import Base
from machineroom.line import Line
from machineroom.ports import LOOPBACK, free

MARKER = "/etc/bisectbot-host"
_OWN_BYTES = 1 << 16  # the second disk: a word, then a tar
_HEAD = 4096  # before the tar
_CHASSIS = (sys.executable, "-I", "-S", str(Path(chassis.__file__)))
_INIT = {"busybox": "/usr/local/lib/machineroom/init", "systemd": "/lib/systemd/systemd"}
_SSH_SECONDS = 90.0
# A machine that is reset doesn't say so: QEMU's network keeps its connections open for ever.
_IMPATIENCE = ("ConnectTimeout=4", "ServerAliveInterval=2", "ServerAliveCountMax=2")


@dataclass(frozen=True)
class Hardware:
    """What a machine is made of. `words`: more words on the base's command line, the last one wins.

    `console`: what its console server speaks, "raw" or "telnet" (for ipmi_sim either).
    `card`: the network card's model; `net`: more words of its `-netdev user` (tftp=, bootfile=, restrict=).
    """

    memory: int = 1024  # MiB
    cpus: int = 2
    cpu: str = "EPYC,+svm"  # KVM in the candidate needs svm
    machine: str = "pc"
    init: str = "busybox"
    words: tuple[str, ...] = ()
    console: str = "raw"
    watchdog: bool = False
    card: str = "virtio-net-pci"
    net: tuple[str, ...] = ()
    qemu: tuple[str, ...] = ()


@dataclass
class Machine:
    """A machine in its folder. It is off when made; `off()` ends its only process.

    ssh: root@127.0.0.1:`ssh_port` with `base.key`, host key `host_key` (a known_hosts line in `known_hosts`).
    console: TCP 127.0.0.1:`console_port`, for any number of readers, on or off; all of it is in `console_log`.
    """

    name: str
    folder: Path
    base: Base
    hardware: Hardware = Hardware()
    ssh_port: int = field(default_factory=free)
    monitor_port: int = field(default_factory=free)
    _extra: dict[str, bytes] = field(default_factory=dict)
    _broken: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.line = Line(telnet=self.hardware.console == "telnet")
        self.new_host_key()
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.base.disk), str(self.disk)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        self.describe()

    @property
    def console_port(self) -> int:
        """Return the port of its console server."""
        return self.line.port

    # --- places ------------------------------------------------------------------------------

    @property
    def disk(self) -> Path:
        """Return its root disk, an overlay over the shared one."""
        return self.folder / "disk.qcow2"

    @property
    def console_log(self) -> Path:
        """Return everything that its serial port ever said, over all power cycles."""
        return self.folder / "console.log"

    @property
    def chassis_log(self) -> Path:
        """Return what was asked of its switch, one line each."""
        return self.folder / "chassis.log"

    @property
    def known_hosts(self) -> Path:
        """Return a known_hosts file with its true key."""
        return self.folder / "known_hosts"

    @property
    def host_key(self) -> str:
        """Return its public host key: "ssh-ed25519 AAAA..."."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def chassis(self) -> tuple[str, ...]:
        """Return the command in front of `get power`, `set power 1`, ..., as a BMC runs it, faults and all."""
        return (*_CHASSIS, str(self.folder))

    # --- the switch, without any fault --------------------------------------------------------

    def on(self) -> None:
        """Switch it on."""
        chassis.on(self.folder)

    def off(self) -> None:
        """Pull the plug."""
        chassis.off(self.folder)

    def reset(self) -> None:
        """Press its reset button."""
        chassis.reset(self.folder)

    def is_on(self) -> bool:
        """Tell whether it has power."""
        return chassis.pid(self.folder) is not None

    # --- its own files ------------------------------------------------------------------------

    def break_base(self) -> None:
        """Make the base system stop early at its next start, be it a reset or a power-on."""
        self._broken = True
        self._personalise()

    def mend_base(self) -> None:
        """Let the base system start again, from its next start on."""
        self._broken = False
        self._personalise()

    def give(self, path: str, content: bytes) -> None:
        """Write a file into its root, from its next start on (MARKER with b"" takes its name away)."""
        self._extra[path] = content
        self._personalise()

    def new_host_key(self) -> None:
        """Give it another host key, from its next start on; `host_key` and `known_hosts` are the new one's."""
        for file in ("host_key", "host_key.pub"):
            (self.folder / file).unlink(missing_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(self.folder / "host_key")]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        self.known_hosts.write_text(f"[{LOOPBACK}]:{self.ssh_port} {self.host_key}\n")
        self._personalise()

    def _personalise(self) -> None:
        files = {
            "/etc/hostname": f"{self.name}\n".encode(),
            "/etc/machine-id": f"{hashlib.sha256(self.name.encode()).hexdigest()[:32]}\n".encode(),
            MARKER: f"{self.name}\n".encode(),
            "/etc/ssh/ssh_host_ed25519_key": (self.folder / "host_key").read_bytes(),
            **self._extra,
        }
        word = b"broken" if self._broken else b"whole"
        content = word.ljust(_HEAD, b"\0") + _tar(files)
        with (self.folder / "own").open("r+b" if (self.folder / "own").exists() else "wb") as out:
            out.write(content.ljust(_OWN_BYTES, b"\0"))  # in place: a running QEMU has it open

    # --- QEMU ---------------------------------------------------------------------------------

    def describe(self, **changed: object) -> None:
        """Write down how it is started, for the chassis; takes effect at the next power-on."""
        spec = {"argv": self._argv(), "monitor": self.monitor_port, "boot": self._boots(), **changed}
        (self.folder / "machine.json").write_text(json.dumps(spec, indent=1))

    def _argv(self) -> list[str]:
        made, folder = self.hardware, self.folder
        serial = f"socket,id=serial,host={LOOPBACK},port={self.line.wire}"
        argv = [
            "qemu-system-x86_64",
            *("-name", self.name, "-accel", "tcg", "-machine", made.machine, "-cpu", made.cpu),
            *("-smp", f"{made.cpus},sockets={made.cpus},cores=1,threads=1", "-m", str(made.memory)),
            *("-display", "none", "-monitor", "none", "-parallel", "none"),
            *("-daemonize", "-pidfile", f"{folder}/qemu.pid"),
            *("-qmp", f"tcp:{LOOPBACK}:{self.monitor_port},server=on,wait=off"),
            *("-chardev", f"{serial},logfile={self.console_log},logappend=on", "-serial", "chardev:serial"),
            *("-drive", f"file={self.disk},if=virtio,format=qcow2"),
            *("-drive", f"file={folder}/own,if=virtio,format=raw,readonly=on"),
        ]
        watchdog = ("-device", "i6300esb", "-action", "watchdog=reset") if made.watchdog else ()
        return [*argv, *watchdog, *made.qemu]

    def _boots(self) -> dict[str, list[str]]:
        """Return what each boot device adds; without its ROM the network card saves 2 s of firmware."""
        made = self.hardware
        forward = f"hostfwd=tcp:{LOOPBACK}:{self.ssh_port}-:22"
        wire = ["-netdev", ",".join(["user", "id=wire", forward, *made.net])]
        card = f"{made.card},netdev=wire,mac={self.mac}"
        kernel = ["-kernel", str(self.base.kernel), "-initrd", str(self.base.initrd), "-append", self.command_line]
        return {
            "default": [*wire, "-device", f"{card},romfile=", *kernel],
            "pxe": [*wire, "-device", card, "-boot", "n"],
        }

    @property
    def mac(self) -> str:
        """Return the address of its network card: 52:54:00 and three bytes that stand for its name."""
        return "52:54:00:" + ":".join(f"{byte:02x}" for byte in hashlib.sha256(self.name.encode()).digest()[:3])

    @property
    def command_line(self) -> str:
        """Return the base's command line."""
        words = ("console=ttyS0", "root=/dev/vda", "rw", f"init={_INIT[self.hardware.init]}")
        known = ("tsc_early_khz=2600000", "net.ifnames=0")  # what emulation can't always find out; what udev renames
        return " ".join((*words, *known, "panic=5", *self.hardware.words))

    # --- from the test ------------------------------------------------------------------------

    def await_ssh(self, seconds: float = _SSH_SECONDS) -> float:
        """Wait until its sshd answers with its banner; returns the seconds it took, TimeoutError if it doesn't."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if _banner(self.ssh_port):
                return time.monotonic() - began
            time.sleep(0.1)
        raise TimeoutError(f"no sshd on {self.name} after {seconds:g} s; see {self.console_log}")

    def ssh(self, command: str, stdin: bytes = b"", seconds: float = 60.0) -> subprocess.CompletedProcess[bytes]:
        """Run a shell line on it by OpenSSH's client; 255 is ssh's own failure."""
        options = (f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes", "BatchMode=yes", *_IMPATIENCE)
        argv = ["ssh", "-F", "none", "-i", str(self.base.key), "-p", str(self.ssh_port)]
        argv += [word for option in options for word in ("-o", option)]
        argv += ["-o", "IdentityAgent=none", "-o", "LogLevel=ERROR", f"root@{LOOPBACK}", command]
        return subprocess.run(argv, check=False, input=stdin, capture_output=True, timeout=seconds)

    def boot_id(self) -> str:
        """Return the kernel's id of the boot it is in, "" if it doesn't answer."""
        return self.ssh("cat /proc/sys/kernel/random/boot_id").stdout.decode().strip()


def _banner(port: int) -> bool:
    """Tell whether an sshd speaks: QEMU itself accepts before anybody listens in the guest."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as door:
            return door.recv(4) == b"SSH-"
    except OSError:
        return False


def _tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path.removeprefix("/"))
            member.size, member.mode = len(content), 0o600 if path.endswith("_key") else 0o644
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
