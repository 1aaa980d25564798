"""The operator's judgement of streams of means, and what stable's past tells about chance.

Streams, steps, warm-up, trust and verdicts are those of `replay`, whose counts here have no bad
answers; evidence, ratio and sentences are those of a mean.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penstock.core import evidence, mean_judging
from penstock.core.evidence import Evidence, Trace
from penstock.core.looks import Counts
from penstock.core.mean_judging import MeanTold
from penstock.core.mean_record import (
    MeanArm,
    MeanChance,
    MeanRecord,
    MeanTable,
    Weighing,
    WorseSums,
)
from penstock.core.replay import Arm, Release, Replay, Said, Setup
from penstock.core.stats import calibration, means
from penstock.core.stats.mixture import log_sum
from penstock.core.stats.ratio import Ratio, RatioPath
from penstock.core.terms import WITHOUT_HISTORY, Calibration
from penstock.core.verdict import Verdict

Floats = NDArray[np.float64]


def chance(setup: Setup, history: Arm, seconds: float) -> MeanChance:
    """Return what stable's history says of the looks of a stream.

    Args:
        setup: How it is judged.
        history: Stable's answers, shape (intervals, pods, 2 or 3): count, sum, squares.
        seconds: How long its intervals last.
    """
    if not history.counts.size:
        return MeanChance()
    count, total, *squares = (
        calibration.in_minutes(history.counts[..., part], seconds)
        for part in range(history.counts.shape[-1])
    )
    if not calibration.is_long_enough(count, max(seconds, 60.0)):
        return MeanChance()
    found = calibrate(count, total, squares[0] if squares else None, setup.alpha)
    rows_last = seconds * max(round(60 / seconds), 1)
    return replace(found, between=found.between * rows_last / setup.interval_seconds)


def calibrate(count: Floats, total: Floats, squares: Floats | None, alpha: float) -> MeanChance:
    """Return what a history says; `between` is that of looks as long as its rows.

    By `stats.calibration`: each pod in turn plays the candidate, and its sum has the expectation
    X s where X is the sum of all pods and s its share of the answers. The sums are told in the unit
    in which their variance in one row is X s (1 - s). Then the over-dispersion is what blocks of 4
    and 12 rows vary beyond single rows (shrunk to 1.5 with 8 degrees of freedom), and the pods'
    constant differences tell the spread of their log means (shrunk to .1 with 4), with its t
    quantile. Looks within one row are taken to be independent.

    Args:
        count: Answers per minute and pod, shape (minutes, pods); 0 where a pod was not there.
        total: Their sums.
        squares: Sums of their squares; None where they are not known: `between` is then 0.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
    """
    kept = count.sum(0) > 0
    count, total = count[:, kept], total[:, kept]
    history = Counts(int(count.sum()), 0)
    unit = _unit(count, total)
    if not unit > 0:
        return MeanChance(replace(WITHOUT_HISTORY, history=history))
    seen = calibration.calibrate(count, total / unit, alpha)
    between = 0.0 if squares is None else _between(count, total, squares[:, kept])
    fixed = Calibration(seen.phi, seen.spread, seen.quantile, history, seen.cautious_phi)
    return MeanChance(fixed, between)


def _unit(count: Floats, total: Floats) -> float:
    """Return the variance of the pods' sums in one row over X s (1 - s); nan where unknown."""
    share = count / np.maximum(count.sum(1, keepdims=True), 1.0)
    all_pods = total.sum(1, keepdims=True)
    residual, scale = total - all_pods * share, all_pods * share * (1 - share)
    whole = scale.sum(0)
    if len(count) < 2 or not (whole > 0).any() or (all_pods < 0).any():
        return np.nan
    constant = residual.sum(0) / np.where(whole > 0, whole, 1.0)
    expected = whole.sum() * (1 - 1 / len(count))
    return float(((residual - scale * constant) ** 2).sum() / expected)


def _between(count: Floats, total: Floats, squares: Floats) -> float:
    """Return the variance of a pod's contrast with the others beyond that of its answers, over it.

    By moments, each pod's constant difference taken out: with weights w as of `means.weights`,
    sum w (y - mean)^2 is v (n - 1) + v between (W - sum w^2 / W) where v is the variance of one
    answer.
    """
    others = count.sum(1, keepdims=True) - count
    weight, safe = means.weights(count, others), np.maximum(count, 1.0)
    rest = (total.sum(1, keepdims=True) - total) / np.maximum(others, 1.0)
    y, within = total / safe - rest, squares - total**2 / safe
    answer = within.sum() / max((count - 1).clip(0).sum(), 1.0)
    whole = np.maximum(weight.sum(0), 1e-300)
    around = y - (weight * y).sum(0) / whole
    excess = (weight * around**2).sum(0) / answer - np.maximum((weight > 0).sum(0) - 1, 0)
    room = (whole - (weight**2).sum(0) / whole).sum()
    return float(max(excess.sum() / room, 0.0)) if answer > 0 and room > 0 else 0.0


@dataclass(frozen=True, slots=True)
class MeanTrace(Trace):
    """The evidence after each look; `sides` is empty, `worse_sums` and `safe_sides` take its place.

    Attributes:
        worse_sums: What "worse?" is made of, per direction that is bounded.
        safe_sides: "Safe?" asked of the step of each look, shape (directions, looks).
        compared: Looks of that step that were compared by then, shape (looks,).
    """

    worse_sums: tuple[WorseSums, ...]
    safe_sides: Floats
    compared: Floats

    @classmethod
    def of_mean(cls, weighing: Weighing) -> "MeanTrace":
        """Return the evidence after each look of a record that keeps all of them."""
        worse = tuple(weighing.worse(index) for index in range(len(weighing.sides)))
        each = np.stack([one.log_worse(one.total) for one in worse])
        safe, compared = _safe(weighing)
        log_worse = log_sum(each, 0) - np.log(len(worse))
        return cls((), log_worse, safe.min(0), worse, safe, compared)

    def at(self, index: int) -> Evidence:
        """Return the evidence after a look."""
        each = zip(self.worse_sums, self.safe_sides[:, index].tolist(), strict=True)
        return evidence.together([one.evidence(index, safe) for one, safe in each])


def _safe(weighing: Weighing) -> tuple[Floats, Floats]:
    """Return ln of the evidence of "safe?" for the step of each look, (directions, looks).

    And of how many looks of that step it is, shape (looks,).
    """
    steps = weighing.table.step
    log_e, compared = np.zeros((len(weighing.sides), len(steps))), np.zeros(len(steps))
    for step in np.unique(steps).astype(np.int64).tolist():
        rows, shown = steps == step, weighing.in_step(step)
        compared[rows] = shown.looks[rows]
        for place, side in enumerate(weighing.sides):
            log_e[place, rows] = weighing.log_safe(side, shown, step)[rows]
    return log_e, compared


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
        weighing = self._weighing
        return [mean_judging.ratios(weighing.terms, weighing.between, weighing.table)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the verdicts cannot tell or promise, after the last look."""
        weighing, step = self._weighing, int(self._steps[-1])
        found = mean_judging.limits(weighing.terms, weighing.table, step)
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
        return mean_judging.explain(self._weighing.terms, told, seen, verdict, rates)

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
        judged = mean_judging.judge_mean(
            upto, name=name, step=look.step, alpha=alpha, miss_rate=miss_rate
        )
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
