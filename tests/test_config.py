"""hosts.toml: what ships works, and every mistake is told at once, with its place and what is accepted."""

from __future__ import annotations

import os
import textwrap
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisectbot import places
from bisectbot.config import hosts as config
from bisectbot.config import hostsfile, hostwords
from bisectbot.config.hosts import Config
from bisectbot.config.tomlmap import key_lines
from bisectbot.errors import ConfigError
from bisectbot.model import Accel, Arch, Deadlines, QemuHost

FILE = Path("hosts.toml")
SMALLEST = """
default = "a"
[hosts.a]
boot = "qemu"
arch = "x86_64"
"""


def parse(text: str) -> Config:
    """Return the Config of an indented text."""
    return config.parse(textwrap.dedent(text), FILE)


def qemu(found: Config, name: str | None = None) -> QemuHost:
    """Return a host that QEMU plays."""
    host = found.host(name)
    assert isinstance(host, QemuHost)
    return host


def mistakes(text: str) -> list[str]:
    """Return the lines that tell the mistakes, without the heading and the next step."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.hint, "no next step"
    return caught.value.message.splitlines()[1:]


def only_mistake(host_line: str) -> str:
    """Return what is said of one line of a host that is fine otherwise."""
    [told] = mistakes(SMALLEST + host_line + "\n")
    return told


# --- what ships --------------------------------------------------------------------------------


def test_shipped_file_has_the_two_qemu_hosts() -> None:
    """The hosts.toml that ships is right, its default is x86_64, and both hosts have two CPUs for races."""
    shipped = config.load(places.data("hosts.toml"))
    assert shipped.host().name == "qemu-x86_64"
    assert {host.name: host.arch for host in shipped.hosts} == {
        "qemu-x86_64": Arch.X86_64,
        "qemu-aarch64": Arch.AARCH64,
    }
    assert [host.cpus for host in shipped.qemu_hosts] == [2, 2]


def test_shipped_x86_host_avoids_the_measured_traps() -> None:
    """The x86_64 host has SVM, no 5-level paging, and a clock that needs no calibration."""
    host = qemu(config.load(places.data("hosts.toml")), "qemu-x86_64")
    assert host.cpu == "EPYC,+svm"
    assert "tsc_early_khz=2600000" in host.cmdline


def test_shipped_aarch64_host_can_run_guests() -> None:
    """The aarch64 host starts its CPUs in EL2, with the interrupt controller that KVM there wants."""
    host = qemu(config.load(places.data("hosts.toml")), "qemu-aarch64")
    assert host.machine == "virt,virtualization=on,gic-version=3"


def test_everything_but_arch_and_boot_has_a_default() -> None:
    """A host of two lines gets its architecture's machine and CPU, and every deadline."""
    host = qemu(parse(SMALLEST), "a")
    assert (host.machine, host.cpu, host.memory_mib) == ("pc", "EPYC,+svm", 512)
    assert (host.accel, host.deadlines) == (Accel.AUTO, Deadlines())


def test_every_key_arrives() -> None:
    """Each key ends up in the field that it is named after."""
    found = parse("""
        default = "b"
        jobs = 3
        store = { max_gib = 1.5, min_free_gib = 0 }
        deadlines = { build = 60 }
        [hosts.b]
        boot = "qemu"
        arch = "aarch64"
        cpus = 4
        memory = "2 GiB"
        cpu = "cortex-a57"
        machine = "virt"
        accel = "tcg"
        qemu_args = ["-device", "virtio-rng-pci"]
        cmdline = ["nosmt", "a.b=1,2"]
        """)
    host = qemu(found)
    assert (found.jobs, found.store.max_gib, found.store.min_free_gib, found.build_seconds) == (3, 1.5, 0, 60)
    assert (host.arch, host.cpus, host.memory_mib, host.cpu) == (Arch.AARCH64, 4, 2048, "cortex-a57")
    assert (host.machine, host.accel) == ("virt", Accel.TCG)
    assert host.qemu_args == ("-device", "virtio-rng-pci")
    assert host.cmdline == ("nosmt", "a.b=1,2")


def test_a_hosts_own_deadline_wins() -> None:
    """A deadline comes from the host, else from the table for all, else from the default."""
    host = parse(SMALLEST + "deadlines = { boot = 300 }\n[deadlines]\nboot = 200\nrun = 40").host()
    assert host.deadlines == Deadlines(boot=300, run=40)


# --- mistakes ----------------------------------------------------------------------------------


def test_every_mistake_is_told_at_once_in_order_of_lines() -> None:
    """Mistakes all over the file come in one error, each with file, line and key."""
    told = mistakes("""\
        default = "nobody"
        jobs = 0
        [store]
        max_gib = "20"
        [deadlines]
        boot = inf
        [hosts.a]
        boot = "qemu"
        cpus = 2.5
        [hosts.b]
        boot = "floppy"
        """)
    assert [line.strip().split(": ")[:2] for line in told] == [
        ["hosts.toml:1", "default"],
        ["hosts.toml:2", "jobs"],
        ["hosts.toml:4", "store.max_gib"],
        ["hosts.toml:6", "deadlines.boot"],
        ["hosts.toml:7", "hosts.a.arch"],
        ["hosts.toml:9", "hosts.a.cpus"],
        ["hosts.toml:11", "hosts.b.boot"],
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cpu_count = 2", "hosts.a.cpu_count: no such key"),
        ("memroy = '1G'", "did you mean memory?"),
        ("deadlines = { boots = 3 }", "hosts.a.deadlines.boots: no such key (did you mean boot?)"),
        ("deadlines = { build = 3 }", "accepted: boot, silence, heartbeat, run"),
        ("deadlines = 3", "hosts.a.deadlines: is 3 (an integer); accepted: a table"),
        ("deadlines = { run = 0 }", "seconds, above 0"),
        ("deadlines = { run = true }", "is true (a boolean)"),
        ("cpus = 0", "an integer, 1 to 255"),
        ("cpus = '2'", "is '2' (a string)"),
        ("cpus = true", "is true (a boolean)"),
        ("cpus = 1979-05-27", "(a date or time)"),
        ("memory = 512", "is 512, which is no number with a known unit; accepted: a number with its unit"),
        ("memory = '512K'", "no number with a known unit"),
        ("memory = '1M'", "out of bounds"),
        ("memory = '2T'", "out of bounds"),
        ("cpu = ''", "hosts.a.cpu: is ''"),
        ("cpu = 'max -S'", "printable ASCII without spaces"),
        ("machine = 7", "is 7 (an integer)"),
        ("accel = 'kmv'", "did you mean kvm?"),
        ("qemu_args = ['-m', '1G']", "hosts.a.qemu_args[0]: is '-m': use the key memory"),
        ("qemu_args = ['--serial=stdio']", "the console is how bisectbot learns"),
        ('qemu_args = ["a\\u0000b"]', "no program can be given"),
        ("qemu_args = '-s'", "accepted: a list"),
        ("cmdline = 'quiet'", "accepted: a list of words"),
        ("cmdline = ['a b']", "hosts.a.cmdline[0]: is 'a b'"),
        ('cmdline = ["a\\nb"]', "something else than one word"),
        ('cmdline = ["a\\u0000"]', "something else than one word"),
        ("cmdline = ['x=\"y\"']", "something else than one word"),
        ("cmdline = ['ok', '']", "hosts.a.cmdline[1]"),
        ("cmdline = ['ünïcode']", "something else than one word"),
        ("cmdline = ['console=tty0']", "which bisectbot sets itself"),
        ("cmdline = ['bisectbot.token=0']", "which bisectbot sets itself"),
        ("cmdline = ['rdinit=/bin/sh']", "which bisectbot sets itself"),
        ("cmdline = ['--']", "which bisectbot sets itself"),
        (f"cmdline = ['{'x' * 1801}']", "has 1801 characters in all"),
    ],
)
def test_each_mistake_in_a_host_has_its_reason(line: str, told: str) -> None:
    """One wrong line gives one mistake, on that line, with its reason or what is accepted."""
    message = only_mistake(line)
    assert message.strip().startswith("hosts.toml:6: ")
    assert told in message


@pytest.mark.parametrize(("given_arch", "meant"), [("arm64", "aarch64"), ("amd64", "x86_64"), ("x86-64", "x86_64")])
def test_other_projects_words_for_an_architecture_are_understood(given_arch: str, meant: str) -> None:
    """An architecture by the kernel's or Debian's name is refused with the one that is meant."""
    [told] = mistakes(SMALLEST.replace("x86_64", given_arch))
    assert f"did you mean {meant}?" in told
    assert "accepted: x86_64, aarch64" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "hosts: is missing"),
        ("hosts = 3\ndefault = 'a'", "hosts: is 3 (an integer)"),
        ("default = 'a'\n[hosts]", "hosts: is {}"),
        ("default = 'a'\n[hosts]\na = 'x'", "hosts.a: is 'x' (a string)"),
        (SMALLEST.replace('"qemu"', "['qemu']"), "hosts.a.boot: is ['qemu']"),
        (SMALLEST.replace('boot = "qemu"\n', ""), "hosts.a.boot: is missing"),
        (SMALLEST + '[hosts."a/../b"]\nboot="qemu"\narch="x86_64"', 'hosts."a/../b": a host can\'t have this name'),
        (SMALLEST + '[[hosts.c]]\nboot="qemu"', "hosts.c: is"),
        (SMALLEST.replace('"a"', '"A"'), "default: is 'A', and there is no such host"),
        (SMALLEST.replace('"a"', '"\\u001b[31m"'), "is '\\x1b[31m'"),
    ],
)
def test_a_file_of_the_wrong_shape_is_told(text: str, told: str) -> None:
    """Tables that are missing, empty or no tables at all are named; nothing raw reaches the terminal."""
    lines = mistakes(text)
    assert any(told in line for line in lines), lines
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = = 2\n", "line 2, column 5"),
        ("a = 1\na = 2\n", "line 2"),
        ("a = [\n1,\n", "end of document"),
        (f"a = {'9' * 5000}", "is not TOML"),
        (f"a = {'[' * 3000}", "is not TOML"),
    ],
)
def test_bad_toml_is_told_with_its_place(text: str, place: str) -> None:
    """What isn't TOML gives the line and column, never a traceback."""
    with pytest.raises(ConfigError, match=place):
        config.parse(text, FILE)


@given(st.text() | st.text(alphabet="[]{}=\"'.,#\n ab1", max_size=60).map(lambda tail: SMALLEST + tail))
def test_no_text_gives_anything_but_a_config_or_a_config_error(text: str) -> None:
    """Whatever a file says, the answer is a Config or a ConfigError."""
    try:
        found = config.parse(text, FILE)
    except ConfigError as error:
        assert error.hint  # noqa: PT017  (either end is right)
    else:
        assert found.host() in found.hosts


def test_unknown_host_lists_the_known_ones() -> None:
    """A host that isn't there is told with the ones that are, and the nearest."""
    shipped = config.load(places.data("hosts.toml"))
    with pytest.raises(ConfigError, match=r"did you mean qemu-aarch64\?") as caught:
        shipped.host("qemu-arch64")
    assert "qemu-x86_64, qemu-aarch64" in caught.value.hint


# --- the file ----------------------------------------------------------------------------------


def test_the_nearest_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: chosen, the folder's, the user's own, the one that ships."""
    own = tmp_path / "xdg" / "bisectbot" / "hosts.toml"
    own.parent.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert hostsfile.find() == places.data("hosts.toml")
    own.write_text(SMALLEST)
    assert hostsfile.find() == own
    FILE.write_text(SMALLEST.replace("x86_64", "aarch64"))
    assert hostsfile.find() == FILE
    assert config.load().host().arch == Arch.AARCH64
    assert config.load(own).host().arch == Arch.X86_64


def test_without_xdg_the_users_own_file_is_in_dot_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.config/bisectbot/hosts.toml is the user's own where XDG_CONFIG_HOME says nothing."""
    own = tmp_path / ".config" / "bisectbot" / "hosts.toml"
    own.parent.mkdir(parents=True)
    own.write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hostsfile.find() == own


def test_a_dangling_link_is_an_error_and_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ./hosts.toml that leads nowhere isn't silently replaced by another file."""
    monkeypatch.chdir(tmp_path)
    FILE.symlink_to("gone")
    with pytest.raises(ConfigError, match="can't be read"):
        config.load()


def _folder(file: Path) -> None:
    file.mkdir()


def _fifo(file: Path) -> None:
    os.mkfifo(file)


def _huge(file: Path) -> None:
    file.write_bytes(b"#" * (1 << 20) + b"\n")


def _latin1(file: Path) -> None:
    file.write_bytes(b"# ok\n# caf\xe9\n")


def _loop(file: Path) -> None:
    file.symlink_to(file)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_folder, "is not a file"),
        (_fifo, "is not a file"),
        (_huge, "larger than 1 MiB"),
        (_latin1, ":2: not UTF-8"),
        (_loop, "can't be read: Too many levels of symbolic links"),
        (lambda _: None, "can't be read: No such file or directory"),
    ],
)
def test_a_file_that_cant_be_read_is_told(make: object, told: str, tmp_path: Path) -> None:
    """Folders, pipes, huge, foreign and missing files are refused with the reason, and nothing hangs."""
    assert callable(make)
    make(tmp_path / "h.toml")
    with pytest.raises(ConfigError, match=told) as caught:
        config.load(tmp_path / "h.toml")
    assert caught.value.hint


def test_a_file_that_fails_while_it_is_read_is_told() -> None:
    """An error of the disk gives the system's reason (this file of the kernel's fails so for everybody)."""
    with pytest.raises(ConfigError, match="can't be read: Input/output error"):
        config.load(Path("/proc/self/mem"))


def test_a_file_from_another_editor_is_read(tmp_path: Path) -> None:
    """A byte order mark and carriage returns change nothing, lines in messages included."""
    file = tmp_path / "h.toml"
    file.write_bytes(b"\xef\xbb\xbf" + (SMALLEST + "cpus = 'x'\n").replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError, match=r"h\.toml:6: hosts\.a\.cpus"):
        config.load(file)


# --- the parts ---------------------------------------------------------------------------------


def test_lines_of_keys_are_those_that_an_editor_shows() -> None:
    """Headers, dotted keys, inline tables, and values over several lines are found where they begin."""
    text = textwrap.dedent('''\
        # top
        a = """
        [no.table]
        b = 1
        """
        c.d = 1

        [t."u.v"]
        e = [
          1,
        ]
        f = { g = 1 }
        [[h]]
        i = 1
        ''')
    assert key_lines(text) == {
        ("a",): 2,
        ("c",): 6,
        ("c", "d"): 6,
        ("t", "u.v"): 8,
        ("t", "u.v", "e"): 9,
        ("t", "u.v", "f"): 12,
        ("t", "u.v", "f", "g"): 12,
        ("h",): 13,
        ("h", "i"): 14,
    }


def test_a_value_of_very_many_lines_doesnt_hold_up_the_message() -> None:
    """Where looking for lines would take for ever, the mistake is told without one."""
    text = "x = [\n" + "1,\n" * 100_000 + "]\n" + SMALLEST
    [told] = mistakes(text)
    assert told.strip().startswith("hosts.toml: x: no such key")


@given(st.integers(64, 1 << 20))
def test_memory_keeps_its_size(mib: int) -> None:
    """Any whole number of MiB within bounds is read as that number."""
    assert hostwords.memory_mib(f"{mib}M") == mib


@given(st.text(min_size=1))
def test_an_accepted_kernel_word_stays_one_word(word: str) -> None:
    """Whatever is accepted reaches the kernel as one word and is none of ours."""
    try:
        accepted = hostwords.kernel_word(word)
    except ValueError:
        return
    assert accepted.split() == [word]
    assert not accepted.startswith(("console=", "bisectbot."))


def test_deadlines_have_a_key_each() -> None:
    """No deadline of the model is out of a user's reach."""
    names = [field.name for field in fields(Deadlines)]
    text = "".join(f"{name} = {7 + index}\n" for index, name in enumerate(names))
    host = parse(SMALLEST + "[deadlines]\n" + text).host()
    assert host.deadlines == Deadlines(**{name: 7.0 + index for index, name in enumerate(names)})
