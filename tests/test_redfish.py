"""Power by Redfish: the real client against a server that answers well, oddly, late, for ever or not at all."""

from __future__ import annotations

import json
import logging
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redfish_bmc import PASSWORD, SECRET, Bmc, OneSecret, serving

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.redfish import RedfishSwitch
from bisectbot.errors import ConfigError, HostSick, Overdue, Refused, Stranger, Unreachable
from bisectbot.lab import RedfishPower, Secret
from bisectbot.ports import Deadline
from bisectbot.reach import PowerState, Switch

RESET = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"


@pytest.fixture
def bmc() -> Iterator[Bmc]:
    """Return a BMC on loopback."""
    with serving() as made:
        yield made


def switch(bmc: Bmc, system: str = "", secret: Secret = SECRET) -> Switch:
    """Return what is tested."""
    return RedfishSwitch(RedfishPower(bmc.url, "root", secret, system), OneSecret())


def later(seconds: float = 20.0) -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(SystemClock(), seconds)


@pytest.mark.parametrize("system", ["", "1", "/redfish/v1/Systems/1"])
def test_acts_are_the_standards_own(bmc: Bmc, system: str) -> None:
    """On, at once off, and PXE once; the firmware's mode isn't touched."""
    one = switch(bmc, system)
    one.on(later())
    one.off(later())
    assert one.netboot_once(later())
    assert bmc.told == [
        ("POST", RESET, {"ResetType": "On"}),
        ("POST", RESET, {"ResetType": "ForceOff"}),
        (
            "PATCH",
            "/redfish/v1/Systems/1",
            {"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}},
        ),
    ]


@pytest.mark.parametrize(("said", "state"), [("On", PowerState.ON), ("Off", PowerState.OFF)])
def test_a_state_is_read(bmc: Bmc, said: str, state: PowerState) -> None:
    """The standard's words for on and off."""
    bmc.state = said
    assert switch(bmc).status(later()) is state
    assert bmc.told == []


@pytest.mark.parametrize("said", ["PoweringOn", "PoweringOff", "Paused", "Purple", None, "", 1, ["On"], {"On": "On"}])
def test_anything_between_is_neither(bmc: Bmc, said: object) -> None:
    """A power on its way is no power yet, and no answer is no state."""
    bmc.state = said
    with pytest.raises(HostSick) as caught:
        switch(bmc).status(later())
    assert not caught.value.lasting


@pytest.mark.parametrize("systems", [(), ("1", "2")])
def test_which_machine_is_never_guessed(bmc: Bmc, systems: tuple[str, ...]) -> None:
    """A service with several systems needs the host's to be named."""
    bmc.systems = systems
    with pytest.raises(HostSick, match="exactly one"):
        switch(bmc).off(later())
    with pytest.raises(HostSick, match="not found"):
        switch(bmc, "3").off(later())
    assert bmc.told == []


@pytest.mark.parametrize("code", [401, 403])
def test_a_password_that_is_not_taken_is_lasting(bmc: Bmc, code: int) -> None:
    """Refused, once: BMCs lock accounts that are tried too often."""
    asked: list[int] = []

    def refuse(handler: Any) -> None:  # noqa: ANN401  the class is made anew for each server
        asked.append(code)
        handler.say(code, b"{}")

    bmc.odd["/redfish/v1/Systems"] = refuse
    with pytest.raises(Refused, match="doesn't take user root") as caught:
        switch(bmc).status(later())
    assert asked == [code]
    assert "$BMC_PASSWORD" in caught.value.hint


_ODD: dict[str, Callable[[Any], None]] = {
    "no JSON": lambda handler: handler.say(200, b"<html>It works!</html>"),
    "nothing": lambda handler: handler.say(200, b""),
    "a list": lambda handler: handler.say(200, b"[]"),
    "a number": lambda handler: handler.say(200, b"7"),
    "null": lambda handler: handler.say(200, b"null"),
    "other JSON": lambda handler: handler.say(200, b'{"PowerState": "On"}'),
    "binary": lambda handler: handler.say(200, bytes(range(256))),
    "deep": lambda handler: handler.say(200, b"[" * 100_000),
    "an error that is a list": lambda handler: handler.say(500, b"[]"),
    "an error with escapes": lambda handler: handler.say(400, b'{"error": {"message": "\\u001b[31m\\u202e"}}'),
    "not ready": lambda handler: handler.say(503, b"{}"),
    "a redirection": lambda handler: handler.say(302, b"", ("Location", "http://127.0.0.1:1/")),
    "cut short": lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
    "no HTTP": lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "hangs up": lambda _: None,
}


@pytest.mark.parametrize("odd", _ODD)
@pytest.mark.parametrize("path", ["/redfish/v1/", "/redfish/v1/Systems", "/redfish/v1/Systems/1"])
def test_odd_answers_are_faults(bmc: Bmc, odd: str, path: str) -> None:
    """Whatever the client makes of it, it is a passing fault of the host in one short line."""
    bmc.odd[path] = _ODD[odd]
    with pytest.raises(HostSick) as caught:
        switch(bmc).status(later())
    assert not caught.value.lasting
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("odd", ["an error that is a list", "an error with escapes", "not ready", "hangs up"])
def test_an_act_that_fails_is_sent_once(bmc: Bmc, odd: str) -> None:
    """The client's own tries again are off: who asks again looks at the state first."""
    bmc.odd[RESET] = _ODD[odd]
    with pytest.raises(HostSick):
        switch(bmc).off(later())
    assert len(bmc.told) == 1


def test_an_endless_answer_is_cut(bmc: Bmc) -> None:
    """A megabyte is more than any resource takes."""

    def pour(handler: Any) -> None:  # noqa: ANN401
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not bmc.over.is_set():
                handler.wfile.write(b" " * 65536)
        except OSError:
            pass  # it hung up, as it should

    bmc.odd["/redfish/v1/"] = pour
    with pytest.raises(HostSick, match="answers more than 1048576 bytes"):
        switch(bmc).status(later())


def _wait(bmc: Bmc) -> None:
    bmc.over.wait(60)


def test_silence_ends_at_the_deadline(bmc: Bmc) -> None:
    """A BMC that takes the connection and says nothing costs no more than was given."""
    bmc.odd["/redfish/v1/Systems/1"] = lambda _: _wait(bmc)
    clock = SystemClock()
    started = clock.now()
    with pytest.raises(Overdue):
        switch(bmc).status(later(1.0))
    assert clock.now() - started < 5.0


def test_a_trickle_ends_at_the_deadline(bmc: Bmc) -> None:
    """A byte now and then is no answer either."""

    def trickle(handler: Any) -> None:  # noqa: ANN401
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n")
        try:
            while not bmc.over.wait(0.05):
                handler.wfile.write(b" ")
        except OSError:
            pass  # it hung up, as it should

    bmc.odd["/redfish/v1/"] = trickle
    clock = SystemClock()
    started = clock.now()
    with pytest.raises(Overdue):
        switch(bmc).status(later(1.0))
    assert clock.now() - started < 5.0


def test_no_act_is_sent_past_the_deadline(bmc: Bmc) -> None:
    """What is late isn't begun."""
    with pytest.raises(Overdue):
        switch(bmc).off(later(0.0))
    assert bmc.told == []


def test_no_redirection_is_followed(bmc: Bmc) -> None:
    """What the service isn't asked for isn't the machine that was meant."""
    reached: list[str] = []
    bmc.odd["/redfish/v1/Systems/1"] = lambda handler: handler.say(302, b"", ("Location", f"{bmc.url}/elsewhere"))
    bmc.odd["/elsewhere"] = lambda handler: reached.append(handler.path)
    with pytest.raises(HostSick):
        switch(bmc).status(later())
    assert reached == []


def test_nobody_there_is_unreachable() -> None:
    """A port without a server."""
    with pytest.raises(Unreachable):
        switch(Bmc(url="http://127.0.0.1:1")).status(later())


def test_the_environments_proxy_is_not_asked(bmc: Bmc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A BMC is in the lab: a proxy for the world would get its password."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert switch(bmc).status(later()) is PowerState.OFF


@pytest.mark.parametrize("odd", ["no JSON", "hangs up", "not ready"])
def test_no_complaint_and_no_log_shows_the_password(
    bmc: Bmc, odd: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither as it is nor as HTTP sends it."""
    bmc.odd["/redfish/v1/Systems/1"] = _ODD[odd]
    one = switch(bmc)
    with caplog.at_level(logging.DEBUG), pytest.raises(HostSick) as caught:
        one.status(later())
    assert [record.name for record in caplog.records if record.name.startswith("sushy")] == []  # nor does it chatter
    texts = [str(caught.value), repr(caught.value), caplog.text, repr(vars(one)), *capfd.readouterr()]
    secrets = (PASSWORD, "pâss", b64encode(f"root:{PASSWORD}".encode()).decode())
    assert [text for text in texts for secret in secrets if secret in text] == []


def test_a_bmc_that_repeats_the_password_is_not_quoted(bmc: Bmc) -> None:
    """Not even then."""
    said = json.dumps({"error": {"message": f"{PASSWORD} is not it"}}, ensure_ascii=False).encode()
    bmc.odd["/redfish/v1/Systems/1"] = lambda handler: handler.say(400, said)
    with pytest.raises(HostSick, match=r"\*\*\* is not it") as caught:
        switch(bmc).status(later())
    assert PASSWORD not in str(caught.value)


def test_a_secret_that_is_not_there_stops_before_any_request(bmc: Bmc) -> None:
    """The user's mistake is told as such."""
    with pytest.raises(ConfigError, match="OTHER"):
        switch(bmc, secret=Secret(env="OTHER")).on(later())
    assert bmc.told == []


# --- certificates ------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a new self-signed certificate for an address of loopback, and its key."""
    pair = folder / f"{name}.pem", folder / f"{name}.key"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += [
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=IP:{name}",
        "-out",
        str(pair[0]),
        "-keyout",
        str(pair[1]),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    return pair


@pytest.mark.parametrize(
    ("shown", "trusted", "taken"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", None, False),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.2", "127.0.0.2", False),
    ],
    ids=["its own", "the system's", "another's", "for another address"],
)
def test_only_the_certificate_that_was_meant_is_talked_to(
    tmp_path: Path, shown: str, trusted: str | None, *, taken: bool
) -> None:
    """A stranger never gets the password: the connection ends before anything is asked."""
    pairs = {name: certificate(tmp_path, name) for name in {shown, trusted} - {None} if name}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pairs[shown])
    with serving(tls) as bmc:
        ca = pairs[trusted][0] if trusted else None
        one = RedfishSwitch(RedfishPower(bmc.url, "root", SECRET, ca=ca), OneSecret())
        if taken:
            assert one.status(later()) is PowerState.OFF
        else:
            with pytest.raises(Stranger, match="isn't trusted"):
                one.on(later())
            assert bmc.told == []


def test_a_missing_ca_is_a_fault(tmp_path: Path, bmc: Bmc) -> None:
    """A file that isn't there is no reason to trust everybody."""
    there = RedfishPower(bmc.url.replace("http:", "https:"), "root", SECRET, ca=tmp_path / "none.pem")
    with pytest.raises(HostSick):
        RedfishSwitch(there, OneSecret()).status(later())
