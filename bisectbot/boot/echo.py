"""Whether a console brings what its machine says: the kernel there says a word, and it is listened for."""

from __future__ import annotations

import secrets

from bisectbot.ports import Clock, Console, Deadline
from bisectbot.reach import Shell

_SAY = 'echo "<0>$1" >/dev/kmsg'  # level 0: on the console whatever loglevel is in force
_PATIENCE = 0.25
_MOST = 65536


def echoes(shell: Shell, recorded: Console, clock: Clock, seconds: float) -> bool:
    """Say a word on the machine and return whether it comes within so many seconds. Raises as Shell.run()."""
    word = f"bisectbot-check-{secrets.token_hex(4)}"
    deadline = Deadline.after(clock, seconds)
    shell.run(["sh", "-c", _SAY, "sh", word], deadline)
    heard = b""
    for chunk in recorded.chunks(_PATIENCE):
        heard = (heard + chunk.data if chunk else heard)[-_MOST:]
        if word.encode() in heard:
            return True
        if deadline.passed:
            break
    return False
