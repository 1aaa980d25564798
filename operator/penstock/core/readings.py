"""The answer to a proportion's query, checked and sorted by scrape target."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.core.rows import ROW_LABEL, UNREACHED, Row
from penstock.core.samples import Answer, Sample, Unreadable

_MAX_COUNT = 2.0**53
_COUNTERS = (Row.TOTAL, Row.BAD, Row.GOOD)
_NO_TARGET = "/"

Labels = tuple[tuple[str, str], ...]
Rows = Mapping[str, Mapping[str, Sequence[Sample]]]
"""Samples by what they are and by scrape target."""


@dataclass(frozen=True, slots=True)
class NoLook:
    """Nothing was counted; `reason` is a sentence for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Series:
    """One counter of one arm; `labels` include those of the scrape target."""

    row: Row
    arm: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class TargetReading:
    """A scrape target at one instant; times in Unix seconds, None where unknown.

    Attributes:
        values: Its counters of this metric, of both arms.
        sampled: Its newest scrape.
        started: When its process started.
        before: Its last successful scrape at the previous look.
        known: How many series of this metric it had at the previous look.
    """

    values: Mapping[Series, int]
    sampled: float
    started: float | None = None
    before: float | None = None
    known: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of both arms at one instant, by scrape target (`job/instance`).

    Attributes:
        good: Whether the part that was read beside the total is the good one.
        previous: The instant that `before` and `known` refer to; None if they were not asked for.
    """

    at: datetime
    good: bool
    previous: datetime | None
    targets: Mapping[str, TargetReading]


def read(answer: Answer, at: datetime) -> Reading | NoLook:
    """Return the answer to `queries.proportion_query`, if every row of it makes sense."""
    if isinstance(answer, Unreadable):
        return NoLook(answer.reason)
    rows = _sorted(answer)
    marks = rows.get(Row.OFFSET, {}).get(_NO_TARGET, ())
    if len(marks) != 1:
        return NoLook("the answer is incomplete: it lacks what was put into the question")
    good = marks[0].labels[ROW_LABEL].endswith(Row.GOOD)
    if reason := _nonsense(_counters(rows)):
        return NoLook(reason)
    targets = _targets(rows)
    if isinstance(targets, NoLook):
        return targets
    if reason := _mismatch(targets, good):
        return NoLook(reason)
    back = timedelta(seconds=marks[0].value)
    return Reading(at, good, at - back if back else None, targets)


def read_value(answer: Answer) -> float | NoLook:
    """Return the one finite number that a query gave."""
    if isinstance(answer, Unreadable):
        return NoLook(answer.reason)
    if not answer:
        return NoLook("the query gave no series")
    if len(answer) > 1:
        return NoLook(f"the query gave {len(answer)} series; aggregate them to one number")
    value = answer[0].value
    return value if _finite(value) else NoLook(f"the query gave {value:g}, which is no number")


def _sorted(answer: Iterable[Sample]) -> Rows:
    rows: dict[str, dict[str, list[Sample]]] = {}
    for sample in answer:
        row = sample.labels.get(ROW_LABEL, "").partition("/")[0]
        rows.setdefault(row, {}).setdefault(_target(sample), []).append(sample)
    return rows


def _target(sample: Sample) -> str:
    return f"{sample.labels.get('job', '')}/{sample.labels.get('instance', '')}"


def _counters(rows: Rows) -> Collection[Sample]:
    return [
        sample for row in _COUNTERS for samples in rows.get(row, {}).values() for sample in samples
    ]


def _targets(rows: Rows) -> Mapping[str, TargetReading] | NoLook:
    targets: dict[str, TargetReading] = {}
    for name, values in _values(rows).items():
        sampled = _fact(rows, Row.SAMPLED, name)
        if sampled is None:
            return NoLook(f"{name} has counters without the time of their sample")
        targets[name] = TargetReading(
            values=values,
            sampled=sampled,
            started=_fact(rows, Row.STARTED, name),
            before=_fact(rows, Row.BEFORE, name),
            known=int(_fact(rows, Row.KNOWN, name) or 0),
        )
    return targets


def _values(rows: Rows) -> Mapping[str, Mapping[Series, int]]:
    values: dict[str, dict[Series, int]] = {}
    for row in _COUNTERS:
        for name, samples in rows.get(row, {}).items():
            for sample in samples:
                arm = sample.labels[ROW_LABEL].partition("/")[2]
                labels = {key: text for key, text in sample.labels.items() if key != ROW_LABEL}
                series = Series(row, arm, tuple(sorted(labels.items())))
                values.setdefault(name, {})[series] = int(sample.value)
    return values


def _nonsense(counters: Collection[Sample]) -> str:
    for sample in counters:
        if not (_finite(sample.value) and 0 <= sample.value <= _MAX_COUNT):
            return f"{_text(sample)} is {sample.value:g}, which is no count"
        if sample.value != int(sample.value):
            return f"{_text(sample)} is {sample.value:g}: not a whole number, so not a counter"
    return "" if counters else "no series of either version; does anything count this metric?"


def _mismatch(targets: Mapping[str, TargetReading], good: bool) -> str:
    of_arm: dict[str, set[Labels]] = {"stable": set(), "candidate": set()}
    parts = 0
    for name, target in targets.items():
        totals = [series for series in target.values if series.row is Row.TOTAL]
        parts += len(target.values) - len(totals)
        for series in totals:
            of_arm.setdefault(series.arm, set()).add(series.labels)
        if {series.arm for series in target.values} - {series.arm for series in totals}:
            return f"{name} has the metric's bad or good counter, but not its total"
    if of_arm["stable"] & of_arm["candidate"]:
        return "the same series count for both versions: $variant does not tell them apart"
    if of_arm.get(UNREACHED, set()) & (of_arm["stable"] | of_arm["candidate"]):
        return "unreached matches series of a version, too: it must match what reached no pod"
    if good and not parts:
        return (
            "there is a total, but no series of the good counter (for a distribution: no bucket "
            "ends at this edge): without it all would be bad"
        )
    return ""


def _fact(rows: Rows, row: Row, target: str) -> float | None:
    values = [sample.value for sample in rows.get(row, {}).get(target, ())]
    return values[0] if len(values) == 1 and _finite(values[0]) else None


def _finite(value: float) -> bool:
    return value - value == 0


def _text(sample: Sample) -> str:
    name = sample.labels.get("__name__", "a counter")
    return f"{name} of {_target(sample)}"
