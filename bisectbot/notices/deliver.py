"""One round of handing over: what is due and may be tried now, each over its channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bisectbot.channels import Message, Sender
from bisectbot.errors import BisectbotError, ConfigError
from bisectbot.notices.due import Notice
from bisectbot.notices.tries import Tries
from bisectbot.ports import Clock, Deadline

SEND_SECONDS = 60.0  # for one message
_WORTH_NOTING = 3  # failures in a row of what may pass


@dataclass(frozen=True)
class Sent:
    """It was taken; `lacking` says what of it wasn't, "" if nothing."""

    notice: Notice
    lacking: str = ""


@dataclass(frozen=True)
class Failed:
    """It wasn't taken, for the `times`th time."""

    notice: Notice
    error: BisectbotError
    times: int

    @property
    def worth_noting(self) -> bool:
        """Whether a person may want to know: at once if only a person can mend it, and not again each time."""
        return self.times == (1 if isinstance(self.error, ConfigError) else _WORTH_NOTING)


Outcome = Sent | Failed


@dataclass(frozen=True)
class Post:
    """Who hands notices over: a sender for each channel by its name, and what was tried in vain.

    `stop`: ends what a sender has running, from any thread; nothing can be sent any more then.
    """

    senders: Mapping[str, Sender]
    clock: Clock
    tries: Tries = field(default_factory=Tries)
    stop: Callable[[], None] = lambda: None

    def deliver(
        self, notices: Iterable[Notice], compose: Callable[[Notice], Message], seconds: float | None = None
    ) -> Iterator[Outcome]:
        """Yield what became of each notice that may be tried now, as it is known; all in `seconds` at the most.

        Where one failed for what may pass, nothing else goes over that channel in this round.
        """
        whole = None if seconds is None else Deadline.after(self.clock, seconds)
        down: set[str] = set()
        for notice in notices:
            if notice.channel in down or not self.tries.may(notice, self.clock.now()) or (whole and whole.passed):
                continue
            limit = SEND_SECONDS if whole is None else min(SEND_SECONDS, whole.remaining)
            outcome = self._hand_over(notice, compose, Deadline.after(self.clock, limit))
            if isinstance(outcome, Failed) and not isinstance(outcome.error, ConfigError):
                down.add(notice.channel)
            yield outcome

    def _hand_over(self, notice: Notice, compose: Callable[[Notice], Message], deadline: Deadline) -> Outcome:
        try:
            lacking = self.senders[notice.channel].send(compose(notice), deadline)
        except BisectbotError as error:
            return Failed(notice, error, self.tries.failed(notice, self.clock.now()))
        self.tries.done(notice)
        return Sent(notice, lacking)
