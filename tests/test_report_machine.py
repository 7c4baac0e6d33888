"""A report on a real machine: how it was started and came home, and nothing that its lab keeps to itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from history import git
from lab_samples import CONSOLES, HOSTS, LAB, POWERS, lab_session, private, quarantined
from report_samples import FOLDER, session, sha

from bisectbot.boot.home import Rung
from bisectbot.lab import BootMethod, Homed, LabHost, Payload, PowerSwitch
from bisectbot.model import Arch, BuildRecipe, EndUnproven, Judgement, ProbeRecipe, Verdict
from bisectbot.report import HTML, MAIL, MARKDOWN, Session, draw_up, files, plain_lines, summary_json
from bisectbot.report.discretion import LEFT_OUT, hiding
from bisectbot.report.machine import described, home_in_words

_HARMLESS = "12:34:56 0000:00:1f.2 std::string 6.1.192-bb-1 1.2.3 root isn't admin"


def everything(whole: Session) -> dict[str, str]:
    """Return all that a session's report says, by where."""
    report = draw_up(whole)
    return {**files(report), "json": json.dumps(summary_json(report)), "lines": "\n".join(plain_lines(report))}


@pytest.mark.parametrize("tell", [lab_session, quarantined])
@pytest.mark.parametrize("host", HOSTS, ids=range(len(HOSTS)))
def test_no_address_of_the_lab_gets_out(host: LabHost, tell: Mapping[str, object]) -> None:
    """Whatever messages say, no address, user, path or secret's place of any kind of lab stands in any file."""
    whole = tell(host)  # type: ignore[operator]
    secrets = private(host)
    assert len(secrets) >= 12
    for name, text in everything(whole).items():
        assert {secret for secret in secrets if secret in text} == set(), name
        assert not re.search(r"10\.6[67]\.|192\.0\.2\.9|fe80|52:54:00|lab\.example", text), name


def test_what_is_left_out_is_said() -> None:
    """A reader sees where something was left out, and why."""
    texts = everything(lab_session())
    assert "&lt;left out&gt;: no answer from &lt;left out&gt; or &lt;left out&gt;:" in texts[MARKDOWN]
    assert "are left out of this report" in texts[MARKDOWN]
    assert "are left out of this report" in texts[HTML]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("bisect-user@rack1.lab.example:2222: no answer", f"{LEFT_OUT}: no answer"),
        ("rack1.lab.example.", f"{LEFT_OUT}."),
        ("RACK1.LAB.EXAMPLE", LEFT_OUT),
        ("rack1 is home", "rack1 is home"),
        ("kim@192.0.2.1:22 and 192.0.2.2.", f"kim@{LEFT_OUT} and {LEFT_OUT}."),
        ("$LAB_BMC_PASSWORD", f"${LEFT_OUT}"),
        ("port 52:54:00:00:00:01, 01-52-54-00-00-00-01", f"port {LEFT_OUT}, 01-{LEFT_OUT}"),
        ("2001:db8::7: refused", f"{LEFT_OUT}: refused"),
        (_HARMLESS, _HARMLESS),
        ("", ""),
    ],
)
def test_what_is_hidden(text: str, hidden: str) -> None:
    """Addresses go with their user and port; names of machines, versions, times and PCI addresses stay."""
    assert hiding(LAB)(text) == hidden


def test_a_machine_that_is_named_by_its_address() -> None:
    """A host whose name is its DNS name keeps it; one that is called by its IP address loses it."""
    named = replace(LAB, name="rack1.lab.example")
    assert draw_up(lab_session(named)).session.host == "rack1.lab.example"
    numbered = replace(LAB, name="10.66.0.7", ssh=replace(LAB.ssh, address="10.66.0.7"))
    assert "10.66.0.7" not in "".join(everything(lab_session(numbered)).values())


def test_other_sessions_keep_their_words() -> None:
    """Where QEMU plays the machine nothing is left out: there is no lab."""
    whole = replace(session(), faults=("connect to 127.0.0.1:22",))
    assert draw_up(whole).session == whole
    assert draw_up(whole).machine is None
    assert "The test machine" not in everything(whole)[MARKDOWN]


def test_the_machine_is_told() -> None:
    """How it is started, switched and listened to, how often it came home by itself, and each boot when it didn't."""
    machine = draw_up(lab_session()).machine
    assert machine is not None
    assert machine.described.boots == "kexec over SSH, then PXE"
    assert machine.described.power == "a BMC over IPMI"
    assert machine.described.console == "serial over LAN; init reports over the network"
    assert (machine.ordinary, machine.median_seconds) == (4, 40.5)
    assert [(one.boot, one.how, one.seconds, len(one.tried)) for one in machine.rescues] == [
        (3, "by a power cycle", 97.5, 2),
        (5, "by power off, a rest, and on", 260.0, 1),
    ]
    for name in (MARKDOWN, HTML):
        text = everything(lab_session())[name]
        for told in ("The test machine", "by a power cycle", "1 min 38 s", "median 40 s", "nobody answers"):
            assert told in text
    assert "rack1, a real machine, started by kexec over SSH, then PXE" in " ".join(
        everything(lab_session())[MAIL].split()
    )


def test_crash_logs_are_linked_like_consoles() -> None:
    """What the machine kept of a crash is linked in the commit's row and in the machine's section."""
    whole = lab_session()
    report = draw_up(whole)
    assert report.machine is not None
    wanted = f"consoles/005-{sha('merge')[:12]}.pstore.txt"
    row = next(row for row in report.rows if row.commit == sha("merge"))
    assert [log.href for log in row.logs if log.text == "crash log of boot 5"] == [wanted]
    assert [log.text for log in report.machine.logs] == ["crash log of boot 4"]
    assert [log.href for log in report.machine.rescues[1].logs] == [wanted]
    assert f"[crash log of boot 5]({wanted})" in files(report)[MARKDOWN]
    assert f'<a href="{wanted}">crash log of boot 5</a>' in files(report)[HTML]


def test_a_machine_that_never_came_home_by_itself() -> None:
    """Without homecomings, or with many bad ones, the section stands and is bounded."""
    many = tuple(replace(lab_session().homecomings[2], boot=boot) for boot in range(60))
    for homes, rescues, more in (((), 0, 0), (many, 50, 10)):
        report = draw_up(replace(lab_session(), homecomings=homes))
        assert report.machine is not None
        assert (report.machine.ordinary, report.machine.median_seconds) == (0, None)
        assert (len(report.machine.rescues), report.machine.more) == (rescues, more)
        assert f"after {len(homes)} boots" in files(report)[MARKDOWN]


def test_the_summary_tells_the_machine() -> None:
    """Programs get the same facts; where QEMU plays the machine there is none."""
    found = summary_json(draw_up(lab_session()))
    machine = json.loads(json.dumps(found["machine"]))
    assert (found["host"], machine["name"], machine["boots"]) == ("rack1", "rack1", "kexec over SSH, then PXE")
    assert (machine["came_home_by_itself"], machine["median_home_seconds"]) == (4, 40.5)
    assert next((one["boot"], one["how"]) for one in machine["rescues"]) == (3, "by a power cycle")
    assert summary_json(draw_up(session()))["machine"] is None


def test_a_terminal_gets_one_line() -> None:
    """How often the machine had to be brought home stands in the summary on the terminal."""
    assert "  rack1 came home by itself after 4 boots, otherwise after 2" in plain_lines(draw_up(lab_session()))
    assert not any("came home" in line for line in plain_lines(draw_up(session())))


def test_a_quarantined_machine_is_told() -> None:
    """The pause says that the machine could not be brought home and what to do, and what was seen stays."""
    texts = everything(quarantined())
    assert '"rack1" could not be brought back in 900 s' in texts[MARKDOWN]
    assert "bisectbot hosts check rack1" in texts["lines"]
    assert MAIL not in texts


@pytest.mark.parametrize("power", POWERS)
def test_every_power_switch_has_words(power: PowerSwitch | None) -> None:
    """No kind of switch is told by its class's name, and none keeps a report from being written."""
    told = described(replace(LAB, power=power)).power
    assert told == "none" if power is None else re.fullmatch(r"(a BMC|a PDU) over \w+|commands of the lab's", told)


def test_every_console_has_words() -> None:
    """No two kinds of console are told alike."""
    told = {described(replace(LAB, console=console, network=None)).console for console in CONSOLES}
    assert len(told) == len(CONSOLES)
    assert "none" in told


def by_hand(host: LabHost, whole: Session | None = None) -> str:
    """Return the script of a session on that host."""
    return draw_up(replace(whole or lab_session(), lab=host)).by_hand


def test_kexec_by_hand() -> None:
    """The words can be pasted: the host's own, ours, no token, no word with an address, and no QEMU."""
    script = by_hand(LAB)
    words = "console=ttyS1,115200 loglevel=7 panic=10 mitigations=off bisectbot.trials=1"
    assert f"kexec -s -l bzImage --initrd=initramfs.cpio --command-line='{words}'" in script
    assert f'scp "$W/out/arch/x86/boot/bzImage" {FOLDER}/initramfs.cpio "${{M:?' in script
    assert "# kernel command line: 1 of the host's own words left out" in script
    for wrong in ("token", "nfsroot", "qemu", "QEMU", LEFT_OUT):
        assert wrong not in script


@pytest.mark.parametrize("modules", [False, True])
def test_kexec_by_hand_on_the_machines_own_root(*, modules: bool) -> None:
    """Payload host: modules are shipped where there are any, the initramfs is made there, the program run over SSH."""
    whole = lab_session()
    report = draw_up(
        replace(whole, lab=replace(LAB, payload=Payload.HOST), build=replace(whole.build, modules=modules))
    )
    assert ("modules_install" in report.by_hand) == modules
    assert 'mkinitramfs -o initramfs.img "$1"' in report.by_hand
    assert '--command-line="$(cat /proc/cmdline)"\' console=ttyS1,115200 ' in report.by_hand
    assert "./kvm-rseq --server " in report.by_hand
    assert "bisectbot.trials" not in report.by_hand
    assert report.expected[0].startswith("The reproducer's exit code tells:")


def test_pxe_by_hand() -> None:
    """Where only PXE starts the machine, what has to be served is told, and the command that does it."""
    script = by_hand(replace(LAB, boots=(BootMethod.PXE,)))
    assert '# "rack1" is served by PXE' in script
    assert f"bisectbot try {sha('c3')} --host rack1" in script
    assert "kexec" not in script


@pytest.mark.parametrize("host", HOSTS[-3:], ids=["kexec", "own root", "pxe"])
def test_the_script_is_one_for_bash(host: LabHost) -> None:
    """Bash reads the whole script, a hostile command line of the host's too."""
    nasty = replace(host, cmdline=("a='b", 'c"d', "$(e)", "END", "`f`"), name="x\nEND")
    script = by_hand(nasty)
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)  # noqa: S607
    assert (done.returncode, done.stderr) == (0, "")
    assert script.splitlines().count("END") == (0 if nasty.boots == (BootMethod.PXE,) else 1)


# Commands of the test machine; `ssh HOST WORDS` hands its words to a shell there, and jumps are written down.
_STAND_INS = {
    "scp": 'while [ $# -gt 1 ]; do cp "$1" "$THERE/" || exit; shift; done; test "$1" = me@there:',
    "ssh": 'test "$1" = me@there && shift && cd "$THERE" && exec sh -c "$*"',
    "mkinitramfs": 'test -n "$3" && echo "$3" >"$2"',
    "kexec": 'for word in "$@"; do echo "$word" >>jumped; done; test -s "$3"',
    "systemctl": 'echo "systemctl $*" >>jumped',
    "tar": "exec cat >/dev/null",
}


@pytest.mark.parametrize("payload", Payload)
def test_the_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payload: Payload) -> None:
    """The script builds with git and make, and ends with kexec on the machine (a stand-in), its words as they were."""
    tree, there, tools = tmp_path / "linux", tmp_path / "there", tmp_path / "tools"
    shutil.copytree(Path(__file__).parent / "tinylinux", tree)
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "tiny")
    for folder in (there, tools):
        folder.mkdir()
    for name, text in _STAND_INS.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    program = tools / "repro ducer"
    program.write_text('#!/bin/sh\necho "$@" >ran\n')
    program.chmod(0o755)
    (tmp_path / "initramfs.cpio").write_text("archive")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    for name, value in (("THERE", there), ("M", "me@there"), ("TMPDIR", tmp_path)):
        monkeypatch.setenv(name, str(value))
    whole = session(EndUnproven(git(tree, "rev-parse", "HEAD"), Verdict.BAD, Judgement(Verdict.GOOD, "clean")), ())
    whole = replace(
        whole,
        tree=tree,
        folder=tmp_path,
        build=BuildRecipe(Arch.X86_64),
        probe=ProbeRecipe(program, ("a b", "$c")),
        lab=replace(LAB, payload=payload, cmdline=("dyndbg=\"file 'x' +p\"", "$(id)")),
    )
    script = draw_up(whole).by_hand
    done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, done.stderr
    *words, jump = (there / "jumped").read_text().splitlines()
    ours = payload is Payload.INITRAMFS
    line = "console=ttyS1,115200 loglevel=7 panic=10 dyndbg=\"file 'x' +p\" $(id)"
    line = f"{line} bisectbot.trials=1" if ours else f"{Path('/proc/cmdline').read_text().strip()} {line}"
    initrd = "initramfs.cpio" if ours else "initramfs.img"
    assert words == ["-s", "-l", "bzImage", f"--initrd={initrd}", f"--command-line={line}"]
    assert jump == "systemctl kexec"
    assert (there / "ran").exists() != ours
    assert ours or (there / "ran").read_text() == "a b $c\n"


def test_the_rung_that_is_no_rescue() -> None:
    """What the ladder calls its first rung is what reports take for the ordinary way home."""
    assert [rung for rung in Rung if Homed("h", str(rung), 1.0).by_itself] == [Rung.WAIT]


def test_home_in_words() -> None:
    """One line: how, after how long, what was tried before, and what the machine kept."""
    homed = lab_session().homecomings[4].homed
    assert home_in_words(homed) == (
        "rack1 is home again by power off, a rest, and on, after 260.0 s (by a power cycle: no answer); "
        f"it kept a crash log: {homed.crash_log}"
    )
