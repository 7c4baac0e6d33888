"""By hand on a real machine: how to start the same kernel there by kexec, or what PXE has to serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bisectbot.arch import traits
from bisectbot.lab import CANDIDATE_WORDS, BootMethod, LabHost, Payload
from bisectbot.report.discretion import hiding
from bisectbot.report.session import Session
from bisectbot.report.shellwords import quoted
from bisectbot.visible import visible

_INITRAMFS = "initramfs.cpio"  # in the session's folder: our init and the reproducer
_THERE = '"${M:?set M to USER@ADDRESS of the machine, as root}:"'
_JUMP = "systemctl kexec"


def on_machine(session: Session, lab: LabHost, commit: str, make: str, image: str) -> Iterator[str]:
    """Yield the lines of a script for bash. `make` and `image`: the command and the kernel, as words of a shell.

    `session` has been made discreet; of `lab` nothing is shown that its lab keeps to itself.
    """
    name = visible(session.host, 80)
    if dropped := len(_all_words(lab)) - len(_words(lab)):
        yield f"# kernel command line: {dropped} of the host's own words left out, which tell of its lab's network"
    if BootMethod.KEXEC not in lab.boots:
        yield from _served(session, lab, commit, image)
    elif lab.payload is Payload.HOST:
        yield f'# boot it on "{name}", which this restarts, with its own root file system'
        yield from _with_its_root(session, lab, make, image)
    else:
        yield f'# boot it on "{name}", which this restarts; the initramfs runs the reproducer and reboots'
        yield from _with_our_initramfs(session, lab, image)


def _served(session: Session, lab: LabHost, commit: str, image: str) -> Iterator[str]:
    """Yield comments: how a network boot is set up is each lab's own affair."""
    name = visible(session.host, 80)
    yield f'# "{name}" is served by PXE; have this kernel, initramfs and command line served to it, and restart it'
    yield f"#   {image}"
    yield f"#   {visible(str(session.folder / _INITRAMFS), 500)}"
    yield f"#   {visible(_line(lab), 2000)}"
    yield f"# or let bisectbot do it: bisectbot try {commit} --host {quoted(session.host)}"


def _with_our_initramfs(session: Session, lab: LabHost, image: str) -> Iterator[str]:
    yield f"scp {image} {quoted(session.folder / _INITRAMFS)} {_THERE}"
    line = f"--command-line={quoted(_line(lab))}"
    yield from _there('ssh "$M" sh', f"kexec -s -l {_name(lab)} --initrd={_INITRAMFS} {line}", _JUMP)


def _with_its_root(session: Session, lab: LabHost, make: str, image: str) -> Iterator[str]:
    yield f"scp {image} {quoted(session.probe.program)} {_THERE}"
    if session.build.modules:
        yield f'{make} -j{session.build.jobs} modules && {make} INSTALL_MOD_PATH="$W/root" modules_install'
        yield 'tar -C "$W/root" -cz lib/modules | ssh "$M" tar -C / -xz'
    if lab.make_initramfs:
        yield "# bisectbot made the initramfs by a command of the lab's; this is the usual one"
    line = f'--command-line="$(cat /proc/cmdline)"{quoted(f" {_line(lab)}")}'
    yield from _there(
        f'ssh "$M" sh -s "$({make} -s kernelrelease)"',
        'mkinitramfs -o initramfs.img "$1"  # or: dracut --force --kver "$1" initramfs.img',
        f"kexec -s -l {_name(lab)} --initrd=initramfs.img {line}",
        _JUMP,
    )
    words = " ".join(quoted(word) for word in (f"./{session.probe.program.name}", *session.probe.args))
    yield "# when it answers again, now with the candidate; a reboot brings its own kernel back"
    yield f'ssh "$M" {quoted(words)}; echo "exit code $?"'


def _there(shell: str, *lines: str) -> Iterator[str]:
    """Yield what is typed into a shell on the machine; none of the lines can end the document, for each has words."""
    yield f"{shell} <<'END'"
    yield from lines
    yield "END"


def _name(lab: LabHost) -> str:
    return Path(traits(lab.arch).image).name


def _line(lab: LabHost) -> str:
    return " ".join(_words(lab))


def _words(lab: LabHost) -> list[str]:
    """Return the candidate's kernel command line, without words that tell of the lab's network."""
    hide = hiding(lab)
    return [word for word in _all_words(lab) if hide(word) == word]


def _all_words(lab: LabHost) -> tuple[str, ...]:
    ours = lab.payload is Payload.INITRAMFS
    tty = lab.tty or (traits(lab.arch).tty if ours and lab.console else "")
    return (
        *((f"console={tty}",) if tty else ()),
        *CANDIDATE_WORDS,
        *lab.cmdline,
        *(("bisectbot.trials=1",) if ours else ()),
    )
