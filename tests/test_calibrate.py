"""The calibration: what is measured next, what follows from it, how it is shown, and what `run` takes of it."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from fakes import FakeClock
from history import History, line, make_history
from hostile import NASTY
from hypothesis import given, settings
from hypothesis import strategies as st

from bisectbot.calibrate.experiment import Asked, Case, Counts, Part, Run, Step, boots_left, next_step, run_of
from bisectbot.calibrate.kept import as_json, settings_from
from bisectbot.calibrate.result import Calibration, Close, Place, found
from bisectbot.calibrate.setting import Delay, Lasting, Setting, of_args, read_settings
from bisectbot.cli.main import main
from bisectbot.cli.measuring import Measuring
from bisectbot.errors import ConfigError, HostSick
from bisectbot.interval import interval
from bisectbot.model import Arch, Ending, Trial
from bisectbot.ports import Deadline
from bisectbot.report.calibration import draw_up, files, plain_lines
from bisectbot.report.timeplot import LEFT, RIGHT, Axis, Span, axis_for, draw, in_units

NONE, SHORT, LONG = Setting(Delay.NONE), Setting(Delay.USLEEP, 1), Setting(Delay.BOTH, 500)
HOST = "qemu-x86_64"
GOOD, BAD = "a" * 40, "b" * 40
ASKED = Asked((HOST, "qemu-aarch64"), (NONE, SHORT, LONG), Lasting("seconds", 2.0), runs=3)
PLACE = Place(HOST, Arch.X86_64, "6.1-good", "6.1-bad")


def a_run(
    setting: Setting = SHORT, part: Part = Part.FIRE, ending: Ending = Ending.FIRED, after: float = 0.1, boot: int = 1
) -> Run:
    """Return a run that fired after so many seconds, or lasted so long without."""
    first = after if ending is Ending.FIRED else None
    counts = Counts(100, 90, 5000, 4990, 10, int(ending is Ending.FIRED))
    return Run(Case(HOST, setting), part, boot, ending, "why", counts, after, first, after + 0.3)


def calibrated(*runs: Run, asked: Asked = ASKED) -> Calibration:
    """Return an experiment on one host with these runs."""
    return Calibration(replace(asked, hosts=(HOST,)), (PLACE,), GOOD, BAD, 1e9, 1e9 + 60, Close.COMPLETE, runs)


def measured(setting: Setting, *fires: float) -> tuple[Run, ...]:
    """Return the runs of a setting that is accepted: clean on the good kernel, and firing on the bad one."""
    clean = a_run(setting, Part.GOOD, Ending.CLEAN, after=2.0)
    return (clean, a_run(setting, Part.COUNT), *(a_run(setting, after=after) for after in fires))


# --- settings ---


def test_settings_are_read_in_their_order() -> None:
    """Each kind with its length, spaces allowed, a repeated one once."""
    told = read_settings("none, usleep:1,getcpu:10,both:500,usleep:1")
    assert [str(one) for one in told] == ["none", "usleep:1", "getcpu:10", "both:500"]
    assert told[1].args == ("--delay", "usleep", "--delay-length", "1")
    assert told[0].args == ("--delay", "none")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "usleep", "usleep:", "usleep:0", "usleep:x", "usleep:9999999", "none:1", "usleep:1,,"],
)
def test_what_is_no_setting_is_named(text: str) -> None:
    """A kind that isn't there, or a length that is missing, too much or none, is a mistake with what is accepted."""
    with pytest.raises(ConfigError, match="--delays") as caught:
        read_settings(text)
    assert "usleep:N" in caught.value.hint


@pytest.mark.parametrize("setting", [NONE, SHORT, LONG])
def test_arguments_lead_back_to_their_setting(setting: Setting) -> None:
    """What is kept as arguments is read as the same setting, and nothing else is."""
    assert of_args(setting.args) == setting
    for wrong in ((*setting.args, "--keep-going"), setting.args[1:], (), ("--device", "x"), ("--delay", 1)):
        assert of_args(wrong) is None


# --- the interval ---


@pytest.mark.parametrize(
    ("fires", "low", "high"),
    [
        (1, 0.0253, 5.5716),
        (2, 0.2422, 7.2247),
        (5, 1.6235, 11.6683),
        (10, 4.7954, 18.3904),
        (20, 12.2165, 30.8884),
        (100, 81.36, 121.63),
    ],
)
def test_the_interval_is_the_exact_one(fires: int, low: float, high: float) -> None:
    """The published 95 % intervals of a Poisson mean (Garwood) come out to three digits, scaled by the seconds."""
    assert interval(fires, 4.0) == pytest.approx((low / 4, high / 4), rel=1e-3)


def test_without_a_fire_only_a_bound_is_known() -> None:
    """No fire in T seconds: from 0 to 3.0 / T; no exposure: nothing at all."""
    assert interval(0, 10.0) == pytest.approx((0.0, 0.29957), abs=1e-5)
    assert interval(0, 0.0) == (0.0, math.inf)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 300), st.floats(1e-4, 1e6))
def test_the_interval_holds_the_rate(fires: int, seconds: float) -> None:
    """It is around the plain rate, and narrower the more fires there were."""
    low, high = interval(fires, seconds)
    more_low, more_high = interval(fires + 1, seconds)
    assert low < fires / seconds < high
    assert high / low > more_high / more_low


# --- what is measured next ---


def carry_out(asked: Asked, ends: Callable[[Step], Ending]) -> list[tuple[Step, list[Run]]]:
    """Return each boot and its runs, in a world that says how a run ends; a boot ends with the first unclean run."""
    runs: list[Run] = []
    boots: list[tuple[Step, list[Run]]] = []
    while step := next_step(asked, runs):
        told: list[Run] = []
        while len(told) < step.runs and (not told or told[-1].ending is Ending.CLEAN):
            told.append(replace(a_run(ending=ends(step), boot=len(boots) + 1), case=step.case, part=step.part))
        runs += told
        boots.append((step, told))
        assert len(boots) < 1000, "it never ends"
    return boots


def as_it_should(step: Step) -> Ending:
    """Return how a run ends where all is well."""
    return Ending.CLEAN if step.part is Part.GOOD else Ending.FIRED


def test_all_is_measured_in_as_few_boots_as_can_be() -> None:
    """One boot for all runs on the good kernel, one to count, and one for each fire; the forecast knew it."""
    boots = carry_out(ASKED, as_it_should)
    assert len(boots) == boots_left(ASKED, []) == 6 * (1 + 1 + 3)
    for case in ASKED.cases:
        mine = [(step.part, len(told)) for step, told in boots if step.case == case]
        assert mine == [(Part.GOOD, 3), (Part.COUNT, 1), *[(Part.FIRE, 1)] * 3]


def test_a_setting_that_never_fires_needs_one_boot() -> None:
    """Runs that stay clean share a boot, on the bad kernel, too."""
    boots = carry_out(ASKED, lambda _: Ending.CLEAN)
    assert len(boots) == 6 * 3


def test_cases_take_turns() -> None:
    """At no time has a case had two boots more than another, so a cut experiment has something of each."""
    boots = carry_out(ASKED, as_it_should)
    for many in range(len(boots)):
        had = [sum(step.case == case for step, _ in boots[:many]) for case in ASKED.cases]
        assert max(had) - min(had) <= 1


@pytest.mark.parametrize("ending", [Ending.HUNG, Ending.BOOT_CRASHED, Ending.CANT_TELL])
def test_no_ending_makes_it_go_on_for_ever(ending: Ending) -> None:
    """Boots without a verdict are repeated a few times only; each part keeps its end."""
    boots = carry_out(ASKED, lambda _: ending)
    assert len(boots) <= 6 * (3 + 3 + 5)


def test_the_forecast_reaches_zero() -> None:
    """It counts down with each boot, to nothing when all is measured."""
    runs: list[Run] = []
    left = [boots_left(ASKED, runs)]
    for _, told in carry_out(ASKED, as_it_should):
        runs += told
        left.append(boots_left(ASKED, runs))
    assert all(after == before - 1 for before, after in pairwise(left))
    assert left[-1] == 0


def test_a_trial_becomes_a_run() -> None:
    """Counts, times and the first mismatch come from the reproducer's own line, the wall time from ours."""
    told = {"seconds": 0.5, "migrations": 7, "retries": 3, "first_mismatch": {"seconds": 0.25}, "reads": 9}
    trial = Trial(BAD, 4, Ending.FIRED, "it fired", told, probe_seconds=0.8)
    run = run_of(Step(Case(HOST, SHORT), Part.FIRE, 1), trial)
    assert (run.counts.migrations, run.counts.retries, run.counts.reads, run.counts.moves) == (7, 3, 9, 0)
    assert (run.exposed, run.seconds, run.wall, run.boot) == (0.25, 0.5, 0.8, 4)


@pytest.mark.parametrize("told", [{}, {"seconds": "x", "first_mismatch": 3, "reads": None}, {"seconds": -1}])
def test_counts_of_a_stranger_are_nothing(told: dict[str, object]) -> None:
    """What is no number counts as 0, and breaks nothing."""
    run = run_of(Step(Case(HOST, SHORT), Part.FIRE, 1), Trial(BAD, 1, Ending.HUNG, "why", told))
    assert (run.exposed, run.counts) == (0, Counts())


# --- what follows ---


def test_the_soonest_is_chosen_and_its_like_named() -> None:
    """The smallest mean wins; one whose interval overlaps is called alike, one that is far off is not."""
    slow = Setting(Delay.USLEEP, 9)
    near = measured(LONG, *[0.12] * 10)
    told = found(
        calibrated(
            *measured(SHORT, *[0.1] * 10),
            *near,
            *measured(slow, *[9.0] * 10),
            asked=replace(ASKED, settings=(slow, LONG, SHORT)),
        ),
        PLACE,
    )
    assert told.soonest is not None
    assert told.soonest.setting == SHORT
    assert [row.setting for row in told.alike] == [LONG]
    assert told.soonest.firing.mean == pytest.approx(0.1)
    assert told.soonest.firing.wall_mean == pytest.approx(0.4)


def test_time_without_a_fire_counts() -> None:
    """A setting that fires early in some runs and never in most is no soon one."""
    seldom = (*measured(LONG, 0.01), *[a_run(LONG, Part.FIRE, Ending.CLEAN, after=2.0)] * 9)
    told = found(calibrated(*seldom, *measured(SHORT, *[0.5] * 10)), PLACE)
    assert told.soonest is not None
    assert told.soonest.setting == SHORT
    (row,) = (row for row in told.rows if row.setting == LONG)
    assert row.firing.mean == pytest.approx(18.01)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (a_run(SHORT, Part.GOOD, Ending.CANT_TELL), "can't tell in 1 of"),
        (a_run(SHORT, Part.FIRE, Ending.CANT_TELL), "can't tell in 1 of"),
        (a_run(SHORT, Part.COUNT, Ending.CANT_TELL), "can't tell in 1 of"),
        (a_run(SHORT, Part.GOOD, Ending.FIRED), "the good kernel fired in 1 of"),
    ],
)
def test_a_setting_that_is_not_accepted_is_not_chosen(more: Run, why: str) -> None:
    """However soon it fires: with a run that can't tell, or a good kernel that fired, there is nothing to choose."""
    told = found(calibrated(*measured(SHORT, 0.001), more), PLACE)
    assert told.soonest is None
    (row,) = (row for row in told.rows if row.setting == SHORT)
    assert row.unfit.startswith(why)


def test_a_good_kernel_that_fires_leaves_nothing_to_choose() -> None:
    """Not with another setting either: it has the bug then, or the reproducer sees what isn't there."""
    alarm = a_run(LONG, Part.GOOD, Ending.FIRED)
    kept = calibrated(*measured(SHORT, 0.1, 0.1), alarm)
    assert found(kept, PLACE).soonest is None
    assert as_json(kept)["chosen"] == {}
    page = draw_up(kept)
    assert page.headline == "THE GOOD KERNEL FIRED"
    assert "both:500 (1 of 1 runs)" in page.alarm[0]
    for text in (files(kept)["calibration.md"], files(kept)["calibration.html"], "\n".join(plain_lines(kept))):
        assert "THE GOOD KERNEL FIRED on qemu-x86_64" in text


def test_silence_on_the_bad_kernel_is_not_chosen() -> None:
    """Nor is a setting of which the runs on one of the kernels are still lacking."""
    silent = (a_run(SHORT, Part.GOOD, Ending.CLEAN), a_run(SHORT, Part.FIRE, Ending.CLEAN, after=2.0))
    early = a_run(NONE, Part.GOOD, Ending.CLEAN)
    told = found(calibrated(*silent, a_run(LONG), early), PLACE)
    assert told.soonest is None
    reasons = {row.setting: row.unfit for row in told.rows}
    assert reasons[SHORT] == "the bad kernel never fired"
    assert reasons[LONG] == "no clean run on the good kernel"
    assert reasons[NONE] == "not tried on the bad kernel"


# --- what is kept ---


def kept_at(tmp_path: Path, kept: object) -> Path:
    """Return a file that holds this as JSON."""
    path = tmp_path / "calibration.json"
    path.write_text(kept if isinstance(kept, str) else json.dumps(kept))
    return path


def test_run_gets_the_chosen_arguments(tmp_path: Path) -> None:
    """What was found to fire soonest comes back from the file, for its architecture alone."""
    path = kept_at(tmp_path, files(calibrated(*measured(SHORT, 0.1), *measured(LONG, 9.0)))["calibration.json"])
    assert settings_from(path, Arch.X86_64) == ("--delay", "usleep", "--delay-length", "1")
    with pytest.raises(ConfigError, match="no setting was chosen for aarch64"):
        settings_from(path, Arch.AARCH64)


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ("", "isn't what"),
        ("[1]", "isn't what"),
        ({"version": 1}, "isn't what"),
        ({"format": "bisectbot calibration", "version": 2}, "another version"),
        ({"format": "bisectbot calibration", "version": 1}, "no setting was chosen"),
        ({"format": "bisectbot calibration", "version": 1, "chosen": {"x86_64": "--delay none"}}, "no setting"),
        ({"format": "bisectbot calibration", "version": 1, "chosen": {"x86_64": ["--device", "x"]}}, "no setting"),
    ],
)
def test_a_foreign_file_is_a_mistake(tmp_path: Path, kept: object, says: str) -> None:
    """A file of something else, of another version, or with arguments that no experiment gives, is refused."""
    with pytest.raises(ConfigError, match=says) as caught:
        settings_from(kept_at(tmp_path, kept), Arch.X86_64)
    assert "bisectbot calibrate" in caught.value.hint


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    """It is named, with the reason; a folder likewise."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigError, match="can't be read"):
            settings_from(path, Arch.X86_64)


def test_the_file_is_json_for_any_reader() -> None:
    """Bounds that aren't known are null, never Infinity; all runs are there."""
    kept = files(calibrated(*measured(SHORT, 0.1), a_run(LONG, Part.FIRE, Ending.CLEAN)))["calibration.json"]

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    told = json.loads(kept, parse_constant=refuse)
    assert len(told["trials"]) == 4
    (long,) = (one for one in told["hosts"][0]["settings"] if one["setting"] == "both:500")
    assert long["bad"]["mean_seconds"] is None
    assert long["bad"]["mean_seconds_95"][1] is None


# --- how it is shown ---


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00012, "0.12 ms"),
        (0.0000123, "12 us"),
        (0.0045, "4.5 ms"),
        (0.25, "0.25 s"),
        (12.3, "12 s"),
        (1234.0, "1,234 s"),
    ],
)
def test_times_have_two_digits_and_a_unit(seconds: float, text: str) -> None:
    """What a reader compares is short, and never rounded to nothing."""
    assert in_units(seconds) == text


def test_the_axis_is_logarithmic() -> None:
    """Equal ratios are equal distances, all finite times are on it, and what is endless ends at its end."""
    spans = [Span("a", 0.02, 0.5, 0.1, "", "x"), Span("b", 3.0, math.inf, None, "", "x")]
    axis = axis_for(spans)
    assert (axis.low, axis.high) == (-2, 1)
    assert axis.place(0.01) == LEFT
    assert axis.place(10.0) == axis.place(math.inf) == RIGHT
    assert axis.place(1.0) - axis.place(0.1) == pytest.approx(axis.place(0.1) - axis.place(0.01), abs=0.2)
    one, other = draw(spans, axis).bars
    assert one.mean is not None
    assert LEFT < one.left < one.mean < one.right < RIGHT
    assert (other.mean, other.open_end) == (None, True)
    assert Axis(-2, 1).ticks[0].text == "10 ms"


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it; one that closes itself comes here, too."""
        self.opened.append(" ".join((tag, *(name for name, _ in attrs))))


def plots(page: str) -> list[ET.Element]:
    """Return the plots of a page; each has to be sound XML."""
    return [ET.fromstring("<svg" + part.partition("</svg>")[0] + "</svg>") for part in page.split("<svg")[1:]]  # noqa: S314  our own page


def test_the_plot_shows_each_setting() -> None:
    """Every setting has its row with name and figure; a fire has a dot, silence an arrow and none."""
    kept = calibrated(*measured(SHORT, 0.1), a_run(LONG, Part.FIRE, Ending.CLEAN, after=2.0))
    (plot,) = plots(files(kept)["calibration.html"])
    rows = {group[0].text: group for group in plot.iter("g")}
    assert list(rows) == ["none", "usleep:1", "both:500"]
    assert len(list(rows["usleep:1"].iter("circle"))) == 1
    assert list(rows["both:500"].iter("circle")) == []
    assert "never in 2 s" in [text.text for text in rows["both:500"].iter("text")]
    assert rows["usleep:1"].get("class") == "soonest"
    assert list(rows["none"].iter("path")) == []


def test_no_text_becomes_html() -> None:
    """Whatever a kernel calls itself, the page has the same elements, and its plot is sound."""
    kept = calibrated(*measured(SHORT, 0.1))
    plain = Elements(files(kept)["calibration.html"]).opened
    for text in NASTY:
        page = files(replace(kept, places=(replace(PLACE, good=text, bad=text),)))["calibration.html"]
        assert Elements(page).opened == plain, text
        assert len(plots(page)) == 1


def test_the_page_says_what_was_measured() -> None:
    """Setting, arguments, counts of both kernels and the interval stand in the Markdown."""
    text = files(calibrated(*measured(SHORT, *[0.1] * 5)))["calibration.md"]
    assert text.startswith("# Fires soonest: usleep:1 on x86_64\n")
    assert "--delay usleep --delay-length 1" in text
    assert "| usleep:1 | 1 clean | 5 of 5 | 0.1 s (43 ms to 0.31 s) | 0.4 s | soonest |" in text
    assert "| usleep:1 | good | 2 s | 100 | 90 | 5,000 | 4,990 | 10 | 0 |" in text
    assert "| usleep:1 | bad | 0.1 s | 100 | 90 | 5,000 | 4,990 | 10 | 1 |" in text
    assert "| none | good | - |".replace("-", "\\-") in text


# --- carrying it out ---


class Boots:
    """Plays boots that go as they should, until something comes between."""

    def __init__(self, clock: FakeClock, breaks: BaseException | None = None, after: int = 0) -> None:
        self.clock, self.breaks, self.after = clock, breaks, after
        self.done = 0

    def __call__(self, step: Step, runs: list[Run]) -> None:
        """Take three seconds, and add the runs of a boot."""
        if self.breaks and self.done == self.after:
            raise self.breaks
        self.done += 1
        self.clock.sleep(3)
        run = replace(a_run(ending=as_it_should(step), boot=self.done), case=step.case, part=step.part)
        runs += [run] * (step.runs if step.part is Part.GOOD else 1)


def carried_out(tmp_path: Path, boots: Boots, until: Deadline | None = None) -> Calibration:
    """Return what an experiment on one host gives."""
    return Measuring(boots, tmp_path, boots.clock, until).measure(replace(calibrated(), close=Close.RUNNING))


def test_an_experiment_runs_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every boot is told with an estimate, and all three files are there."""
    kept = carried_out(tmp_path, Boots(FakeClock()))
    assert (kept.close, len(kept.runs)) == (Close.COMPLETE, 3 * (3 + 1 + 3))
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "boot 1 of about 15: none on the good kernel of qemu-x86_64"
    assert err[-1] == "boot 15 of about 15, about 3 s left: both:500 on the bad kernel of qemu-x86_64"
    assert {path.name for path in tmp_path.glob("*.*")} == {f"calibration.{kind}" for kind in ("html", "json", "md")}


def _ending(tmp_path: Path) -> tuple[str, int]:
    told = json.loads((tmp_path / "calibration.json").read_text())
    return told["ending"], len(told["trials"])


def test_an_interrupt_ends_with_what_was_measured(tmp_path: Path) -> None:
    """Ctrl-C during the fifth boot: the runs of four are written, and nothing is raised."""
    kept = carried_out(tmp_path, Boots(FakeClock(), KeyboardInterrupt(), after=4))
    assert kept.close is Close.INTERRUPTED
    assert _ending(tmp_path) == ("interrupted", 3 * 3 + 1)


def test_a_fault_of_ours_is_written_and_goes_on(tmp_path: Path) -> None:
    """A host that can't be used any more is no result, but what was measured before is kept."""
    with pytest.raises(HostSick):
        carried_out(tmp_path, Boots(FakeClock(), HostSick("gone"), after=2))
    assert _ending(tmp_path) == ("fault", 3 * 2)


def test_time_that_is_up_ends_it(tmp_path: Path) -> None:
    """No boot is begun after --max-minutes, and the report says why it isn't complete."""
    clock = FakeClock()
    kept = carried_out(tmp_path, Boots(clock), Deadline.after(clock, 10))
    assert kept.close is Close.OUT_OF_TIME
    assert len({run.boot for run in kept.runs}) == 4
    assert "**out of time**" in (tmp_path / "calibration.md").read_text()


# --- the command ---


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return a repository that passes for a kernel's, and work in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return make_history(tmp_path / "user", line(3))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--delays", "usleep"), "no such setting"),
        (("--seconds", "1", "--migrations", "5"), "exclude each other"),
        (("--seconds", "110"), "is killed after 120 s"),
        (("--host", "qemu-x86_64", "--host", "nonsense"), "no host"),
        (("--good", "main"), "the same commit"),
        (("--good", "nonsense"), "nonsense"),
        (("--runs", "0"), "--runs"),
        (("--session", "a/b"), "not a name for a folder"),
    ],
)
def test_a_mistake_begins_nothing(
    user: History, capsys: pytest.CaptureFixture[str], words: Sequence[str], says: str
) -> None:
    """Each wrong option ends with code 2 and its reason, before anything is built or written."""
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", "--tree", str(user.path), "--good", "main~1", "--bad", "main", *words])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err
    assert not Path("logs").exists()


def test_one_host_for_each_architecture(user: History, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two hosts of one architecture would be two settings for it."""
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('default = "a"\n' + "".join(f'[hosts.{name}]\nboot = "qemu"\narch = "x86_64"\n' for name in "ab"))
    words = ["--hosts", str(hosts), "--host", "a", "--host", "b", "--good", "main~1", "--bad", "main"]
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", "--tree", str(user.path), *words])
    assert caught.value.code == 2
    assert "two hosts of one architecture: a, b" in capsys.readouterr().err
