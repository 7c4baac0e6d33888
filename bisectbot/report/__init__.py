"""The report of a session: facts in, Markdown, HTML, mail, JSON and terminal text out; nothing here touches the disk.

    Session (session.py)  --draw_up-->  Report  --files-->         {"report.md": text, "report.html": text, ...}
                                                --summary_json-->  dict for --json
                                                --plain_lines-->   lines for the terminal

A `Session` is built from the journal after each step: `steps` holds one `Step` for every commit that was worked on
(its CommitInfo, what its build gave, its trials, its judgement), `outcome` says how it ended: one of model.Answer
(Culprit, Stuck, EndUnproven), or Working, Fault, Interrupted. All else is optional and shown when it is known;
session.py says what each field means.

Whatever stems from a commit, a console, a kernel or a reproducer stays as it is in these values; it is made harmless
where it is shown (render.py, visible.py).
"""

from bisectbot.report.document import BISECT_LOG, HTML, MAIL, MARKDOWN, Report, draw_up, files
from bisectbot.report.meaning import ending_name
from bisectbot.report.session import Fault, Interrupted, Outcome, Session, Step, Working
from bisectbot.report.summary import plain_lines, summary_json

__all__ = [
    "BISECT_LOG",
    "HTML",
    "MAIL",
    "MARKDOWN",
    "Fault",
    "Interrupted",
    "Outcome",
    "Report",
    "Session",
    "Step",
    "Working",
    "draw_up",
    "ending_name",
    "files",
    "plain_lines",
    "summary_json",
]
