"""What may stand in hosts.toml: the top level, the deadlines, and a host that QEMU plays."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bisectbot.arch import traits
from bisectbot.config import hostwords
from bisectbot.model import Accel, Arch, Deadlines, QemuHost

_WEEK = 7 * 24 * 3600
Seconds = Annotated[float, Field(strict=True, gt=0, le=_WEEK, description="seconds, above 0 and at most 604800")]
_Gib = Annotated[float, Field(strict=True, ge=0, le=1 << 20, description="GiB, 0 to 1048576")]
_Days = Annotated[float, Field(strict=True, ge=0, le=36500, description="days, 0 to 36500")]
_Plain = Annotated[str, AfterValidator(hostwords.plain)]
BOOT = '"qemu", "kexec", "pxe" or ["kexec", "pxe"]'
RawTables = dict[str, dict[str, object]]


class Table(BaseModel):
    """A table of hosts.toml: a key that it doesn't have is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DeadlineTable(Table):
    """The deadlines that a host may set for itself."""

    boot: Seconds = Deadlines.boot
    silence: Seconds = Deadlines.silence
    heartbeat: Seconds = Deadlines.heartbeat
    run: Seconds = Deadlines.run

    def set_here(self) -> dict[str, float]:
        """Return the deadlines of the model that this very table sets."""
        return self.model_dump(include={*DeadlineTable.model_fields}, exclude_unset=True)


class AllDeadlineTable(DeadlineTable):
    """[deadlines]: those of all hosts."""

    build: Seconds = 7200.0

    def with_own(self, own: DeadlineTable) -> Deadlines:
        """Return a host's deadlines: what it sets itself, else what is set for all."""
        return Deadlines(**(self.model_dump(exclude={"build"}) | own.set_here()))


class StoreTable(Table):
    """[store]."""

    max_gib: _Gib = 20.0
    min_free_gib: _Gib = 2.0
    max_age_days: _Days = 60.0


class LogsTable(Table):
    """[logs]."""

    compress_after_days: _Days = 14.0


class TopTable(Table):
    """The top level; hosts and networks are looked at one by one."""

    default: Annotated[str, Field(description="the name of a host in this file")]
    jobs: Annotated[int | None, Field(strict=True, ge=1, le=4096, description="an integer, 1 to 4096")] = None
    store: Annotated[StoreTable, Field(description="a table")] = StoreTable()
    logs: Annotated[LogsTable, Field(description="a table")] = LogsTable()
    deadlines: Annotated[AllDeadlineTable, Field(description="a table")] = AllDeadlineTable()
    hosts: Annotated[RawTables, Field(min_length=1, description="one table [hosts.NAME] a host")]
    pxe: Annotated[RawTables, Field(description="one table [pxe.NAME] a network")] = {}
    notices: Annotated[dict[str, object] | None, Field(description="a table")] = None


class QemuTable(Table):
    """[hosts.NAME] with boot = "qemu"."""

    boot: Annotated[Literal["qemu"], Field(description=BOOT)]
    arch: Annotated[Arch, Field(description=", ".join(Arch))]
    cpus: Annotated[int, Field(strict=True, ge=1, le=255, description="an integer, 1 to 255")] = QemuHost.cpus
    memory: Annotated[int, BeforeValidator(hostwords.memory_mib), Field(description=hostwords.MEMORY)] = (
        QemuHost.memory_mib
    )
    cpu: Annotated[_Plain | None, Field(description=hostwords.PLAIN)] = None
    machine: Annotated[_Plain | None, Field(description=hostwords.PLAIN)] = None
    accel: Annotated[Accel, Field(description=", ".join(Accel))] = QemuHost.accel
    qemu_args: Annotated[
        tuple[Annotated[str, AfterValidator(hostwords.qemu_arg)], ...], Field(description=hostwords.QEMU_ARG)
    ] = ()
    cmdline: Annotated[
        tuple[Annotated[str, AfterValidator(hostwords.kernel_word)], ...],
        AfterValidator(hostwords.kernel_words),
        Field(description=hostwords.KERNEL_WORD),
    ] = ()
    deadlines: Annotated[DeadlineTable, Field(description="a table")] = DeadlineTable()

    def host(self, name: str, common: AllDeadlineTable) -> QemuHost:
        """Return the host that this table describes."""
        row = traits(self.arch)
        return QemuHost(
            name=name,
            arch=self.arch,
            cpus=self.cpus,
            memory_mib=self.memory,
            cpu=self.cpu or row.cpu,
            machine=self.machine or row.machine,
            accel=self.accel,
            qemu_args=self.qemu_args,
            cmdline=self.cmdline,
            deadlines=common.with_own(self.deadlines),
        )
