"""Values into text: HTML, Markdown and plain text by jinja2 templates in which nothing is trusted unless it says so."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bisectbot.visible import visible, visible_block

_LONGEST = 600  # characters of a value that stands in a line
_MAIL_WIDTH = 75
_BLOCK_LINES = 1000
_BLOCK_WIDTH = 300

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
# Backslashes for what could begin a span; entities where a table or HTML is at stake, whatever stands before.
_SPANS = re.compile(r"([\\`*\[\]#~$])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What would make a list item, a rule or a heading of a line; only at its beginning.
_LEADING = re.compile(r"^(?:[-+](?=\s|$)|[-=](?=[-=\s]*$)|\d{1,9}(?=[.)](?:\s|$)))")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9/._:=@+,-]+")
_BACKTICKS = re.compile(r"`+")


def render(template: str, report: object, **more: object) -> str:
    """Return a template of templates/ filled in. `report` and `more` are what it may name; unknown names raise."""
    return _environment(template).get_template(template).render(report=report, **more)


@cache
def _environment(template: str) -> Environment:
    """Return the environment that escapes for the language of a template, told by its name.

    Each `{{ value }}` passes `finalize` first. It returns Markup, so that autoescape (on everywhere) keeps it as it
    is; only Markup made by a filter below comes through unchanged.
    """
    finalize = next(made for suffix, made in _FLAVOURS.items() if template.endswith(suffix))
    # no select_autoescape: it would go by the suffix .j2
    environment = Environment(
        loader=PackageLoader("bisectbot", "templates"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else finalize(_text(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def _text(value: object) -> str:
    return visible(str(value), _LONGEST)


# --- the languages; the text is one visible line -------------------------------------------------


def html(text: str) -> Markup:
    """Escape for HTML text and quoted attributes."""
    return escape(text)


def markdown(text: str) -> Markup:
    """Escape for a line, a list item or a table cell of GitHub's Markdown, where HTML counts too."""
    text = _SPANS.sub(lambda match: "\\" + match[0], text.strip())
    text = _LEADING.sub(_escape_leading, text)
    return Markup(text.translate(_ENTITIES))  # noqa: S704  this is the escaping


def _escape_leading(match: re.Match[str]) -> str:
    return match[0] + "\\" if match[0].isdigit() else "\\" + match[0]


def plain(text: str) -> Markup:
    """Leave as it is: a mail knows no markup, and what is visible is harmless there."""
    return Markup(text)  # noqa: S704  never shown as HTML


def refused(text: str) -> Markup:
    """Raise: a value in a unit file has to say by a filter what it is there."""
    msg = f"no filter for {text!r}"
    raise ValueError(msg)


_FLAVOURS: dict[str, Callable[[str], Markup]] = {
    ".html.j2": html,
    ".svg.j2": html,  # XML escapes alike, and what is visible is all that it allows
    ".md.j2": markdown,
    ".txt.j2": plain,
    ".service.j2": refused,
}


# --- filters ---------------------------------------------------------------------------------------------


def fence(text: str, language: str = "", width: int = _BLOCK_WIDTH) -> Markup:
    """Return a Markdown code block that its content can't end."""
    block = visible_block(text.strip("\n"), _BLOCK_LINES, width)
    ticks = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(block)), default=0))
    return Markup(f"{ticks}{language}\n{block}\n{ticks}")  # noqa: S704  no HTML is read in a code block


def pre(text: str, width: int = _BLOCK_WIDTH) -> Markup:
    """Return the content of an HTML `pre` element."""
    return escape(visible_block(text.strip("\n"), _BLOCK_LINES, width))


def wrap(text: str, indent: int = 0, first: str = "") -> Markup:
    """Return text in lines of at most 75 characters for a mail, the first one behind `first`.

    Data is wrapped with an indent, so that no line of it can begin as a command to a bot, a quote or a signature.
    """
    lines = textwrap.wrap(
        visible(str(text), _LONGEST),
        width=_MAIL_WIDTH,
        initial_indent=first or " " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
    )
    return Markup("\n".join(lines) or first.rstrip())  # noqa: S704  plain text


def seconds(value: float) -> str:
    """Return a time in the largest units that matter: 0.012 s, 4.2 s, 38 s, 3 min 05 s, 2 h 07 min."""
    if 0.001 <= value < 0.1:  # noqa: PLR2004  a race may fire at once, which isn't in no time at all
        return f"{value:.2g} s"
    if value < 10:  # noqa: PLR2004  below, tenths matter
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def style_hash(css: str) -> Markup:
    """Return the Content-Security-Policy source that allows exactly this `style` element."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return Markup(f"sha256-{digest}")  # noqa: S704  base64


def bare(value: object) -> Markup:
    """Return a value that is the rest of a line in a systemd unit, where % begins a specifier."""
    return Markup(str(value).replace("%", "%%"))  # noqa: S704  no HTML


def unit_word(value: object) -> Markup:
    """Return one word of a systemd unit, in quotes unless it is plain."""
    if _PLAIN_WORD.fullmatch(str(value)):
        return Markup(value)  # noqa: S704  nothing in it means anything
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return bare(f'"{text}"')


def command_word(value: object) -> Markup:
    """Return one word of a command in a systemd unit, where $ begins a variable."""
    return Markup(unit_word(value).replace("$", "$$"))  # noqa: S704  no HTML


_FILTERS: dict[str, Callable[..., str]] = {
    "fence": fence,
    "pre": pre,
    "wrap": wrap,
    "seconds": seconds,
    "style_hash": style_hash,
    "bare": bare,
    "unit_word": unit_word,
    "command_word": command_word,
}
