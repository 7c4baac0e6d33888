"""hosts.toml of real labs: every key arrives, every mistake is told with its key and line, and no secret is shown."""

from __future__ import annotations

import base64
import string
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot.config import addresses, labwords
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config
from bisectbot.config.labkinds import CONSOLE_KINDS, POWER_KINDS
from bisectbot.config.labtables import PXE_MODES, LabDeadlineTable, LabTable, NetworkTable, SshTable
from bisectbot.config.tables import Table
from bisectbot.errors import ConfigError
from bisectbot.lab import (
    BootMethod,
    CommandConsole,
    CommandPower,
    FileConsole,
    IpmiPower,
    LabHost,
    NetConsole,
    Network,
    Patiences,
    Payload,
    Pxe,
    PxeMode,
    PxeNetwork,
    RedfishPower,
    Secret,
    SnmpPower,
    SolConsole,
    Ssh,
    TcpConsole,
)
from bisectbot.model import Arch, Deadlines

FILE = Path("hosts.toml")
PASSWORD = "hunter-2-swordfish"  # noqa: S105  nobody's


def host_key(kind: str = "ssh-ed25519", inner: str = "ssh-ed25519", filling: bytes = b"k" * 32) -> str:
    """Return a public key that says `kind` outside and `inner` inside."""
    raw = b"".join(len(part).to_bytes(4, "big") + part for part in (inner.encode(), filling))
    return f"{kind} {base64.b64encode(raw).decode()}"


KEY = host_key()
# Each line of a file, as dotted keys: a case changes, adds or (None) takes away some.
RACK: dict[str, str | None] = {
    "default": "'a'",
    "hosts.a.boot": "['kexec', 'pxe']",
    "hosts.a.arch": "'x86_64'",
    "hosts.a.ssh.address": "'a.lab'",
    "hosts.a.ssh.host_keys": f"['{KEY}']",
    "hosts.a.power.kind": "'ipmi'",
    "hosts.a.power.address": "'10.0.0.7'",
    "hosts.a.power.user": "'bot'",
    "hosts.a.power.password": "{ env = 'BMC' }",
    "hosts.a.console.kind": "'sol'",
    "hosts.a.network.ip": "'dhcp'",
    "hosts.a.network.address": "'10.0.0.1'",
    "hosts.a.pxe.network": "'lab'",
    "hosts.a.pxe.mac": "'52:54:00:00:00:01'",
    "pxe.lab.mode": "'serve'",
    "pxe.lab.interface": "'eno2'",
    "pxe.lab.address": "'10.7.0.1'",
    "pxe.lab.first": "'10.7.0.10'",
    "pxe.lab.last": "'10.7.0.20'",
}
Changes = dict[str, str | None]


def power(kind: str, **keys: str) -> Changes:
    """Return what gives the host a switch of another kind, without a console that needs the old one."""
    none: Changes = {f"hosts.a.power.{key}": None for key in ("address", "user", "password")}
    own: Changes = {f"hosts.a.power.{key}": value for key, value in keys.items()}
    return {**none, "hosts.a.console.kind": "'none'", "hosts.a.power.kind": f"'{kind}'", **own}


def console(kind: str, **keys: str) -> Changes:
    """Return what gives the host a console of another kind."""
    return {"hosts.a.console.kind": f"'{kind}'", **{f"hosts.a.console.{key}": value for key, value in keys.items()}}


NETCONSOLE = console("netconsole", address="'10.0.0.1'") | {"hosts.a.network.ip": "'10.0.0.7::10.0.0.1:255.255.255.0'"}


def second(**keys: str) -> Changes:
    """Return what adds a host that has nothing in common with the first, but for the keys given (dots as __)."""
    own: Changes = {
        "boot": "'kexec'",
        "arch": "'aarch64'",
        "payload": "'host'",
        "ssh.address": "'b.lab'",
        "ssh.host_keys": f"['{host_key(filling=b'x' * 32)}']",
    }
    return {f"hosts.b.{key.replace('__', '.')}": value for key, value in {**own, **keys}.items()}


REDFISH = power("redfish", url="'https://bmc7.lab'", user="'bot'", password="{ env = 'P' }")  # noqa: S106
SNMP = power("snmp", address="'pdu.lab'", oid="'.1.3.6.1.4.1.7'", community="{ env = 'C' }")
COMMAND = power("command", on="['pdu', 'on']", off="['pdu', 'off']")


def lines(changes: Changes) -> list[str]:
    """Return the lines of the rack's file with some changes."""
    return [f"{key} = {value}" for key, value in (RACK | changes).items() if value is not None]


def parse(changes: Changes) -> Config:
    """Return what such a file gives."""
    return config.parse("\n".join(lines(changes)), FILE)


def host(changes: Changes, name: str = "a") -> LabHost:
    """Return the real machine that such a file describes."""
    found = parse(changes).host(name)
    assert isinstance(found, LabHost)
    return found


def mistakes(changes: Changes) -> list[str]:
    """Return the lines that tell the mistakes."""
    with pytest.raises(ConfigError) as caught:
        parse(changes)
    assert caught.value.hint
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def line_of(key: str, changes: Changes) -> int:
    """Return the line, from 1, of a key, or where the innermost table around it begins."""
    text = lines(changes)
    while True:
        for number, line in enumerate(text, 1):
            if line.startswith((f"{key} ", f"{key}.")):
                return number
        key = key.rpartition(".")[0].partition("[")[0]


# --- what arrives ------------------------------------------------------------------------------


def test_the_smallest_real_machine_has_a_default_for_everything_else() -> None:
    """Boot, architecture, address, host key and a way for results are all that has to be told."""
    found = config.parse(
        f"""
        default = "a"
        [hosts.a]
        boot = "kexec"
        arch = "aarch64"
        payload = "host"
        ssh = {{ address = "10.0.0.9", host_keys = ["{KEY}"] }}
        """,
        FILE,
    )
    ssh = Ssh("10.0.0.9", (KEY,))
    [only] = found.hosts
    assert only == LabHost("a", Arch.AARCH64, ssh, (BootMethod.KEXEC,), payload=Payload.HOST)


def test_every_key_of_a_real_machine_arrives() -> None:
    """Each key ends up in the field that it is named after; a host's own deadlines win over those for all."""
    found = host(
        {
            "hosts.a.tags": "['svm', 'big']",
            "hosts.a.marker": "'/etc/lab/marker'",
            "hosts.a.folder": "'/data/bisectbot'",
            "hosts.a.tty": "'ttyS1,115200n8'",
            "hosts.a.cmdline": "['quiet', 'nosmt']",
            "hosts.a.ssh.port": "2222",
            "hosts.a.ssh.user": "'lab'",
            "hosts.a.ssh.key": "'/keys/lab'",
            "hosts.a.network.port": "5000",
            "hosts.a.deadlines": "{ boot = 400, home = 600 }",
            "deadlines": "{ boot = 200, run = 40 }",
        }
    )
    network = PxeNetwork("lab", PxeMode.SERVE, "eno2", "10.7.0.1", "10.7.0.10", "10.7.0.20")
    assert found == LabHost(
        name="a",
        arch=Arch.X86_64,
        ssh=Ssh("a.lab", (KEY,), 2222, "lab", Path("/keys/lab")),
        boots=(BootMethod.KEXEC, BootMethod.PXE),
        tags=("svm", "big"),
        marker="/etc/lab/marker",
        folder="/data/bisectbot",
        tty="ttyS1,115200n8",
        cmdline=("quiet", "nosmt"),
        power=IpmiPower("10.0.0.7", "bot", Secret(env="BMC")),
        console=SolConsole(),
        network=Network("dhcp", "10.0.0.1", 5000),
        pxe=Pxe(network, "52:54:00:00:00:01"),
        deadlines=Deadlines(boot=400, run=40),
        patiences=Patiences(home=600),
    )


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        (
            {"hosts.a.power.port": "9001", "hosts.a.power.cipher": "3"},
            IpmiPower("10.0.0.7", "bot", Secret(env="BMC"), 9001, 3),
        ),
        (REDFISH, RedfishPower("https://bmc7.lab", "bot", Secret(env="P"))),
        (
            REDFISH | {"hosts.a.power.system": "'/redfish/v1/Systems/1'", "hosts.a.power.ca": "'/ca.pem'"},
            RedfishPower("https://bmc7.lab", "bot", Secret(env="P"), "/redfish/v1/Systems/1", Path("/ca.pem")),
        ),
        (
            REDFISH | {"hosts.a.power.url": "'http://[::1]:8000/'"},
            RedfishPower("http://[::1]:8000", "bot", Secret("P")),
        ),
        (SNMP, SnmpPower("pdu.lab", "1.3.6.1.4.1.7", Secret(env="C"))),
        (
            SNMP | {f"hosts.a.power.{key}": value for key, value in (("version", "'2c'"), ("on", "7"), ("off", "0"))},
            SnmpPower("pdu.lab", "1.3.6.1.4.1.7", Secret(env="C"), version="2c", on=7, off=0),
        ),
        (COMMAND, CommandPower(("pdu", "on"), ("pdu", "off"))),
        (
            COMMAND | {"hosts.a.power.cycle": "['pdu', '']", "hosts.a.power.status": "['pdu', '-s x']"},
            CommandPower(("pdu", "on"), ("pdu", "off"), ("pdu", ""), ("pdu", "-s x")),
        ),
        (power("none"), None),
    ],
)
def test_every_kind_of_power_is_read(changes: Changes, made: object) -> None:
    """A power table becomes the switch of its kind, "none" none."""
    assert host(changes).power == made


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        (console("sol"), SolConsole()),
        (console("tcp", address="'FE80::1%eth0'", port="7001"), TcpConsole("fe80::1%eth0", 7001)),
        (console("command", command="['console', '-f', 'a']"), CommandConsole(("console", "-f", "a"))),
        (NETCONSOLE, NetConsole("10.0.0.1")),
        (console("file", path="'/var/consoles/a'"), FileConsole(Path("/var/consoles/a"))),
        (console("none"), None),
    ],
)
def test_every_kind_of_console_is_read(changes: Changes, made: object) -> None:
    """A console table becomes the line of its kind, "none" none."""
    assert host(changes).console == made


@pytest.mark.parametrize(
    ("keys", "made"),
    [
        ({"mode": "'serve'"}, PxeNetwork("lab", PxeMode.SERVE, "eno2", "10.7.0.1", "10.7.0.10", "10.7.0.20")),
        (
            {"mode": "'proxy'", "first": None, "last": None, "http_port": "81"},
            PxeNetwork("lab", PxeMode.PROXY, "eno2", "10.7.0.1", http_port=81),
        ),
        (
            dict.fromkeys(("interface", "address", "first", "last"))
            | {"mode": "'folder'", "folder": "'/srv/tftp/'", "url": "'http://10.7.0.2/tftp/'"},
            PxeNetwork("lab", PxeMode.FOLDER, folder=Path("/srv/tftp"), url="http://10.7.0.2/tftp"),
        ),
    ],
)
def test_every_mode_of_a_pxe_network_is_read(keys: Changes, made: PxeNetwork) -> None:
    """A [pxe.NAME] becomes the network of its mode, and hosts that name it get it."""
    found = host({f"pxe.lab.{key}": value for key, value in keys.items()})
    assert found.pxe is not None
    assert found.pxe.network == made


def test_a_tilde_is_this_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of this machine may begin with ~, wherever one may stand."""
    monkeypatch.setenv("HOME", "/home/me")
    found = host({"hosts.a.ssh.key": "'~/.ssh/lab'", "hosts.a.power.password": "{ file = '~/bmc' }"})
    assert found.ssh.key == Path("/home/me/.ssh/lab")
    assert found.power == IpmiPower("10.0.0.7", "bot", Secret(file=Path("/home/me/bmc")))


def test_a_host_of_each_sort_in_one_file() -> None:
    """Hosts keep the order of the file, whatever they are, and each sort can be had alone."""
    found = parse({"hosts.q": "{ boot = 'qemu', arch = 'x86_64' }", **second()})
    assert [one.name for one in found.hosts] == ["a", "q", "b"]
    assert [one.name for one in found.lab_hosts] == ["a", "b"]
    assert [one.name for one in found.qemu_hosts] == ["q"]


def test_a_tag_finds_the_first_host_that_has_it() -> None:
    """A word after "tag:" chooses the first host of the file with that tag."""
    found = parse({"hosts.a.tags": "['x', 'svm']", **second(tags="['svm', 'el2']")})
    assert found.host("tag:svm").name == "a"
    assert found.host("tag:el2").name == "b"


@pytest.mark.parametrize(
    ("tags", "told", "hint"),
    [("['svm']", "has the tag 'svn' (did you mean svm?)", "tag: one of: svm"), ("[]", "has the tag 'svn'", "key tags")],
)
def test_an_unknown_tag_is_told_with_the_known_ones(tags: str, told: str, hint: str) -> None:
    """A tag that no host has is an error with the next step."""
    with pytest.raises(ConfigError) as caught:
        parse({"hosts.a.tags": tags}).host("tag:svn")
    assert told in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("table", "noun"),
    [
        *((table, table.noun) for kinds in (POWER_KINDS, CONSOLE_KINDS) for table in kinds.values() if table.noun),
        (SshTable, Ssh),
        (NetworkTable, Network),
    ],
)
def test_no_field_of_a_noun_is_out_of_reach(table: type[Table], noun: type) -> None:
    """Each field of a switch, a line and the like has a key of the same name, and no key is without a field."""
    assert {*table.model_fields} - {"kind"} == {field.name for field in fields(noun)}


def test_no_field_of_the_rest_is_out_of_reach() -> None:
    """The same for the host, the networks of all modes together, and the deadlines."""
    assert {*LabTable.model_fields} | {"name", "boots", "patiences"} == {f.name for f in fields(LabHost)} | {"boot"}
    modes = {name for table in PXE_MODES.values() for name in table.model_fields}
    assert modes == {field.name for field in fields(PxeNetwork)} - {"name"}
    assert {*LabDeadlineTable.model_fields} == {field.name for noun in (Deadlines, Patiences) for field in fields(noun)}


# --- mistakes ----------------------------------------------------------------------------------

A = "hosts.a"
BOOT = '"qemu", "kexec", "pxe" or ["kexec", "pxe"]'
KINDS = {"power": "ipmi, redfish, snmp, command, none", "console": "sol, tcp, command, netconsole, file, none"}
ONE_KEY: list[tuple[str, str | None, str]] = [
    ("boot", "'kexek'", f"is 'kexek' (did you mean kexec?); accepted: {BOOT}"),
    ("boot", "['kexec', 'grub']", f"is ['kexec', 'grub']; accepted: {BOOT}"),
    ("boot", "['qemu', 'kexec']", f"is ['qemu', 'kexec'] (did you mean qemu?); accepted: {BOOT}"),
    ("boot", "[]", f"is []; accepted: {BOOT}"),
    ("boot", "[3]", f"is [3]; accepted: {BOOT}"),
    ("boot", "['pxe', 'pxe']", f"says the same twice; accepted: {BOOT}"),
    ("boot", None, f"is missing; accepted: {BOOT}"),
    ("arch", "'arm64'", "is 'arm64' (a string) (did you mean aarch64?); accepted: x86_64, aarch64"),
    ("memory", "'1G'", "no such key; accepted: boot, arch, tags, payload, "),
    ("tag", "['x']", "no such key (did you mean tags?)"),
    ("tags", "'svm'", "is 'svm' (a string); accepted: a list of words"),
    ("tags[0]", "['a b']", "is 'a b'"),
    ("payload", "'disk'", "is 'disk' (a string); accepted: initramfs, host"),
    ("marker", "'etc/marker'", "is 'etc/marker'; accepted: an absolute path"),
    ("marker", "'/etc/../x'", "is '/etc/../x'; accepted: an absolute path"),
    ("marker", "'/etc/'", "is '/etc/', a folder"),
    ("marker", "'/'", "is '/', a folder"),
    ("marker", '"/etc/a\\nb"', "is '/etc/a\\nb'"),
    ("folder", "'~/bb'", "is '~/bb'; accepted: a folder of bisectbot's own, an absolute path"),
    ("folder", "'/data/../etc'", "is '/data/../etc'"),
    ("tty", "'tty0'", "is 'tty0', a screen: nothing could be read from it"),
    ("tty", "'/dev/ttyS0'", "is '/dev/ttyS0'; accepted: a serial port, such as \"ttyS1,115200\""),
    ("tty", "'ttyS0 quiet'", "is 'ttyS0 quiet'"),
    ("cmdline", f"['{'x' * 1801}']", "has 1801 characters in all"),
    ("make_initramfs", "[]", "names no program; accepted: a list of words with {release} and {output}"),
    ("deadlines", "3", "is 3 (an integer); accepted: a table"),
    ("deadlines.hom", "3", "no such key (did you mean home?)"),
    ("deadlines.build", "3", "no such key; accepted: boot, silence, heartbeat, run, ssh, upload, load, home, power, "),
    ("deadlines.rest", "0", "is 0 (an integer); accepted: seconds, above 0 and at most 604800"),
    # ssh
    ("ssh.address", None, "is missing; accepted: a host name or an IP address (IPv6 without brackets)"),
    ("ssh.address", '"a\\n"', "is 'a\\n'"),
    ("ssh.port", "0", "is 0 (an integer); accepted: an integer, 1 to 65535"),
    ("ssh.port", "65536", "is 65536 (an integer)"),
    ("ssh.port", "'22'", "is '22' (a string)"),
    ("ssh.user", "'-l'", "is '-l', which a program would read as an option"),
    ("ssh.user", "'a b'", "is 'a b'; accepted: a user name"),
    ("ssh.key", "'lab.pem'", "is 'lab.pem', which depends on where bisectbot is started; accepted: an absolute path"),
    ("ssh.key", "'~nobody-has-this-name/x'", "whose ~ that is isn't known"),
    ("ssh.key", "'/keys/../x'", "is '/keys/../x'"),
    ("ssh.key", "3", "is 3; accepted: an absolute path, or one that begins with ~/"),
    ("ssh.host_keys", None, "is missing; accepted: a list of public keys, at least one"),
    ("ssh.host_keys", "[]", "is empty; accepted: a list of public keys, at least one"),
    ("ssh.host_keys", f"'{KEY}'", "(a string); accepted: a list of public keys"),
    ("ssh.host_keys[0]", f"['a.lab {KEY}']", "begins with 'a.lab', which is no type of a host key (ssh-ed25519, "),
    ("ssh.host_keys[0]", "['SHA256:abc']", "begins with 'SHA256:abc', which is no type of a host key"),
    ("ssh.host_keys[0]", "['']", "begins with '', which is no type of a host key"),
    ("ssh.host_keys[0]", "['ssh-dss AAAA']", "begins with 'ssh-dss'"),
    ("ssh.host_keys[0]", "['ssh-ed25519']", "is a key of type ssh-ed25519 that is damaged or cut short"),
    ("ssh.host_keys[0]", "['ssh-ed25519 AAAA...']", "is a key of type ssh-ed25519 that is damaged or cut short"),
    ("ssh.host_keys[0]", "['ssh-ed25519 ä']", "is a key of type ssh-ed25519 that is damaged or cut short"),
    ("ssh.host_keys[1]", f"['{KEY}', '{KEY[:-8]}']", "is a key of type ssh-ed25519 that is damaged or cut short"),
    ("ssh.host_keys[0]", f"['{host_key(filling=b'')}']", "is a key of type ssh-ed25519 that is damaged or cut short"),
    ("ssh.host_keys[0]", "['ssh-rsa AAAAB3NzaC1yc2E=']", "is a key of type ssh-rsa that is damaged or cut short"),
    ("ssh.host_keys[0]", f"['{host_key('ssh-rsa')}']", "says ssh-rsa, and the key itself says 'ssh-ed25519'"),
    # power, console
    ("power.kind", "'impi'", f"is 'impi' (did you mean ipmi?); accepted: {KINDS['power']}"),
    ("console.kind", "'tpc'", f"is 'tpc' (did you mean tcp?); accepted: {KINDS['console']}"),
    ("power.kind", "7", f"is 7; accepted: {KINDS['power']}"),
    ("power.kind", None, f"is missing; accepted: {KINDS['power']}"),
    ("power.url", "'x'", "no such key; accepted: kind, address, port, user, password, cipher"),
    ("power.address", None, "is missing; accepted: a host name"),
    ("power.user", "''", "is ''"),
    ("power.cipher", "0", "is 0 (an integer); accepted: 3, 8, 12 or 17"),
    ("power.password", None, 'is missing; accepted: { env = "NAME" } or { file = "~/..." }'),
    ("power.password", f"'{PASSWORD}'", "is the secret itself, which doesn't belong into this file"),
    ("power.password", f"['{PASSWORD}']", "doesn't say where the secret is; accepted: { env ="),
    ("power.password", f"{{ env = '{PASSWORD}' }}", "names no environment variable under env"),
    ("power.password", f"{{ file = '{PASSWORD}' }}", "names no absolute path under file"),
    ("power.password", "{ env = 'A', file = '/b' }", "doesn't say where the secret is"),
    ("power.password", f"{{ text = '{PASSWORD}' }}", "doesn't say where the secret is"),
    ("power.password", "{ env = 3 }", "doesn't say where the secret is"),
    ("power.passwd", f"'{PASSWORD}'", "no such key (did you mean password?)"),
    # network, pxe
    ("network.address", "'bot.lab'", "is 'bot.lab'; accepted: an IPv4 address"),
    ("network.address", "'::1'", "is '::1'; accepted: an IPv4 address"),
    ("network.port", "-1", "is -1 (an integer); accepted: an integer, 0 (any free one) to 65535"),
    ("pxe.mac", "'52:54:00:00:00'", "is '52:54:00:00:00'; accepted: six bytes in hexadecimal"),
    ("pxe.mac", "'52:54:00:00:00:0g'", "is '52:54:00:00:00:0g'"),
    ("pxe.network", "'lob'", "is 'lob', and there is no [pxe.NAME] of that name (did you mean lab?); accepted: lab"),
    ("pxe.network", "3", "is 3 (an integer); accepted: the name of a [pxe.NAME]"),
]  # fmt: skip


def replacing(key: str, value: str | None) -> Changes:
    """Return what puts a value in the place of a key, and of all keys of the table that it is."""
    plain = key.partition("[")[0]
    return {old: None for old in RACK if old.startswith(f"{plain}.")} | {plain: value}


@pytest.mark.parametrize(("key", "value", "told"), ONE_KEY)
def test_each_mistake_in_a_real_machine_has_its_reason(key: str, value: str | None, told: str) -> None:
    """One wrong key gives one mistake, with that key, its line, and its reason or what is accepted."""
    changes = replacing(f"{A}.{key}", value)
    if key == "power":
        changes |= console("none")
    first = f"hosts.toml:{line_of(f'{A}.{key}'.partition('[')[0], changes)}: {A}.{key}: "
    [message] = mistakes(changes)
    assert message.startswith(first)
    assert told in message
    assert PASSWORD not in message
    assert message.isprintable()


TEXTS: list[tuple[str, Changes, str, list[str]]] = [
    (
        "folder",
        {},
        ", which belongs to the system; accepted: a folder of bisectbot's own, an absolute path",
        [
            "/",
            "//",
            "/home",
            "/home/me",
            "/root",
            "/var/lib/",
            "/mnt",
            "/etc/bb",
            "/usr/local/bb",
            "/dev/x",
            "/boot/bb",
        ],
    ),
    (
        "ssh.address",
        {},
        "; accepted: a host name or an IP address (IPv6 without brackets)",
        [
            "-oProxyCommand=x",
            "a;b",
            "10.0.0.256",
            "10.0.0",
            "7",
            "a..b",
            "[::1]",
            "::1::2",
            "root@a",
            "a/b",
            "a-",
            "ä",
            *("", "a b", "fe80::1%e th", "a" * 300),
        ],
    ),
    (
        "network.ip",
        {},
        "; accepted: ",
        ["", "on", "10.0.0.7 init=/x", ":::::eth0", "10.0.0.7::::::x", "10.0.0.7" + ":" * 10],
    ),
    (
        "power.url",
        REDFISH,
        "; accepted: the address of a service, such as",
        [
            "bmc7.lab",
            "ftp://bmc",
            "https://",
            "https://bmc?x=1",
            "https://bmc#x",
            "https://bmc:0",
            "https://bmc:99999",
            "https://[::1",
            "https://-x",
            "https://bmc/${x}",
            "https://a b",
        ],
    ),
]


@pytest.mark.parametrize(
    ("key", "kind", "told", "text"), [(key, kind, told, text) for key, kind, told, texts in TEXTS for text in texts]
)
def test_a_text_that_isnt_what_its_key_needs_is_refused(key: str, kind: Changes, told: str, text: str) -> None:
    """What a key can't be is one mistake at that key, which shows it (cut, if it is long) and what is accepted."""
    [message] = mistakes(kind | {f"{A}.{key}": f"'{text}'"})
    assert f": {A}.{key}: is '{text[:50]}" in message
    assert told in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("10.0.0.7::gw", "gw"),
        ("10.0.0.7:::::eth/0", "eth/0"),
        ("10.0.0.7::::a_b*", "a_b*"),
        ("10.0.0.7:::::::dns", "dns"),
    ],
)
def test_a_wrong_part_of_ip_is_named(text: str, part: str) -> None:
    """Of a long ip= the part that is wrong is shown."""
    [message] = mistakes({f"{A}.network.ip": f"'{text}'"})
    assert f": {A}.network.ip: is '{part}'; accepted: " in message


@pytest.mark.parametrize(
    "word",
    [
        "console=ttyS0",
        "init=/x",
        "rdinit=/x",
        "bisectbot.token=0",
        "--",
        "ip=dhcp",
        "netconsole=@/",
        "netconsole.oops=1",
    ],
)
def test_the_kernel_words_that_are_ours_are_refused(word: str) -> None:
    """What decides how results come back can't be set by cmdline, on a real machine the network too."""
    [message] = mistakes({f"{A}.cmdline": f"['quiet', '{word}']"})
    assert f": {A}.cmdline[1]: is '{word}', which bisectbot sets itself" in message


OF_A_KIND: list[tuple[Changes, str, str | None, str]] = [
    (REDFISH, "power.url", None, "is missing; accepted: the address of a service"),
    (REDFISH, "power.url", "'https://bmc/redfish/v1'", "is 'https://bmc/redfish/v1', which has a path"),
    (REDFISH, "power.url", f"'https://root:{PASSWORD}@bmc'", "holds a user name or a password"),
    (REDFISH, "power.system", "'../x'", "is '../x'; accepted: a path or an identity"),
    (REDFISH, "power.system", "'a?b'", "is 'a?b'; accepted: a path or an identity"),
    (REDFISH, "power.ca", "'ca.pem'", "which depends on where bisectbot is started"),
    (SNMP, "power.community", "'private'", "is the secret itself"),
    (SNMP, "power.oid", "'iso.3.6'", "is 'iso.3.6'; accepted: digits and dots"),
    (SNMP, "power.oid", "'1.3.'", "is '1.3.'; accepted: digits and dots"),
    (SNMP, "power.version", "'3'", "is '3' (a string); accepted: \"1\" or \"2c\""),
    (SNMP, "power.on", "-1", "is -1 (an integer); accepted: an integer, 0 to 2147483647"),
    (SNMP, "power.off", "1", "is 1, as on is: on and off couldn't be told apart"),
    (COMMAND, "power.on", None, "is missing; accepted: a list of words, the program first"),
    (COMMAND, "power.on", "'pdu on'", "is 'pdu on' (a string); accepted: a list of words"),
    (COMMAND, "power.on", "['pdu on']", "begins with 'pdu on': no shell reads it"),
    (COMMAND, "power.on", "['-x']", "begins with '-x'"),
    (COMMAND, "power.on", "[]", "names no program"),
    (COMMAND, "power.on", "['', 'x']", "names no program"),
    (COMMAND, "power.on", '["pdu", "a\\nb"]', "holds 'a\\nb', which has a control character"),
    (COMMAND, "power.on", '["pdu", "a\\u0000"]', "holds 'a\\x00', which has a control character"),
    (COMMAND, "power.on[1]", "['pdu', 1]", "is 1 (an integer); accepted: a list of words"),
    (COMMAND, "power.status", "[]", "names no program"),
    (COMMAND, "power.off", "['pdu', 'on']", "is the same command as on"),
    (console("tcp", address="'x'", port="1"), "console.port", None, "is missing; accepted: an integer, 1 to 65535"),
    (console("tcp", address="'x'", port="1"), "console.address", "'-x'", "is '-x'"),
    (console("command", command="['x']"), "console.command", "'x'", "accepted: a list of words"),
    (NETCONSOLE, "console.address", "'bot'", "is 'bot'; accepted: an IPv4 address"),
    (console("file", path="'/x'"), "console.path", "'x'", "which depends on where bisectbot is started"),
    (console("sol"), "console.port", "3", "no such key; accepted: kind"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "key", "value", "told"), OF_A_KIND)
def test_each_mistake_of_a_kind_has_its_reason(kind: Changes, key: str, value: str | None, told: str) -> None:
    """The same for the keys of each kind of power and console."""
    changes = kind | {f"{A}.{key}".partition("[")[0]: value}
    [message] = mistakes(changes)
    assert message.startswith(f"hosts.toml:{line_of(f'{A}.{key}'.partition('[')[0], changes)}: {A}.{key}: ")
    assert told in message
    assert PASSWORD not in message


OF_A_NETWORK: list[tuple[Changes, str, str]] = [
    ({"mode": "'server'"}, "mode", "is 'server' (did you mean serve?); accepted: serve, proxy, folder"),
    ({"mode": None}, "mode", "is missing; accepted: serve, proxy, folder"),
    ({"interface": None}, "interface", "is missing; accepted: the name of a network interface"),
    ({"address": None}, "address", "is missing; accepted: an IPv4 address"),
    ({"first": None}, "first", "is missing; accepted: an IPv4 address"),
    ({"last": None}, "last", "is missing; accepted: an IPv4 address"),
    ({"interface": "'-i'"}, "interface", "is '-i'; accepted: the name of a network interface"),
    ({"interface": "'eth*'"}, "interface", "is 'eth*'"),
    ({"interface": "'a-name-that-is-too-long'"}, "interface", "is 'a-name-that-is-too-long'"),
    ({"address": "'fd00::1'"}, "address", "is 'fd00::1'; accepted: an IPv4 address"),
    ({"http_port": "0"}, "http_port", "is 0 (an integer); accepted: an integer, 1 to 65535"),
    ({"first": "'10.7.0.30'"}, "last", "is 10.7.0.20, which comes before 10.7.0.30, the first"),
    ({"address": "'10.7.0.15'"}, "address", "is 10.7.0.15, which is within first to last"),
    ({"mode": "'proxy'", "last": None}, "first", "no such key; accepted: mode, interface, address, http_port"),
]


@pytest.mark.parametrize(("keys", "key", "told"), OF_A_NETWORK)
def test_each_mistake_in_a_pxe_network_has_its_reason(keys: Changes, key: str, told: str) -> None:
    """The same for a network that machines boot from; a mode has only its own keys."""
    changes: Changes = {f"pxe.lab.{name}": value for name, value in keys.items()}
    [message] = mistakes(changes)
    assert message.startswith(f"hosts.toml:{line_of(f'pxe.lab.{key}', changes)}: pxe.lab.{key}: ")
    assert told in message


@pytest.mark.parametrize(
    ("keys", "key", "told"),
    [
        ("folder = '/srv'", "folder", "is '/srv', which belongs to the system"),
        ("folder = 'tftp'", "folder", "is 'tftp', which depends on where bisectbot is started"),
        ("folder = 3", "folder", "is 3; accepted: a folder"),
        ("url = 'http://x'", "folder", "is missing; accepted: a folder of bisectbot's own"),
        ("folder = '/srv/tftp', url = 'tftp://x'", "url", "is 'tftp://x'; accepted: an http:// or https:// address"),
        ("folder = '/srv/tftp', url = 'http://x/${y}'", "url", "is 'http://x/${y}'"),
    ],
)
def test_each_mistake_in_a_served_folder_has_its_reason(keys: str, key: str, told: str) -> None:
    """The same for a TFTP root that somebody else serves."""
    [message] = mistakes({"pxe.other": f"{{ mode = 'folder', {keys} }}"})
    assert f": pxe.other.{key}: {told}" in message


# --- what keys demand of each other ------------------------------------------------------------


def without(*tables: str) -> Changes:
    """Return what takes whole tables away."""
    return {key: None for key in RACK for table in tables if key.startswith(f"{A}.{table}.")}


HOST_PAYLOAD: Changes = {f"{A}.payload": "'host'"}


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        (without("pxe"), f"{A}.boot", 'has "pxe", which needs the table pxe with network and mac'),
        (without("pxe") | {f"{A}.boot": "'pxe'"}, f"{A}.boot", 'has "pxe", which needs the table pxe'),
        (without("console", "network"), A, "needs the table console or network, for no result could come back"),
        (without("network") | console("none"), A, "needs the table console or network"),
        (HOST_PAYLOAD, f"{A}.payload", 'is "host", which can\'t be booted by PXE yet: leave "pxe" out of boot'),
        (power("none") | console("sol"), f"{A}.console.kind", 'is "sol", which needs power of kind "ipmi"'),
        (SNMP | console("sol"), f"{A}.console.kind", 'is "sol", which needs power of kind "ipmi"'),
        (without("power"), f"{A}.console.kind", 'is "sol", which needs power of kind "ipmi"'),
        (
            without("network") | console("netconsole", address="'10.0.0.1'"),
            f"{A}.console.kind",
            'is "netconsole", which needs the table network',
        ),
        (
            NETCONSOLE | {f"{A}.network.ip": "'dhcp'"},
            f"{A}.network.ip",
            "is 'dhcp', and netconsole begins before an address is asked for",
        ),
        (
            NETCONSOLE | {f"{A}.network.ip": "':::::eth0:dhcp'"},
            f"{A}.network.ip",
            "and netconsole begins before an address is asked for",
        ),
        (
            {f"{A}.make_initramfs": "['mk', '{release}', '{output}']"},
            f"{A}.make_initramfs",
            'is used with payload = "host" only',
        ),
        (
            REDFISH | {f"{A}.power.url": "'http://bmc'", f"{A}.power.ca": "'/ca.pem'"},
            f"{A}.power.ca",
            "is of no use without https in url",
        ),
        (
            {"pxe.two": "{ mode = 'proxy', interface = 'eno2', address = '10.7.0.2' }"},
            "pxe.two.interface",
            "is eno2, which is that of [pxe.lab] too: two servers would answer there",
        ),
    ],
)
def test_keys_that_need_each_other_are_told(changes: Changes, key: str, told: str) -> None:
    """What can't work together is one mistake, at the key that has to change, with the way out."""
    [message] = mistakes(changes)
    assert message.startswith(f"hosts.toml:{line_of(key, changes)}: {key}: ")
    assert told in message


B_REDFISH = {
    "power__kind": "'redfish'",
    "power__url": "'https://10.0.0.7:443'",
    "power__user": "'u'",
    "power__password": "{ env = 'P' }",
}
B_IPMI = B_REDFISH | {"power__kind": "'ipmi'", "power__address": "'10.0.0.7'"}
del B_IPMI["power__url"]
B_SNMP = {
    "power__kind": "'snmp'",
    "power__address": "'PDU.lab'",
    "power__oid": "'1.3.6.1.4.1.7'",
    "power__community": "{ env = 'D' }",
}
B_COMMAND = {"power__kind": "'command'", "power__on": "['pdu', 'up']", "power__off": "['pdu', 'off']"}
B_PXE = {"pxe__network": "'lab'", "pxe__mac": "'52-54-00-00-00-01'"}
TCP = {"console__kind": "'tcp'", "console__address": "'serial'", "console__port": "7"}
A_TCP = console("tcp", address="'serial'", port="7")


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        (second(ssh__address="'A.lab'"), "ssh.address", "is, with the port, that of host a too: each could boot a"),
        (second(**B_PXE), "pxe.mac", "is that of host a too: each could boot the other's kernel"),
        (second(**B_IPMI), "power", "is that of host a too: each could switch off the other"),
        (second(**B_REDFISH), "power", "is that of host a too"),
        (REDFISH | second(**(B_REDFISH | {"power__url": "'https://BMC7.lab'"})), "power", "is that of host a too"),
        (SNMP | second(**B_SNMP), "power", "is that of host a too"),
        (COMMAND | second(**B_COMMAND), "power", "is that of host a too"),
        (A_TCP | second(**TCP), "console", "is that of host a too: each could take the other's words for its own"),
    ],
)
def test_two_hosts_that_are_one_machine_are_refused(changes: Changes, key: str, told: str) -> None:
    """Whatever could reach another host's machine is a mistake of the later one, however it is written."""
    [message] = mistakes(changes)
    assert message.startswith(f"hosts.toml:{line_of(f'hosts.b.{key}', changes)}: hosts.b.{key}: ")
    assert told in message


@pytest.mark.parametrize(
    "changes",
    [
        second(ssh__address="'a.lab'", ssh__port="2222"),
        second(**(B_IPMI | {"power__port": "9001"})),
        second(**(B_REDFISH | {"power__url": "'https://10.0.0.7:8443'"})),
        REDFISH
        | {f"{A}.power.system": "'1'"}
        | second(**(B_REDFISH | {"power__url": "'https://bmc7.lab'", "power__system": "'2'"})),
        SNMP | second(**(B_SNMP | {"power__oid": "'1.3.6.1.4.1.8'"})),
        COMMAND | second(**(B_COMMAND | {"power__off": "['pdu', 'down']"})),
        SNMP | second(**B_IPMI),
        A_TCP | second(**(TCP | {"console__port": "8"})),
        second(**(B_IPMI | {"power__address": "'10.0.0.8'", "console__kind": "'sol'"})),
    ],
)
def test_two_machines_that_share_less_are_fine(changes: Changes) -> None:
    """Ports of one address, outlets of one PDU, systems of one service and the like are machines of their own."""
    assert len(parse(changes).hosts) == 2


def test_mistakes_of_all_tables_come_at_once() -> None:
    """A mistake in one table hides none in another, none between tables, and none between hosts."""
    told = mistakes(
        {
            f"{A}.arch": "'x86'",
            f"{A}.ssh.port": "'x'",
            f"{A}.power.cipher": "1",
            f"{A}.console.kind": "'netconsole'",
            f"{A}.network.ip": "'10.0.0.7'",
            f"{A}.pxe.mac": "'x'",
            "pxe.lab.mode": "'x'",
            **second(**B_IPMI, boot="'pxe'", folder="'/'"),
        }
    )
    assert sorted(line.split(": ")[1] for line in told) == [
        "hosts.a.arch",
        "hosts.a.console.address",
        "hosts.a.power.cipher",
        "hosts.a.pxe.mac",
        "hosts.a.ssh.port",
        "hosts.b.boot",
        "hosts.b.folder",
        "hosts.b.payload",
        "pxe.lab.mode",
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"pxe.'a b'": "{ mode = 'folder', folder = '/srv/tftp' }"}, 'pxe."a b": a network can\'t have this name'),
        ({"pxe.x": "3"}, "pxe.x: is 3 (an integer); accepted: one table [pxe.NAME] a network"),
        ({f"{A}.sshd": "3"} | without("ssh"), "hosts.a.ssh: is missing; accepted: a table"),
        (without("ssh") | {f"{A}.ssh": "'root@a'"}, "hosts.a.ssh: is 'root@a' (a string); accepted: a table"),
        (without("network") | {f"{A}.network": "[]"}, "hosts.a.network: is [] (a list); accepted: a table"),
        ({"hosts.q": "{ boot = 'qemu', arch = 'x86_64', tags = [] }"}, "hosts.q.tags: no such key"),
    ],
)
def test_a_table_of_the_wrong_shape_is_told(changes: Changes, told: str) -> None:
    """What should be a table and isn't, or has a name that no table can have, is named."""
    assert any(told in line for line in mistakes(changes))


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521"])
def test_a_public_key_file_can_be_copied_whole(kind: str) -> None:
    """A key of any type in use is taken with the comment that its file has, which is dropped."""
    key = host_key(kind, kind)
    assert labwords.host_key(f"{key}  root@a lab\n") == key


@pytest.mark.parametrize(
    ("given_text", "taken"),
    [("52-54-00-AB-CD-EF", "52:54:00:ab:cd:ef"), ("52:54:00:ab:cd:ef", "52:54:00:ab:cd:ef")],
)
def test_a_mac_is_kept_in_one_form(given_text: str, taken: str) -> None:
    """Dashes and capitals are other spellings of the same machine."""
    assert addresses.mac(given_text) == taken


@pytest.mark.parametrize(
    "text",
    [
        "dhcp",
        "10.0.0.7",
        "10.0.0.7::10.0.0.1:255.255.255.0::eth0:off",
        "10.0.0.7:10.0.0.2:10.0.0.1:255.255.255.0:a:eth0:none:1.1.1.1:8.8.8.8:10.0.0.3",
        ":::::eth0:dhcp",
    ],
)
def test_what_the_kernel_takes_as_ip_is_taken(text: str) -> None:
    """The forms of ip= that give a candidate an address pass as they are."""
    assert addresses.ip_word(text) == text


@pytest.mark.parametrize("text", ["ttyS0", "ttyS1,115200", "ttyAMA0,115200n8", "hvc0", "ttyUSB0,9600n8r"])
def test_serial_ports_pass(text: str) -> None:
    """What console= takes for a serial port passes as it is."""
    assert addresses.tty(text) == text


@pytest.mark.parametrize("text", ["/var/lib/bisectbot", "/data", "/srv/bb", "/home/me/bb", "/mnt/x/y", "/root/bb"])
def test_a_folder_of_its_own_passes(text: str) -> None:
    """What no system needs may be bisectbot's."""
    assert labwords.remote_folder(text) == text


def test_two_spellings_of_the_root_are_one() -> None:
    """A path beginning with two slashes, which POSIX leaves open, is that with one."""
    assert labwords.remote_path("//data//x/") == "/data/x"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("mk", "{output}"), "doesn't hold both"),
        (("mk", "{output}", "{release}", "{kernel}"), "holds braces other than"),
        (("mk", "{output}", "{release}", "${HOME}"), "holds braces other than"),
        (("mk", "{output}", "{release}", "}"), "holds braces other than"),
        (("mk it", "{output}", "{release}"), "each word stands alone"),
    ],
)
def test_an_initramfs_command_has_its_two_holes_and_no_others(words: tuple[str, ...], told: str) -> None:
    """A command that couldn't be filled in is refused before it is needed."""
    with pytest.raises(ValueError, match=told):
        labwords.initramfs_command(words)


def test_an_initramfs_command_arrives() -> None:
    """A right one is kept as it is; holes may be parts of words."""
    words = "['dracut', '--kver={release}', '{output}']"
    made = host(second(make_initramfs=words), "b").make_initramfs
    assert made == ("dracut", "--kver={release}", "{output}")


@given(st.text() | st.text(alphabet=string.printable + "%[]:-.", max_size=40))
def test_an_accepted_address_is_one_harmless_argument(text: str) -> None:
    """Whatever is accepted is no option, no path, and one word, for any program; and is accepted again as it is."""
    try:
        accepted = addresses.address(text)
    except ValueError:
        return
    assert accepted.isascii()
    assert not accepted.startswith("-")
    assert not {*accepted} & {*string.whitespace, *"/\\'\"$`;&|<>()*?!#~{}[]@=,"}
    assert addresses.address(accepted) == accepted


@given(st.lists(st.text(max_size=8), max_size=4).map(tuple))
def test_an_accepted_command_can_be_started(words: tuple[str, ...]) -> None:
    """Whatever is accepted has a program, and nothing that exec or a line-based log can't take."""
    try:
        accepted = labwords.command(words)
    except ValueError:
        return
    assert accepted[0]
    assert not {*"".join(accepted)} & {*"\0\n\r"}


@given(st.text(alphabet="/.abetc", max_size=12))
def test_an_accepted_folder_is_below_none_of_the_systems(text: str) -> None:
    """Whatever is accepted as a folder is absolute, has no way up, and isn't /etc."""
    try:
        accepted = labwords.remote_folder(text)
    except ValueError:
        return
    assert accepted.startswith("/")
    assert accepted != "/"
    assert ".." not in accepted.split("/")
    assert accepted.split("/")[1] not in ("", "etc")


SCALARS = st.sampled_from(
    [
        "3",
        "-1",
        "1.5",
        "true",
        "''",
        "'x'",
        f"'{PASSWORD}'",
        "[]",
        f"['{PASSWORD}']",
        "{}",
        "{ kind = 'tcp' }",
        "nan",
        "07:32:00",
    ]
)


@given(
    st.dictionaries(st.sampled_from([*RACK, *SNMP, f"{A}.tags", f"{A}.key", "pxe.x", "hosts.b"]), SCALARS, max_size=4)
)
def test_no_lab_gives_anything_but_a_config_or_a_config_error(changes: Changes) -> None:
    """Whatever stands where, the answer is a Config, or mistakes with a next step, never another exception."""
    try:
        found = config.parse("\n".join(lines(changes)), FILE)
    except ConfigError as error:
        assert error.hint  # noqa: PT017  (either end is right)
    else:
        assert found.host() in found.hosts


@pytest.mark.parametrize(
    "key", ["password", "passwd", "password.env", "password.file", "password.text", "password.env.x"]
)
@pytest.mark.parametrize("form", ["'{}'", "['{}']", "{{ x = '{}' }}"])
def test_a_password_is_never_shown(key: str, form: str) -> None:
    """However a password got into the file, no message repeats it."""
    told = mistakes({f"{A}.power.password": None, f"{A}.power.{key}": form.format(PASSWORD)})
    assert told
    assert not any(PASSWORD in line for line in told)
