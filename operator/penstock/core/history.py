"""Stable's past, from counters read once a minute to what chance alone does.

The counters of an hour are differenced per series; a scrape target is a cell. Where the targets are
stable's own pods (an application's metrics, or those of its own proxies) they also tell how pods
differ; clients' proxies do not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from penstock.api.v1alpha1.metric_template import Proportion
from penstock.core import queries, replay
from penstock.core.looks import Counts
from penstock.core.queries import ROW_LABEL, Arm, Row, Subject, Unusable
from penstock.core.samples import RangeQuery, Track
from penstock.core.stats import calibration
from penstock.core.stats.calibration import Chance
from penstock.core.terms import WITHOUT_HISTORY, Calibration

Floats = NDArray[np.float64]

LENGTH = timedelta(hours=1)
STEP = timedelta(minutes=1)
_OWN, _GIVEN = "own", "given"


def query(
    template: Proportion, connection: str, subject: Subject, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of stable's counters.

    The counters are asked as the release counts them, and as stable's own proxies do, where the
    template leaves the reporter open.
    """
    views = {_GIVEN: subject, _OWN: replace(subject, reporter="destination")}
    return _query(template, connection, views, subject.stable, end)


def query_of(
    template: Proportion, connection: str, subject: Subject, arm: Arm, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of the counters of one arm, as a release counts them."""
    return _query(template, connection, {_GIVEN: subject}, arm, end)


def _query(
    template: Proportion,
    connection: str,
    views: Mapping[str, Subject],
    arm: Arm,
    end: datetime,
) -> RangeQuery | Unusable:
    part, text = (Row.GOOD, template.good) if template.bad is None else (Row.BAD, template.bad)
    rows: dict[str, str] = {}
    namespace = ""
    for view, subject in views.items():
        namespace = subject.namespace
        for row, selector in ((Row.TOTAL, template.total), (part, text or "")):
            expanded = queries.selector(selector, subject, arm)
            if isinstance(expanded, Unusable):
                return expanded
            rows.setdefault(expanded, f"{view}/{row}")
    expression = "\nor ".join(
        f'label_replace({expanded}, "{ROW_LABEL}", "{name}", "", "")'
        for expanded, name in rows.items()
    )
    return RangeQuery(connection, expression, namespace, end - LENGTH, end, STEP)


@dataclass(frozen=True, slots=True)
class Minutes:
    """Answers and bad ones by minute and scrape target, shape (minutes, targets)."""

    targets: tuple[str, ...]
    total: Floats
    bad: Floats


def calibrate(tracks: Sequence[Track], pods: Collection[str], alpha: float) -> Calibration:
    """Return what a history says; what holds without one where it is too short to tell.

    Args:
        tracks: The answer to `query`.
        pods: Names and addresses of stable's pods.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
    """
    given, own = (_minutes(tracks, view) for view in (_GIVEN, _OWN))
    if not calibration.is_long_enough(given.total, STEP.total_seconds()):
        return WITHOUT_HISTORY
    counts = Counts(int(given.total.sum()), int(given.bad.sum()))
    seconds = _length(given) * STEP.total_seconds()
    cells = next((one for one in (own, given) if _are_pods(one, pods)), None)
    if cells is not None and calibration.is_long_enough(cells.total, STEP.total_seconds()):
        return Calibration.of(calibration.calibrate(cells.total, cells.bad, alpha), counts, seconds)
    chance = calibration.calibrate(given.total, given.bad, alpha)
    default = WITHOUT_HISTORY
    alike = Chance(chance.phi, chance.cautious_phi, default.spread, default.quantile)
    return Calibration.of(alike, counts, seconds)


def _length(minutes: Minutes) -> int:
    return int((minutes.total.sum(-1) > 0).sum())


def _are_pods(minutes: Minutes, pods: Collection[str]) -> bool:
    """Return whether at least two of the targets are pods of stable."""
    names = [target.rsplit("/", 2)[1:] for target in minutes.targets]
    return sum(pod in pods or at.rsplit(":", 1)[0] in pods for at, pod in names) > 1


def _minutes(tracks: Sequence[Track], view: str, times: Sequence[float] = ()) -> Minutes:
    mine = [track for track in tracks if track.labels.get(ROW_LABEL, "").startswith(f"{view}/")]
    times = times or sorted({time for track in mine for time in track.values})
    there: dict[str, set[float]] = {}
    for track in mine:
        there.setdefault(_target(track.labels), set()).update(track.values)
    places = {target: place for place, target in enumerate(there)}
    total, part = (np.zeros((max(len(times) - 1, 0), len(places))) for _ in range(2))
    good = any(track.labels[ROW_LABEL].endswith(Row.GOOD) for track in mine)
    for track in mine:
        target = _target(track.labels)
        grown = _growth(track.values, times, there[target])
        is_total = track.labels[ROW_LABEL].endswith(Row.TOTAL)
        (total if is_total else part)[:, places[target]] += grown
    bad = total - part if good else part
    return Minutes(tuple(places), total, np.clip(bad, 0.0, total))


def _growth(
    values: Mapping[float, float], times: Sequence[float], there: Collection[float]
) -> Floats:
    """Return what one counter grew by from each time to the next.

    A series that is new counts from 0 if its target was there before; what cannot be known (a
    target that is new, a counter that fell) counts as nothing.
    """
    grown = np.zeros(max(len(times) - 1, 0))
    for index, (before, now) in enumerate(pairwise(times)):
        if now not in values or before not in there:
            continue
        gain = values[now] - values.get(before, 0.0)
        grown[index] = max(gain, 0.0) if gain == gain else 0.0
    return grown


def _target(labels: Mapping[str, str]) -> str:
    return "/".join(labels.get(name, "") for name in ("job", "instance", "pod"))


def arms(
    stable: Sequence[Sequence[Track]], candidate: Sequence[Sequence[Track]]
) -> tuple[Floats, tuple[replay.Arm, replay.Arm]]:
    """Return the ends of the intervals, and the answers of candidate and stable.

    Args:
        stable: The answers to `query_of`, one per proportion of a metric.
        candidate: The same of the candidate.
    """
    times = sorted({at for tracks in (*stable, *candidate) for one in tracks for at in one.values})
    both = (_arm(candidate, times), _arm(stable, times))
    return np.array(times[1:]), both


def _arm(parts: Sequence[Sequence[Track]], times: Sequence[float]) -> replay.Arm:
    counted = [_minutes(tracks, _GIVEN, times) for tracks in parts]
    targets = list(dict.fromkeys(target for one in counted for target in one.targets))
    counts = np.zeros((max(len(times) - 1, 0), len(targets), 1 + len(parts)))
    for part, one in enumerate(counted, 1):
        places = [targets.index(target) for target in one.targets]
        counts[:, places, 0] = np.maximum(counts[:, places, 0], one.total)
        counts[:, places, part] = one.bad
    return replay.Arm(counts, counts[..., 0] > 0)
