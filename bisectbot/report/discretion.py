"""What a report, which may go to public lists, keeps to itself: a lab's addresses, users, paths and secrets' places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from bisectbot.lab import (
    CommandConsole,
    CommandPower,
    FileConsole,
    IpmiPower,
    LabHost,
    NetConsole,
    RedfishPower,
    SnmpPower,
    TcpConsole,
)
from bisectbot.report.session import Session

LEFT_OUT = "<left out>"
_EVERYBODYS = frozenset({"", "root", "dhcp"})  # tell nothing about a lab
_TELLING = re.compile(r"[./:@\d]")  # of a command's words: those that could be an address, a path or an outlet
_SHORTEST_WORD = 4
_LONGEST = 4000  # characters of a text that are looked at, and kept: a report shows less

_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)(?::\d{1,5}(?!\d))?")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,8}[0-9A-Fa-f]{0,4}(?!\w)")
_MAC = re.compile(r"(?<![\w:])[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}(?![\w:-])")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")

Hide = Callable[[str], str]


def discreet(session: Session) -> Session:
    """Return a session of a real machine without what its lab keeps to itself, and without the machine's description.

    What git says of commits and what builds say is public already, and stays as it is.
    """
    if session.lab is None:
        return session
    hide = hiding(session.lab)
    steps = tuple(
        replace(step, trials=_clean(step.trials, hide), judgement=_clean(step.judgement, hide))
        for step in session.steps
    )
    return replace(
        session,
        lab=None,
        host=hide(session.host),  # somebody may have named it by its address
        steps=steps,
        outcome=_clean(session.outcome, hide),
        probe=_clean(session.probe, hide),
        faults=_clean(session.faults, hide),
        homecomings=_clean(session.homecomings, hide),
        odds=_clean(session.odds, hide),
        timeline=_clean(session.timeline, hide),
    )


def hiding(host: LabHost) -> Hide:
    """Return what takes a lab's addresses, users, paths and secrets' places out of a text; any IP or MAC address too.

    A host's own name stays, even where it is its address as well.
    """
    own = {*_EVERYBODYS, host.name.casefold()}
    words = {word for word in _private(host) if word.casefold() not in own}
    ours = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    # with the user in front and the port behind
    named = re.compile(rf"(?<![\w@])(?:[\w.+-]{{1,64}}@)?(?:{ours})(?!\w)(?::\d{{1,5}}(?!\d))?", re.IGNORECASE)

    def hide(text: str) -> str:
        text = text[:_LONGEST]
        if words:
            text = named.sub(LEFT_OUT, text)
        for pattern in (_MAC, _IPV4, _FINGERPRINT):
            text = pattern.sub(LEFT_OUT, text)
        return _IPV6.sub(_hide_ipv6, text)

    return hide


def _hide_ipv6(match: re.Match[str]) -> str:
    """Times and PCI addresses have colons too; a colon at the end is the sentence's."""
    text = match[0]
    for end in ("", ":"):
        try:
            IPv6Address(text.removesuffix(end))
        except ValueError:
            continue
        return LEFT_OUT + end
    return text


def _private(host: LabHost) -> Iterator[str]:
    """Yield what of a host's description is its lab's own."""
    ssh, network, pxe = host.ssh, host.network, host.pxe
    yield from (ssh.address, ssh.user, str(ssh.key or ""))
    for key in ssh.host_keys:
        yield from (key, *(word for word in key.split() if len(word) > len("ecdsa-sha2-nistp521")))
    yield from _power(host)
    yield from _console(host)
    if network is not None:
        yield from (network.address, network.ip)
    if pxe is not None:
        yield from (pxe.mac, pxe.network.address, pxe.network.first, pxe.network.last, str(pxe.network.folder or ""))
        yield from _url(pxe.network.url)


def _power(host: LabHost) -> Iterator[str]:
    match host.power:
        case IpmiPower(address, user, secret):
            yield from (address, user, secret.env, str(secret.file or ""))
        case RedfishPower(url, user, secret, system, ca):
            yield from (*_url(url), user, secret.env, str(secret.file or ""), str(ca or ""))
            yield from _words((system,))
        case SnmpPower(address, oid, secret):
            yield from (address, oid, secret.env, str(secret.file or ""))
        case CommandPower(on, off, cycle, status):
            yield from _words((*on, *off, *cycle, *status))
        case None:
            pass


def _console(host: LabHost) -> Iterator[str]:
    match host.console:
        case TcpConsole(address) | NetConsole(address):
            yield address
        case CommandConsole(command):
            yield from _words(command)
        case FileConsole(path):
            yield str(path)
        case _:
            pass


def _url(url: str) -> Iterator[str]:
    yield from (url, urlsplit(url).hostname or "")


def _words(words: tuple[str, ...]) -> Iterator[str]:
    return (word for word in words if len(word) >= _SHORTEST_WORD and _TELLING.search(word))


def _clean(value: Any, hide: Hide) -> Any:  # noqa: ANN401  any noun of ours, returned as what it was
    """Return a value with every text in it cleaned; numbers, paths and words of ours stay."""
    if isinstance(value, str):
        return value if isinstance(value, Enum) else hide(value)
    if isinstance(value, tuple | list):
        return type(value)(_clean(one, hide) for one in value)
    if isinstance(value, dict):
        return {hide(key): _clean(one, hide) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _clean(getattr(value, one.name), hide) for one in fields(value)})
    return value
