"""Notices: what a session's journal says that somebody has still to be told, in which words, and the handing over.

    rows, recipe      --due-->      Notice, ... (row, kind, channel)      what Notified facts don't say yet
    Notice, Told      --message-->  Message                               the same identity whenever it is sent
    Notice, ...       --Post.deliver-->  Sent | Failed, ...               whoever asked writes Notified for each Sent

Killed between the sending and the Notified, the next process sends the same message, with the same identity, again.
"""

from bisectbot.notices.deliver import SEND_SECONDS, Failed, Outcome, Post, Sent
from bisectbot.notices.due import OURS, Event, Notice, due, events, ever_due, next_look
from bisectbot.notices.tries import Tries
from bisectbot.notices.words import Picture, Told, message, trial_message

__all__ = [
    "OURS",
    "SEND_SECONDS",
    "Event",
    "Failed",
    "Notice",
    "Outcome",
    "Picture",
    "Post",
    "Sent",
    "Told",
    "Tries",
    "due",
    "events",
    "ever_due",
    "message",
    "next_look",
    "trial_message",
]
