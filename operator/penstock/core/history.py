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

from penstock.api.v1alpha1.metric_template import Mean, Proportion
from penstock.core import queries, streams
from penstock.core.looks import Counts
from penstock.core.means import calibration as mean_calibration
from penstock.core.means.calibration import MeanChance
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.rows import ROW_LABEL, Row
from penstock.core.samples import RangeQuery, Track
from penstock.core.stats import calibration
from penstock.core.stats.calibration import Chance
from penstock.core.terms import WITHOUT_HISTORY, Calibration

Floats = NDArray[np.float64]

LENGTH = timedelta(hours=1)
STEP = timedelta(minutes=1)
_OWN, _GIVEN = "own", "given"
_SUM, _SQUARES = "sum", "squares"


def query(
    template: Proportion, connection: str, subject: Subject, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of stable's counters.

    The counters are asked as the release counts them, and as stable's own proxies do, where the
    template leaves the reporter open.
    """
    return _query(_rows(template), connection, _views(subject), subject.stable, end)


def mean_query(
    template: Mean, connection: str, subject: Subject, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of stable's counters of a mean; see `query`."""
    return _query(_mean_rows(template), connection, _views(subject), subject.stable, end)


def mean_query_of(
    template: Mean, connection: str, subject: Subject, arm: Arm, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of one arm's counters of a mean; see `query_of`."""
    return _query(_mean_rows(template), connection, {_GIVEN: subject}, arm, end)


def _mean_rows(template: Mean) -> Mapping[str, str]:
    """Return the selectors of the counters of a mean by what they are."""
    rows = {Row.TOTAL.value: template.count, _SUM: template.sum}
    return rows | ({_SQUARES: template.sum_of_squares} if template.sum_of_squares else {})


def _views(subject: Subject) -> Mapping[str, Subject]:
    return {_GIVEN: subject, _OWN: replace(subject, reporter="destination")}


def _rows(template: Proportion) -> Mapping[str, str]:
    """Return the selectors of both counters by what they are."""
    part, text = (Row.GOOD, template.good) if template.bad is None else (Row.BAD, template.bad)
    return {Row.TOTAL: template.total, part: text or ""}


def query_of(
    template: Proportion, connection: str, subject: Subject, arm: Arm, end: datetime
) -> RangeQuery | Unusable:
    """Return the query for an hour of the counters of one arm, as a release counts them."""
    return _query(_rows(template), connection, {_GIVEN: subject}, arm, end)


def _query(
    texts: Mapping[str, str],
    connection: str,
    views: Mapping[str, Subject],
    arm: Arm,
    end: datetime,
) -> RangeQuery | Unusable:
    rows: dict[str, str] = {}
    namespace = ""
    for view, subject in views.items():
        namespace = subject.namespace
        for row, selector in texts.items():
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
    cells = next((one for one in (own, given) if _are_pods(one.targets, pods)), None)
    if cells is not None and calibration.is_long_enough(cells.total, STEP.total_seconds()):
        return Calibration.of(calibration.calibrate(cells.total, cells.bad, alpha), counts, seconds)
    chance = calibration.calibrate(given.total, given.bad, alpha)
    default = WITHOUT_HISTORY
    alike = Chance(chance.phi, chance.cautious_phi, default.spread, default.quantile)
    return Calibration.of(alike, counts, seconds)


def calibrate_mean(
    tracks: Sequence[Track], pods: Collection[str], alpha: float, interval_seconds: float
) -> MeanChance:
    """Return what a history says of a mean; what holds without one where it is too short to tell.

    Args:
        tracks: The answer to `mean_query`.
        pods: Names and addresses of stable's pods.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
        interval_seconds: Time between looks.
    """
    given, own = (_grown(tracks, view) for view in (_GIVEN, _OWN))
    if not _is_long_enough(given):
        return MeanChance()
    cells = next((one for one in (own, given) if _are_pods(one.targets, pods)), None)
    if cells is not None and not _is_long_enough(cells):
        cells = None
    told = given if cells is None else cells
    found = mean_calibration.calibrate(
        told.of(Row.TOTAL), told.of(_SUM), told.rows.get(_SQUARES), alpha
    )
    found = found.for_looks(STEP.total_seconds(), interval_seconds, given.of(Row.TOTAL))
    fixed = replace(found.calibration, history=Counts(int(given.of(Row.TOTAL).sum()), 0))
    if cells is None:
        default = WITHOUT_HISTORY
        fixed = replace(fixed, spread=default.spread, quantile=default.quantile)
    return replace(found, calibration=fixed)


def _is_long_enough(grown: "_Grown") -> bool:
    return calibration.is_long_enough(grown.of(Row.TOTAL), STEP.total_seconds())


def _length(minutes: Minutes) -> int:
    return int((minutes.total.sum(-1) > 0).sum())


def _are_pods(targets: Sequence[str], pods: Collection[str]) -> bool:
    """Return whether at least two of the targets are pods of stable."""
    names = [target.rsplit("/", 2)[1:] for target in targets]
    return sum(pod in pods or at.rsplit(":", 1)[0] in pods for at, pod in names) > 1


@dataclass(frozen=True, slots=True)
class _Grown:
    """What the counters of each row grew by, by minute and scrape target."""

    targets: tuple[str, ...]
    rows: Mapping[str, Floats]
    empty: Floats

    def of(self, row: str) -> Floats:
        """Return the growth of a row, shape (minutes, targets)."""
        return self.rows.get(row, self.empty)


def _minutes(tracks: Sequence[Track], view: str, times: Sequence[float] = ()) -> Minutes:
    grown = _grown(tracks, view, times)
    total = grown.of(Row.TOTAL)
    bad = total - grown.of(Row.GOOD) if Row.GOOD in grown.rows else grown.of(Row.BAD)
    return Minutes(grown.targets, total, np.clip(bad, 0.0, total))


def _grown(tracks: Sequence[Track], view: str, times: Sequence[float] = ()) -> _Grown:
    mine = [track for track in tracks if track.labels.get(ROW_LABEL, "").startswith(f"{view}/")]
    times = times or sorted({time for track in mine for time in track.values})
    there: dict[str, set[float]] = {}
    for track in mine:
        there.setdefault(_target(track.labels), set()).update(track.values)
    places = {target: place for place, target in enumerate(there)}
    empty, rows = np.zeros((max(len(times) - 1, 0), len(places))), dict[str, Floats]()
    for track in mine:
        target, row = _target(track.labels), track.labels[ROW_LABEL].partition("/")[2]
        table = rows.setdefault(row, empty.copy())
        table[:, places[target]] += _growth(track.values, times, there[target])
    return _Grown(tuple(places), rows, empty)


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
) -> tuple[Floats, tuple[streams.Arm, streams.Arm]]:
    """Return the ends of the intervals, and the answers of candidate and stable.

    Args:
        stable: The answers to `query_of`, one per proportion of a metric.
        candidate: The same of the candidate.
    """
    times = sorted({at for tracks in (*stable, *candidate) for one in tracks for at in one.values})
    both = (_arm(candidate, times), _arm(stable, times))
    return np.array(times[1:]), both


def mean_arms(
    stable: Sequence[Track], candidate: Sequence[Track], *, squares: bool
) -> tuple[Floats, tuple[streams.Arm, streams.Arm]]:
    """Return the ends of the intervals, and count, sum and squares of candidate and stable.

    Args:
        stable: The answer to `mean_query_of`.
        candidate: The same of the candidate.
        squares: Whether sums of squares were asked for.
    """
    times = sorted({at for one in (*stable, *candidate) for at in one.values})
    rows = (Row.TOTAL, _SUM, _SQUARES) if squares else (Row.TOTAL, _SUM)
    both = []
    for tracks in (candidate, stable):
        grown = _grown(tracks, _GIVEN, times)
        counts = np.stack([grown.of(row) for row in rows], -1)
        counts *= counts[..., :1] > 0
        both.append(streams.Arm(counts, counts[..., 0] > 0))
    return np.array(times[1:]), (both[0], both[1])


def _arm(parts: Sequence[Sequence[Track]], times: Sequence[float]) -> streams.Arm:
    counted = [_minutes(tracks, _GIVEN, times) for tracks in parts]
    targets = list(dict.fromkeys(target for one in counted for target in one.targets))
    counts = np.zeros((max(len(times) - 1, 0), len(targets), 1 + len(parts)))
    for part, one in enumerate(counted, 1):
        places = [targets.index(target) for target in one.targets]
        counts[:, places, 0] = np.maximum(counts[:, places, 0], one.total)
        counts[:, places, part] = one.bad
    return streams.Arm(counts, counts[..., 0] > 0)
