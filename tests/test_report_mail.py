"""The regression mail: whom it goes to and what it tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report_samples import (
    COMMITS,
    CULPRIT,
    session,
    with_culprit,
)

from bisectbot.report import MARKDOWN, Session, draw_up, files
from bisectbot.report.mail import write_mail
from bisectbot.report.maintainers import Maintainers, Recipient

TINYLINUX = Path(__file__).parent / "tinylinux"


def mail_of(whole: Session) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Return To, Cc and the addresses left out."""
    mail = draw_up(whole).mail
    assert mail is not None
    return [one.address for one in mail.to], [one.address for one in mail.cc], mail.left_out


def test_recipients() -> None:
    """To the author and the maintainers, Cc to who signed off, reviewers, lists and the tracker, each once."""
    assert mail_of(session()) == (
        ["ada@example.org", "tt@example.net"],
        ["joerg@example.com", "lukasz@example.net", "linux-kernel@vger.kernel.org", "regressions@lists.linux.dev"],
        ("robot@localhost",),
    )


def test_recipients_without_maintainers() -> None:
    """A tree that names nobody leaves the author and linux-kernel, and the report says why."""
    whole = replace(session(), maintainers=Maintainers(problem="no perl"))
    to, cc, _ = mail_of(whole)
    assert (to, cc[-2:]) == (["ada@example.org"], ["linux-kernel@vger.kernel.org", "regressions@lists.linux.dev"])
    assert "no perl" in files(draw_up(whole))[MARKDOWN]


def test_a_mail_always_has_somebody_to_go_to() -> None:
    """An author without a valid address and no maintainers: the first of the others takes the place."""
    nobody = replace(COMMITS[CULPRIT], email="ada@(none)", body="")
    to, cc, left_out = mail_of(replace(with_culprit(nobody), maintainers=Maintainers()))
    assert (to, cc, left_out) == (["linux-kernel@vger.kernel.org"], ["regressions@lists.linux.dev"], ("ada@(none)",))


def test_the_mail_tells_rates() -> None:
    """The mail says how often the reproducer fired, on the culprit, its parent, and on bad and good commits."""
    report = draw_up(session())
    assert report.culprit is not None
    mail = write_mail(report.session, report.culprit)
    assert mail.culprit_saw == "fired in 1 of 1 run (15,275 mismatches, 82,818 KVM_RUNs, 5,000 migrations)"
    assert mail.parent_saw == "fired in 0 of 3 runs (0 mismatches, 163,797 KVM_RUNs, 15,000 migrations)"
    assert (mail.bad.text, mail.good.text) == ("2 of 2 runs on 2 commits", "0 of 9 runs on 3 commits")


def test_recipients_keep_roles() -> None:
    """A supporter or an odd fixer minds the code, a reviewer and a list don't stand under To."""
    roles = ("supporter:KVM", "odd fixer:SPEAKUP", "reviewer:KVM", "moderated list:KVM", "open list")
    assert [Recipient("", "a@b.cd", role).minds for role in roles] == [True, True, False, False, False]
