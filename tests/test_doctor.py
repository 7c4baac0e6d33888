"""`bisectbot doctor`: what is missing is found, graded by who needs it, and told with the line that mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from fakes import FakeClock

from bisectbot import places
from bisectbot.boot.accel import Answers, Here
from bisectbot.channels import Command, Mail, Notices, Sendmail, Smtp, Webhook
from bisectbot.cli.completion import completion
from bisectbot.cli.doctor import doctor
from bisectbot.cli.output import Output
from bisectbot.config import hosts as config
from bisectbot.config.hosts import Config, StoreLimits
from bisectbot.doctor.compilers import compilers
from bisectbot.doctor.examine import Patient, examine, read_hosts
from bisectbot.doctor.finding import Bench, Finding, Status, install, worst
from bisectbot.doctor.machine import disk, memory
from bisectbot.doctor.qemu import Kvm, qemu
from bisectbot.doctor.tools import Tool, check, tools
from bisectbot.doctor.tree import tree
from bisectbot.doctor.unattended import notices, queue
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.effects.repo import GitGraph, open_git
from bisectbot.effects.site import LocalSite
from bisectbot.errors import ConfigError, Overdue, ToolMissing
from bisectbot.model import Accel, Arch, QemuHost
from bisectbot.ports import Deadline, Finished

SHIPPED = config.load(places.data("hosts.toml"))
X86, ARM = SHIPPED.qemu_hosts
QEMUS = ("qemu-system-x86_64", "qemu-system-aarch64")
PROGRAMS = (
    *("git", "make", "gcc", "ld", "flex", "bison", "bc", "perl", "ccache", "lz4", "aarch64-linux-gnu-gcc"),
    *QEMUS,
)


@dataclass
class FakeRunning:
    """A QEMU that goes on until it is stopped, or that ended at once."""

    code: int | None
    pid: int = 1
    stopped: bool = False

    def poll(self) -> int | None:
        """Return how it ended."""
        return self.code

    def stop(self) -> int:
        """Take note."""
        self.stopped = True
        return self.code or 0


@dataclass
class FakeProc:
    """Programs that answer by what they are; any question that no check asks is refused. Fits ports.Proc."""

    programs: set[str] = field(default_factory=lambda: set(PROGRAMS))
    versions: dict[str, str] = field(default_factory=dict)
    failing: Mapping[str, str] = field(default_factory=dict)  # word of a command line -> what it says when it fails
    refused: str = ""  # what QEMU says to a description
    late: str = ""  # a program that doesn't answer
    running: list[FakeRunning] = field(default_factory=list)

    def which(self, tool: str) -> Path | None:
        """Return a path for what is installed."""
        return Path("/usr/bin") / tool if tool in self.programs else None

    def output(
        self,
        argv: Sequence[str],
        *,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Answer."""
        assert deadline.remaining > 0
        assert (cwd, env) == (None, None)
        if argv[0] not in self.programs:
            raise ToolMissing(f"{argv[0]} is not installed")
        if argv[0] == self.late:
            raise Overdue(f"{argv[0]} was not done in time")
        for word in argv:
            if word in self.failing:
                return 1, self.failing[word]
        return 0, self._answer(argv)

    def _answer(self, argv: Sequence[str]) -> str:
        match list(argv):
            case [program, "--version"]:
                return self.versions.get(program, "program (GNU) version 9.9.9\nfree\n")
            case [_, "-accel", "help"]:
                return "Accelerators supported in QEMU binary:\ntcg\nkvm\n"
            case [_, "-static", *_] | ["gcc", "-E", *_] | ["make", *_]:
                return ""
            case _:
                raise AssertionError(f"no check should ask this: {argv}")

    def start(self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> FakeRunning:
        """Start a QEMU without a guest."""
        assert env is None
        assert argv[-1] == "-S"
        assert not {"-kernel", "-initrd", "-append"} & set(argv)
        log.write_text(self.refused)
        self.running.append(FakeRunning(1 if self.refused else None))
        return self.running[-1]

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Refuse: no check runs anything long."""
        raise AssertionError(f"no check should run this: {argv} {log} {deadline} {cwd} {env}")


@dataclass
class FakeSite:
    """A machine with so much of everything; fits doctor.machine.Site."""

    free: float = 500.0
    available: int = 16_000
    may_write: bool = True

    def machine(self) -> str:
        """Return x86_64."""
        return "x86_64"

    def cpus(self) -> int:
        """Return 4."""
        return 4

    def memory_mib(self) -> int:
        """Return what is available."""
        return self.available

    def free_gib(self, folder: Path) -> float:
        """Return the same for every disk."""
        assert folder
        return self.free

    def writable(self, folder: Path) -> bool:
        """Return the same for every folder."""
        assert folder
        return self.may_write


def bench(proc: FakeProc) -> Bench:
    """Return where these programs are asked, on a clock that only sleeping moves."""
    return Bench(proc, FakeClock())


def no_history(path: Path) -> GitGraph:
    """Refuse: most tests give no tree."""
    raise AssertionError(path)


VERSION = "program (GNU) version 9.9.9"


def a_kvm(folder: Path, *, device: bool) -> Kvm:
    """Return the KVM of an x86_64 machine with or without the device; no boot has told anything yet."""
    return Kvm(Answers(folder / "accel.json"), lambda version: Here("x86_64", "6.1.0", version, device))


def unproven(folder: Path) -> Kvm:
    """Return a KVM that may work."""
    return a_kvm(folder, device=True)


def patient(folder: Path, hosts: Config = SHIPPED, wanted: QemuHost = X86) -> Patient:
    """Return what is examined, without a tree."""
    return Patient(hosts, wanted, unproven(folder), folder / "cache", folder / "logs", None, no_history)


def by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
    """Return findings by their names, which have to be different."""
    names = [finding.name for finding in findings]
    assert len(names) == len(set(names)), names
    return dict(zip(names, findings, strict=True))


# --- the whole ---------------------------------------------------------------------------------


def test_a_machine_with_everything_is_well(tmp_path: Path) -> None:
    """Where nothing is missing every finding is ok and none has anything to mend."""
    findings = list(examine(patient(tmp_path), bench(FakeProc()), FakeSite()))
    assert {finding.status for finding in findings} == {Status.OK}
    assert not [finding for finding in findings if finding.mend or finding.packages]


def test_a_bare_machine_gets_one_finding_for_each_missing_package(tmp_path: Path) -> None:
    """With no program at all nothing stops half-way, and the packages make up one line to install them."""
    findings = list(examine(patient(tmp_path), bench(FakeProc(programs=set())), FakeSite()))
    assert worst(findings) is Status.FAIL
    wanted = {package for finding in findings for package in finding.packages}
    assert wanted == {
        *("git", "make", "gcc", "libc6-dev", "binutils", "flex", "bison", "bc", "perl-base", "ccache", "lz4"),
        *("gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-system-x86", "qemu-system-arm"),
    }
    assert all(finding.mend == install(finding.packages) for finding in findings if finding.packages)


def test_only_what_the_wanted_host_lacks_is_a_failure(tmp_path: Path) -> None:
    """A cross compiler and a QEMU that only the other host needs are warnings; wanted, they are failures."""
    proc = FakeProc(programs=set(PROGRAMS) - {"aarch64-linux-gnu-gcc", "qemu-system-aarch64"})
    for wanted, status in ((X86, Status.WARN), (ARM, Status.FAIL)):
        findings = list(examine(patient(tmp_path, wanted=wanted), bench(proc), FakeSite()))
        found = {finding.name: finding.status for finding in findings if finding.status is not Status.OK}
        assert found == {"aarch64-linux-gnu-gcc": status, "host qemu-aarch64": status}


def test_a_check_that_cant_be_made_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A program that never answers gives a FAIL of its own, and later checks still run."""
    findings = by_name(list(examine(patient(tmp_path), bench(FakeProc(late="flex")), FakeSite())))
    assert findings["tools"] == Finding("tools", Status.FAIL, "flex was not done in time")
    assert findings["host qemu-aarch64"].status is Status.OK


# --- tools and compilers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("git version 2.30.0", Status.OK),
        ("git version 2.39.5 (Apple Git-154)", Status.OK),
        ("git version 3.0", Status.OK),
        ("git version 2.29.2", Status.FAIL),
        ("git version 2.9.5", Status.FAIL),
        ("what?", Status.FAIL),
    ],
)
def test_versions_are_compared_as_numbers(said: str, status: Status) -> None:
    """Git has to be 2.30 or newer, and 2.9 is older than 2.30."""
    found = check(bench(FakeProc(versions={"git": said})), Tool("git", ("git",), "x", least=(2, 30)))
    assert found.status is status
    assert bool(found.mend) == (status is Status.FAIL)


def test_what_only_makes_things_faster_is_a_warning() -> None:
    """Without ccache and perl a bisection runs, only slower or with a shorter report."""
    found = by_name(list(tools(bench(FakeProc(programs=set(PROGRAMS) - {"ccache", "perl"})), frozenset({X86.arch}))))
    assert {name for name, finding in found.items() if finding.status is Status.WARN} == {"ccache", "perl"}


@pytest.mark.parametrize(("arch", "status"), [(Arch.X86_64, Status.FAIL), (Arch.AARCH64, Status.WARN)])
def test_lz4_is_needed_by_x86_64_kernels(arch: Arch, status: Status) -> None:
    """The x86_64 fragment compresses kernels with lz4; for others it doesn't matter."""
    found = by_name(list(tools(bench(FakeProc(programs=set(PROGRAMS) - {"lz4"})), frozenset({arch}))))
    assert found["lz4"].status is status


@pytest.mark.parametrize(("native", "package"), [("aarch64", "libc6-dev"), ("x86_64", "libc6-dev-arm64-cross")])
def test_the_static_libc_is_that_of_the_compiler(native: str, package: str) -> None:
    """A missing static libc names the package for a native or a cross compiler, and nothing more is compiled."""
    proc = FakeProc(failing={"-static": "cannot find -lc"})
    found = list(compilers(bench(proc), Arch.AARCH64, native, Status.FAIL))[-1]
    assert (found.name, found.status, found.packages) == ("static libc aarch64", Status.FAIL, (package,))
    assert "cannot find -lc" in found.detail


def test_programs_that_dont_compile_are_told_with_the_way_to_see_more() -> None:
    """If our own C sources don't compile, that is found before a bisection is started."""
    proc = FakeProc(failing={"-C": "init.c:1: error: no\x1b[31m"})
    found = list(compilers(bench(proc), Arch.X86_64, "x86_64", Status.FAIL))[-1]
    assert (found.name, found.status) == ("init, rseq-kvm x86_64", Status.FAIL)
    assert "\x1b" not in found.detail
    assert found.mend.startswith("see: make -C")


# --- this machine ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "jobs", "status"),
    [
        (16_000, 8, Status.OK),
        (1000, 8, Status.WARN),
        (1000, 1, Status.OK),
        (1000, None, Status.WARN),
        (500, 1, Status.FAIL),
    ],
)
def test_memory_has_to_hold_a_guest_and_the_compilers(available: int, jobs: int | None, status: Status) -> None:
    """Less than a guest needs is a failure, little for that many compilers a warning."""
    found = memory(FakeSite(available=available), (X86, ARM), jobs)
    assert found.status is status
    assert f"{available} MiB available" in found.detail


@pytest.mark.parametrize(("free", "status"), [(25, Status.OK), (10, Status.WARN), (4, Status.FAIL)])
def test_the_cache_needs_room_for_a_worktree_and_the_store(free: float, status: Status) -> None:
    """Too little for one build is a failure; less than the store may grow to is a warning."""
    found = by_name(list(disk(FakeSite(free=free), Path("c"), Path("l"), StoreLimits(20, 2))))
    assert found["cache"].status is status
    assert found["logs"].status is Status.OK


def test_folders_that_cant_be_written_are_failures() -> None:
    """A cache or a logs folder without permission is found before anything is started."""
    findings = disk(FakeSite(may_write=False), Path("c"), Path("l"), StoreLimits(20, 2))
    assert [finding.status for finding in findings] == [Status.FAIL, Status.FAIL]


def test_the_real_site_knows_folders_that_dont_exist_yet(tmp_path: Path) -> None:
    """Room and permission of a folder to be made are those of the nearest one above; a file is no place for one."""
    site, file = LocalSite(), tmp_path / "file"
    file.write_text("")
    assert site.free_gib(tmp_path / "a/b") > 0
    assert site.writable(tmp_path / "a/b")
    assert not site.writable(file / "a")
    assert site.memory_mib() > 0
    assert site.cpus() >= 1


# --- hosts -------------------------------------------------------------------------------------


def test_a_description_that_qemu_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    """QEMU is started with the description, and what it says of it is passed on."""
    proc = FakeProc(refused="qemu: unable to find CPU model 'EPIC'\n")
    first = next(iter(qemu(bench(proc), X86, unproven(tmp_path), Status.FAIL)))
    assert (first.status, "unable to find CPU model 'EPIC'" in first.detail) == (Status.FAIL, True)


def test_the_qemu_that_was_started_is_ended(tmp_path: Path) -> None:
    """No QEMU of a check goes on."""
    proc = FakeProc()
    list(qemu(bench(proc), X86, unproven(tmp_path), Status.FAIL))
    assert [running.stopped for running in proc.running] == [True]


def test_one_cpu_is_a_warning(tmp_path: Path) -> None:
    """A race can't be seen on one CPU: everything would look good."""
    findings = by_name(list(qemu(bench(FakeProc()), replace(X86, cpus=1), unproven(tmp_path), Status.FAIL)))
    assert findings["host qemu-x86_64 cpus"].status is Status.WARN


@pytest.mark.parametrize(
    ("accel", "device", "answer", "status", "told"),
    [
        (Accel.TCG, True, None, Status.OK, "emulation, as asked for"),
        (Accel.AUTO, True, None, Status.OK, "KVM, if the first boot proves it"),
        (Accel.AUTO, True, Accel.KVM, Status.OK, "KVM, which a boot has proven"),
        (Accel.AUTO, True, Accel.TCG, Status.OK, "emulation: a boot with KVM failed here"),
        (Accel.AUTO, False, None, Status.OK, "emulation: /dev/kvm can't be opened"),
        (Accel.KVM, True, None, Status.OK, "KVM, if the first boot proves it"),
        (Accel.KVM, True, Accel.TCG, Status.FAIL, "KVM is asked for, but a boot with KVM failed here"),
        (Accel.KVM, False, None, Status.FAIL, "KVM is asked for, but /dev/kvm can't be opened"),
    ],
)
def test_the_accelerator_is_told_as_far_as_it_is_known(  # noqa: PLR0913, PLR0917  (a table's columns)
    accel: Accel,
    device: bool,  # noqa: FBT001
    answer: Accel | None,
    status: Status,
    told: str,
    tmp_path: Path,
) -> None:
    """What is asked for, the device and the kept answer of a real boot decide; only an insisting host can fail."""
    host, kvm = replace(X86, accel=accel), a_kvm(tmp_path, device=device)
    if answer:
        kvm.answers.keep(kvm.look(VERSION).key(host), answer)
    found = by_name(list(qemu(bench(FakeProc()), host, kvm, Status.FAIL)))["host qemu-x86_64 accel"]
    assert found.status is status
    assert found.detail.startswith(told)


def test_a_guest_of_another_architecture_is_emulated(tmp_path: Path) -> None:
    """KVM runs only guests of the machine's own architecture."""
    found = by_name(list(qemu(bench(FakeProc()), ARM, unproven(tmp_path), Status.FAIL)))
    assert found["host qemu-aarch64 accel"].detail == "emulation: this machine is x86_64"


# --- hosts.toml and the tree -------------------------------------------------------------------


def test_a_wrong_hosts_toml_is_a_finding_and_the_shipped_hosts_are_examined(tmp_path: Path) -> None:
    """Mistakes in hosts.toml are told as `run` would tell them, and don't keep the rest from being looked at."""
    file = tmp_path / "hosts.toml"
    file.write_text("default = 3\n")
    finding, hosts = read_hosts(file)
    assert finding.status is Status.FAIL
    assert f"{file}:1: default" in finding.detail
    assert hosts == SHIPPED


def git(*args: str) -> None:
    """Run the real git."""
    subprocess.run(["git", *args], check=True, capture_output=True)  # noqa: S607


def kernel_tree(folder: Path) -> Path:
    """Return a repository with what a Linux tree has to have."""
    for name in ("Kbuild", "Kconfig", "Makefile", "scripts/kconfig/merge_config.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    for command in ("init -q", "add .", "commit -qm one", "commit -qm two --allow-empty"):
        git("-C", str(folder), *command.split())
    return folder


def look_at(path: Path) -> list[Finding]:
    """Return what a real look at a tree finds."""
    return list(tree(Bench(Processes(), SystemClock()), path, GitGraph(open_git(path))))


def test_the_users_state_of_the_tree_is_fine(tmp_path: Path) -> None:
    """A dirty tree in the middle of the user's own bisection is ok, and told."""
    linux = kernel_tree(tmp_path / "tree")
    [clean] = look_at(linux)
    (linux / "Makefile").write_text("changed")
    git("-C", str(linux), "bisect", "start")
    [found] = look_at(linux)
    assert (clean.status, found.status) == (Status.OK, Status.OK)
    assert "fine" not in clean.detail
    assert found.detail.endswith("dirty and in a bisection, which is fine: it isn't touched")


def test_looking_at_a_tree_writes_nothing(tmp_path: Path) -> None:
    """Not even the index is refreshed, as a plain `git status` would."""
    linux = kernel_tree(tmp_path / "tree")
    os.utime(linux / "Makefile", (0, 0))
    before = (linux / ".git/index").read_bytes()
    look_at(linux)
    assert (linux / ".git/index").read_bytes() == before


def test_trees_that_cant_be_bisected_are_told(tmp_path: Path) -> None:
    """A repository that isn't Linux, one without a commit, and a shallow clone fail, each with its way out."""
    linux, other, shallow = kernel_tree(tmp_path / "tree"), tmp_path / "other", tmp_path / "shallow"
    git("init", "-q", str(other))
    [empty] = look_at(other)
    git("-C", str(other), "commit", "-qm", "one", "--allow-empty")
    [foreign] = look_at(other)
    git("clone", "-q", "--depth=1", f"file://{linux}", str(shallow))
    cut, _ = look_at(shallow)
    assert [found.status for found in (empty, foreign, cut)] == [Status.FAIL] * 3
    assert "not a Linux tree" in foreign.detail
    assert cut.mend == f"git -C {shallow} fetch --unshallow"
    assert empty.mend


def test_a_folder_that_git_doesnt_know_is_a_finding(tmp_path: Path) -> None:
    """A tree that can't even be opened fails by itself, at the end, and the other findings are there."""
    who = replace(patient(tmp_path), tree=tmp_path, history=lambda path: GitGraph(open_git(path)))
    *others, last = examine(who, bench(FakeProc()), FakeSite())
    assert worst(others) is Status.OK
    assert (last.name, last.status) == ("tree", Status.FAIL)
    assert "not a git repository" in last.detail


# --- the command -------------------------------------------------------------------------------


def invoke(folder: Path, *args: str) -> Result:
    """Return what `doctor` prints and how it exits, for real, with one host to look at."""
    hosts = folder / "hosts.toml"
    hosts.write_text('default = "a"\n[hosts.a]\nboot = "qemu"\narch = "x86_64"\n')
    return CliRunner().invoke(doctor, ["--hosts", str(hosts), "--logs", str(folder), *args], obj=Output())


def test_json_is_one_object_that_agrees_with_the_exit_status(tmp_path: Path) -> None:
    """With --json stdout is one object; 0 exactly if it says ok, else 5."""
    result = invoke(tmp_path, "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["ok"] else 5)
    assert {"name", "status", "detail", "mend", "packages"} == set(told["findings"][0])
    assert told["ok"] == all(finding["status"] != "fail" for finding in told["findings"])


def test_what_is_missing_exits_with_5_and_says_how_to_mend_it(tmp_path: Path) -> None:
    """A tree that is none gives status 5 and a next step on the terminal."""
    result = invoke(tmp_path, "--tree", str(tmp_path / "none"))
    assert result.exit_code == 5
    assert "mend: give the folder of a Linux git tree" in result.stdout


def test_an_unknown_host_is_the_users_mistake(tmp_path: Path) -> None:
    """--host is looked up before anything is examined."""
    result = invoke(tmp_path, "--host", "nowhere")
    assert isinstance(result.exception, ConfigError)
    assert result.stdout == ""


def test_a_machine_without_any_tool_gets_answers_and_no_traceback(tmp_path: Path) -> None:
    """Where not even git is installed (which GitPython looks for when imported) everything missing is listed."""
    script = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from bisectbot.cli.doctor import doctor; from bisectbot.cli.output import Output\n"
        f"doctor(['--tree', {str(tmp_path)!r}], obj=Output())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (5, "")
    assert "fail  git  " in done.stdout
    assert "all packages at once: sudo apt-get install -y" in done.stdout


# --- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_prints_a_script_for_our_program(shell: str) -> None:
    """The script completes `bisectbot` and asks it by the variable that click looks at."""
    root = click.Group("bisectbot", commands=[completion, doctor])
    result = CliRunner().invoke(root, ["completion", shell])
    assert result.exit_code == 0
    assert f"_BISECTBOT_COMPLETE={shell}_complete" in result.stdout


def test_bash_completes_commands_and_hosts(tmp_path: Path) -> None:
    """A real bash that evaluates the script offers our commands and the hosts of hosts.toml."""
    (tmp_path / "bisectbot").write_text(
        f"#!{sys.executable}\nimport click, sys\nsys.path[:0] = {sys.path!r}\n"
        "from bisectbot.cli.completion import completion\nfrom bisectbot.cli.doctor import doctor\n"
        "click.Group(commands=[completion, doctor])(prog_name='bisectbot')\n"
    )
    (tmp_path / "bisectbot").chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        eval "$(bisectbot completion bash)"
        ask() {{
            COMPREPLY=() COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _bisectbot_completion bisectbot
            echo "${{COMPREPLY[@]}}"
        }}
        ask bisectbot doc
        ask bisectbot doctor --host q
        ask bisectbot doctor --hosts /none --host q
    """
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["doctor", "qemu-x86_64 qemu-aarch64", ""]
    assert done.stderr == ""


def test_who_is_told_is_told_without_a_secret() -> None:
    """Each channel in a line; a program that isn't there is found before the night, and nobody is reached for it."""
    to, bench = ("kim@example.org",), Bench(FakeProc({"tell"}), FakeClock())
    hush = "https://chat.example.org/hush"
    recipe = Notices(channels=(Mail(to, to[0], Smtp("mx.example.org", 587)), Webhook(hush), Command(("tell", "hush"))))
    found = list(notices(bench, recipe))
    assert [one.status for one in found] == [Status.OK] * 3
    assert "mail to kim@example.org by mx.example.org:587 (starttls)" in found[0].detail
    assert "hush" not in "".join(one.detail for one in found)
    (missing,) = notices(bench, Notices(channels=(Mail(to, to[0], Sendmail(Path("/usr/sbin/sendmail"))),)))
    assert (missing.status, missing.detail) == (
        Status.WARN,
        "mail to kim@example.org by /usr/sbin/sendmail: it isn't installed",
    )
    assert [one.status for one in notices(bench, Notices())] == [Status.OK]


@pytest.mark.parametrize(
    ("waiting", "keeper", "status", "says"),
    [
        (0, None, Status.OK, "0 in it; no keeper runs"),
        (2, None, Status.WARN, "2 in it, and nobody works on it"),
        (2, 7, Status.OK, "2 in it; its keeper runs, pid 7"),
    ],
)
def test_a_queue_that_nobody_works_on_is_found(waiting: int, keeper: int | None, status: Status, says: str) -> None:
    """Sessions that wait for nobody would wait for ever."""
    (found,) = queue(waiting, keeper)
    assert (found.status, found.detail) == (status, says)
