"""The types of single keys that several tables of a real machine have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

from bisectbot.config import addresses, labwords
from bisectbot.config.tables import Table
from bisectbot.lab import Secret

Port = Annotated[int, Field(strict=True, ge=1, le=65535, description="an integer, 1 to 65535")]
PortOrAny = Annotated[int, Field(strict=True, ge=0, le=65535, description="an integer, 0 (any free one) to 65535")]
Address = Annotated[str, AfterValidator(addresses.address), Field(description=addresses.ADDRESS)]
Ipv4 = Annotated[str, AfterValidator(addresses.ipv4), Field(description=addresses.IPV4)]
User = Annotated[str, AfterValidator(addresses.user), Field(description=addresses.USER)]
SecretPlace = Annotated[Secret, PlainValidator(labwords.secret), Field(description=labwords.SECRET)]
LocalPath = Annotated[Path, BeforeValidator(labwords.path), Field(description=labwords.PATH)]
LocalPathOrNone = Annotated[LocalPath | None, Field(description=labwords.PATH)]
Command = Annotated[tuple[str, ...], AfterValidator(labwords.command), Field(description=labwords.COMMAND)]
Mac = Annotated[str, AfterValidator(addresses.mac), Field(description=addresses.MAC)]
Interface = Annotated[str, AfterValidator(addresses.interface), Field(description=addresses.INTERFACE)]
Name = Annotated[str, AfterValidator(addresses.name), Field(description=addresses.NAME)]


class Part(Table):
    """A table that becomes a noun of lab.py with the same fields."""

    def values(self) -> dict[str, Any]:
        """Return the noun's fields."""
        return {key: getattr(self, key) for key in type(self).model_fields if key not in ("kind", "mode")}
