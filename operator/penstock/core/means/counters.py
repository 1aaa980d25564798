"""From the counters behind a mean to what was counted between two readings of them.

The counter of answers is differenced by `core.counters`, as the total of a proportion. The sums
stand beside it in the same answer, by scrape target, and follow what `take_look` did with the
target: differenced with the same scrape, or counted from 0 after a restart, or skipped. So a target
is taken whole (answers, sum, squares) or skipped whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from penstock.core.counters import Baseline, LookCounts, take_look
from penstock.core.means.looks import MeanArm
from penstock.core.means.queries import ARMS, ASKED, SQUARES, SUM
from penstock.core.readings import Labels, NoLook, Reading, TargetReading, read
from penstock.core.rows import ROW_LABEL
from penstock.core.samples import Answer, Sample, Unreadable

_DIGITS = 12
_FELL = "a sum fell without a newer process start; are there negative values?"


@dataclass(frozen=True, slots=True)
class MeanCounts:
    """What was counted since the previous look, by scrape target (`job/instance`).

    Attributes:
        candidate: Only targets with answers.
        stable: Only targets with answers.
        newest_sample: The newest scrape of the look.
        skipped: Why targets were left out, by target.
        apart: As in `counters.LookCounts`.
    """

    candidate: Mapping[str, MeanArm]
    stable: Mapping[str, MeanArm]
    newest_sample: datetime
    skipped: Mapping[str, str] = field(default_factory=dict)
    apart: bool | None = None

    @property
    def candidate_arm(self) -> MeanArm:
        """The candidate's answers over all targets."""
        return MeanArm.together(self.candidate.values())

    @property
    def stable_arm(self) -> MeanArm:
        """Stable's answers over all targets."""
        return MeanArm.together(self.stable.values())


@dataclass(frozen=True, slots=True)
class SumSeries:
    """One counter of sums; `labels` include those of the scrape target."""

    row: str
    arm: str
    labels: Labels


Points = Mapping[SumSeries, float]


@dataclass(frozen=True, slots=True)
class MeanBaseline:
    """What the next look is differenced with.

    Attributes:
        answers: The counters of answers, see `counters.Baseline`.
        sums: The counters of sums in the same scrapes, by target.
    """

    answers: Baseline
    sums: Mapping[str, Points]

    @property
    def at(self) -> datetime:
        """The instant of the last good reading."""
        return self.answers.at


def take_mean_look(
    baseline: MeanBaseline | None, answer: Answer, at: datetime, since: datetime
) -> tuple[MeanCounts | NoLook, MeanBaseline | None]:
    """Return what was counted up to `at`, and the baseline of the next look.

    Guaranteed, as by `counters.take_look`: over any run of looks no answer is counted twice, nor
    one from before `since`, and the sums are those of the answers counted. Counters that are not
    read in one stroke may show a value one look before or after its answer. A sum that falls
    without a restart skips its target (values must not be negative); a sum that is no number makes
    its arm one without numbers, see `MeanArm`.

    Args:
        baseline: What the previous look returned; None for the first, which counts nothing.
        answer: The answer to `mean_query` with `previous=baseline.at`.
        at: The instant that was asked for. The weight must not have changed before it.
        since: The instant from which the weight of the step is in force.
    """
    answers, sums = _apart(answer)
    reading = read(answers, at)
    if isinstance(reading, NoLook):
        return reading, baseline
    if reason := sums.gap():
        return NoLook(reason), baseline
    before = baseline or MeanBaseline(Baseline(at, {}), {})
    look, after = take_look(baseline.answers if baseline else None, answers, at, since)
    said = look if isinstance(look, NoLook) else _counted(look, before, reading, sums)
    return said, MeanBaseline(after, _renewed(before, after, sums)) if after else None


@dataclass(frozen=True, slots=True)
class _Sums:
    """The sums of one answer by scrape target; a series that is not there is 0."""

    with_squares: bool
    points: Mapping[str, Points]

    def gap(self) -> str:
        """Return what is missing altogether; empty for nothing."""
        there = {series.row for points in self.points.values() for series in points}
        for row, name in ((SUM, "sum"), (SQUARES, "sum of squares")):
            if row not in there and (row == SUM or self.with_squares):
                return (
                    f"there are answers, but no series of their {name}: without it all would be 0"
                )
        return ""

    def arm(self, name: str, count: int, grown: Points) -> MeanArm:
        """Return the answers of an arm with what its sums grew by."""
        total, squares = (
            sum(gain for series, gain in grown.items() if (series.row, series.arm) == (row, name))
            for row in (SUM, SQUARES)
        )
        return MeanArm.of(count, _rounded(total), _rounded(squares) if self.with_squares else None)


def _apart(answer: Answer) -> tuple[Answer, _Sums]:
    """Return the counters of answers with all facts, and the sums."""
    rest: list[Sample] = []
    points: dict[str, dict[SumSeries, float]] = {}
    with_squares = False
    for sample in () if isinstance(answer, Unreadable) else answer:
        row, _, arm = sample.labels.get(ROW_LABEL, "").partition("/")
        if row not in (SUM, SQUARES):
            rest.append(sample)
        elif sample.labels[ROW_LABEL] == ASKED:
            with_squares = True
        else:
            labels = {key: text for key, text in sample.labels.items() if key != ROW_LABEL}
            series = SumSeries(row, arm, tuple(sorted(labels.items())))
            target = f"{labels.get('job', '')}/{labels.get('instance', '')}"
            points.setdefault(target, {})[series] = sample.value
    return answer if isinstance(answer, Unreadable) else tuple(rest), _Sums(with_squares, points)


def _counted(
    look: LookCounts, before: MeanBaseline, reading: Reading, sums: _Sums
) -> MeanCounts | NoLook:
    """Return the look with its sums, without targets whose sums fell."""
    skipped = dict(look.skipped)
    arms: dict[str, dict[str, MeanArm]] = {name: {} for name in ARMS}
    for target in {**look.stable, **look.candidate}:
        grown = _grown(before, reading.targets[target], target, sums)
        if any(gain < 0 for gain in grown.values()):
            skipped[target] = _FELL
            continue
        for name, cells in zip(ARMS, (look.stable, look.candidate), strict=True):
            if target in cells:
                arms[name][target] = sums.arm(name, cells[target].total, grown)
    if len(skipped) > len(look.skipped) and not any(arms.values()):
        return NoLook(f"no scrape target could be counted; {min(skipped)}: {_FELL}")
    return MeanCounts(arms["candidate"], arms["stable"], look.newest_sample, skipped, look.apart)


def _grown(before: MeanBaseline, now: TargetReading, target: str, sums: _Sums) -> Points:
    """Return what the sums of a counted target grew by since the same scrape as its answers.

    That is its last one, or its start: where it is new, or where its answers fell, which are
    counted only after a restart.
    """
    state = before.answers.targets.get(target)
    fell = state is not None and any(
        value < state.points[series].value
        for series, value in now.values.items()
        if series in state.points
    )
    base = {} if state is None or fell else before.sums[target]
    points = sums.points.get(target, {})
    return {series: value - base.get(series, 0.0) for series, value in points.items()}


def _renewed(before: MeanBaseline, after: Baseline, sums: _Sums) -> Mapping[str, Points]:
    """Return the sums of the scrapes of a baseline; series that vanished keep their last value."""
    result: dict[str, Points] = {}
    for target, state in after.targets.items():
        old, points = before.answers.targets.get(target), sums.points.get(target, {})
        if old is state:
            result[target] = before.sums[target]
        elif old is None or old.points.keys() - state.points.keys():
            result[target] = points
        else:
            result[target] = {**before.sums[target], **points}
    return result


def _rounded(value: float) -> float:
    """Return a difference of counters without the digits that it cannot have: they cost room."""
    return float(f"{value:.{_DIGITS}g}")
