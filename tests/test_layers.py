"""The architecture as a test: imports point down, and each library has one owner."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bisectbot

_PACKAGE = Path(bisectbot.__file__).parent
# From the bottom up; a name stands for a module or a whole package. Each row may import from the rows below it, and a
# package from itself.
_ROWS = (
    ("errors", "fit", "visible"),
    ("model",),
    ("lab", "odds"),
    ("arch", "interval", "places", "ports"),
    ("channels", "reach"),
    ("calibrate", "config", "console", "plan", "render", "session", "verdict"),
    ("facts", "netboot", "power", "report"),
    ("boot", "build", "doubt", "forecast", "journal", "probe", "search", "timeline"),
    ("course", "crew", "disk"),
    ("doctor", "flight", "keeper", "notices"),
    ("loop",),
    ("scribe", "stages", "watching"),
)
_EFFECTS_SEE = {"channels", "errors", "lab", "model", "ports", "reach", "visible"}  # and nobody but cli/ sees them
_TOP = {"__main__", "cli"}
# Who owns a library, and the parts of the standard library that touch the world: a module, or a package's name.
_OWNERS = {
    "cattrs": {"journal"},
    "click": {"cli"},
    "elftools": {"build.digest"},
    "fcntl": {"build.store", "effects.lock"},
    "git": {"effects.repo"},
    "http": {"effects.httpd", "effects.webhook"},
    "jinja2": {"render"},
    "kconfiglib": {"effects.unmet"},
    "markupsafe": {"render"},
    "numpy": {"search"},
    "paramiko": {"effects.ssh", "effects.sshshell"},
    "pydantic": {"config"},
    "pydantic_core": {"config"},
    "rich": {"cli"},
    "socket": {
        "effects.cutoff",
        "effects.dhcp",
        "effects.listener",
        "effects.sdnotify",
        "effects.ssh",
        "effects.tcp",
        "effects.udp",
    },
    "smtplib": {"effects.mail"},
    "socketserver": {"effects.httpd"},
    "sqlite3": {"journal"},
    "subprocess": {"effects.proc"},
    "sushy": {"effects.redfish"},
    "tenacity": {"effects.retry"},
    "threading": {"cli.keeper.handout", "cli.progress", "effects", "notices.messenger"},
    "termios": {"effects.keys"},
    "tty": {"effects.command", "effects.keys"},
    "tomllib": {"config.hosts", "config.tomlmap"},
}
_NOBODYS = {"multiprocessing", "pickle", "requests", "shelve", "urllib.request"}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(_PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text())


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "bisectbot":
            yield from (f"bisectbot.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _own(tree: ast.Module) -> set[str]:
    """Return the top-level modules and packages of ours that a module imports."""
    return {name.split(".")[1] for name in _imported(tree) if name.startswith("bisectbot.")}


def _row(room: str) -> int:
    return next(number for number, rooms in enumerate(_ROWS) if room in rooms)


_ALL = dict(_modules())


def test_every_module_has_its_place() -> None:
    """A module or package that stands in no row is one that nobody thought about."""
    rooms = {name.split(".")[0] for name in _ALL if name != "__init__"}
    known = {room for row in _ROWS for room in row} | _TOP | {"effects", "__init__"}
    assert rooms - known == set()
    assert known - rooms - {"__init__"} == set()


@pytest.mark.parametrize("name", [name for name in _ALL if name.split(".")[0] not in {*_TOP, "effects", "__init__"}])
def test_imports_point_down(name: str) -> None:
    """No module imports from its own row or one above it, and none but the command line sees an effect."""
    room = name.split(".", maxsplit=1)[0]
    seen = _own(_ALL[name]) - {room}
    assert "effects" not in seen
    assert not seen & _TOP
    assert {other for other in seen if _row(other) >= _row(room)} == set()


@pytest.mark.parametrize("name", [name for name in _ALL if name.startswith("effects.")])
def test_effects_see_only_the_nouns(name: str) -> None:
    """An effect knows the errors, the nouns and the ports, and nothing of how they are used."""
    assert _own(_ALL[name]) - {"effects"} <= _EFFECTS_SEE


@pytest.mark.parametrize("name", list(_ALL))
def test_each_library_has_one_owner(name: str) -> None:
    """A library is imported where it is owned, so that changing it is changing one place."""
    for module in _imported(_ALL[name]):
        top = module.split(".")[0]
        assert module not in _NOBODYS, module
        assert top not in _NOBODYS, module
        owners = _OWNERS.get(top)
        assert owners is not None or top == "bisectbot" or top in sys.stdlib_module_names, f"{module} has no owner"
        assert owners is None or {name, name.split(".", maxsplit=1)[0]} & owners, f"{module} isn't {name}'s"
