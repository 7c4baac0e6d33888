"""Who has to know: the tree's own scripts/get_maintainer.pl is asked, and what it prints is parsed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisectbot.errors import InfraError
from bisectbot.ports import Deadline, Proc
from bisectbot.visible import visible

SCRIPT = "scripts/get_maintainer.pl"

# `"A. Name" <a@b.c> (role:SUBSYSTEM)` or `list@b.c (open list:SUBSYSTEM)`; subsystems may hold parentheses themselves
_NAMED = re.compile(r"(?P<name>[^<>]*?)\s*<(?P<address>[^<>\s]+)>\s+\((?P<roles>[a-z].*)\)")
_BARE = re.compile(r"(?P<name>)(?P<address>[^<>()\s]+@[^<>()\s]+)\s+\((?P<roles>[a-z].*)\)")

# What a mail server of the kernel's lists takes; stricter than RFC 5322, on purpose: no quoting, no literals.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.)+[A-Za-z]{2,24}")
_MOST_RECIPIENTS = 60
_LONGEST_LINE = 600


@dataclass(frozen=True)
class Recipient:
    """A person or a list, as get_maintainer.pl names them; `address` is valid, `name` harmless."""

    name: str
    address: str
    roles: str = ""  # "maintainer:SLAB ALLOCATOR", "open list:NETWORKING"

    @property
    def is_list(self) -> bool:
        """Whether it is a mailing list."""
        return "list" in self.roles.partition(":")[0]

    @property
    def minds(self) -> bool:
        """Whether it is a person who takes care of the code, in any of MAINTAINERS' words, and not a reviewer."""
        return not self.is_list and self.roles.partition(":")[0] != "reviewer"


@dataclass(frozen=True)
class Maintainers:
    """What the tree says; `problem` tells why it said nothing."""

    recipients: tuple[Recipient, ...] = ()
    problem: str = ""


def valid_address(address: str) -> bool:
    """Whether mail can be sent to it and nothing else hides in it; `root@localhost` and `x@(none)` are refused."""
    local = address.partition("@")[0]
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    return bool(_ADDRESS.fullmatch(address)) and not dots


def command(patch: Path) -> tuple[str, ...]:
    """Return the question about a patch: MAINTAINERS only, so that the answer needs no walk through the history."""
    return ("perl", SCRIPT, "--nogit", "--nogit-fallback", "--norolestats", "--roles", str(patch))


def parse(output: str) -> tuple[Recipient, ...]:
    """Return the people and lists in what get_maintainer.pl printed; its warnings and bad addresses are left out."""
    found: dict[str, Recipient] = {}
    for line in output.splitlines():
        recipient = _recipient(line.strip()[:_LONGEST_LINE])
        if recipient is not None:
            found.setdefault(recipient.address.lower(), recipient)
    return tuple(found.values())[:_MOST_RECIPIENTS]


def _recipient(line: str) -> Recipient | None:
    match = _NAMED.fullmatch(line) or _BARE.fullmatch(line)
    if match is None or not valid_address(match["address"]):
        return None
    return Recipient(plain_name(match["name"]), match["address"], visible(match["roles"], 120))


def plain_name(name: str) -> str:
    """Return a display name without quotes, brackets, line ends or direction marks, at most 60 characters."""
    return visible(" ".join(re.sub(r'[\x00-\x1f"<>\\]', " ", name).split()), 60)


def ask(proc: Proc, tree: Path, patch: Path, deadline: Deadline) -> Maintainers:
    """Ask the script of the tree checked out at `tree` about the patch file.

    Never raises for a script that fails: a culprit is worth reporting without recipients too.
    """
    if not (tree / SCRIPT).is_file():
        return Maintainers(problem=f"this tree has no {SCRIPT}")
    try:
        code, text = proc.output(command(patch.absolute()), deadline=deadline, cwd=tree)
    except InfraError as error:
        return Maintainers(problem=visible(error.message))
    return _answer(code, text)


def _answer(code: int, text: str) -> Maintainers:
    recipients: Sequence[Recipient] = parse(text)
    if code == 0 and recipients:
        return Maintainers(tuple(recipients))
    last = text.strip().splitlines()[-1:] or ["it names nobody"]
    return Maintainers(problem=f"{SCRIPT}: exit code {code}: {visible(last[0], 200)}")
