"""What a session would do, as --dry-run tells it."""

from __future__ import annotations

from dataclasses import asdict

from bisectbot import report
from bisectbot.cli.wiring import Desk, beliefs_for
from bisectbot.facts import State
from bisectbot.fit import Fit
from bisectbot.forecast import fit_of
from bisectbot.lab import LabHost
from bisectbot.plan import Budget, Plan
from bisectbot.report.machine import Described, described


def foreseen(desk: Desk, plan: Plan) -> dict[str, object]:
    """Return it for scripts."""
    candidates = desk.graph.candidates(plan.range_)
    return {
        "ending": "dry-run",
        "bad": plan.range_.bad,
        "goods": list(plan.range_.goods),
        "commits": len(candidates),
        "steps": len(plan.range_.ends) + len(candidates).bit_length(),
        "host": plan.host.name,
        "arch": plan.build.arch,
        "machine": asdict(real) if (real := _real(plan)) else None,
        "fragments": [str(path) for path in plan.build.fragments],
        "reproducer": str(plan.probe.program),
        **report.fit_json(_fit(desk, plan)),
    }


def _fit(desk: Desk, plan: Plan) -> Fit | None:
    """Return how likely it fits into the budget, at a guess; None without one, and for a plain bisection."""
    beliefs = beliefs_for(desk, plan) if plan.budget != Budget() else None
    if beliefs is None:
        return None
    now = desk.clock.wall()
    state = State(plan, {}, now, now, budget=plan.budget)
    return fit_of(state, beliefs.odds(state).ahead)


def _real(plan: Plan) -> Described | None:
    return described(plan.host) if isinstance(plan.host, LabHost) else None


def _machine_lines(real: Described) -> list[str]:
    return [
        f"candidates started by {real.boots}, run with {real.payload}",
        f"power: {real.power}; console: {real.console}",
    ]


def _enough(plan: Plan) -> str:
    """Return what ends the search."""
    if plan.search is None:
        return f"{plan.probe.runs} clean runs make a commit good"
    return f"until the culprit has a probability of {plan.search.confidence:g}"


def foreseen_lines(desk: Desk, plan: Plan) -> list[str]:
    """Return it for people."""
    facts, real = foreseen(desk, plan), _real(plan)
    fit = _fit(desk, plan)
    connected = f"; {plan.host.name} was not connected to" if real else ""
    return [
        f"{facts['commits']} commits, about {facts['steps']} steps" + (" or more" if plan.search else ""),
        f"bad end {plan.range_.bad}, good end {', '.join(plan.range_.goods)}",
        f"host {plan.host.name} ({plan.build.arch}), base {plan.build.base}, make -j{plan.build.jobs}",
        *(_machine_lines(real) if real else ()),
        *(f"fragment {path}" for path in plan.build.fragments),
        f"reproducer {plan.probe.program} {' '.join(plan.probe.args)}".rstrip(),
        f"{_enough(plan)}; {plan.probe.tries} boots without a verdict make a skip",
        *([report.word_on(fit, fit.word())] if fit else ()),
        f"nothing was built or started{connected}",
    ]
