"""From the record of one mean to its verdict, with the numbers and the sentence behind it."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from penstock.core import analysis
from penstock.core.evidence import Evidence
from penstock.core.limits import Note, NoteKind
from penstock.core.means.limits import limits
from penstock.core.means.looks import Floats, MeanArm, MeanTable, Rows
from penstock.core.means.record import MeanRecord
from penstock.core.means.sentences import MeanTold, explain, single_look
from penstock.core.means.weighing import Weighing
from penstock.core.sentences import recent_only
from penstock.core.stats import contrasts, mean_intervals, neighbours, nulls
from penstock.core.stats.contrasts import Sums
from penstock.core.stats.mean_intervals import LOG_EVIDENCE
from penstock.core.stats.ratio import Ratio, RatioPath
from penstock.core.terms import Terms
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class MeanJudgement:
    """The verdict on one mean, and all that it was made of; as `analysis.Judgement`.

    Attributes:
        verdict: Worse at full exposure, else safe for the next exposure, else learning; no data
            when no look of the step has any.
        evidence: Natural logs of the e-values.
        candidate: Answers over the looks kept that are compared: those outside warm-up.
        stable: The same of stable.
        ratio: Mean of candidate over that of stable, over the same looks.
        margin: Factor that the pods of the newest look may differ by, before its cap; 1 for none.
        notes: Limits of the verdict.
        why: One sentence with the numbers.
    """

    verdict: Verdict
    evidence: Evidence
    candidate: MeanArm
    stable: MeanArm
    ratio: Ratio | None
    margin: float
    notes: tuple[Note, ...]
    why: str


@lru_cache(maxsize=512)
def judge_mean(
    record: MeanRecord, *, name: str, step: int, alpha: float, miss_rate: float
) -> MeanJudgement:
    """Return the verdict on a mean; depends on nothing but the arguments.

    Args:
        record: The looks of the metric.
        name: What the sentence calls the metric.
        step: The step whose next exposure must be safe.
        alpha: Chance of a false "worse" over the whole release, 0 to 1.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    terms, table, seen = record.terms, record.table, record.weigh(step)
    verdict = analysis.verdict_of(seen, record.baked_seconds(step) > 0, alpha, miss_rate)
    rows = table.compared
    told = MeanTold(
        name=name,
        step=step,
        looks=record.compared_looks(step),
        candidate=_arm(table.candidate_count, table.candidate_total, rows),
        stable=_arm(table.stable_count, table.stable_total, rows),
        ratio=ratios(record.weighing).at(-1) if len(record) else None,
    )
    return MeanJudgement(
        verdict=verdict,
        evidence=seen,
        candidate=told.candidate,
        stable=told.stable,
        ratio=told.ratio,
        margin=_margin(terms, table),
        notes=_notes(record, step) + _held_back(verdict, seen, alpha),
        why=explain(terms, told, seen, verdict, (alpha, miss_rate)),
    )


def ratios(weighing: Weighing) -> RatioPath:
    """Return the ratio of the means after each look, with its interval, over what is compared.

    Of the looks kept, at least one.
    """
    table, between = weighing.table, weighing.between
    arms = table.arms(table.compared)
    sums = Sums.after_each(*arms, between).knowing(neighbours.variances(weighing.known))
    weights = contrasts.weights(arms[0].count, arms[1].count, between)
    prior = float(weights[(weights > 0).argmax()]) or 1.0
    phi = weighing.terms.calibration.phi
    span = mean_intervals.relative(sums, prior, LOG_EVIDENCE * phi)
    low = np.where(span.low > 0, span.low, np.nan)
    return RatioPath(low, span.mid, np.where(np.isfinite(span.high), span.high, np.nan))


def _arm(count: Floats, total: Floats, rows: Rows) -> MeanArm:
    return MeanArm.of(int(count[rows].sum()), float(total[rows].sum()))


def _margin(terms: Terms, table: MeanTable) -> float:
    if not len(table.number):
        return 1.0
    pods = table.candidate_pods[-1:], table.stable_pods[-1:]
    return float(nulls.pod_margin(terms.calibration.spread, terms.calibration.quantile, *pods)[0])


def _notes(record: MeanRecord, step: int) -> tuple[Note, ...]:
    found = limits(record.terms, record.table, step)
    if not record.folded.number:
        return found
    return (*found, Note(NoteKind.RECENT_ONLY, recent_only(len(record))))


def _held_back(verdict: Verdict, seen: Evidence, alpha: float) -> tuple[Note, ...]:
    if verdict is Verdict.WORSE or seen.worse < -math.log(alpha):
        return ()
    return (Note(NoteKind.SINGLE_CELL, single_look(seen)),)
