"""Build logs: whose fault, which line, which file. The messages are those of real gcc 12, binutils, make and dash."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisectbot.build.buildlog import diagnose, wants_new_config
from bisectbot.effects.clock import SystemClock
from bisectbot.effects.proc import Processes
from bisectbot.errors import DiskFull, InfraError, OutOfMemory, ToolMissing
from bisectbot.ports import Deadline

BEFORE = """\
$ nice -n 10 make -C /t O=/t/.bb-x86_64-0-build bzImage
make: Entering directory '/t'
make[1]: Entering directory '/t/.bb-x86_64-0-build'
  CALL    ../scripts/checksyscalls.sh
../scripts/checksyscalls.sh: warning: #warning syscall clone3 not implemented [-Wcpp]
  CC      init/main.o
../init/main.c:88:12: warning: 'unused' defined but not used [-Wunused-function]
   88 | static int unused(void) { return 1; } /* error: No space left on device */
      |            ^~~~~~
  CC      kernel/sched/core.o
"""
AFTER = """\
make[3]: *** [../scripts/Makefile.build:250: kernel/sched/core.o] Error 1
make[2]: *** [../scripts/Makefile.build:500: kernel/sched] Error 2
  AR      lib/lib.a
make[1]: *** [/t/Makefile:2010: kernel] Error 2
make[1]: Leaving directory '/t/.bb-x86_64-0-build'
make: *** [Makefile:236: __sub-make] Error 2
make: Leaving directory '/t'
# exit 2 after 3.21 s
"""


def log(text: str, after: str = AFTER) -> str:
    """Return a whole log with a failure in it."""
    return f"{BEFORE}{text}\n{after}"


BROKEN = [
    # what the compiler, the assembler, the linker, modpost, objtool, Kconfig and make say; title; file
    (
        (
            "../kernel/sched/core.c: In function 'schedule':\n"
            "../kernel/sched/core.c:12:9: error: 'cpu' undeclared (first use in this function)\n"
            "   12 |  return cpu;\n"
            "../kernel/sched/core.c:14:9: error: another one"
        ),
        "kernel/sched/core.c:12:9: error: 'cpu' undeclared (first use in this function)",
        "kernel/sched/core.c",
    ),
    (
        (
            "In file included from ../include/linux/sched.h:5,\n                 from ../kernel/sched/core.c:3:\n"
            "../include/linux/rseq.h:7:10: fatal error: linux/nothing.h: No such file or directory\n"
            "    7 | #include <linux/nothing.h>\ncompilation terminated."
        ),
        "include/linux/rseq.h:7:10: fatal error: linux/nothing.h: No such file or directory",
        "include/linux/rseq.h",
    ),
    (
        (
            "/t/kernel/sched/core.c:9:1: error: no previous prototype for 'f' [-Werror=missing-prototypes]\n"
            "cc1: all warnings being treated as errors"
        ),
        "kernel/sched/core.c:9:1: error: no previous prototype for 'f' [-Werror=missing-prototypes]",
        "kernel/sched/core.c",
    ),
    (
        "../kernel/sched/core.c:1:2: error: #error out of memory allocating 5: No space left on device",
        "kernel/sched/core.c:1:2: error: #error out of memory allocating 5: No space left on device",
        "kernel/sched/core.c",
    ),
    (
        (
            "../arch/x86/entry/entry_64.S: Assembler messages:\n"
            "../arch/x86/entry/entry_64.S:12: Error: no such instruction: `bogus %rax'"
        ),
        "arch/x86/entry/entry_64.S:12: Error: no such instruction: `bogus %rax'",
        "arch/x86/entry/entry_64.S",
    ),
    (
        (
            "ld: warning: arch/x86/a.o: missing .note.GNU-stack section implies executable stack\n"
            "ld: vmlinux.o: in function `schedule':\ncore.c:(.text+0x1): undefined reference to `foo'"
        ),
        "core.c:(.text+0x1): undefined reference to `foo'",
        "core.c",
    ),
    (
        "ld: kernel/sched/core.o: in function `schedule':\n/t/kernel/sched/core.c:1: undefined reference to `foo'",
        "kernel/sched/core.c:1: undefined reference to `foo'",
        "kernel/sched/core.c",
    ),
    (
        "ld: lib/b.o:(.data+0x0): multiple definition of `x'; lib/a.o:(.data+0x0): first defined here",
        "ld: lib/b.o:(.data+0x0): multiple definition of `x'; lib/a.o:(.data+0x0): first defined here",
        "lib/b.o",
    ),
    (
        "aarch64-linux-gnu-ld: section .head.text LMA overlaps section .text LMA",
        "aarch64-linux-gnu-ld: section .head.text LMA overlaps section .text LMA",
        "kernel/sched/core.o",
    ),
    (
        'ERROR: modpost: "kvm_missing" [arch/x86/kvm/kvm.ko] undefined!',
        'ERROR: modpost: "kvm_missing" [arch/x86/kvm/kvm.ko] undefined!',
        "kernel/sched/core.o",
    ),
    (
        "kernel/sched/core.o: error: objtool: schedule+0x1: unannotated intra-function call",
        "kernel/sched/core.o: error: objtool: schedule+0x1: unannotated intra-function call",
        "kernel/sched/core.o",
    ),
    (
        "gcc: error: unrecognized command-line option '-fbogus'",
        "gcc: error: unrecognized command-line option '-fbogus'",
        "kernel/sched/core.o",
    ),
    (
        "gcc: internal compiler error: Segmentation fault signal terminated program cc1",
        "gcc: internal compiler error: Segmentation fault signal terminated program cc1",
        "kernel/sched/core.o",
    ),
    ("init/Kconfig:3: syntax error\ninit/Kconfig:2: unknown statement", "init/Kconfig:3: syntax error", "init/Kconfig"),
    (
        "make[3]: *** No rule to make target 'kernel/gone.o', needed by 'kernel/built-in.a'.  Stop.",
        "make[3]: *** No rule to make target 'kernel/gone.o', needed by 'kernel/built-in.a'.  Stop.",
        "kernel/gone.o",
    ),
    (
        "../kernel/Makefile:12: *** missing separator.  Stop.",
        "kernel/Makefile:12: *** missing separator.  Stop.",
        "kernel/Makefile",
    ),
    # a script of the tree that isn't there or may not run is the commit's fault, though make says 127
    (
        "/bin/sh: 1: ../scripts/gone.sh: not found",
        "make[3]: *** [scripts/Makefile.build:250: kernel/sched/core.o] Error 1",
        "kernel/sched/core.o",
    ),
    (
        "make[2]: ../scripts/gen.sh: Permission denied\nmake[2]: *** [../Makefile:5: gen] Error 127",
        "make[2]: *** [Makefile:5: gen] Error 127",
        "gen",
    ),
    # nor is an option where a Makefile has lost the program's name
    (
        "/bin/sh: 1: -DX=y: not found\nmake[2]: *** [../Makefile:5: gen] Error 127",
        "make[2]: *** [Makefile:5: gen] Error 127",
        "gen",
    ),
    # a tool that a script can do without isn't the cause when the compiler complains
    (
        "/bin/sh: 1: pahole: not found\n../kernel/a.c:1:1: error: expected ';'",
        "kernel/a.c:1:1: error: expected ';'",
        "kernel/a.c",
    ),
]


@pytest.mark.parametrize(("text", "title", "file"), BROKEN, ids=[title[:40] for _, title, _ in BROKEN])
def test_the_commits_fault(text: str, title: str, file: str) -> None:
    """The first line that a tool stopped for and its file are found, free of the place where the tree lies."""
    found = diagnose(log(text), "/t")
    assert found.fault is None
    assert (found.title, found.file) == (title, file)


NO_MEMORY = [
    "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.",
    "cc1: out of memory allocating 65536 bytes after a total of 405504 bytes",
    "gcc: internal compiler error: Killed (program cc1)",
    "virtual memory exhausted: Cannot allocate memory",
    "make[2]: fork: Cannot allocate memory",
    "collect2: fatal error: ld terminated with signal 9 [Killed]",
    "ld: final link failed: memory exhausted",
    "Killed\nmake[1]: *** [/t/Makefile:1160: vmlinux] Error 137",
    "make: *** [Makefile:3: a] Killed",
    "/bin/sh: line 1: 4242 Killed                  ld -o vmlinux",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "LLVM ERROR: out of memory",
]
NO_ROOM = [
    "{standard input}: Fatal error: can't write 11 bytes to section .text of init/main.o: 'No space left on device'",
    "../init/main.c:1:1: fatal error: error closing init/main.o: No space left on device",
    "../init/main.c:1: fatal error: closing dependency file init/.main.o.d: No space left on device",
    "ld: final link failed: No space left on device",
    "cat: write error: No space left on device",
    "mkdir: cannot create directory 'x': Disk quota exceeded",
]
MACHINE = [
    "../init/main.c:1:1: fatal error: can't open init/main.o: Input/output error",
    "make[1]: fork: retry: Resource temporarily unavailable",
    "/bin/sh: 1: cannot create .tmp: Read-only file system",
]


@pytest.mark.parametrize(
    ("text", "fault"),
    [(text, OutOfMemory) for text in NO_MEMORY]
    + [(text, DiskFull) for text in NO_ROOM]
    + [(text, InfraError) for text in MACHINE],
)
def test_the_machines_fault(text: str, fault: type[InfraError]) -> None:
    """Memory, disk and machine failures are never the commit's, even where the compiler names a file."""
    found = diagnose(log(text), "/t")
    assert type(found.fault) is fault
    assert found.title in str(found.fault)


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("/bin/sh: 1: bison: not found\nmake[1]: *** [Makefile:9: x] Error 127", "bison"),
        ("bash: line 1: lz4c: command not found\nmake[1]: *** [Makefile:9: x] Error 127", "lz4"),
        ("make[2]: pahole: No such file or directory\nmake[2]: *** [Makefile:9: x] Error 127", "dwarves"),
        ("/usr/bin/env: 'python3': No such file or directory\nmake[2]: *** [Makefile:9: x] Error 127", "python3"),
        ("/bin/sh: 1: bc: not found", "bc"),
        ("../scripts/Kconfig.include:39: C compiler 'aarch64-linux-gnu-gcc' not found", "gcc-aarch64-linux-gnu"),
        ("collect2: fatal error: cannot find 'ld'\ncompilation terminated.", "binutils"),
        ("gcc: fatal error: cannot execute 'as': execvp: No such file or directory", "binutils"),
        ("BTF: .tmp_vmlinux.btf: pahole (pahole) is not available\nFailed to generate BTF for vmlinux", "dwarves"),
        ("../certs/extract-cert.c:21:10: fatal error: openssl/bio.h: No such file or directory", "libssl-dev"),
        ("/t/tools/objtool/include/objtool/elf.h:10:10: fatal error: gelf.h: No such file or directory", "libelf-dev"),
        ("../scripts/dtc/yamltree.c:9:10: fatal error: yaml.h: No such file or directory", "libyaml-dev"),
        ("/usr/bin/ld: cannot find -lelf: No such file or directory\ncollect2: error: ld returned 1", "libelf-dev"),
        ("/usr/bin/ld: cannot find -lcrypto", "libssl-dev"),
        (
            ('Makefile:1056: *** "Cannot generate ORC metadata for CONFIG_UNWINDER_ORC=y, please install libelf-dev, '
            'libelf-devel or elfutils-libelf-devel".  Stop.'),
            "libelf-dev",
        ),
    ],
)  # fmt: skip
def test_a_missing_package_is_named(text: str, package: str) -> None:
    """A tool, header or library of the machine that isn't there is told with the command that installs it."""
    found = diagnose(log(text), "/t")
    assert isinstance(found.fault, ToolMissing)
    assert found.fault.hint == f"apt-get install {package}"


def test_a_kernel_file_that_includes_a_host_header_is_broken() -> None:
    """The same missing header in the kernel's own code is the commit's fault: no package brings it."""
    found = diagnose(log("../kernel/sched/core.c:3:10: fatal error: gelf.h: No such file or directory"), "/t")
    assert found.fault is None
    assert found.file == "kernel/sched/core.c"


def test_titles_are_bounded_and_plain() -> None:
    """A line without end, or with colours, becomes one short line of text."""
    found = diagnose(log("\x1b[01m\x1b[K../a.c:1:2:\x1b[m\x1b[K error: \x07" + "x" * 5000), "/t")
    assert found.title.startswith("a.c:1:2: error: xxx")
    assert len(found.title) == 200
    assert found.file == "a.c"


def test_a_line_of_last_resort() -> None:
    """When no message is known, the last line that isn't make's own is told; silence is told too."""
    assert diagnose("").title == diagnose("make: Entering directory '/t'\n").title == "make failed without a word"
    assert (
        diagnose("  CC a.o\nsome odd tool: it broke\nmake: *** wait: no children\n").title == "some odd tool: it broke"
    )


@pytest.mark.parametrize("text", ["Restart config...", "*** Run 'make oldconfig' to update configuration."])
def test_an_unanswered_question_is_no_compile_error(text: str) -> None:
    """A .config that leaves a question open is told apart, because its cause may be our own cache."""
    assert wants_new_config(log(text))
    assert not wants_new_config(log("../a.c:1:1: error: x"))


def test_only_the_compiler_s_own_lines_are_beyond_doubt() -> None:
    """A line of a source file can't come from a stale build folder; a linker's complaint can."""
    assert diagnose(log("../a.c:1:1: error: x")).in_source
    assert not diagnose(log("a.c:(.text+0x1): undefined reference to `foo'")).in_source


def test_real_tools_say_what_the_table_says(tmp_path: Path) -> None:
    """The compiler, linker and make of this machine, failing for real, are read rightly."""
    (tmp_path / "a.c").write_text("int f(void) { return y; }\n")
    (tmp_path / "b.c").write_text("int g(void);\nint f(void) { return g(); }\n")
    (tmp_path / "Makefile").write_text(
        "a:\n\tgcc -c a.c\nb:\n\tgcc -c b.c && ld -e 0 b.o -o v\nc:\n\tgcc -S b.c -o /dev/full\n"
        "d:\n\t@exit 137\ne:\n\tcat a.c | no-such-tool-bb > /dev/null\n"
    )
    proc = Processes()

    def failed(target: str) -> str:
        argv = ["make", "-C", str(tmp_path), target]
        code, text = proc.output(argv, deadline=Deadline.after(SystemClock(), 60), env={"LANG": "C"})
        assert code == 2
        return text

    assert diagnose(failed("a")).title == "a.c:1:22: error: 'y' undeclared (first use in this function)"
    assert diagnose(failed("b")).title == "b.c:(.text+0x5): undefined reference to `g'"
    assert isinstance(diagnose(failed("c")).fault, DiskFull)
    assert isinstance(diagnose(failed("d")).fault, OutOfMemory)
    assert isinstance(diagnose(failed("e")).fault, ToolMissing)


def test_a_log_that_was_cut_proves_nothing() -> None:
    """Where the middle of a log is gone, what failed may have stood there: no commit is blamed for what is left."""
    found = diagnose(log("### bisectbot left out about 5 bytes here\na.c:1:1: error: x"))
    assert isinstance(found.fault, InfraError)
    assert not isinstance(found.fault, OutOfMemory | DiskFull)
