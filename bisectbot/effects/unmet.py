"""Tells why Kconfig refused options: run as a program, because kconfiglib reads its whole world from the environment.

    python unmet.py CONFIG OPTION=VALUE ...

CONFIG is the final .config, $srctree the kernel tree; ARCH, SRCARCH, CC and the like are kbuild's variables. Prints
one JSON object, {OPTION: reason}. Exit code 1 with the reason as text when the tree's Kconfig files can't be read.
"""

from __future__ import annotations

import io
import json
import re
import sys

import kconfiglib

# Keywords younger than kconfiglib, and what they were before: (since which release) -> older words.
_MODULES = re.compile(r"^[ \t]+modules[ \t]*$", re.MULTILINE)  # v5.14
_TRANSITIONAL = re.compile(r"^[ \t]+transitional[ \t]*$", re.MULTILINE)  # v6.18
_NUMBER = re.compile(r"-?(\d+|0[xX][0-9a-fA-F]+)")
_MOST = 6  # operands named
_LONGEST = 400  # characters of a reason
_TRISTATE = {"n": 0, "m": 1, "y": 2}


class Kconfig(kconfiglib.Kconfig):  # type: ignore[misc]  # kconfiglib has no types
    """A tree's Kconfig files, the keywords of newer kernels among them."""

    def _open(self, filename: str, mode: str) -> io.StringIO:
        """Open a file for kconfiglib, which calls this for each one that it reads."""
        with open(filename, mode, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  as it was called
            text = _MODULES.sub("\toption modules", file.read())
        return io.StringIO(_TRANSITIONAL.sub("", text))


def reason(kconf: Kconfig, option: str, wanted: str) -> str:
    """Return in one line why an option (without CONFIG_) isn't `wanted`."""
    symbol = kconf.syms.get(option)
    if symbol is None or not symbol.nodes:
        return "this tree has no such option for this architecture"
    if wanted == "n":
        return _why_on(symbol)
    if unmet := _unmet(symbol, wanted):
        return "depends on " + " && ".join(unmet[:_MOST])
    return _why_off(symbol)


def _why_off(symbol: kconfiglib.Symbol) -> str:
    if symbol.choice is not None and symbol.choice.selection is not None:
        return f"{symbol.choice.selection.name} is chosen in its place"
    if not any(node.prompt for node in symbol.nodes):
        return f"it can't be set, only be selected{_by(symbol.rev_dep, symbol)}"
    if hidden := _hidden(symbol):
        return "its prompt needs " + " && ".join(hidden[:_MOST])
    return f"Kconfig gave it {symbol.str_value}"


def _why_on(symbol: kconfiglib.Symbol) -> str:
    active = [part for part in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR) if kconfiglib.expr_value(part)]
    if active and symbol.rev_dep is not symbol.kconfig.n:
        return "selected by " + " and ".join(_shown(part) for part in active[:_MOST])
    if _hidden(symbol) or not any(node.prompt for node in symbol.nodes):
        return "its prompt isn't offered, so its default stands"
    return "Kconfig set it"


def _unmet(symbol: kconfiglib.Symbol, wanted: str) -> list[str]:
    """Return the operands of the dependencies that keep a symbol below `wanted`, with their values."""
    floor = _TRISTATE.get(wanted, 1)
    parts = kconfiglib.split_expr(symbol.direct_dep, kconfiglib.AND)
    low = [part for part in parts if kconfiglib.expr_value(part) < floor]
    return [_shown(part) + _next(part) for part in low if part is not symbol.kconfig.y]


def _next(part: object) -> str:
    """Return what a plain symbol that is off itself waits for, one step on: `KVM [=n] (depends on NET [=n])`."""
    if not isinstance(part, kconfiglib.Symbol) or not part.nodes:
        return ""
    low = [one for one in kconfiglib.split_expr(part.direct_dep, kconfiglib.AND) if not kconfiglib.expr_value(one)]
    if low:
        return f" (depends on {' && '.join(_shown(one) for one in low[:_MOST])})"
    return "" if any(node.prompt for node in part.nodes) else f" (not offered{_by(part.rev_dep, part)})"


def _by(rev_dep: object, symbol: kconfiglib.Symbol) -> str:
    if rev_dep is symbol.kconfig.n:
        return ", and nothing selects it"
    selectors = [_shown(part) for part in kconfiglib.split_expr(rev_dep, kconfiglib.OR)]
    more = " ..." if len(selectors) > _MOST else ""
    return f" by {' or '.join(selectors[:_MOST])}{more}"


def _hidden(symbol: kconfiglib.Symbol) -> list[str]:
    """Return the unmet conditions of the prompts of a symbol, none if one of them is offered."""
    conditions = [node.prompt[1] for node in symbol.nodes if node.prompt]
    if any(kconfiglib.expr_value(one) for one in conditions):
        return []
    parts = [part for one in conditions for part in kconfiglib.split_expr(one, kconfiglib.AND)]
    return [_shown(part) for part in parts if not kconfiglib.expr_value(part)]


def _shown(expression: object) -> str:
    """Return an expression with the value of each symbol, parenthesised where && would misread it."""
    text = str(kconfiglib.expr_str(expression, _symbol))
    return f"({text})" if "||" in text else text


def _symbol(item: kconfiglib.Symbol) -> str:
    if getattr(item, "is_constant", False) or not getattr(item, "name", None):
        return str(kconfiglib.standard_sc_expr_str(item))
    if not item.nodes:  # a number, or a symbol that no Kconfig file of this architecture defines
        return str(item.name) if _NUMBER.fullmatch(item.name) else f"{item.name} [undefined]"
    return f"{item.name} [={item.str_value}]"


def main(argv: list[str]) -> int:
    """Print the reasons; see the top of this file."""
    try:
        kconf = Kconfig("Kconfig", warn=False)
        kconf.load_config(argv[0])
    except (kconfiglib.KconfigError, OSError, RecursionError) as error:
        print(f"kconfiglib: {error}".splitlines()[0])  # noqa: T201  a program's answer
        return 1
    wants = (word.removeprefix("CONFIG_").partition("=") for word in argv[1:])
    reasons = {f"CONFIG_{name}": reason(kconf, name, value)[:_LONGEST] for name, _, value in wants}
    print(json.dumps(reasons))  # noqa: T201  likewise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
