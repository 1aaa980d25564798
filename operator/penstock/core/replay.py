"""The operator's judgement of streams that were recorded or made elsewhere.

The weights of a stream are given. Calibration, evidence, trust and sentences are those of the
operator; only the weights are followed instead of driven, so a stream goes on after a verdict that
would have ended the release.
"""

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penstock.core import analysis, limits, sides
from penstock.core.asked import stable_rate
from penstock.core.evidence import Evidence
from penstock.core.folded import NOTHING_FOLDED
from penstock.core.looks import COLUMNS, Counts, Table
from penstock.core.metric_record import MetricRecord
from penstock.core.stats import shares
from penstock.core.stats.nulls import Side
from penstock.core.stats.ratio import Ratio, RatioPath, ratio_path
from penstock.core.streams import Floats, Release, Setup
from penstock.core.terms import Calibration, Terms
from penstock.core.trace import Trace, trace
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Said:
    """What the operator would say after one interval; `candidate` has its answers so far."""

    end: float
    candidate: Counts
    verdict: Verdict
    evidence: Evidence
    ratio: Ratio | None
    why: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The first verdicts of a stream, by end of their interval; None for none.

    Attributes:
        worse_at: When it was called worse.
        safe_at: When it was first called safe.
        candidate: Answers of the candidate until it was called worse, else to the end.
    """

    worse_at: float | None
    safe_at: float | None
    candidate: Counts


class Replay:
    """One release as it would have been judged, look by look."""

    def __init__(self, setup: Setup, calibrated: Sequence[Calibration], release: Release) -> None:
        """Judge the intervals of one release, at least one."""
        self.setup = setup
        self.release = release
        self._steps = np.cumsum(np.diff(release.weights, prepend=release.weights[:1]) != 0)
        exposures = _exposures(setup.ladder, self._steps, release.weights)
        self._terms = [
            Terms(setup.interval_seconds, setup.tolerance, exposures, one) for one in calibrated
        ]
        shared = self._shared()
        self._tables = [self._table(shared, part) for part in range(len(setup.labels))]

    def _shared(self) -> dict[str, Floats]:
        """Return the columns that all proportions have in common."""
        release, seconds = self.release, self.setup.interval_seconds
        numbers = np.round((release.ends - release.ends[0]) / seconds) + 1
        columns = {name: np.zeros(len(release.ends)) for name in COLUMNS}
        order = np.arange(len(numbers))
        columns["number"] = np.maximum.accumulate(numbers - order) + order
        columns["step"] = self._steps.astype(np.float64)
        columns["warm"] = self._warm().astype(np.float64)
        columns["candidate_pods"], columns["stable_pods"] = (
            release.candidate.pods,
            release.stable.pods,
        )
        columns["candidate_total"] = release.candidate.total(0)
        columns["stable_total"] = release.stable.total(0)
        return columns

    def _warm(self) -> NDArray[np.bool_]:
        """Return which looks are in warm-up: of the release, or of a pod that is new in it."""
        there = self.release.candidate.there
        begins = self.release.ends - self.setup.interval_seconds
        new = there & (np.cumsum(there, 0) == 1)
        fresh = new.any(-1) | (np.arange(len(begins)) == 0)
        since = np.maximum.accumulate(np.where(fresh, begins, -np.inf))
        warm: NDArray[np.bool_] = begins < since + self.setup.warm_up_seconds
        return warm

    def _table(self, shared: Mapping[str, Floats], part: int) -> Table:
        columns = dict(shared)
        columns["candidate_bad"] = self.release.candidate.total(part + 1)
        columns["stable_bad"] = self.release.stable.total(part + 1)
        rate = stable_rate(self._terms[part], NOTHING_FOLDED, Table(**columns))
        for side in self.setup.tolerance.sides:
            name = "worst" if side is Side.MORE else "least"
            columns[f"{name}_total"], columns[f"{name}_bad"] = self._cells(side, part, rate)
        return Table(**columns)

    def _cells(self, side: Side, part: int, rate: Floats) -> tuple[Floats, Floats]:
        """Return the totals and bad answers of each look's most incriminating pod."""
        counts = self.release.candidate.counts
        if not counts.size:
            return np.zeros(len(rate)), np.zeros(len(rate))
        tolerance = self.setup.tolerance
        bound_of, sign = (tolerance.most, 1) if side is Side.MORE else (tolerance.least, -1)
        bounds = np.array([bound_of(one) for one in rate.tolist()])[:, None]
        excess = sign * (counts[..., part + 1] - counts[..., 0] * bounds)
        worst = excess.argmax(-1)
        looks = np.arange(len(rate))
        return counts[looks, worst, 0], counts[looks, worst, part + 1]

    @cached_property
    def _traces(self) -> list[Trace]:
        """The evidence of each proportion after each look."""
        return [
            Trace.of(trace(terms, table))
            for terms, table in zip(self._terms, self._tables, strict=True)
        ]

    @cached_property
    def trace(self) -> Trace:
        """The evidence of all proportions together."""
        return Trace.of([side for one in self._traces for side in one.sides])

    @cached_property
    def _ratios(self) -> list[RatioPath]:
        return [
            ratio_path(sides.pairs(Side.MORE, table), terms.calibration.phi)
            for terms, table in zip(self._terms, self._tables, strict=True)
        ]

    @cached_property
    def _mistrust(self) -> NDArray[np.bool_]:
        """After which looks the shares of a step contradict its weight."""
        result = np.zeros(len(self._steps), dtype=bool)
        if self.setup.sticky:
            return result
        table, weights = self._tables[0], self.release.weights
        for step in np.unique(self._steps):
            rows = self._steps == step
            counts = table.candidate_total[rows], table.stable_total[rows], weights[rows]
            result[rows] = shares.log_evidence(*counts) >= shares.ALARM
        return result

    @property
    def notes(self) -> tuple[str, ...]:
        """What the verdicts cannot tell or promise, after the last look."""
        found: list[str] = []
        for terms, table in zip(self._terms, self._tables, strict=True):
            found += [note.text for note in limits.limits(terms, table, int(self._steps[-1]))]
        return tuple(dict.fromkeys(found))

    def verdict(self, index: int) -> Verdict:
        """Return the verdict after a look."""
        trace, table = self.trace, self._tables[0]
        if trace.worse[index] >= -math.log(self.setup.alpha):
            left = trace.at(index).worse_without_worst_cell
            if left >= analysis.LOG_WITHOUT_WORST_CELL:
                return Verdict.WORSE
        if table.candidate_total[index] + table.stable_total[index] == 0:
            return Verdict.NO_DATA
        if self._mistrust[index]:
            return Verdict.UNTRUSTED
        safe = trace.safe[index] >= -math.log(self.setup.miss_rate)
        return Verdict.SAFE if safe else Verdict.LEARNING

    def said(self) -> Iterator[Said]:
        """Yield what the operator would say after each look."""
        for index, end in enumerate(self.release.ends.tolist()):
            verdict = self.verdict(index)
            seen = self.trace.at(index)
            part = self._telling(index, verdict)
            span = self._ratios[part].at(index)
            why = self._why(index, part, verdict, seen, span)
            yield Said(end, self._answers(index), verdict, seen, span, why)

    def _answers(self, index: int) -> Counts:
        total, bad = self._sums[0][:2, index].tolist()
        return Counts(int(total), int(bad))

    def _telling(self, index: int, verdict: Verdict) -> int:
        """Return the proportion that a verdict stands on."""
        if verdict is Verdict.WORSE:
            return max(range(len(self._traces)), key=lambda part: self._traces[part].worse[index])
        return min(range(len(self._traces)), key=lambda part: self._traces[part].safe[index])

    def _why(
        self, index: int, part: int, verdict: Verdict, seen: Evidence, span: Ratio | None
    ) -> str:
        name = f"{self.setup.name} {self.setup.labels[part]}".rstrip()
        if verdict is Verdict.NO_DATA:
            return f"{name}: no answer of either version was counted in this interval"
        if verdict is Verdict.UNTRUSTED:
            return f"{name}: the share of the requests is not the weight"
        sums = self._sums[part][:, index]
        counts = Counts(int(sums[0]), int(sums[1])), Counts(int(sums[2]), int(sums[3]))
        told = analysis.Told(name, int(self._steps[index]), *counts, span)
        rates = self.setup.alpha, self.setup.miss_rate
        return analysis.explain(self._terms[part], told, seen, verdict, rates)

    @cached_property
    def _sums(self) -> list[Floats]:
        """Candidate's and stable's answers and bad answers up to each look, per proportion."""
        names = ("candidate_total", "candidate_bad", "stable_total", "stable_bad")
        return [
            np.cumsum(np.stack([getattr(table, name) for name in names]), -1)
            for table in self._tables
        ]

    def summary(self) -> Summary:
        """Return the first verdicts; "safe" is not looked for after "worse"."""
        first_worse, first_safe = self._first_worse(), self._first_safe()
        if first_worse is not None and first_safe is not None and first_safe > first_worse:
            first_safe = None
        last = -1 if first_worse is None else first_worse
        ends = self.release.ends
        return Summary(
            None if first_worse is None else float(ends[first_worse]),
            None if first_safe is None else float(ends[first_safe]),
            self._answers(last),
        )

    def _first_worse(self) -> int | None:
        looks = np.flatnonzero(self.trace.worse >= -math.log(self.setup.alpha)).tolist()
        return next((i for i in looks if self.verdict(i) is Verdict.WORSE), None)

    def _first_safe(self) -> int | None:
        looks = np.flatnonzero(self.trace.safe >= -math.log(self.setup.miss_rate)).tolist()
        return next((i for i in looks if self.verdict(i) is Verdict.SAFE), None)


def _exposures(
    ladder: tuple[float, ...], steps: NDArray[np.int64], weights: Floats
) -> tuple[float, ...]:
    """Return, per step, the next weight of the ladder above its own; 1 after the last."""
    found = []
    for weight in weights[np.unique(steps, return_index=True)[1]].tolist():
        above = bisect.bisect_right(ladder, weight + 1e-9)
        found.append(ladder[above] if above < len(ladder) else 1.0)
    return tuple(found)


def of_record(record: MetricRecord, name: str, alpha: float, miss_rate: float) -> Iterator[Said]:
    """Yield what was said after each look that a record still has; ends are since the start.

    Args:
        record: The record of a metric in a Release.
        name: What sentences call the metric.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    for look in record.first.looks:
        upto = record.until(look.number)
        judged = analysis.judge(upto, name=name, step=look.step, alpha=alpha, miss_rate=miss_rate)
        end = look.number * record.first.terms.interval_seconds
        counts = judged.candidate
        yield Said(end, counts, judged.verdict, judged.evidence, judged.ratio, judged.why)


def first_verdicts(said: Sequence[Said]) -> Summary:
    """Return the first verdicts of what was said."""
    worse = next((one.end for one in said if one.verdict is Verdict.WORSE), None)
    before = [one for one in said if worse is None or one.end < worse]
    safe = next((one.end for one in before if one.verdict is Verdict.SAFE), None)
    last = next((one for one in said if one.end == worse), said[-1])
    return Summary(worse, safe, last.candidate)
