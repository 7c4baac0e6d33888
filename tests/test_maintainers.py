"""get_maintainer.pl: what it prints is read, what it can't say is told, and nothing in it becomes a header."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.ports import Deadline
from bisectbot.report.maintainers import SCRIPT, Maintainers, Recipient, ask, parse, plain_name, valid_address

OUTPUT = """\
Use of uninitialized value $x in concatenation at scripts/get_maintainer.pl line 1.
Jane Doe <jane@example.org> (maintainer:KERNEL VIRTUAL MACHINE FOR ARM64 (KVM/arm64))
"A. B. Quoted" <ab@example.org> (supporter:NETWORKING [GENERAL])
Łukasz Ślusarz <42.lu+kvm@sub.example.org> (reviewer:GFX (excluding Poulsbo, Moorestow...)
JANE again <Jane@Example.org> (maintainer:OTHER)
kvm@example.org (open list:KERNEL VIRTUAL MACHINE (KVM))
moderated@lists.example.org (moderated list:SOUND)
linux-kernel@example.org (open list)
broken@localhost (maintainer:NOWHERE)
scripts/get_maintainer.pl: file 'x' not found
"""


def test_the_output_is_read() -> None:
    """People and lists come in order and once, with their roles; warnings and unusable addresses are left out."""
    assert [(one.name, one.address, one.is_list) for one in parse(OUTPUT)] == [
        ("Jane Doe", "jane@example.org", False),
        ("A. B. Quoted", "ab@example.org", False),
        ("Łukasz Ślusarz", "42.lu+kvm@sub.example.org", False),
        ("", "kvm@example.org", True),
        ("", "moderated@lists.example.org", True),
        ("", "linux-kernel@example.org", True),
    ]


@given(st.text())
def test_any_output_gives_harmless_recipients(text: str) -> None:
    """Whatever a script prints, names have no line ends or brackets, and addresses are plain ASCII."""
    for one in parse(f"{text} <a@b.example> (maintainer:{text})\n{text}"):
        assert valid_address(one.address)
        assert one.address.isascii()
        assert not set('\r\n<>"') & set(one.name)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "a@b", "a@localhost", "a@(none)", "a b@c.de", "a@b.c,d@e.fg", "a@b.cd\nBcc: x", "<a@b.cd>"),
        *(".a@b.cd", "a..b@c.de", "a@-b.cd", "ä@b.cd", "a@b.cd>", '"x y"@b.cd', f"{'a' * 65}@b.cd"),
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    """No mail goes to what isn't one deliverable address and nothing else."""
    assert not valid_address(address)


@pytest.mark.parametrize("address", ["a@b.cd", "42.lu+kvm@sub.example.org", "o'neil_x@a-b.example"])
def test_addresses_that_are_taken(address: str) -> None:
    """Common addresses pass."""
    assert valid_address(address)


def test_names_are_bounded() -> None:
    """A display name is one short line; what would end it is gone."""
    assert plain_name('"A\r\nBcc: b" <c@d.ef>\\') == "A Bcc: b c@d.ef"
    assert len(plain_name("x" * 1000)) == 60


def tree_with(tmp_path: Path, script: str) -> Path:
    """Return a tree whose get_maintainer.pl is this."""
    path = tmp_path / SCRIPT
    path.parent.mkdir()
    path.write_text(script)
    return tmp_path


def answer(tree: Path, seconds: float = 20.0) -> Maintainers:
    """Return what the tree's script says about a patch."""
    return ask(Processes(), tree, tree / "patch", Deadline.after(SystemClock(), seconds))


def test_the_script_is_asked_in_its_tree(tmp_path: Path) -> None:
    """It runs in the tree with the patch as its last word, and needs no history."""
    script = """use Cwd; use File::Basename; my $patch = pop @ARGV;
        print 'Me <me@example.org> (maintainer:', join(' ', @ARGV), ' ', basename($patch), ")\\n"
            if getcwd() eq dirname($patch);"""
    found = answer(tree_with(tmp_path, script))
    roles = "maintainer:--nogit --nogit-fallback --norolestats --roles patch"
    assert found == Maintainers((Recipient("Me", "me@example.org", roles),))


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ('die "nobody minds\\n"', "exit code 255: nobody minds"),
        ("exit 0", "exit code 0: it names nobody"),
        ('print "x@example.org (maintainer:X)\\n"; exit 3', "exit code 3"),
    ],
)
def test_a_script_that_fails_is_told(tmp_path: Path, script: str, problem: str) -> None:
    """A script that fails or names nobody gives a reason instead of recipients."""
    found = answer(tree_with(tmp_path, script))
    assert found.recipients == ()
    assert problem in found.problem


def test_a_script_that_hangs_is_told(tmp_path: Path) -> None:
    """A deadline that passes costs the recipients, never the report."""
    assert "not done in time" in answer(tree_with(tmp_path, "sleep 100"), 0.2).problem


def test_a_tree_without_the_script(tmp_path: Path) -> None:
    """An old or foreign tree is told as such."""
    assert answer(tmp_path).problem == f"this tree has no {SCRIPT}"
