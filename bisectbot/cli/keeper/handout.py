"""The keeper's share in notices: what sessions that nobody works on have still to tell, beside its rounds."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bisectbot.channels import Notices
from bisectbot.cli.notifying import hand_over, post_for
from bisectbot.effects.proc import Processes
from bisectbot.errors import BisectbotError, Busy, ConfigError
from bisectbot.keeper.rounds import Session
from bisectbot.notices import SEND_SECONDS, Failed, Notice, Outcome, Post
from bisectbot.ports import Clock
from bisectbot.session import Folder

_AGAIN = 60.0  # seconds between two looks at a session that nobody works on
_HOPE = 7200.0  # seconds after a failure that may pass: what is still due is tried again before that


@dataclass
class Handout:
    """Takes each round's sessions; a thread of its own sends, for a server that hangs mustn't hold up the keeper."""

    recipe: Callable[[], Notices]  # as hosts.toml has it now
    clock: Clock
    say: Callable[[str], None]
    proc: Processes  # whoever owns it ends what runs at the end
    _looked: dict[str, float] = field(default_factory=dict, init=False)  # by session: when, on the clock
    _complaints: dict[str, str] = field(default_factory=dict, init=False)  # by session: the last one
    _failed: dict[Notice, float] = field(default_factory=dict, init=False)  # what may still go: when it last didn't
    _work: queue.Queue[tuple[Folder, Notices]] = field(default_factory=queue.Queue, init=False)
    _posts: tuple[Notices, Post] | None = field(default=None, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def __call__(self, session: Session) -> None:
        """Let a session be looked at if its own process doesn't do it, and it wasn't just now. Returns at once."""
        name, recipe = session.folder.name, self.recipe()
        if session.working:
            self._looked.pop(name, None)
        elif recipe.channels and self.clock.now() >= self._looked.get(name, float("-inf")) + _AGAIN:
            self._looked[name] = self.clock.now()
            self._work.put((session.folder, recipe))
            self._start()

    def join(self) -> None:
        """Wait until every session that was given was looked at."""
        self._work.join()

    @property
    def busy(self) -> bool:
        """Whether a session is still to be looked at, or something may go the next time."""
        late = self.clock.now() - _HOPE
        return self._work.unfinished_tasks > 0 or any(at > late for at in [*self._failed.values()])

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="handout", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            folder, recipe = self._work.get()
            try:
                self._look(folder, recipe)
            except Busy:
                pass  # somebody took it in hands, and sends for itself
            except BisectbotError as error:
                self._complain(folder, str(error))
            except Exception as error:  # noqa: BLE001  a bug in sending mustn't end all sending silently
                self._complain(folder, f"a bug in bisectbot: {type(error).__name__}: {error}")
            finally:
                self._work.task_done()

    def _complain(self, folder: Folder, text: str) -> None:
        """Say it once."""
        if self._complaints.get(folder.name) != text:
            self._complaints[folder.name] = text
            self.say(f"{folder.name}: notices: {text}")

    def _look(self, folder: Folder, recipe: Notices) -> None:
        for outcome in hand_over(folder, recipe, self._post(recipe), SEND_SECONDS):
            if isinstance(outcome, Failed) and not isinstance(outcome.error, ConfigError):
                self._failed[outcome.notice] = self.clock.now()
            else:
                self._failed.pop(outcome.notice, None)
            if told := _told(outcome):
                self.say(f"{folder.name}: {told}")

    def _post(self, recipe: Notices) -> Post:
        """Return the same post for the same recipe: it knows what to wait for."""
        if self._posts is None or self._posts[0] != recipe:
            self._posts = recipe, post_for(recipe, self.proc)
        return self._posts[1]


def _told(outcome: Outcome) -> str:
    """Return the line about a notice, empty for one of many failures in a row."""
    what = f"notice of {outcome.notice.kind} by {outcome.notice.channel}"
    if isinstance(outcome, Failed):
        return f"{what} failed: {outcome.error.message}" if outcome.times == 1 or outcome.worth_noting else ""
    return f"{what} sent" + (f", but not to {outcome.lacking}" if outcome.lacking else "")
