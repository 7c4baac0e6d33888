"""What differs between architectures, one row each; a new architecture is a new row and a kconfigs/ fragment."""

from __future__ import annotations

from dataclasses import dataclass

from bisectbot.model import Arch


@dataclass(frozen=True)
class Traits:
    """An architecture's names in the kernel's build, in ELF, in Debian and in QEMU."""

    make_arch: str  # ARCH= of kbuild
    target: str  # make target that gives the bootable image
    image: str  # where that target leaves it, below the build folder
    elf_machine: int  # e_machine of its executables (elf.h)
    cross: str  # CROSS_COMPILE prefix on a machine of another architecture
    cross_package: str  # the Debian package that holds that compiler
    qemu: str  # the QEMU program
    qemu_package: str
    tty: str  # the first serial port, as the kernel's console= takes it
    machine: str  # QEMU's -machine, where a host in hosts.toml names none
    cpu: str  # QEMU's -cpu, likewise
    cross_libc_package: str  # the Debian package of its C library's static half, for the cross compiler


_TRAITS = {
    Arch.X86_64: Traits(
        make_arch="x86_64",
        target="bzImage",
        image="arch/x86/boot/bzImage",
        elf_machine=62,
        cross="x86_64-linux-gnu-",
        cross_package="gcc-x86-64-linux-gnu",
        qemu="qemu-system-x86_64",
        qemu_package="qemu-system-x86",
        tty="ttyS0",
        machine="pc",
        # Not "max": that has 5-level paging, on which KVM of 5.10 inside the guest spins for ever.
        cpu="EPYC,+svm",
        cross_libc_package="libc6-dev-amd64-cross",
    ),
    Arch.AARCH64: Traits(
        make_arch="arm64",
        target="Image",
        image="arch/arm64/boot/Image",
        elf_machine=183,
        cross="aarch64-linux-gnu-",
        cross_package="gcc-aarch64-linux-gnu",
        qemu="qemu-system-aarch64",
        qemu_package="qemu-system-arm",
        tty="ttyAMA0",
        machine="virt,virtualization=on,gic-version=3",  # EL2, which KVM inside the guest needs
        cpu="max",
        cross_libc_package="libc6-dev-arm64-cross",
    ),
}


def traits(arch: Arch) -> Traits:
    """Return the row of an architecture."""
    return _TRAITS[arch]
