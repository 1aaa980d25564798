"""From the record of one metric to its verdict, with the numbers and the sentence behind it."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from penstock.core import evidence, sentences
from penstock.core.evidence import Evidence
from penstock.core.looks import Counts, Table
from penstock.core.record import Record
from penstock.core.stats import nulls
from penstock.core.stats.proportion import Pairs
from penstock.core.stats.ratio import Ratio, ratio
from penstock.core.terms import Terms
from penstock.core.verdict import Verdict

LOG_WITHOUT_WORST_CELL = math.log(10)


class NoteKind(StrEnum):
    """What a verdict cannot tell or promise."""

    EMPTY_QUESTION = "EmptyQuestion"
    CANNOT_RESOLVE = "CannotResolve"
    RECENT_ONLY = "RecentOnly"
    SINGLE_CELL = "SingleCell"


@dataclass(frozen=True, slots=True)
class Note:
    """A limit of a verdict, with one sentence for people."""

    kind: NoteKind
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one metric, and all that it was made of.

    Attributes:
        verdict: Worse at full exposure, else safe for the next exposure, else learning; no data
            when no look of the step has any. Never untrusted: that is not told by counts.
        evidence: Natural logs of the e-values.
        candidate: Answers over the looks kept.
        stable: The same of stable.
        ratio: Candidate's share of bad answers over stable's, over the looks kept.
        margin: Factor that the pods of the newest look may differ by, before its cap; 1 for none.
        notes: Limits of the verdict.
        why: One sentence with the numbers.
    """

    verdict: Verdict
    evidence: Evidence
    candidate: Counts
    stable: Counts
    ratio: Ratio | None
    margin: float
    notes: tuple[Note, ...]
    why: str


def guardrail_alpha(false_alarm_rate: float, guardrails: int) -> float:
    """Return the chance of a false alarm that each guardrail may use, 0 to 1.

    Args:
        false_alarm_rate: For the whole release, in percent.
        guardrails: How many metrics can act.
    """
    return false_alarm_rate / 100 / max(guardrails, 1)


def verdict_of(seen: Evidence, has_data: bool, alpha: float, miss_rate: float) -> Verdict:
    """Return the verdict that the evidence allows.

    Args:
        seen: The evidence.
        has_data: Whether the step has a look with data.
        alpha: Chance of a false "worse" over the whole release, 0 to 1.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    certain = seen.worse_without_worst_cell >= LOG_WITHOUT_WORST_CELL
    if certain and seen.worse >= -math.log(alpha):
        return Verdict.WORSE
    if not has_data:
        return Verdict.NO_DATA
    return Verdict.SAFE if seen.safe >= -math.log(miss_rate) else Verdict.LEARNING


@lru_cache(maxsize=512)
def judge(record: Record, *, name: str, step: int, alpha: float, miss_rate: float) -> Judgement:
    """Return the verdict on a metric; depends on nothing but the arguments.

    Args:
        record: The looks of the metric.
        name: What the sentence calls the metric.
        step: The step whose next exposure must be safe.
        alpha: Chance of a false "worse" over the whole release, 0 to 1, see `guardrail_alpha`.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    table = record.table
    seen = evidence.weigh(record.terms, record.folded, table, step)
    verdict = verdict_of(seen, record.baked_seconds(step) > 0, alpha, miss_rate)
    counts = (
        _counts(table.candidate_total, table.candidate_bad),
        _counts(table.stable_total, table.stable_bad),
    )
    span = ratio(_pairs(table), record.terms.calibration.phi)
    facts = sentences.arms(name, *counts) + sentences.ratio_clause(span)
    reason = _reason(record.terms, seen, verdict, step, (alpha, miss_rate))
    notes = _limits(record, table, record.terms.exposure(step))
    if _is_held_back(verdict, seen, alpha):
        notes += (Note(NoteKind.SINGLE_CELL, sentences.single_cell(seen, LOG_WITHOUT_WORST_CELL)),)
    return Judgement(
        verdict=verdict,
        evidence=seen,
        candidate=counts[0],
        stable=counts[1],
        ratio=span,
        margin=_margin(record.terms, table),
        notes=notes,
        why=f"{facts}; {reason}" if reason else sentences.no_data(name),
    )


def _reason(
    terms: Terms, seen: Evidence, verdict: Verdict, step: int, rates: tuple[float, float]
) -> str:
    tolerance, exposure = terms.tolerance, terms.exposure(step)
    worse_needed, safe_needed = (-math.log(rate) for rate in rates)
    if verdict is Verdict.WORSE:
        return sentences.worse(seen, tolerance, worse_needed)
    if verdict is Verdict.NO_DATA:
        return ""
    if verdict is Verdict.SAFE:
        return sentences.safe(seen, tolerance, exposure, safe_needed)
    if seen.worse >= worse_needed:
        return sentences.single_cell(seen, LOG_WITHOUT_WORST_CELL)
    return sentences.learning(seen, tolerance, exposure, safe_needed, worse_needed)


def _is_held_back(verdict: Verdict, seen: Evidence, alpha: float) -> bool:
    return verdict is not Verdict.WORSE and seen.worse >= -math.log(alpha)


def _limits(record: Record, table: Table, exposure: float) -> tuple[Note, ...]:
    stable = _counts(table.stable_total, table.stable_bad)
    notes = (
        _empty_question(record.terms, stable.rate or 0.0, exposure),
        _cannot_resolve(record.terms, table),
        _recent_only(record),
    )
    return tuple(note for note in notes if note)


def _empty_question(terms: Terms, stable_rate: float, exposure: float) -> Note | None:
    for share in (1.0, exposure):
        border = nulls.tolerated(terms.tolerance.max_increase, terms.tolerance.slack, share)
        if border.ratio[0] * stable_rate + border.slack[0] >= 1:
            text = sentences.empty_question(stable_rate, terms.tolerance, share)
            return Note(NoteKind.EMPTY_QUESTION, text)
    return None


def _cannot_resolve(terms: Terms, table: Table) -> Note | None:
    margin = _margin(terms, table)
    if margin <= nulls.MARGIN_CAP:
        return None
    needed = _pods_needed(terms, float(table.stable_pods[-1]))
    text = sentences.cannot_resolve(margin, nulls.MARGIN_CAP, needed)
    return Note(NoteKind.CANNOT_RESOLVE, text)


def _recent_only(record: Record) -> Note | None:
    if not record.folded.number:
        return None
    return Note(NoteKind.RECENT_ONLY, sentences.recent_only(len(record)))


def _margin(terms: Terms, table: Table) -> float:
    return float(evidence.margin(terms, table)[-1]) if len(table.number) else 1.0


def _pods_needed(terms: Terms, stable_pods: float) -> int | None:
    spread = terms.calibration.spread * terms.calibration.quantile
    left = (math.log(nulls.MARGIN_CAP) / spread) ** 2 - 1 / max(stable_pods, 1.0)
    return math.ceil(1 / left) if left > 0 else None


def _counts(total: evidence.Floats, bad: evidence.Floats) -> Counts:
    return Counts(int(total.sum()), int(bad.sum()))


def _pairs(table: Table) -> Pairs:
    return Pairs(table.candidate_total, table.candidate_bad, table.stable_total, table.stable_bad)
