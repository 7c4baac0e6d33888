"""What goes wrong with a machine's switch, whichever server stands in front of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from machineroom.machine import Machine


@dataclass(frozen=True)
class Faults:
    """The state of a sick chassis; the default is a healthy one.

    `late`: seconds that each answer takes. `fails`: every act and question is refused. `lies`: acts are answered with
    "done" and not done. `says`: the power state that is told, whatever it is. `deaf_ons`: so many times switching on
    does nothing, the next one works.
    """

    late: float = 0.0
    fails: bool = False
    lies: bool = False
    says: bool | None = None
    deaf_ons: int = 0


def inflict(machine: Machine, faults: Faults) -> None:
    """Put faults in force, from the next call of the machine's chassis on; Faults() heals it."""
    known = {name: value for name, value in asdict(faults).items() if value is not None}
    fresh = machine.folder / "faults.new"
    fresh.write_text(json.dumps(known))
    fresh.replace(machine.folder / "faults.json")
