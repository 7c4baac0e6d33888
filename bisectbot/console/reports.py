"""First lines of reports, read: kind, title, and what is known of the place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bisectbot.console.rules import BEGINNINGS, PANICS, RULES, Rule
from bisectbot.model import CrashKind
from bisectbot.visible import visible

TITLE_MAX = 200  # characters

# What subsystems put in front of their reports.
_TAG = re.compile(r"(?:(?:NMI )?watchdog: |rcu: |traps: )+")
# Lockdep's first lines before 4.11; "Invalid wait context" has its brackets still.
_OLD_BRACKETS = re.compile(r"\[ (?:BUG|INFO|WARNING): (.*?)[.!]* \]$")

_K = CrashKind
# Why a kernel panics that reported before what went wrong, and which kinds of reports that can have been.
_CONSEQUENCES = (
    (re.compile(r"(?:\w+: )?panic_on_warn"), (_K.WARNING, _K.KASAN, _K.UBSAN, _K.LOCKDEP)),
    (re.compile(r"(?:Oops: )?Fatal exception|Attempted to kill the idle task"), (_K.OOPS, _K.BUG, _K.KASAN)),
    (re.compile(r"softlockup: "), (_K.SOFT_LOCKUP,)),
    (re.compile(r"hung_task: "), (_K.HUNG_TASK,)),
    (re.compile(r"(?:Watchdog detected )?[Hh]ard LOCKUP"), (_K.HARD_LOCKUP,)),
    (re.compile(r"RCU Stall"), (_K.RCU_STALL,)),
    (re.compile(r"scheduling while atomic"), (_K.LOCKDEP,)),
)
_VARIES = (
    (re.compile(r" exitcode=\S+"), ""),
    (re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[\w+\])?"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-fA-F]{8,}\b|\(____ptrval____\)|\(ptrval\)"), "#"),
    (re.compile(r"(?<![\w./-])\d+\b|(?<=\w/)\d+\b"), "#"),
    (re.compile(r"\s+"), " "),
)


@dataclass(frozen=True)
class Head:
    """The first line of a report, read."""

    kind: CrashKind
    title: str  # with {frame} in it where the guilty function's name goes
    plain: str  # if no function is known
    named: str = ""  # the place that the line itself names, as foo+0x1/0x2
    trace: bool = True
    early: bool = False  # functions named before the call trace count
    died: bool = False  # it is the line of a dying task, with [#1] in it, which may be the second line of its report
    panic: bool = False
    nowhere: bool = False  # the trace that follows tells nothing about the cause
    causes: tuple[CrashKind, ...] = ()  # a panic because of such a report before it

    def titled(self, frame: str, access: str = "") -> str:
        """Return the title, bounded; `access` is "Read" or "Write" where a sanitizer told it."""
        title = self.title.replace("{frame}", frame) if frame else self.plain
        return visible(title.replace(" {access}", f" {access}" if access else "").strip(), TITLE_MAX)


_PANIC = re.compile(
    r"(?:---\[ end )?Kernel panic - (?:not syncing(?:: ?|$)|[nots ycing]{0,10}$)(?P<why>.*?)(?: \]-*)?$"
)
_KASAN_GUESS = re.compile(r"KASAN: (?:maybe |probably )?(?P<what>[\w-]+) in range")
_ACCESS = re.compile(r"(?P<access>Read|Write) of size ")
_DIES = re.compile(r".{0,400}?\[#\d+\]")


def read_head(text: str) -> Head | None:
    """Return what report a line begins; None for all other lines."""
    if not text.startswith(BEGINNINGS) and " invoked oom-killer: " not in text:
        return None
    text = _TAG.sub("", text, count=1) if _TAG.match(text) else text
    if old := _OLD_BRACKETS.match(text):
        text = "WARNING: " + old[1]
    if panic := _PANIC.match(text):
        return _panic(panic["why"])
    for rule in RULES:
        if match := rule.pattern.match(text):
            return _by_rule(rule, match, text)
    return None


def _by_rule(rule: Rule, match: re.Match[str], text: str) -> Head:
    words = {key: unvarying(value or "") for key, value in match.groupdict().items() if key != "func"}
    title, plain = (_fill(template, words) for template in (rule.title, rule.plain))
    named = match.groupdict().get("func") or ""
    nowhere = rule.kind in (CrashKind.OOM, CrashKind.NO_ROOT)
    return Head(rule.kind, title, plain, named, rule.trace, rule.early, died=bool(_DIES.match(text)), nowhere=nowhere)


def _fill(template: str, words: dict[str, str]) -> str:
    for key, value in words.items():
        template = template.replace("{" + key + "}", value)
    return template


def _panic(why: str) -> Head:
    for kind, pattern, title in PANICS:
        if pattern.match(why):
            return Head(kind, title, title, panic=True, nowhere=True)
    why = why.removeprefix("kernel: ")
    title = f"kernel panic: {unvarying(why)}" if why else "kernel panic"
    ended = why.startswith("Attempted to kill init")
    causes = next((kinds for pattern, kinds in _CONSEQUENCES if pattern.match(why)), ())
    return Head(CrashKind.PANIC, title, title, panic=True, nowhere=ended, causes=causes)


def unvarying(text: str) -> str:
    """Return `text` without what differs from boot to boot: addresses, offsets, numbers."""
    for pattern, word in _VARIES:
        text = pattern.sub(word, text)
    return text.strip(" .:!")


def kasan_guess(text: str) -> Head | None:
    """Return KASAN's reading of a wild access, which it prints within the report of the fault itself."""
    match = _KASAN_GUESS.match(text)
    if match is None:
        return None
    title = f"KASAN: {match['what']}"
    return Head(CrashKind.KASAN, title + " in {frame}", title)


def access(text: str) -> str:
    """Return "Read" or "Write" from the second line of a sanitizer's report, or an empty string."""
    match = _ACCESS.match(text)
    return match["access"] if match else ""
