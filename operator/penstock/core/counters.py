"""From readings of raw counters to what was counted between two of them.

A look folds one answer into a `Baseline`: the newest scrape of each target so far. A scrape target
is taken whole or skipped whole, so total and bad stay comparable; what cannot be known to lie in
the interval is skipped. Forwards only: an HA pair of Prometheus that answers with the older of two
scrapes changes nothing, so no request is counted twice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from penstock.core.looks import NO_COUNTS, Counts
from penstock.core.readings import NoLook, Reading, Series, TargetReading, read
from penstock.core.rows import UNREACHED, Row
from penstock.core.samples import Answer

START_JITTER_SECONDS = 10.0
"""Starts that differ by less are one start: an uptime has whole seconds and is flushed late."""

FORGOTTEN_AFTER = timedelta(minutes=15)
"""How long an absent target is remembered: longer than the five minutes of a lookback."""

_EXCESS_SHARE, _EXCESS_COUNT = 0.05, 10
_REPLICA_SKEW_SECONDS = 60.0
_SAME_INSTANT = timedelta(milliseconds=2)


@dataclass(frozen=True, slots=True)
class LookCounts:
    """What was counted since the previous look, by scrape target (`job/instance`).

    Attributes:
        candidate: Only targets with requests.
        stable: Only targets with requests.
        newest_sample: The newest scrape that was counted.
        segments: Candidate's and stable's counts by the values of the labels asked for.
        skipped: Why targets were left out, by target.
        unreached: Requests that reached no pod of any version.
        apart: Whether each scrape target counts one version only; None while one version shows.
    """

    candidate: Mapping[str, Counts]
    stable: Mapping[str, Counts]
    newest_sample: datetime
    skipped: Mapping[str, str] = field(default_factory=dict)
    segments: Mapping[str, tuple[Counts, Counts]] = field(default_factory=dict)
    unreached: int = 0
    apart: bool | None = None

    @property
    def candidate_counts(self) -> Counts:
        """The candidate's counts over all targets."""
        return sum(self.candidate.values(), NO_COUNTS)

    @property
    def stable_counts(self) -> Counts:
        """Stable's counts over all targets."""
        return sum(self.stable.values(), NO_COUNTS)


@dataclass(frozen=True, slots=True)
class Point:
    """A counter's value in the scrape at `sampled` (Unix seconds)."""

    value: int
    sampled: float


@dataclass(frozen=True, slots=True)
class TargetState:
    """The newest scrape of a target so far; series that vanished keep their last point."""

    sampled: float
    started: float | None
    points: Mapping[Series, Point]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the next look is differenced with. `at` is the instant of the last good reading."""

    at: datetime
    targets: Mapping[str, TargetState]


@dataclass(frozen=True, slots=True)
class _Gain:
    """What a target's counters grew by since `begin` (Unix seconds)."""

    begin: float
    grown: Mapping[Series, int]


@dataclass(frozen=True, slots=True)
class _Skip:
    reason: str


def take_look(
    baseline: Baseline | None,
    answer: Answer,
    at: datetime,
    since: datetime,
    by: Sequence[str] = (),
) -> tuple[LookCounts | NoLook, Baseline | None]:
    """Return what was counted up to `at`, and the baseline of the next look.

    Guaranteed, where `bad` (or `good`) is a part of `total` and one process counts per target:
    in every cell 0 <= bad <= total, and over any run of looks no request is counted twice, nor one
    from before `since`, whichever replica of an HA pair answers. Counters that are not read in one
    stroke may show a few more bad than total; those are cut. More of them are a NoLook.

    Args:
        baseline: What the previous look returned; None for the first, which counts nothing.
        answer: The answer to `queries.proportion_query` with `previous=baseline.at`.
        at: The instant that was asked for. The weight must not have changed before it.
        since: The instant from which the weight of the step is in force.
        by: Labels by whose values the counts are told apart too.
    """
    reading = read(answer, at)
    if isinstance(reading, NoLook):
        return reading, baseline
    if baseline is None:
        reason = "this first reading is what the next one is compared with"
        return NoLook(reason), _fold(Baseline(at, {}), reading, reading.targets)
    fresh = {
        name: target
        for name, target in reading.targets.items()
        if _is_newer(target, baseline.targets.get(name))
    }
    if not fresh:
        return NoLook(f"no new sample since {_newest(baseline)}"), baseline
    look = _count(baseline, reading, fresh, since.timestamp(), by)
    return look, _fold(baseline, reading, fresh)


def _is_newer(target: TargetReading, state: TargetState | None) -> bool:
    if state is None:
        return True
    ahead = target.sampled - state.sampled
    flipped = _later(state.started, target.started) and ahead < _REPLICA_SKEW_SECONDS
    return ahead > 0 and not flipped


def _later(start: float | None, other: float | None) -> bool:
    return None not in (start, other) and (start or 0) > (other or 0) + START_JITTER_SECONDS


def _count(
    baseline: Baseline,
    reading: Reading,
    fresh: Mapping[str, TargetReading],
    since: float,
    by: Sequence[str],
) -> LookCounts | NoLook:
    skipped: dict[str, str] = {}
    gains: dict[str, Mapping[Series, int]] = {}
    for name, target in fresh.items():
        gain = _gain(baseline, reading, name, target)
        if isinstance(gain, _Gain) and gain.begin < since:
            gain = _Skip("its last sample is from before the weight was in force")
        if isinstance(gain, _Skip):
            skipped[name] = gain.reason
        else:
            gains[name] = gain.grown
    if not gains:
        reason, _ = Counter(skipped.values()).most_common(1)[0]
        return NoLook(f"no scrape target could be counted; {min(skipped)}: {reason}")
    if reason := _excess(gains):
        return NoLook(reason)
    newest = datetime.fromtimestamp(max(fresh[name].sampled for name in gains), UTC)
    candidate, stable = (_cells(gains, arm, reading.good) for arm in ("candidate", "stable"))
    segments = _segments(gains, by, reading.good) if by else {}
    unreached = sum(_sums(grown, UNREACHED)[0] for grown in gains.values())
    apart = _are_apart(reading)
    return LookCounts(candidate, stable, newest, skipped, segments, unreached, apart)


def _are_apart(reading: Reading) -> bool | None:
    arms = [{series.arm for series in target.values} for target in reading.targets.values()]
    both = {"candidate", "stable"}
    if any(both <= one for one in arms):
        return False
    return True if both <= set().union(*arms) else None


def _gain(baseline: Baseline, reading: Reading, name: str, target: TargetReading) -> _Gain | _Skip:
    state = baseline.targets.get(name)
    if state is None:
        return _gain_of_new_target(baseline, reading, target)
    fell = any(
        value < state.points[series].value
        for series, value in target.values.items()
        if series in state.points
    )
    restarted = _later(target.started, state.started) and (target.started or 0) > state.sampled
    if fell and restarted:
        return _Gain(target.started or 0, target.values)
    if fell:
        return _Skip("a counter fell without a newer process start")
    if restarted:
        return _Skip("its process started anew, and its counters do not show how far they came")
    return _gain_of_known_target(state, target)


def _gain_of_known_target(state: TargetState, target: TargetReading) -> _Gain:
    """Return the growth; a series that the last scrape did not have was 0 then."""
    absent = Point(0, state.sampled)
    grown: dict[Series, int] = {}
    begin = target.sampled
    for series, value in target.values.items():
        point = state.points.get(series, absent)
        if value > point.value:
            grown[series] = value - point.value
            begin = min(begin, point.sampled)
    return _Gain(begin, grown)


def _gain_of_new_target(
    baseline: Baseline, reading: Reading, target: TargetReading
) -> _Gain | _Skip:
    """Return the whole value where it is known to be younger than the previous look."""
    previous = reading.previous
    if previous is None or abs(previous - baseline.at) > _SAME_INSTANT or target.known:
        return _Skip("it had counters that the previous look did not see")
    if target.started is not None and target.started > baseline.at.timestamp():
        return _Gain(target.started, target.values)
    if target.before is not None:
        return _Gain(target.before, target.values)
    return _Skip("it is new, and nothing says since when it counts")


def _cells(gains: Mapping[str, Mapping[Series, int]], arm: str, good: bool) -> Mapping[str, Counts]:
    cells = {}
    for name, grown in gains.items():
        total, part = _sums(grown, arm)
        bad = total - part if good else part
        if total:
            cells[name] = Counts(total, min(max(bad, 0), total))
    return cells


def _segments(
    gains: Mapping[str, Mapping[Series, int]], by: Sequence[str], good: bool
) -> Mapping[str, tuple[Counts, Counts]]:
    """Return the counts of both arms by the values of some labels."""
    apart: dict[str, dict[Series, int]] = {}
    for target, grown in gains.items():
        for series, value in grown.items():
            if series.arm == UNREACHED:
                continue
            labels = dict(series.labels)
            name = "/".join(labels.get(label, "") or "-" for label in by)
            own = replace(series, labels=(*series.labels, ("", target)))
            apart.setdefault(name, {})[own] = value
    return {
        name: (_whole(grown, "candidate", good), _whole(grown, "stable", good))
        for name, grown in apart.items()
    }


def _whole(grown: Mapping[Series, int], arm: str, good: bool) -> Counts:
    return sum(_cells({"": grown}, arm, good).values(), NO_COUNTS)


def _sums(grown: Mapping[Series, int], arm: str) -> tuple[int, int]:
    """Return the growth of the total and of its bad (or good) part."""
    ours = [(series.row, value) for series, value in grown.items() if series.arm == arm]
    total = sum(value for row, value in ours if row is Row.TOTAL)
    return total, sum(value for _, value in ours) - total


def _excess(gains: Mapping[str, Mapping[Series, int]]) -> str:
    for arm in ("stable", "candidate"):
        sums = [_sums(grown, arm) for grown in gains.values()]
        total, part = sum(one[0] for one in sums), sum(one[1] for one in sums)
        if part > total * (1 + _EXCESS_SHARE) + _EXCESS_COUNT:
            return (
                f"the bad or good counter of {arm} grew by {part}, its total only by {total}: "
                "one must be a part of the other"
            )
    return ""


def _fold(baseline: Baseline, reading: Reading, fresh: Mapping[str, TargetReading]) -> Baseline:
    oldest = (reading.at - FORGOTTEN_AFTER).timestamp()
    kept = {name: state for name, state in baseline.targets.items() if state.sampled >= oldest}
    renewed = {name: _renew(baseline.targets.get(name), target) for name, target in fresh.items()}
    return Baseline(reading.at, kept | renewed)


def _renew(state: TargetState | None, target: TargetReading) -> TargetState:
    points = {series: Point(value, target.sampled) for series, value in target.values.items()}
    if state is not None and not _later(target.started, state.started):
        points = dict(state.points) | points
    return TargetState(target.sampled, target.started, points)


def _newest(baseline: Baseline) -> str:
    newest = max((state.sampled for state in baseline.targets.values()), default=None)
    if newest is None:
        return "the first reading"
    return datetime.fromtimestamp(newest, UTC).isoformat(timespec="milliseconds")
