"""What goes into a guest: compiled for real from csrc/, and a user's own program looked at before anything starts."""

from __future__ import annotations

import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bisectbot import places
from bisectbot.boot import programs
from bisectbot.boot.programs import check_program
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.errors import ConfigError, InfraError, ToolMissing
from bisectbot.model import Arch
from bisectbot.ports import Deadline, Finished
from csrc import HERE, compile_one, ours, prefix

OTHER = {Arch.X86_64: Arch.AARCH64, Arch.AARCH64: Arch.X86_64}


class FakeMake(Processes):
    """Everything real but make, which leaves its files and counts."""

    def __init__(self, missing: str = "", faster: Path | None = None) -> None:
        super().__init__()
        self.made: list[Path] = []
        self._missing = missing
        self._faster = faster  # what another one puts into our place meanwhile

    def which(self, tool: str) -> Path | None:
        """Find all but one."""
        return None if tool == self._missing else super().which(tool)

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        deadline: Deadline,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Finished:
        """Make what OUT= asks for."""
        assert (argv[0], cwd, env, log.parent.is_dir(), deadline.passed) == ("make", None, None, True, False)
        out = Path(argv[-1].removeprefix("OUT="))
        out.mkdir()
        for name in programs._NAMES:
            (out / name).write_text(name)
        self.made.append(out)
        if self._faster:
            self._faster.rename(log.with_suffix(""))
        return Finished(0, 0.0)


def compiled(proc: Processes, arch: Arch = HERE) -> programs.Programs:
    """Return what the product gets."""
    return programs.compiled(proc, SystemClock(), arch)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of csrc/ that may be changed, in the place of the real one."""
    copy = tmp_path / "csrc"
    shutil.copytree(places.data("csrc"), copy)
    monkeypatch.setattr(places, "data", lambda _name: copy)
    return copy


# --- our own -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", Arch)
def test_our_programs_are_static_and_small(arch: Arch) -> None:
    """Init, runner and the reproducer compile for each architecture, need nothing beside them, and load in no time."""
    made = ours(arch)
    for program in (made.init, made.reproducer, made.runner):
        check_program(program, arch)
        assert program.stat().st_size < 1 << 20


def test_nothing_is_compiled_twice() -> None:
    """The second time, and the next session, take what is in the cache."""
    first, second = FakeMake(), FakeMake()
    made = compiled(first)
    assert compiled(second) == made
    assert (len(first.made), len(second.made)) == (1, 0)
    assert made.init.is_relative_to(places.cache())


def test_another_source_gives_other_programs(sources: Path) -> None:
    """A changed source is compiled again, and the old programs stay for who uses them."""
    proc = FakeMake()
    before = compiled(proc)
    (sources / "text.h").write_text("/* changed */\n")
    after = compiled(proc)
    assert (after.init.parent != before.init.parent, before.init.exists(), len(proc.made)) == (True, True, 2)


def test_a_new_program_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache from before a program was added doesn't stand for one that has it."""
    with monkeypatch.context() as before:
        before.setattr(programs, "_NAMES", ("init", "rseq-kvm"))
        key = programs._key(places.data("csrc"), HERE, "gcc")
    assert programs._key(places.data("csrc"), HERE, "gcc") != key
    made = compiled(FakeMake())
    assert [path.name for path in (made.init, made.reproducer, made.runner)] == ["init", "rseq-kvm", "runner"]


def test_another_bisectbot_was_first() -> None:
    """Two sessions that compile at once both get complete programs, and no rubbish stays."""
    first = compiled(FakeMake())
    lost = first.init.parent.rename(first.init.parent.with_name("lost"))
    assert compiled(FakeMake(faster=lost)) == first
    assert [path for path in first.init.parent.parent.iterdir() if path.is_dir()] == [first.init.parent]


def test_equal_sources_give_equal_bytes(sources: Path) -> None:
    """Where the sources lie and when they are compiled isn't in the programs."""
    make = ["make", "-s", "-C", str(sources), f"ARCH={HERE}", f"OUT={sources.parent}/out"]
    subprocess.run(make, check=True)
    for name in programs._NAMES:
        assert (sources.parent / "out" / name).read_bytes() == (ours().init.parent / name).read_bytes()


def test_a_source_that_doesnt_compile_is_our_fault(sources: Path) -> None:
    """The compiler's message and its log are told, no half-made folder is left, and the next try starts anew."""
    (sources / "text.c").write_text("int other = nothing;\n")
    with pytest.raises(InfraError, match=r"error: .nothing. undeclared") as told:
        compiled(Processes())
    assert Path(told.value.hint.split(" holds ")[0]).read_text().startswith("$ ")
    assert [path for path in (places.cache() / "programs").iterdir() if path.is_dir()] == []
    assert compiled(FakeMake()).init.exists()


@pytest.mark.parametrize("tool", ["make", "gcc"])
def test_a_missing_tool_is_named(tool: str) -> None:
    """Without make or a compiler the package to install is told."""
    with pytest.raises(ToolMissing, match=tool) as told:
        compiled(FakeMake(tool))
    assert told.value.hint == f"apt-get install {tool}"


def test_a_missing_cross_compiler_is_named() -> None:
    """For another architecture it is that one's compiler."""
    arch = OTHER[HERE]
    with pytest.raises(ToolMissing) as told:
        compiled(FakeMake(f"{arch}-linux-gnu-gcc"), arch)
    assert told.value.hint == f"apt-get install gcc-{arch.replace('_', '-')}-linux-gnu"


@pytest.mark.parametrize("arch", Arch)
def test_the_analyser_finds_nothing(arch: Arch, tmp_path: Path) -> None:
    """Gcc's static analyser has no warning (they are errors), and it does look."""
    make = ["make", "-s", "-C", str(places.data("csrc")), f"ARCH={arch}", f"CROSS_COMPILE={prefix(arch)}"]
    subprocess.run([*make, f"OUT={tmp_path}", "analyze"], check=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_the_analyser_looks(sources: Path, tmp_path: Path) -> None:
    """A fault that only the analyser can see fails that make."""
    source = sources / "text.c"
    leak = 'int leak(void);\nint leak(void) { FILE *f = fopen("/", "r"); return f ? fgetc(f) : 0; }\n'
    source.write_text(source.read_text() + leak)
    make = ["make", "-s", "-C", str(sources), f"ARCH={HERE}", f"OUT={tmp_path}/out"]
    subprocess.run([*make, f"{tmp_path}/out/init"], check=True)
    done = subprocess.run([*make, "analyze"], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "analyzer-file-leak" in done.stderr


# --- the user's ----------------------------------------------------------------------------------


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """Return a program that fits."""
    return compile_one("misbehave", tmp_path)


def fault(path: Path, arch: Arch = HERE) -> ConfigError:
    """Return what is told about a program."""
    with pytest.raises(ConfigError) as told:
        check_program(path, arch)
    assert str(path) in told.value.message
    assert told.value.hint
    return told.value


@pytest.mark.parametrize("flags", [("-static",), ("-static-pie",)], ids=" ".join)
def test_a_static_program_fits(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """With fixed addresses or without."""
    check_program(compile_one("misbehave", tmp_path, HERE, *flags), HERE)


def test_a_dynamic_program_is_refused(tmp_path: Path) -> None:
    """Its libraries would be missing."""
    assert "is not static" in fault(compile_one("misbehave", tmp_path, HERE, "-pie", "-fPIE")).message


def test_another_architecture_is_refused(static: Path) -> None:
    """The architecture that it would have to be for is named, and its compiler."""
    told = fault(static, OTHER[HERE])
    assert f"is not for {OTHER[HERE]}" in told.message
    assert f"{OTHER[HERE]}-linux-gnu-gcc -static" in told.hint


def test_a_script_is_refused(tmp_path: Path) -> None:
    """There is no interpreter in the initramfs, whatever the first line says."""
    script = tmp_path / "reproducer.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    assert "is a script, and the initramfs holds no interpreter" in fault(script).message


def test_an_object_file_is_refused(tmp_path: Path) -> None:
    """The right machine alone makes no program."""
    made = compile_one("misbehave", tmp_path, HERE, "-c")
    made.chmod(0o755)
    assert "is an object file" in fault(made).message


def test_a_library_is_refused(tmp_path: Path) -> None:
    """A shared library has segments, too."""
    library = compile_one("misbehave", tmp_path, HERE, "-shared", "-fPIC", "-nostartfiles")
    assert "is an object file or a library" in fault(library).message


def test_a_program_that_may_not_run_is_refused(static: Path) -> None:
    """The mode counts here, not the one that init would give it."""
    static.chmod(stat.S_IRUSR)
    assert fault(static).hint == f"chmod +x {static}"


def test_a_file_that_isnt_there(tmp_path: Path) -> None:
    """Told as such, and so is a folder."""
    assert "No such file" in fault(tmp_path / "nowhere").message
    assert "Is a directory" in fault(tmp_path).message


@pytest.mark.parametrize("keep", [0, 3, 20, 70, 200])
def test_a_cut_program_is_refused(static: Path, keep: int) -> None:
    """A download that broke off is told, not crashed on."""
    static.write_bytes(static.read_bytes()[:keep])
    assert any(word in fault(static).message for word in ("no ELF program", "is cut"))


@pytest.mark.parametrize("offset", [b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff\xff\xff\x7f\0\0\0\0"])
def test_hostile_headers_are_refused(static: Path, offset: bytes) -> None:
    """Offsets and counts that point nowhere raise nothing but the one error."""
    content = bytearray(static.read_bytes())
    content[32:40] = offset
    content[54:58] = b"\xff\xff\xff\xff"
    static.write_bytes(content)
    assert "is cut" in fault(static).message
