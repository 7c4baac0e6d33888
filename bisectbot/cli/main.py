"""The `bisectbot` command: its sub-commands, and how errors become messages and exit codes."""

from __future__ import annotations

import errno
import sys
from importlib.metadata import version

import click

from bisectbot.cli.calibrate import calibrate
from bisectbot.cli.completion import completion
from bisectbot.cli.consoles import console
from bisectbot.cli.doctor import doctor
from bisectbot.cli.hosts import hosts
from bisectbot.cli.keeper.queue import queue
from bisectbot.cli.keeper.service import service
from bisectbot.cli.look import log, report, status
from bisectbot.cli.notify import notify
from bisectbot.cli.output import Exit, Output
from bisectbot.cli.run import resume, run
from bisectbot.cli.single import build, try_commit
from bisectbot.cli.tidy import tidy
from bisectbot.cli.watch.command import watch
from bisectbot.effects.repo import forget_surroundings
from bisectbot.effects.sdnotify import Notifier
from bisectbot.errors import BisectbotError, Busy, os_fault

# What a disk, a server of disks or its owner does to whoever writes, wherever that is: no bug of ours.
_OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("bisectbot"), message="%(prog)s %(version)s")
def bisectbot() -> None:
    """Find the commit that broke a Linux kernel: build, boot and probe each candidate, unattended."""


for command in (
    calibrate,
    run,
    resume,
    queue,
    service,
    status,
    log,
    report,
    watch,
    build,
    try_commit,
    console,
    doctor,
    hosts,
    notify,
    tidy,
    completion,
):
    bisectbot.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. A user's mistake never shows a traceback; a bug of ours always does."""
    forget_surroundings()
    words = sys.argv[1:] if arguments is None else arguments
    # the flag itself, in case the arguments can't even be read
    output = Output(as_json="--json" in words[: words.index("--") if "--" in words else None])
    sys.exit(_run(words, output))


def _run(words: list[str], output: Output) -> int:
    try:
        code = bisectbot.main(args=words, prog_name="bisectbot", standalone_mode=False, obj=output)
    except click.ClickException as error:
        error.show()
        output.failed(error.format_message(), "", Exit.MISTAKE)
        return Exit.MISTAKE
    except (click.Abort, KeyboardInterrupt):
        click.echo("bisectbot: interrupted", err=True)
        return Exit.INTERRUPTED
    except BisectbotError as error:
        if isinstance(error, Busy):
            Notifier().failed(errno.EBUSY)  # the keeper tries again, which for a mistake would be no use
        return output.fail(error)
    except BrokenPipeError:
        # whoever read our output is gone (| head); don't complain again at exit
        sys.stdout = None
        return Exit.DONE
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        return output.fail(os_fault(error))
    return code if isinstance(code, int) else Exit.DONE
