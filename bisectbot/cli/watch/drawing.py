"""A view of sessions as lines for a terminal of any size: what matters least is left out first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from bisectbot.report.chances import figure
from bisectbot.report.evidence import count
from bisectbot.watching.views import Close, HostLine, Likely, Line, View

_TOO_NARROW = 20
_GAP = 2
_BAR = 16
_PRINTED = 40  # lines of a part, where they are printed instead of drawn
_STYLES = {"running": "bold green", "confirming": "bold green", "answered": "green", "queued": "cyan"}
# The columns from left to right: heading, field, least and most width; and which goes first if there is no room.
_COLUMNS = (
    ("SESSION", "name", 8, 26),
    ("STANDING", "standing", 8, 20),
    ("STEP", "step", 4, 12),
    ("MOST SUSPECTED", "best", 14, 22),
    ("LEFT", "left", 5, 14),
    ("BUDGET", "budget", 5, 9),
    ("HOST", "host", 5, 18),
)
_GOES_FIRST = ("host", "step", "budget", "left", "best", "standing")


@dataclass(frozen=True)
class Screen:
    """What can be drawn on: cells, and whether more than ASCII can be."""

    width: int = 100
    height: int | None = None  # None: as many lines as there are
    ascii: bool = False


@dataclass
class _Part:
    """A block of lines with a heading; it gets `least` lines if there is room at all, and more if nobody needs them."""

    heading: str
    lines: Sequence[Text]
    least: int
    weight: int = 1
    tail: bool = False  # keep its end instead of its beginning
    room: int = field(default=0, init=False)

    @property
    def wants(self) -> int:
        """How many lines it would fill, with its heading."""
        return len(self.lines) + bool(self.heading) if self.lines else 0


def drawn(view: View, screen: Screen, chosen: str | None = None, *, keys: bool = False) -> list[Text]:
    """Return the lines of a view, none wider than the screen, and no more of them than it has."""
    width = max(_TOO_NARROW, screen.width)
    shown = view.close.name if view.close else chosen
    parts = [*_parts(view, width, shown, screen)]
    top, bottom = _head(view, width), ([_keys(len(view.sessions))] if keys else [])
    if screen.height is not None:
        _share(parts, screen.height - len(top) - len(bottom))
    else:
        for part in parts:
            part.room = min(part.wants, _PRINTED)
    body = [line for part in parts for line in _cut_to(part, width, screen)]
    fill = 0 if screen.height is None else max(0, screen.height - len(top) - len(bottom) - len(body))
    lines = [*top, *body, *([Text("")] * fill if keys else []), *bottom]
    return [_fitted(line, width, screen) for line in lines[: screen.height]]


def _head(view: View, width: int) -> list[Text]:
    running = sum(line.standing in ("running", "confirming") for line in view.sessions)
    left = f"bisectbot watch: {count(len(view.sessions), 'session')}, {running} running, in {view.logs}"
    clock = f"{datetime.fromtimestamp(view.at).astimezone():%H:%M:%S}"
    return [Text(f"{set_cell_size(left, max(1, width - len(clock) - 1))} {clock}", style="bold")]


def _keys(sessions: int) -> Text:
    return Text("q quits" + (", n and p choose a session" if sessions > 1 else ""), style="dim")


def _parts(view: View, width: int, shown: str | None, screen: Screen) -> Iterator[_Part]:
    table = _table(view.sessions, width, shown)
    place = next((at for at, line in enumerate(view.sessions) if line.name == shown), 0)
    yield _Sessions("", table, 3, weight=2, chosen=place)
    yield _Part("", [Text(f"hosts: {_hosts(view.hosts)}")] if view.hosts else [], 1)
    close = view.close
    if close is None:
        return
    yield _Part(close.name, [Text(line) for line in _doing(close)], 3, weight=3)
    yield _Part("", [_suspect(one, width, screen) for one in close.suspects], 2, weight=2)
    yield _Part("facts", [_fact(at, words) for at, words in close.facts], 2, tail=True)
    name = f"console {close.console_name}"
    yield _Part(name, [Text(line, style="dim") for line in close.console], 2, tail=True)


def _doing(close: Close) -> Iterator[str]:
    yield from close.doing
    if close.ahead:
        yield close.ahead
    if close.note:
        yield f"no odds: {close.note}"


def _hosts(hosts: Sequence[HostLine]) -> str:
    """Name machines that are in use or set aside; of the others only how many there are."""
    told = [f"{host.name} used by {', '.join(host.users)}" for host in hosts if host.users]
    told += [f"{host.name} SET ASIDE ({host.aside})" for host in hosts if host.aside]
    free = [host.name for host in hosts if not host.users and not host.aside]
    if free:
        told.append(f"{len(free)} free" if len(free) > 3 else f"free: {', '.join(free)}")  # noqa: PLR2004  a few
    return "; ".join(told)


def _suspect(one: Likely, width: int, screen: Screen) -> Text:
    full, empty = ("#", ".") if screen.ascii else ("█", "░")
    long = min(_BAR, max(4, width // 6))
    filled = round(one.probability * long)
    line = Text(f"  {figure(one.probability):>10} ")
    line.append(full * filled, style="cyan").append(empty * (long - filled), style="dim")
    return line.append(f" {one.commit} {one.title}".rstrip())


def _fact(at: float, words: str) -> Text:
    return Text(f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S} {words}")


# --- the table of sessions ---------------------------------------------------------------------


def _table(lines: Sequence[Line], width: int, shown: str | None) -> list[Text]:
    """Return a heading and a line a session, in columns that fit."""
    if not lines:
        return [Text("no session yet")]
    columns = [column for column in _COLUMNS if any(getattr(line, column[1]) for line in lines)]
    sizes = {name: _size(lines, heading, name, least, most) for heading, name, least, most in columns}
    for name in _GOES_FIRST:
        if sum(sizes.values()) + _GAP * len(sizes) <= width:
            break
        sizes.pop(name, None)
    if "standing" not in sizes:  # of two columns at least the beginnings
        sizes = {"name": max(6, width - 14), "standing": 10}
    headings = {name: heading for heading, name, *_ in _COLUMNS}
    rows = [Text("  " + _row(headings, sizes), style="dim")]
    for line in lines:
        cells = {name: getattr(line, name) for name in sizes}
        style = _STYLES.get(line.standing.partition(" ")[0], "")
        mark = "> " if line.name == shown else "  "
        rows.append(Text(mark + _row(cells, sizes), style=style))
    return rows


def _size(lines: Sequence[Line], heading: str, name: str, least: int, most: int) -> int:
    longest = max(cell_len(getattr(line, name)) for line in lines)
    return max(least, len(heading), min(most, longest))


def _row(cells: dict[str, str], sizes: dict[str, int]) -> str:
    return (" " * _GAP).join(_cell(cells[name], size) for name, size in sizes.items()).rstrip()


def _cell(text: str, size: int) -> str:
    return text + " " * (size - cell_len(text)) if cell_len(text) <= size else set_cell_size(text, size - 1) + "~"


@dataclass
class _Sessions(_Part):
    """The table of sessions: its heading stays, and so does the one that is chosen."""

    chosen: int = 0


# --- room --------------------------------------------------------------------------------------


def _share(parts: Sequence[_Part], height: int) -> None:
    """Give each part its least lines from the top down, then what is left by their weights."""
    left = max(0, height)
    for part in parts:
        part.room = min(part.wants, part.least, left)
        left -= part.room
    while left > 0 and any(part.room < part.wants for part in parts):
        for part in parts:
            more = min(part.weight, part.wants - part.room, left)
            part.room += more
            left -= more


def _cut_to(part: _Part, width: int, screen: Screen) -> list[Text]:
    """Return the lines of a part that it has room for."""
    if part.room <= 0:
        return []
    heading = [_rule(part.heading, width, screen)] if part.heading else []
    room = part.room - len(heading)
    if isinstance(part, _Sessions):
        return _around(part, room)
    return [*heading, *(part.lines[-room:] if part.tail and room > 0 else part.lines[: max(0, room)])]


def _around(part: _Sessions, room: int) -> list[Text]:
    """Return the heading and the sessions around the chosen one, with how many there are more."""
    first, *others = part.lines
    if len(others) + 1 <= room:
        return list(part.lines)
    fits = max(1, room - 2)
    start = min(max(0, part.chosen - fits // 2), max(0, len(others) - fits))
    hidden = len(others) - fits
    more = [Text(f"  ... and {hidden} more", style="dim")] if room > 2 else []  # noqa: PLR2004  heading and a line
    return [first, *others[start : start + fits], *more]


def _rule(text: str, width: int, screen: Screen) -> Text:
    dash = "-" if screen.ascii else "─"
    return Text(f"{dash}{dash} {text} ", style="bold").append(dash * width, style="dim")


def _fitted(line: Text, width: int, screen: Screen) -> Text:
    """Return a line cut to the width, and in ASCII if that is all there is."""
    if screen.ascii:
        plain = line.plain.encode("ascii", errors="replace").decode()
        line = Text(plain, style=line.style) if len(plain) != len(line.plain) else _spelled(line, plain)
    line = line.copy()
    line.truncate(width)
    line.no_wrap, line.end = True, ""
    return line


def _spelled(line: Text, plain: str) -> Text:
    """Return the same line in other letters, its styles kept."""
    return Text(plain, style=line.style, spans=list(line.spans))
