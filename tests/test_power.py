"""Power by tools: what they are told, what of their answers is believed, and that they never show a secret."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.errors import ConfigError, HostSick, Overdue, ToolMissing
from bisectbot.lab import CommandPower, IpmiPower, Secret, SnmpPower
from bisectbot.ports import Deadline
from bisectbot.power.command import CommandSwitch
from bisectbot.power.ipmi import IpmiSwitch
from bisectbot.power.snmp import SnmpSwitch
from bisectbot.reach import PowerState, Switch

PASSWORD = 'correct "horse" \\ battery'  # noqa: S105  nobody's
SECRET = Secret(env="BMC_PASSWORD")
OUTLET = "1.3.6.1.4.1.318.1.1.4.4.2.1.3.7"
COMMANDS = CommandPower(on=("lab-power", "sut", "on"), off=("lab-power", "sut", "off"), status=("lab-power", "sut"))

# Each refuses what it doesn't know. They keep what they were told, and answer what the test has put beside them.
_IPMITOOL = """#!/bin/sh
echo "$@" >>{folder}/asked
[ "$IPMI_PASSWORD" = '{password}' ] || {{ echo "no password"; exit 9; }}
case "$*" in
"-I lanplus -C 3 -N 2 -R 2 -H 10.0.0.7 -p 6230 -U admin -E chassis "*) . {folder}/answer ;;
*) echo "ipmitool: usage"; exit 8 ;;
esac
"""
_SNMP = """#!/bin/sh
echo "$(basename $0) $@" >>{folder}/asked
[ "$(stat -c %a $SNMPCONFPATH)" = 700 ] || {{ echo "the folder is open"; exit 9; }}
[ "$(stat -c %a $SNMPCONFPATH/snmp.conf)" = 600 ] || {{ echo "the file is open"; exit 9; }}
cp $SNMPCONFPATH/snmp.conf {folder}/conf
echo $SNMPCONFPATH >{folder}/confpath
case "$*" in
"-v2c -Ln -m  -Oqve -t 4 -r 1 udp:10.0.0.8:1610 .{outlet}"*) . {folder}/answer ;;
*) echo "snmp: usage"; exit 8 ;;
esac
"""
_LAB = """#!/bin/sh
echo "$@" >>{folder}/asked
[ "$1" = sut ] || {{ echo "no such machine"; exit 8; }}
. {folder}/answer
"""


class OneSecret:
    """Knows one password; fits reach.Secrets."""

    def reveal(self, secret: Secret) -> str:
        """Return it, or refuse."""
        if secret != SECRET:
            raise ConfigError(f"{secret} isn't set")
        return PASSWORD


class Tools:
    """Small programs on PATH in place of the real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {"ipmitool": _IPMITOOL, "snmpget": _SNMP, "snmpset": _SNMP, "lab-power": _LAB}.items():
            script = folder / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(text.format(folder=folder, password=PASSWORD, outlet=OUTLET))
            script.chmod(0o700)

    def answer(self, shell: str) -> None:
        """Put down what they do when they are asked properly."""
        (self.folder / "answer").write_text(shell + "\n")

    @property
    def asked(self) -> list[str]:
        """Return what they were told, a line a call."""
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Return the tools, found before the real ones; what they need of the system stays there."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Tools(tmp_path)


def ipmi() -> Switch:
    """Return a BMC."""
    return IpmiSwitch(IpmiPower("10.0.0.7", "admin", SECRET, port=6230, cipher=3), Processes(grace=1.0), OneSecret())


def snmp() -> Switch:
    """Return an outlet."""
    return SnmpSwitch(SnmpPower("10.0.0.8", OUTLET, SECRET, 1610, "2c"), Processes(grace=1.0), OneSecret())


def command() -> Switch:
    """Return a lab's own program."""
    return CommandSwitch(COMMANDS, Processes(grace=1.0))


def later(seconds: float = 20.0) -> Deadline:
    """Return a deadline that a healthy test never meets."""
    return Deadline.after(SystemClock(), seconds)


def says(text: str, code: int = 0) -> str:
    """Return shell words that print a text and end."""
    return f"cat <<'END'\n{text}\nEND\nexit {code}"


@pytest.mark.parametrize(
    ("kind", "act", "answer", "told"),
    [
        (ipmi, "on", "Chassis Power Control: Up/On", "chassis power on"),
        (ipmi, "off", "Chassis Power Control: Down/Off", "chassis power off"),
        (ipmi, "netboot_once", "Set Boot Device to pxe", "chassis bootdev pxe"),
        (snmp, "on", "1", f".{OUTLET} i 1"),
        (snmp, "off", "2", f".{OUTLET} i 2"),
        (command, "on", "whatever", "sut on"),
        (command, "off", "", "sut off"),
    ],
)
def test_an_act_is_one_command(tools: Tools, kind: Callable[[], Switch], act: str, answer: str, told: str) -> None:
    """Each act is exactly the words that the tool takes for it."""
    tools.answer(says(answer))
    getattr(kind(), act)(later())
    assert len(tools.asked) == 1
    assert tools.asked[0].endswith(told)


@pytest.mark.parametrize(
    ("kind", "answer", "state"),
    [
        (ipmi, "Chassis Power is on", PowerState.ON),
        (ipmi, "Chassis Power is off", PowerState.OFF),
        (ipmi, "Get HPM.x Capabilities request failed, compcode = c9\nChassis Power is off", PowerState.OFF),
        (snmp, "1", PowerState.ON),
        (snmp, "2", PowerState.OFF),
        (command, "sut is ON", PowerState.ON),
        (command, "Outlet 7\n  state: off.\n", PowerState.OFF),
    ],
)
def test_a_state_is_read(tools: Tools, kind: Callable[[], Switch], answer: str, state: PowerState) -> None:
    """The tools' own words for on and off."""
    tools.answer(says(answer))
    assert kind().status(later()) is state


@pytest.mark.parametrize(
    ("kind", "answer", "code"),
    [
        (ipmi, "Chassis Power is on", 1),
        (ipmi, "Chassis Power is onerous", 0),
        (ipmi, "Chassis Power is on\nChassis Power is off", 0),
        (ipmi, "", 0),
        (ipmi, "Error: Unable to establish IPMI v2 / RMCP+ session", 1),
        (snmp, "1", 2),
        (snmp, "3", 0),
        (snmp, "11", 0),
        (snmp, "", 0),
        (snmp, "1\n2", 0),
        (snmp, "No Such Instance currently exists at this OID", 0),
        (command, "on", 1),
        (command, "on or off", 0),
        (command, "onward, offline", 0),
        (command, "", 0),
    ],
)
def test_anything_else_is_a_fault(tools: Tools, kind: Callable[[], Switch], answer: str, code: int) -> None:
    """No answer beats a wrong one: what isn't on or off is neither."""
    tools.answer(says(answer, code))
    with pytest.raises(HostSick) as caught:
        kind().status(later())
    assert not caught.value.lasting


@pytest.mark.parametrize("kind", [ipmi, snmp, command])
@pytest.mark.parametrize("act", ["on", "off"])
def test_a_failed_act_is_a_fault(tools: Tools, kind: Callable[[], Switch], act: str) -> None:
    """The tool's exit code counts, and its words are told."""
    tools.answer(says("first line\nit hurts", 3))
    with pytest.raises(HostSick, match="it hurts"):
        getattr(kind(), act)(later())


def test_a_bmc_that_takes_no_boot_device_is_a_fault(tools: Tools) -> None:
    """True means that it was said; nothing else looks at a boot flag afterwards."""
    tools.answer(says("Set Chassis Boot Parameter 5 failed: Invalid data field in request"))
    with pytest.raises(HostSick, match="Invalid data field"):
        ipmi().netboot_once(later())


@pytest.mark.parametrize("kind", [snmp, command])
def test_what_has_no_firmware_says_so(tools: Tools, kind: Callable[[], Switch]) -> None:
    """An outlet can't ask for a netboot, and nothing is run."""
    assert not kind().netboot_once(later())
    assert not (tools.folder / "asked").exists()


def test_a_cycle_of_the_labs_own(tools: Tools) -> None:
    """Where there is a command for off and on in one act it is run; without one nothing is, and that is told."""
    tools.answer("exit 0")
    cycled = replace(COMMANDS, cycle=("lab-power", "sut", "cycle"))
    assert CommandSwitch(cycled, Processes()).cycle(later())
    assert (tools.folder / "asked").read_text() == "sut cycle\n"
    assert not CommandSwitch(COMMANDS, Processes()).cycle(later())
    tools.answer("echo stuck; exit 1")
    with pytest.raises(HostSick, match="stuck"):
        CommandSwitch(cycled, Processes()).cycle(later())


def test_without_a_status_command_the_state_is_unknown(tools: Tools) -> None:
    """Nothing is run, and nothing is made up."""
    switch = CommandSwitch(CommandPower(on=("lab-power",), off=("lab-power",)), Processes())
    assert switch.status(later()) is PowerState.UNKNOWN
    assert not (tools.folder / "asked").exists()


@pytest.mark.parametrize("kind", [ipmi, snmp, command])
def test_a_tool_that_hangs_is_ended(tools: Tools, kind: Callable[[], Switch]) -> None:
    """Overdue at the deadline, and neither process nor file is left."""
    tools.answer(f"echo $$ >{tools.folder}/pid; exec sleep 1000")
    with pytest.raises(Overdue):
        kind().status(later(1.0))
    assert not Path("/proc", (tools.folder / "pid").read_text().strip()).exists()
    assert list((tools.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("kind", [ipmi, snmp, command])
def test_a_missing_tool_is_told(tools: Tools, monkeypatch: pytest.MonkeyPatch, kind: Callable[[], Switch]) -> None:
    """ToolMissing is lasting: somebody has to install it."""
    monkeypatch.setenv("PATH", str(tools.folder / "empty"))
    with pytest.raises(ToolMissing, match="is not installed"):
        kind().status(later())


@pytest.mark.parametrize("kind", [ipmi, snmp, command])
def test_hostile_words_are_bounded_and_harmless(tools: Tools, kind: Callable[[], Switch]) -> None:
    """A megabyte of escapes becomes one short line."""
    tools.answer("yes '\x1b[31m\u202e' | head -c 3000000; exit 1")
    with pytest.raises(HostSick) as caught:
        kind().status(later())
    assert len(caught.value.message) < 500
    assert caught.value.message.isprintable()


# --- secrets -----------------------------------------------------------------------------------


def seen_while(tools: Tools, switch: Switch) -> list[str]:
    """Return the command lines of the processes that know of a call, in the middle of it: ps for everybody."""
    os.mkfifo(tools.folder / "there")
    os.mkfifo(tools.folder / "go")
    tools.answer(f"echo $$ >{tools.folder}/there; read go <{tools.folder}/go; {says('what?')}")
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(switch.status, later())
        lines = _command_lines(tools)
        (tools.folder / "go").write_text("\n")
    assert isinstance(answer.exception(), HostSick)
    return lines


def _command_lines(tools: Tools) -> list[str]:
    child = (tools.folder / "there").read_text().strip()
    lines = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = one.read_bytes()
        except OSError:
            continue
        if one.parent.name in (child, str(os.getpid())) or str(tools.folder).encode() in words:
            lines.append(words.decode(errors="replace"))
    return lines


@pytest.mark.parametrize(("kind", "tool"), [(ipmi, "ipmitool"), (snmp, "snmpget")])
def test_no_command_line_shows_the_secret(tools: Tools, kind: Callable[[], Switch], tool: str) -> None:
    """While the tool runs, whoever runs ps sees the tool and not the password."""
    lines = seen_while(tools, kind())
    assert any(tool in line for line in lines)
    assert [line for line in lines if "horse" in line] == []
    assert "horse" not in "\n".join(tools.asked)


@pytest.mark.parametrize("kind", [ipmi, snmp])
def test_no_complaint_shows_the_secret(tools: Tools, kind: Callable[[], Switch]) -> None:
    """Not even when the tool prints it."""
    tools.answer(says(f"bad password {PASSWORD} given", 1))
    with pytest.raises(HostSick, match=r"bad password \*\*\* given") as caught:
        kind().status(later())
    assert "horse" not in repr(caught.value) + str(caught.value)
    assert "horse" not in repr(vars(kind()))


def test_the_community_is_in_a_file_that_goes_away(tools: Tools) -> None:
    """net-snmp reads it as one quoted word; the folder is gone when the command is over, well or not."""
    for code in (0, 1):
        tools.answer(says("1", code))
        try:
            snmp().status(later())
        except HostSick:
            assert code == 1
        folder = (tools.folder / "confpath").read_text().strip()
        assert (tools.folder / "conf").read_text() == 'defCommunity "correct \\"horse\\" \\\\ battery"\n'
        assert not Path(folder).exists()
        assert list((tools.folder / "tmp").iterdir()) == []


def test_a_secret_that_is_not_there_stops_before_any_tool(tools: Tools) -> None:
    """The user's mistake is told as such."""
    bmc = IpmiPower("10.0.0.7", "admin", Secret(env="OTHER"))
    with pytest.raises(ConfigError, match="OTHER"):
        IpmiSwitch(bmc, Processes(), OneSecret()).on(later())
    assert not (tools.folder / "asked").exists()
