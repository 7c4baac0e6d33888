"""calibration.json: what an experiment measured, for programs, and the setting that `run` takes from it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bisectbot.calibrate.experiment import Run
from bisectbot.calibrate.result import Calibration, Firing, Found, Row, found
from bisectbot.calibrate.setting import Setting, of_args
from bisectbot.errors import ConfigError
from bisectbot.model import Arch

JSON = "calibration.json"
_FORMAT, _VERSION = "bisectbot calibration", 1
_MOST_BYTES = 64 << 20
_AGAIN = "make one with `bisectbot calibrate`"


def as_json(calibration: Calibration) -> dict[str, object]:
    """Return what calibration.json holds; made of JSON's own types. Times are in seconds."""
    told = [found(calibration, place) for place in calibration.places]
    asked = calibration.asked
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "ending": str(calibration.close),
        "began": _iso(calibration.began),
        "latest": _iso(calibration.latest),
        "good": calibration.good,
        "bad": calibration.bad,
        "runs": asked.runs,
        "run": list(asked.lasting.args),
        "chosen": {str(one.place.arch): list(one.soonest.setting.args) for one in told if one.soonest},
        "hosts": [_host(one) for one in told],
        "trials": [_trial(run) for run in calibration.runs],
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _host(one: Found) -> dict[str, object]:
    place = one.place
    return {
        "host": place.host,
        "arch": str(place.arch),
        "kernels": {"good": place.good, "bad": place.bad},
        "soonest": str(one.soonest.setting) if one.soonest else None,
        "alike": [str(row.setting) for row in one.alike],
        "good_fired": [str(row.setting) for row in one.false_alarms],
        "settings": [_setting(row) for row in one.rows],
    }


def _setting(row: Row) -> dict[str, object]:
    return {
        "setting": str(row.setting),
        "args": list(row.setting.args),
        "unfit": row.unfit or None,
        "good_runs": len(row.good),
        "good_fired": row.good_fired,
        "good_median_seconds": row.usual_seconds,
        "good_median": asdict(row.usual) if row.usual else None,
        "bad_counted": {"seconds": row.count.seconds, **asdict(row.count.counts)} if row.count else None,
        "bad": _firing(row.firing),
    }


def _firing(firing: Firing) -> dict[str, object]:
    low, high = firing.bounds
    return {
        "runs": firing.runs,
        "fires": firing.fires,
        "exposed_seconds": round(firing.exposed, 6),
        "wall_seconds": round(firing.wall, 3),
        "mean_seconds": firing.mean,
        "mean_seconds_95": [low if firing.exposed else None, high if math.isfinite(high) else None],
        "mean_wall_seconds": firing.wall_mean,
    }


def _trial(run: Run) -> dict[str, object]:
    return {
        "host": run.case.host,
        "setting": str(run.case.setting),
        "part": str(run.part),
        "boot": run.boot,
        "ending": str(run.ending),
        "reason": run.reason,
        **asdict(run.counts),
        "seconds": run.seconds,
        "first_mismatch": run.first,
        "wall_seconds": round(run.wall, 3),
    }


def settings_from(path: Path, arch: Arch) -> tuple[str, ...]:
    """Return the reproducer's arguments that an experiment found to fire soonest on `arch`.

    ConfigError if the file isn't there, isn't one of ours, or has no setting for this architecture.
    """
    setting = _chosen(_read(path), str(arch))
    if setting is None:
        raise ConfigError(
            f"{path}: no setting was chosen for {arch}", hint=f"its calibration.md tells why; or {_AGAIN}"
        )
    return setting.args


def _chosen(kept: dict[str, object], arch: str) -> Setting | None:
    chosen = kept.get("chosen")
    args = chosen.get(arch) if isinstance(chosen, dict) else None
    return of_args(args) if isinstance(args, list) else None


def _read(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} isn't what `bisectbot calibrate` writes", hint=_AGAIN)
        kept = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", hint=f"check its path, or {_AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} isn't what `bisectbot calibrate` writes", hint=_AGAIN) from error
    if not isinstance(kept, dict) or kept.get("format") != _FORMAT:
        raise ConfigError(f"{path} isn't what `bisectbot calibrate` writes", hint=_AGAIN)
    if kept.get("version") != _VERSION:
        raise ConfigError(f"{path} is of another version of bisectbot", hint=_AGAIN)
    return kept
