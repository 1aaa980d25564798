"""From the record of one metric to its verdict, with the numbers and the sentence behind it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from penstock.core import evidence, limits, sentences, sides, targets
from penstock.core.evidence import Evidence
from penstock.core.limits import Note, NoteKind
from penstock.core.looks import Counts, Table
from penstock.core.metric_record import MetricRecord
from penstock.core.record import Record
from penstock.core.stats.nulls import Side
from penstock.core.stats.ratio import Ratio, ratio
from penstock.core.terms import Terms
from penstock.core.verdict import Verdict

LOG_WITHOUT_WORST_CELL = math.log(10)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one metric, and all that it was made of.

    Attributes:
        verdict: Worse at full exposure, else safe for the next exposure, else learning; no data
            when no look of the step has any. Never untrusted: that is told of all metrics together.
        evidence: Natural logs of the e-values.
        candidate: Answers over the looks kept.
        stable: The same of stable.
        ratio: Candidate's share of bad answers over stable's, over the looks kept.
        margin: Factor that the pods of the newest look may differ by, before its cap; 1 for none.
        notes: Limits of the verdict.
        why: One sentence with the numbers.
        doubt: While learning, what speaks against the candidate if it is one pod; else empty.
    """

    verdict: Verdict
    evidence: Evidence
    candidate: Counts
    stable: Counts
    ratio: Ratio | None
    margin: float
    notes: tuple[Note, ...]
    why: str
    doubt: str = ""


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
def judge(
    record: MetricRecord, *, name: str, step: int, alpha: float, miss_rate: float
) -> Judgement:
    """Return the verdict on a metric; depends on nothing but the arguments.

    The numbers are those of the part that tells most: for worse, or against safe.

    Args:
        record: The looks of the metric.
        name: What the sentence calls the metric.
        step: The step whose next exposure must be safe.
        alpha: Chance of a false "worse" over the whole release, 0 to 1, see `guardrail_alpha`.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
    """
    each = [part.record.weigh(step) for part in record.parts]
    seen = evidence.together(each)
    verdict = verdict_of(seen, record.baked_seconds(step) > 0, alpha, miss_rate)
    part = record.parts[_telling(each, verdict)]
    pod = _one_pod(record, each)
    terms, table = part.record.terms, part.record.table
    candidate = limits.counted(table.candidate_total, table.candidate_bad)
    stable = limits.counted(table.stable_total, table.stable_bad)
    told = Told(f"{name} {part.label}".rstrip(), step, candidate, stable, _span(terms, table))
    why = explain(terms, told, seen, verdict, (alpha, miss_rate))
    against = sentences.speaks_against(seen, -math.log(alpha))
    return Judgement(
        verdict=verdict,
        evidence=seen,
        candidate=candidate,
        stable=stable,
        ratio=told.ratio,
        margin=limits.margin(terms, table),
        notes=limits.limits(terms, table, step) + _more_notes(part.record, verdict, seen, alpha),
        why=f"{why}; {pod}" if pod and verdict is Verdict.WORSE else why,
        doubt=f"{name}: {against}; {pod}" if pod and verdict is Verdict.LEARNING else "",
    )


def _one_pod(record: MetricRecord, each: Sequence[Evidence]) -> str:
    """Return which pod stands out, where something speaks against the candidate."""
    place = max(range(len(each)), key=lambda index: each[index].worse)
    if each[place].worse < LOG_WITHOUT_WORST_CELL:
        return ""
    part, side = record.parts[place], each[place].worse_side
    pod = targets.suspect(part.record.terms, part.sums, side)
    return sentences.one_pod(side, pod.name, pod.counts, part.sums.without(pod)) if pod else ""


@dataclass(frozen=True, slots=True)
class Told:
    """The numbers of a sentence: what is judged, the counts of both arms, and their ratio."""

    name: str
    step: int
    candidate: Counts
    stable: Counts
    ratio: Ratio | None


def explain(
    terms: Terms,
    told: Told,
    seen: Evidence,
    verdict: Verdict,
    rates: tuple[float, float],
) -> str:
    """Return the one sentence with the numbers; `rates` are alpha and the miss rate, 0 to 1."""
    reason = _reason(terms, seen, verdict, told.step, rates)
    if not reason:
        return sentences.no_data(told.name)
    facts = sentences.arms(told.name, told.candidate, told.stable)
    return f"{facts}{sentences.ratio_clause(told.ratio)}; {reason}"


def _span(terms: Terms, table: Table) -> Ratio | None:
    return ratio(sides.pairs(Side.MORE, table), terms.calibration.phi)


def _telling(each: Sequence[Evidence], verdict: Verdict) -> int:
    """Return the index of the part that the verdict stands on."""
    if verdict is Verdict.WORSE:
        return max(range(len(each)), key=lambda index: each[index].worse)
    return min(range(len(each)), key=lambda index: each[index].safe)


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


def _more_notes(record: Record, verdict: Verdict, seen: Evidence, alpha: float) -> tuple[Note, ...]:
    found = []
    if record.folded.number:
        found.append(Note(NoteKind.RECENT_ONLY, sentences.recent_only(len(record))))
    if verdict is not Verdict.WORSE and seen.worse >= -math.log(alpha):
        text = sentences.single_cell(seen, LOG_WITHOUT_WORST_CELL)
        found.append(Note(NoteKind.SINGLE_CELL, text))
    return tuple(found)
