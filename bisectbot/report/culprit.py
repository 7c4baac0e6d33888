"""The culprit as a report shows it, its parents, and every reason to doubt it that the facts give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from bisectbot.model import Arch, Kernel, Stuck, Verdict
from bisectbot.report.chances import figure
from bisectbot.report.doubts import doubts, loud
from bisectbot.report.evidence import count, rate, verdict_of, why, word
from bisectbot.report.session import Session, Step
from bisectbot.report.trailers import Trailer, parse_trailers, upstream
from bisectbot.visible import visible

_CHANGED = re.compile(r"\s*(?P<path>\S.*?)\s+\|\s+(?:\d+|Bin)\b.*")
_NOT_BUILT = ("Documentation/", "tools/", "samples/", "LICENSES/", "MAINTAINERS", "CREDITS", ".mailmap")
_FOLDERS = {Arch.X86_64: "arch/x86/", Arch.AARCH64: "arch/arm64/"}
_WORTH_TELLING = 0.01  # a chance of a wrong "good" below this isn't mentioned
_MOST_OPTIONS = 12
_LAST_RESORT = "it is known to fail, and is the culprit if none of the skipped ones is"


@dataclass(frozen=True)
class Neighbour:
    """A parent of the culprit, or a candidate, and what is known of it."""

    commit: str
    title: str
    verdict: str
    word: str
    why: str
    probability: str = ""  # of a candidate, to be the culprit; nothing where there are no odds


@dataclass(frozen=True)
class Found:
    """The culprit; every text in it comes from the commit itself."""

    commit: str
    title: str
    author: str
    email: str
    date: str
    diffstat: str
    trailers: tuple[Trailer, ...]
    parents: tuple[Neighbour, ...]
    fixes: str  # the line for the commit that mends it
    upstream: str  # the mainline commit that it is a backport of, or nothing
    cautions: tuple[str, ...]


def found(session: Session, commit: str) -> Found:
    """Return the culprit's card; a commit of which nothing is known has empty texts."""
    info = session.info(commit)
    parents = info.parents if info else ()
    return Found(
        commit=commit,
        title=info.title if info else "",
        author=info.author if info else "",
        email=info.email if info else "",
        date=info.date if info else "",
        diffstat=session.diffstat,
        trailers=parse_trailers(info.body) if info else (),
        parents=tuple(_neighbour(session, parent, _untested_parent(session)) for parent in parents),
        fixes=fixes_line(commit, info.title if info else ""),
        upstream=(upstream(info.body) if info else None) or "",
        cautions=tuple(cautions(session, commit)),
    )


def fixes_line(commit: str, title: str) -> str:
    """Return the trailer for the mending commit, as Documentation/process/submitting-patches.rst wants it."""
    return f'Fixes: {commit[:12]} ("{visible(title, 500)}")'


def candidates(session: Session) -> tuple[Neighbour, ...]:
    """Return what is left when only skipped commits are, and what stands in the way of each."""
    left = session.outcome.candidates if isinstance(session.outcome, Stuck) else ()
    return tuple(_candidate(session, commit) for commit in left)


def _candidate(session: Session, commit: str) -> Neighbour:
    one = replace(_neighbour(session, commit, "not tested"), probability=_probability(session, commit))
    return replace(one, why=f"{_LAST_RESORT}: {one.why}") if one.verdict == Verdict.BAD else one


def _probability(session: Session, commit: str) -> str:
    suspects = session.odds.suspects if session.odds else ()
    return next((figure(one.probability) for one in suspects if one.commit == commit), "")


def _neighbour(session: Session, commit: str, untested: str) -> Neighbour:
    step = session.step(commit)
    verdict = verdict_of(step)
    return Neighbour(
        commit=commit,
        title=session.title(commit),
        verdict=verdict or "open",
        word=word(verdict, session.range_.terms) if verdict else "not tested",
        why=why(step) if step else untested,
    )


def _untested_parent(session: Session) -> str:
    if session.range_.first_parent:
        return "not tested itself: older than a good commit, or left out by --first-parent"
    if session.range_.paths:
        return "not tested itself: older than a good commit, or outside the given paths"
    return "not tested itself: older than a commit that was found good"


def cautions(session: Session, commit: str) -> Iterator[str]:
    """Yield what speaks for a second look before anybody is told."""
    if session.odds is not None:
        yield from loud(session, session.odds)
    yield from _merge(session, commit)
    yield from _silence(session) if session.odds is None else doubts(session, session.odds, commit)
    yield from _configuration(session, commit)
    yield from _untouched(session)


def _merge(session: Session, commit: str) -> Iterator[str]:
    info = session.info(commit)
    if info is None or len(info.parents) < 2:  # noqa: PLR2004  a merge has two parents or more
        return
    first, *others = info.parents
    if session.range_.first_parent:
        yield (
            "The culprit is a merge and only first parents were searched: the bug came in with the merged branch. "
            f"Bisect that: --good {first[:12]} --bad {others[0][:12]}."
        )
    else:
        yield (
            "The culprit is a merge: its parents are good, so either the conflict was resolved wrongly or changes of "
            f"both sides only break together. See: git show --remerge-diff {commit[:12]}"
        )


def _silence(session: Session) -> Iterator[str]:
    """Tell when a bad commit would often have passed as good, going by how often the bad ones fired."""
    bad = rate(session.steps, Verdict.BAD)
    if not bad.trials:
        return
    runs = session.probe.runs
    chance = (1 - bad.fired / bad.trials) ** runs
    if chance >= _WORTH_TELLING:
        yield (
            f"On bad commits the reproducer fired in {bad.text}. At that rate a bad commit passes as good with "
            f"{count(runs, 'clean run')} in about {chance:.0%} of cases: repeat with more runs before you trust this."
        )


def _configuration(session: Session, commit: str) -> Iterator[str]:
    """Tell when the culprit was built with other options than the parent that is good."""
    mine = _options(session.step(commit))
    info = session.info(commit)
    for parent in info.parents if info else ():
        theirs = _options(session.step(parent))
        if mine is None or theirs is None or mine == theirs:
            continue
        changed = sorted(mine ^ theirs)
        shown = ", ".join(visible(line, 80) for line in changed[:_MOST_OPTIONS])
        more = f" and {len(changed) - _MOST_OPTIONS} more" if len(changed) > _MOST_OPTIONS else ""
        yield (
            f"The culprit and its parent {parent[:12]} were not built with the same options ({shown}{more}): the "
            "change of configuration may be what matters, not the code."
        )


def _options(step: Step | None) -> frozenset[str] | None:
    built = step.built if step else None
    return frozenset(built.drift) if isinstance(built, Kernel) else None


def _untouched(session: Session) -> Iterator[str]:
    """Tell when nothing that the culprit changes is part of the kernel that was built."""
    changed = changed_files(session.diffstat)
    elsewhere = [path for path in changed if _outside(path, session.build.arch)]
    if changed and len(elsewhere) == len(changed):
        yield (
            "The culprit changes no file of the kernel that was built (documentation, tools or another architecture "
            "only): suspect a rare bug that stayed silent on a bad commit."
        )


def changed_files(diffstat: str) -> tuple[str, ...]:
    """Return the paths in `git show --stat`, as it abbreviates them."""
    matches = (_CHANGED.fullmatch(line) for line in diffstat.splitlines())
    return tuple(match["path"] for match in matches if match)


def _outside(path: str, arch: Arch) -> bool:
    # `.../name.c` may be anywhere, `a => b` is a rename: neither is known to be outside
    if path.startswith("...") or "=>" in path:
        return False
    other = path.startswith("arch/") and not path.startswith(_FOLDERS[arch])
    return other or path.startswith(_NOT_BUILT)
