"""How to see it without bisectbot: the commands for a shell, and what they should print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bisectbot.arch import traits
from bisectbot.lab import LabHost, Payload
from bisectbot.model import BuildRecipe, Culprit, EndUnproven, Kernel, Span, Trial
from bisectbot.report.chances import how_often, span
from bisectbot.report.onmachine import on_machine
from bisectbot.report.seen import runs_for
from bisectbot.report.session import Session
from bisectbot.report.shellwords import quoted, without_token
from bisectbot.visible import visible

# Where QEMU's console, monitor and files go is the bot's affair; by hand all of it is the terminal's.
_BOTS_OWN = frozenset({"-serial", "-chardev", "-mon", "-monitor", "-qmp", "-display", "-pidfile", "-D", "-d"})
_BOTS_OWN_ALONE = frozenset({"-nographic", "-daemonize"})
_BY_HAND = "-display none -monitor none -serial stdio"
_LONGEST_OUTPUT = 600
_TRIALS = "bisectbot.trials="
_CODES = "0 nothing seen, 1 to 124, 126 or 127 the bug, 125 can't tell."
_PROTOCOL = (
    'Each line of ours begins with "@bb"; "out" lines hold what the reproducer printed, the "end" line its exit '
    f"code: {_CODES}"
)
_OVER_SSH = f"The reproducer's exit code tells: {_CODES}"


def commit_to_show(session: Session) -> str:
    """Return the commit that is worth a look by hand: the culprit, the end that isn't what it should be, or the bad."""
    match session.outcome:
        case Culprit(commit) | EndUnproven(commit):
            return commit
        case _:
            return session.range_.bad


def commands(session: Session, lab: LabHost | None = None) -> str:
    """Return a script for bash that builds and boots that commit in a folder of its own; `lab`: on that machine."""
    parts = (
        _worktree(session),
        _configure(session),
        _build(session.build, _make(session)),
        _boot(session, lab),
        _clean(session),
    )
    return "\n".join(line for part in parts for line in part)


def _worktree(session: Session) -> Iterator[str]:
    tree = quoted(session.tree)
    yield "# a worktree of its own: your checkout stays as it is"
    yield 'W=$(mktemp -d) && mkdir "$W/out"'
    yield f'git -C {tree} worktree add --detach "$W/tree" {commit_to_show(session)}'
    yield 'cd "$W/tree"'
    for fixup in session.build.fixups:
        yield f"# fix-up {visible(fixup.name, 120)}{_span(fixup.span)}: apply it here where it applies"


def _span(span: Span) -> str:
    since = f" from {span.since[:12]}" if span.since else ""
    until = f" before {span.until[:12]}" if span.until else ""
    return since + until


def _make(session: Session) -> str:
    recipe = session.build
    words = [f"ARCH={traits(recipe.arch).make_arch}"]
    if session.native and session.native != recipe.arch:
        words.append(f"CROSS_COMPILE={traits(recipe.arch).cross}")
    everywhere = [compiler for compiler in recipe.compilers if compiler.span == Span()]
    if everywhere:
        words.append(f"CC={quoted(everywhere[0].command)}")
    words += [f"{quoted(name)}={quoted(value)}" for name, value in recipe.make_vars]
    return f'make O="$W/out" {" ".join(words)}'


def _configure(session: Session) -> Iterator[str]:
    recipe = session.build
    yield "# the configuration"
    base = recipe.base
    yield f"{_make(session)} {base}" if base in ("tinyconfig", "defconfig") else f'cp {quoted(base)} "$W/out/.config"'
    if recipe.fragments:
        fragments = " ".join(quoted(fragment) for fragment in recipe.fragments)
        yield f'scripts/kconfig/merge_config.sh -m -O "$W/out" "$W/out/.config" {fragments}'
    yield f"{_make(session)} olddefconfig"
    step = session.step(commit_to_show(session))
    if step and isinstance(step.built, Kernel):
        yield f"# the very one that was booted: {visible(str(step.built.config), 500)}"


def _build(recipe: BuildRecipe, make: str) -> Iterator[str]:
    yield "# the kernel"
    for compiler in recipe.compilers:
        if compiler.span != Span():
            yield f"# commits{_span(compiler.span)} were built with CC={visible(compiler.command, 120)}"
    yield f"{make} -j{recipe.jobs} {traits(recipe.arch).target}"


def _boot(session: Session, lab: LabHost | None) -> Iterator[str]:
    image = f'"$W/out/{traits(session.build.arch).image}"'
    yield from (f"# {text}" for text in patience(session))
    if lab is not None:
        yield from on_machine(session, lab, commit_to_show(session), _make(session), image)
        return
    yield "# boot it; the initramfs runs the reproducer and reboots, which ends QEMU"
    if session.boot_argv:
        yield " ".join(_qemu(session.boot_argv, image, _runs(session)))
    else:
        yield f"# (on the host {visible(session.host, 80)}; no QEMU command is known for it)"


def _clean(session: Session) -> Iterator[str]:
    yield "# when done"
    yield f'cd / && git -C {quoted(session.tree)} worktree remove --force "$W/tree" && rm -r "$W"'


def patience(session: Session) -> Iterator[str]:
    """Yield how long to run what fires only sometimes; nothing where there are no odds."""
    odds = session.odds
    if odds is None or not odds.rate.fires:
        return
    yield f"on a commit that has the bug it {how_often(odds.rate)}: let it run until it fires"
    if odds.silence_needed is None:
        return
    yield f"on any other, silence says something only after {span(odds.silence_needed)} of running"
    for parent in odds.parents:
        yield f"the same with {parent.commit}, a parent of the culprit, should stay silent for so long"


def _runs(session: Session) -> int | None:
    """Return how many runs in one boot are long enough for silence to say something; None: as many as there were."""
    needed = session.odds.silence_needed if session.odds else None
    return runs_for(session, needed) if needed else None


def _with_runs(cmdline: str, runs: int | None) -> str:
    """Return a kernel command line with another number of runs."""
    words = (word if not word.startswith(_TRIALS) else f"{_TRIALS}{runs}" for word in cmdline.split())
    return cmdline if runs is None else " ".join(words)


def _qemu(argv: Sequence[str], image: str, runs: int | None) -> Iterator[str]:
    """Yield the words of the QEMU command, quoted: no token, our own kernel, console on the terminal."""
    words = iter(argv)
    for word in words:
        if word in _BOTS_OWN:
            next(words, None)
        elif word == "-kernel":
            next(words, None)
            yield f"-kernel {image}"
        elif word == "-append":
            yield f"-append {quoted(_with_runs(without_token(next(words, '')), runs))}"
        elif word not in _BOTS_OWN_ALONE:
            yield quoted(word)
    yield _BY_HAND


def expected(session: Session, lab: LabHost | None = None) -> tuple[str, ...]:
    """Return what the console should show, one sentence or line each."""
    commit = commit_to_show(session)
    step = session.step(commit)
    told = [_OVER_SSH if lab and lab.payload is Payload.HOST else _PROTOCOL]
    told += [f"{text[0].upper()}{text[1:]}." for text in patience(session)]
    for trial in step.trials if step else ():
        if trial.counts:
            return (*told, f"Seen here ({trial.ending}): {_counts(trial)}")
    if step and step.trials:
        told.append(f"Seen here: {step.trials[-1].ending}: {visible(step.trials[-1].reason)}")
    return tuple(told)


def _counts(trial: Trial) -> str:
    return visible(json.dumps(trial.counts, ensure_ascii=False, default=str), _LONGEST_OUTPUT)
