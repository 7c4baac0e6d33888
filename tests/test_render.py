"""Rendering: whatever a commit, a console or a reproducer says stays data, in HTML, Markdown and mail."""

from __future__ import annotations

import base64
import email.policy
import hashlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from email.message import EmailMessage
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import hostile
import jinja2
import pytest
from hypothesis import example, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token
from report_samples import COMMITS, CULPRIT, ENDINGS, with_culprit

from bisectbot.render import markdown, render, seconds, wrap
from bisectbot.report import HTML, MAIL, MARKDOWN, Session, draw_up, files
from bisectbot.visible import visible

GOLDEN = Path(__file__).parent / "reports"
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
VOID = {"meta", "br"}
_SURELY = ("```", "\n```\n<b>|", "=?utf-8?q?=0AX:?=", "<script>", "|", "    code")  # tried every time


def any_text(check: Callable[[str], None]) -> Callable[[], None]:
    """Return a test that hands hostile texts to `check`; without a deadline, as the machine may be busy."""
    for text in _SURELY:
        check = example(text)(check)
    return settings(deadline=None, max_examples=25)(given(hostile.texts)(check))


class Elements(HTMLParser):
    """The elements of a page, their attributes, and the text of each kind of element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self._stack: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.opened.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Refuse what doesn't close the element that is open."""
        assert self._stack.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note a text by the element it is in."""
        if self._stack:
            self.texts[self._stack[-1]] = self.texts.get(self._stack[-1], "") + data


def texts_of(session: Session) -> dict[str, str]:
    """Return the files of a session's report."""
    return dict(files(draw_up(session)))


@cache
def harmless() -> dict[str, str]:
    """Return the files of the hostile session when its text is one letter."""
    return texts_of(hostile.session("x"))


@cache
def harmless_machine() -> dict[str, str]:
    """Return the same of the hostile session on a real machine."""
    return texts_of(hostile.on_a_machine("x"))


def cells(tokens: Sequence[Token], columns: int) -> list[list[Token]]:
    """Return the body rows of the only table with so many columns."""
    rows: list[list[Token]] = []
    for place, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "td_open":
            rows[-1].append(tokens[place + 1])
    return [row for row in rows if len(row) == columns]


def plain(cell: Token) -> str:
    """Return the text that a reader of the cell sees."""
    return "".join(token.content for token in cell.children or [])


def parse_mail(text: str) -> EmailMessage:
    """Return the mail as a mail program reads it."""
    message = email.message_from_bytes(text.encode(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@any_text
def test_no_text_becomes_html(text: str) -> None:
    """The page has the same elements and attributes whatever the text in it, and each of them is closed."""
    assert Elements(texts_of(hostile.session(text))[HTML]).opened == Elements(harmless()[HTML]).opened


@any_text
def test_no_text_becomes_markdown(text: str) -> None:
    """The Markdown has the same blocks and no HTML, whatever the text in it."""
    ours, wanted = PARSER.parse(texts_of(hostile.session(text))[MARKDOWN]), PARSER.parse(harmless()[MARKDOWN])
    assert [token.type for token in ours] == [token.type for token in wanted]
    spans = {child.type for token in ours for child in token.children or []}
    assert spans <= {"text", "text_special", "code_inline", "strong_open", "strong_close", "link_open", "link_close"}


@any_text
def test_no_text_of_a_machine_becomes_markup(text: str) -> None:
    """The same holds for what is told of a real machine: elements, blocks and what is visible stay ours."""
    ours, wanted = texts_of(hostile.on_a_machine(text)), harmless_machine()
    assert Elements(ours[HTML]).opened == Elements(wanted[HTML]).opened
    blocks, blocks_wanted = PARSER.parse(ours[MARKDOWN]), PARSER.parse(wanted[MARKDOWN])
    assert [token.type for token in blocks] == [token.type for token in blocks_wanted]
    for name in (HTML, MARKDOWN):
        assert {char for char in ours[name] if unicodedata.category(char)[0] == "C"} <= {"\n"}


@any_text
def test_a_table_keeps_its_columns(text: str) -> None:
    """Each cell of the evidence table reads as the text did: nothing ran over into its neighbour."""
    tokens = PARSER.parse(texts_of(hostile.session(text))[MARKDOWN])
    rows = cells(tokens, 12)
    assert len(rows) == 7
    shown = visible(text, 600).strip()
    for number, row in enumerate(rows, 1):
        assert plain(row[0]) == str(number)
        assert plain(row[2]).startswith(shown)
        assert plain(row[4]).startswith(shown)
        assert plain(row[11]).startswith("build")


@any_text
def test_links_in_markdown_stay_ours(text: str) -> None:
    """No text becomes a link, and none of our links leads out of the session's folder."""
    tokens = PARSER.parse(texts_of(hostile.session(text))[MARKDOWN])
    children = [child for token in tokens for child in token.children or []]
    links = [str(child.attrGet("href")) for child in children if child.type == "link_open"]
    assert links
    assert all(link.startswith(("builds/", "consoles/")) for link in links)


@any_text
def test_no_text_becomes_a_header(text: str) -> None:
    """A mail program finds our headers only, the valid addresses only, and the subject as it was."""
    message = parse_mail(texts_of(hostile.session(text))[MAIL])
    names = ["Subject", "To", "Cc", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
    assert message.keys() == names
    assert [one.addr_spec for one in message["To"].addresses] == ["x@example.org"]
    people = [one.addr_spec for one in message["Cc"].addresses]
    assert people == ["s@example.org", "regressions@lists.linux.dev"]
    wanted = draw_up(hostile.session(text)).mail
    assert wanted is not None
    assert "".join(str(message["Subject"]).split()) == "".join(wanted.subject.split())


@any_text
def test_no_line_of_a_mail_is_a_command(text: str) -> None:
    """One line speaks to regzbot, it is ours; every text of others is indented; lines end within 75 columns."""
    lines = parse_mail(texts_of(hostile.session(text))[MAIL]).get_content().splitlines()
    harmless_lines = parse_mail(harmless()[MAIL]).get_content().splitlines()
    flush = [line for line in lines if line and not line.startswith("  ")]
    assert flush == [line for line in harmless_lines if line and not line.startswith("  ")]
    assert [line for line in flush if line.startswith("#")] == [f"#regzbot introduced: {CULPRIT}"]
    assert [line for line in lines if len(line) > 75 and not line.startswith("  Fixes: ")] == []


@any_text
def test_nothing_invisible_gets_through(text: str) -> None:
    """No file holds a control, direction or zero-width character, apart from line ends and a header's tab."""
    for name, content in texts_of(hostile.session(text)).items():
        if name != "bisect-log.txt":  # git's own text, for git
            odd = {char for char in content if unicodedata.category(char)[0] == "C"}
            assert odd <= ({"\n", "\t"} if name == MAIL else {"\n"})


def test_no_text_at_all() -> None:
    """Commits, builds and trials that say nothing don't keep a report from being written."""
    texts = texts_of(hostile.session(""))
    assert [len(row) for row in cells(PARSER.parse(texts[MARKDOWN]), 12)] == [12] * 7
    assert Elements(texts[HTML]).opened


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_renders(ending: str) -> None:
    """Each ending gives a page and a Markdown text that begin with its headline; a mail only with a culprit."""
    report = draw_up(ENDINGS[ending])
    texts = dict(files(report))
    assert report.meaning.headline in Elements(texts[HTML]).texts["title"]
    heading = PARSER.parse(texts[MARKDOWN])[1]
    assert plain(heading) == report.meaning.headline
    assert (MAIL in texts) == (ending == "culprit")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_page_needs_nothing_else(ending: str) -> None:
    """The page loads and runs nothing: its policy allows its own style by hash, and links stay in the folder."""
    page = Elements(texts_of(ENDINGS[ending])[HTML])
    assert {tag for tag, _ in page.opened}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    assert {name for name, _ in page.attributes}.isdisjoint({"src", "style", "srcset", "action"})
    assert all("//" not in value and ":" not in value for name, value in page.attributes if name == "href")
    style = base64.b64encode(hashlib.sha256(page.texts["style"].encode()).digest()).decode()
    policy = next(value for _, value in page.attributes if value.startswith("default-src"))
    assert policy == f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"


def test_a_huge_text_is_bounded() -> None:
    """A megabyte in every field still gives files that a browser opens: the report is no place for it."""
    huge = texts_of(hostile.on_a_machine("A <b> | `c` " * 100_000))
    assert {name: len(text) < 500_000 for name, text in huge.items() if name != "bisect-log.txt"} == {
        HTML: True,
        MARKDOWN: True,
        MAIL: True,
    }


def test_raw_markdown_stays_readable() -> None:
    """Common titles need no escapes: what isn't markup is left alone."""
    for title in (
        "x86/kvm: Use generic xfer to guest_work (v2)",
        "mm: slub: 3.5% faster - really",
        "--migrations 5000",
    ):
        assert markdown(title) == title


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", "a&#124;b"),
        ("<b>", "&lt;b&gt;"),
        ("__init", r"\_\_init"),
        ("1. one", r"1\. one"),
        ("- one", r"\- one"),
        ("----", r"\----"),
        ("#if 0", r"\#if 0"),
    ],
)
def test_markdown_escapes(text: str, escaped: str) -> None:
    """What would be markup is escaped the way CommonMark takes it."""
    assert markdown(text) == escaped


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 s"),
        (0.0123, "0.012 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (38.4, "38 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    """A time is told in the units that matter."""
    assert seconds(value) == text


def test_wrap_fills_lines() -> None:
    """A text is broken at 75 columns behind its indent, and an empty one leaves its label."""
    assert [len(line) for line in wrap("word " * 30, indent=2, first="* ").splitlines()] == [71, 71, 11]
    assert wrap("", first="  host: ") == "  host:"


def test_a_template_can_name_only_what_there_is() -> None:
    """A typing mistake in a template is an error, not an empty place in a report."""
    with pytest.raises(jinja2.UndefinedError):
        render("report.md.j2", object())


@pytest.mark.parametrize("name", [MARKDOWN, MAIL])
def test_golden(name: str) -> None:
    """The sample session reads as the file in tests/reports/ (BISECTBOT_UPDATE=1 writes it anew)."""
    text = texts_of(ENDINGS["culprit"])[name]
    golden = GOLDEN / f"culprit-{name}"
    if os.environ.get("BISECTBOT_UPDATE"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_backport_points_to_mainline() -> None:
    """A stable commit that names its mainline commit is reported with both."""
    body = f"commit {'1' * 40} upstream.\n\nWhy.\n\nSigned-off-by: A <a@example.org>"
    texts = texts_of(with_culprit(replace(COMMITS[CULPRIT], body=body)))
    for name in (HTML, MARKDOWN, MAIL):
        assert "1" * 40 in texts[name]
