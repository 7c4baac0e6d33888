"""A session in which everything that people, kernels and programs write is one and the same hostile text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st
from lab_samples import LAB, home
from odds_samples import RARE
from report_samples import CULPRIT, ENDINGS

from bisectbot.model import BuildBroken, Crash, CrashKind, Fixup, Kernel, Trial
from bisectbot.odds import Odds, Proposal, Reverted
from bisectbot.ports import CommitInfo
from bisectbot.report import Session, Step, Working
from bisectbot.report.maintainers import Maintainers, Recipient
from bisectbot.visible import visible

_HTML = (
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "</pre></title>",
    '" onclick="x',
    "'",
    "&lt;",
    "<!--",
    "]]>",
)
_BLOCKS = (
    "|",
    "\\|",
    "\\",
    "`",
    "```",
    "# h",
    "- item",
    "+ ",
    "1. one",
    "---",
    "===",
    "* * *",
    "> q",
    "    code",
    "\t",
)
_SPANS = ("[a](b)", "![a](b)", "[a]: b", "<a@b.example>", "<http://x.example>", "**", "_", "__", "~~", "$x$", "&#60;")
_CONTROLS = ("\n", "\r\n", "\n\n", "\x1b[31m", "\u202e", "\u2066", "\u200b", "\ufeff", "\0", "\x85", "\u2028", "\x7f")
_MAIL = (
    "\nBcc: all@example.org",
    "\r\n\r\nbody",
    "\n#regzbot dup: x",
    "#regzbot",
    "\nFrom me",
    "\n-- ",
    "=?utf-8?q?=0AX:?=",
)
_OTHERS = ("{{ 7 * 7 }}", "{% if %}", "{#", "日本語", "é", "a", " ", "javascript:alert(1)")
NASTY = (*_HTML, *_BLOCKS, *_SPANS, *_CONTROLS, *_MAIL, *_OTHERS)

texts = st.lists(st.sampled_from(NASTY) | st.text(max_size=12), min_size=1, max_size=6).map("".join).filter(str.strip)


def session(text: str) -> Session:
    """Return the session; its shape (what is there and what isn't) doesn't depend on the text."""
    whole = ENDINGS["culprit"]
    odd = "/" + text.replace("\0", "\1")  # no path can hold a NUL
    return replace(
        whole,
        steps=tuple(_step(step, text) for step in whole.steps),
        commits=tuple(_commit(info, text) for info in whole.commits),
        name=text,
        tree=Path(odd),
        host=text,
        fragments=(text,),
        versions={text: text, "bisectbot": text},
        diffstat="a | 1 +\n" + text,
        maintainers=Maintainers((Recipient(text, "x@example.org", "maintainer:" + text),), problem=text),
        bisect_log=f"# bad: {text}\n",
        boot_argv=("qemu", text, "-append", text, "-kernel", text),
        faults=(text,),
        stage_seconds={text: 1.0},
        probe=replace(whole.probe, program=Path("/bin" + odd), args=(text,), signature=text),
        build=replace(whole.build, base=odd, make_vars=((text, text),), fixups=(Fixup(text, text),)),
    )


def rare(text: str) -> Session:
    """Return it as a session with odds, and that text in them."""
    found = RARE["culprit"]
    assert found.odds is not None
    steps = tuple(_step(step, text) for step in found.steps)
    return replace(session(text), steps=steps, odds=with_text(found.odds, text), outcome=found.outcome)


def with_text(odds: Odds, text: str) -> Odds:
    """Return odds in which what was seen, why it goes on and why the last check failed are that text."""
    told = tuple(replace(one, judgement=replace(one.judgement, why=text)) for one in odds.tested)
    proposal = Proposal(CULPRIT, 1.0, 0.5, 0.5, 1.0, text)
    return replace(odds, tested=told, proposal=proposal, reverted=Reverted(told[-1].commit, problem=text))


def rare_at_work(text: str) -> Session:
    """Return the same before there is an answer."""
    return replace(rare(text), outcome=Working(text))


def on_a_machine(text: str) -> Session:
    """Return it as a session of a real machine, whose name, command line and homecomings are that text too."""
    kept = home(1, "v5.9-rc1", "by itself", 5.0, kept=True)
    homes = (kept, home(2, "v5.8", text, 5.0, text, text))
    return replace(session(text), lab=replace(LAB, name=text, cmdline=(text,)), homecomings=homes)


def _commit(info: CommitInfo, text: str) -> CommitInfo:
    one_line = visible(text).strip() or "x"
    body = f"Prose.\n\nFixes: {one_line}\nSigned-off-by: {one_line} <s@example.org>\n"
    if info.commit != CULPRIT:
        body = text
    return replace(info, title=text, author=text, email=text, date=text, body=body)


def _step(step: Step, text: str) -> Step:
    return replace(
        step,
        commit=_commit(step.commit, text),
        built=_built(step.built, text),
        trials=tuple(_trial(trial, text) for trial in step.trials),
        judgement=replace(step.judgement, why=text),
    )


def _built(built: Kernel | BuildBroken | None, text: str) -> Kernel | BuildBroken | None:
    match built:
        case Kernel():
            return replace(built, drift=(text,), lost_optional=(text,), release=text)
        case BuildBroken():
            return replace(built, title=text, file=text)
        case None:
            return None


def _trial(trial: Trial, text: str) -> Trial:
    crash = Crash(CrashKind.OOPS, text, text)
    return replace(trial, reason=text, notes=(text,), crash=crash, counts={text: 1, "reason": text}, host=text)
