"""The operator's judgement of streams of means.

Streams, steps, warm-up, trust and verdicts are those of `core.replay`, whose counts here have no
bad answers; evidence, ratio and sentences are those of a mean.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penstock.core.evidence import Evidence
from penstock.core.looks import Counts
from penstock.core.means import judging
from penstock.core.means.calibration import MeanChance
from penstock.core.means.judging import judge_mean
from penstock.core.means.limits import limits
from penstock.core.means.looks import Floats, MeanArm, MeanTable
from penstock.core.means.record import MeanRecord
from penstock.core.means.sentences import MeanTold, explain
from penstock.core.means.trace import MeanTrace
from penstock.core.means.weighing import Weighing
from penstock.core.replay import Replay, Said
from penstock.core.stats.ratio import Ratio, RatioPath
from penstock.core.streams import Arm, Release, Setup
from penstock.core.trace import Trace
from penstock.core.verdict import Verdict


class MeanReplay(Replay):
    """One release as it would have been judged by a mean, look by look.

    The arms' counts have the shape (intervals, pods, 2 or 3): count, sum, sum of squares. The
    `candidate` of its summary has no bad answers.
    """

    def __init__(self, setup: Setup, known: MeanChance, release: Release) -> None:
        """Judge the intervals of one release, at least one."""
        plain = replace(setup, labels=("",))
        answers = replace(
            release, candidate=_answers(release.candidate), stable=_answers(release.stable)
        )
        super().__init__(plain, (known.calibration,), answers)
        self._weighing = Weighing(self._terms[0], known.between, self._mean_table(release))

    def _mean_table(self, release: Release) -> MeanTable:
        shared = self._tables[0]
        columns = {name: getattr(shared, name) for name in ("number", "step", "warm")}
        columns |= {name: getattr(shared, name) for name in ("candidate_pods", "stable_pods")}
        for name, arm in (("candidate", release.candidate), ("stable", release.stable)):
            columns |= {f"{name}_{part}": column for part, column in _columns(arm)}
        return MeanTable(**columns)

    @cached_property
    def trace(self) -> MeanTrace:
        """The evidence after each look."""
        return MeanTrace.of_mean(self._weighing)

    @cached_property
    def _traces(self) -> list[Trace]:
        return [self.trace]

    @cached_property
    def _ratios(self) -> list[RatioPath]:
        return [judging.ratios(self._weighing)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the verdicts cannot tell or promise, after the last look."""
        weighing, step = self._weighing, int(self._steps[-1])
        found = limits(weighing.terms, weighing.table, step)
        return tuple(dict.fromkeys(note.text for note in found))

    def _why(
        self, index: int, part: int, verdict: Verdict, seen: Evidence, span: Ratio | None
    ) -> str:
        if verdict in (Verdict.UNTRUSTED, Verdict.NO_DATA):
            return super()._why(index, part, verdict, seen, span)
        told = MeanTold(
            name=self.setup.name,
            step=int(self._steps[index]),
            looks=int(self.trace.compared[index]),
            candidate=MeanArm.of(int(self._shown[0, index]), float(self._shown[1, index])),
            stable=MeanArm.of(int(self._shown[2, index]), float(self._shown[3, index])),
            ratio=span,
        )
        rates = self.setup.alpha, self.setup.miss_rate
        return explain(self._weighing.terms, told, seen, verdict, rates)

    @cached_property
    def _shown(self) -> Floats:
        """Candidate's and stable's answers and their sums up to each look, of what is compared."""
        table = self._weighing.table
        candidate, stable = table.arms(table.compared)
        columns = candidate.count, candidate.total, stable.count, stable.total
        return np.cumsum(np.stack(columns), -1)


def of_record(record: MeanRecord, name: str, alpha: float, miss_rate: float) -> Iterator[Said]:
    """Yield what was said after each look that a record still has; ends are since the start.

    Args:
        record: The record of a mean in a Release.
        name: What sentences call the metric.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    for look in record.looks:
        upto = record.until(look.number)
        judged = judge_mean(upto, name=name, step=look.step, alpha=alpha, miss_rate=miss_rate)
        end = look.number * record.terms.interval_seconds
        counts = Counts(judged.candidate.count, 0)
        yield Said(end, counts, judged.verdict, judged.evidence, judged.ratio, judged.why)


def _answers(arm: Arm) -> Arm:
    """Return the arm as one of a proportion without bad answers."""
    count = arm.counts[..., 0]
    return replace(arm, counts=np.stack((count, np.zeros_like(count)), -1))


def _columns(arm: Arm) -> Iterator[tuple[str, Floats]]:
    """Yield the columns of an arm in a table of looks; squares are nan where they are unknown."""
    sums: Floats = arm.counts.sum(1)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(sums).all(-1))
    known: Floats = np.where(finite[:, None], sums, 0.0)
    unknown: Floats = np.full(len(sums), np.nan)
    yield "count", sums[:, 0]
    yield "total", known[:, 1]
    yield "squares", known[:, 2] if known.shape[1] > 2 else unknown
    yield "finite", finite.astype(np.float64)
