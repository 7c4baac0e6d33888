"""The report of a session: facts in, Markdown, HTML, mail, JSON and terminal text out; nothing here touches the disk.

    Session (session.py)  --draw_up-->  Report  --files-->         {"report.md": text, "report.html": text, ...}
                                                --summary_json-->  dict for --json
                                                --plain_lines-->   lines for the terminal
    Odds (odds.py)        --plan_lines-->  lines for --plan
                          --odds_json-->   dict for --json and odds.json

A `Session` is built from the journal after each step: `steps` holds one `Step` for every commit that was worked on
(its CommitInfo, what its build gave, its trials, its judgement), `outcome` says how it ended: one of model.Answer
(Culprit, Stuck, EndUnproven), or Working, Fault, Interrupted, OutOfTime. All else is optional and shown when it is
known; session.py says what each field means. With `odds` it is the report of a noisy search, without of a plain
bisection.

Whatever stems from a commit, a console, a kernel or a reproducer stays as it is in these values; it is made harmless
where it is shown (render.py, visible.py).
"""

from bisectbot.report.ahead import fit_in_words, plan_lines, word_on
from bisectbot.report.document import BISECT_LOG, HTML, MAIL, MARKDOWN, ODDS, TIMELINE, Report, draw_up, files
from bisectbot.report.meaning import ending_name
from bisectbot.report.numbers import fit_json, odds_json
from bisectbot.report.session import Fault, Interrupted, Outcome, OutOfTime, Session, Step, Working
from bisectbot.report.summary import answer_in_words, plain_lines, summary_json

__all__ = [
    "BISECT_LOG",
    "HTML",
    "MAIL",
    "MARKDOWN",
    "ODDS",
    "TIMELINE",
    "Fault",
    "Interrupted",
    "OutOfTime",
    "Outcome",
    "Report",
    "Session",
    "Step",
    "Working",
    "answer_in_words",
    "draw_up",
    "ending_name",
    "files",
    "fit_in_words",
    "fit_json",
    "odds_json",
    "plain_lines",
    "plan_lines",
    "summary_json",
    "word_on",
]
