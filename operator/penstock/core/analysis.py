"""From the record of one metric to its verdict, with the numbers and the sentence behind it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from penstock.core import asked, evidence, sentences, sides
from penstock.core.evidence import Evidence
from penstock.core.looks import Counts, Table
from penstock.core.metric_record import MetricRecord
from penstock.core.record import Record
from penstock.core.stats import nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Pairs, Question
from penstock.core.stats.ratio import Ratio, ratio
from penstock.core.terms import Calibration, Terms
from penstock.core.verdict import Verdict

LOG_WITHOUT_WORST_CELL = math.log(10)
LEAST_CHANGE, CHANGES_RESOLVED = 0.2, 3


class NoteKind(StrEnum):
    """What a verdict cannot tell or promise."""

    EMPTY_QUESTION = "EmptyQuestion"
    CANNOT_RESOLVE = "CannotResolve"
    FEW_EVENTS = "FewEvents"
    NEVER_SAFE = "NeverSafe"
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
    terms, table = part.record.terms, part.record.table
    candidate = _counts(table.candidate_total, table.candidate_bad)
    stable = _counts(table.stable_total, table.stable_bad)
    told = Told(f"{name} {part.label}".rstrip(), step, candidate, stable, _span(terms, table))
    return Judgement(
        verdict=verdict,
        evidence=seen,
        candidate=candidate,
        stable=stable,
        ratio=told.ratio,
        margin=_margin(terms, table),
        notes=limits(terms, table, step) + _recent(part.record) + _held_back(verdict, seen, alpha),
        why=explain(terms, told, seen, verdict, (alpha, miss_rate)),
    )


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


def _held_back(verdict: Verdict, seen: Evidence, alpha: float) -> tuple[Note, ...]:
    if verdict is Verdict.WORSE or seen.worse < -math.log(alpha):
        return ()
    text = sentences.single_cell(seen, LOG_WITHOUT_WORST_CELL)
    return (Note(NoteKind.SINGLE_CELL, text),)


def limits(terms: Terms, table: Table, step: int) -> tuple[Note, ...]:
    """Return what cannot be told or promised about a proportion on a step."""
    stable = _counts(table.stable_total, table.stable_bad)
    notes = (
        _empty_question(terms, stable.rate or 0.0, terms.exposure(step)),
        _never_safe(terms, table, step),
        _cannot_resolve(terms, table),
        _few_events(terms.calibration),
    )
    return tuple(note for note in notes if note)


def _empty_question(terms: Terms, stable_rate: float, exposure: float) -> Note | None:
    if Side.MORE not in terms.tolerance.sides:
        return None
    for share in (1.0, exposure):
        border = sides.border(Side.MORE, terms.tolerance, share)
        if border and border.ratio[0] * stable_rate + border.slack[0] >= 1:
            text = sentences.empty_question(stable_rate, terms.tolerance, share)
            return Note(NoteKind.EMPTY_QUESTION, text)
    return None


def _cannot_resolve(terms: Terms, table: Table) -> Note | None:
    margin = _margin(terms, table)
    side = min(terms.tolerance.sides, key=lambda one: _resolvable(terms, one))
    limit = _resolvable(terms, side)
    if margin <= limit:
        return None
    pods = int(max(table.candidate_pods[-1], 1)), _pods_needed(terms, table, limit)
    text = sentences.cannot_resolve(margin, terms.tolerance, side, pods)
    return Note(NoteKind.CANNOT_RESOLVE, text)


def _never_safe(terms: Terms, table: Table, step: int) -> Note | None:
    """Return that not even an equal candidate could be shown to be within so small a tolerance.

    Told by the evidence that a look of average size is expected to add for equal shares.
    """
    n, m = float(table.candidate_total.mean() if len(table.number) else 0.0), 0.0
    m = float(table.stable_total.mean()) if n else 0.0
    rate = _counts(table.stable_total, table.stable_bad).rate
    if not (n and m and rate):
        return None
    arms = ((n, n * rate), (m, m * rate))
    for side in terms.tolerance.sides:
        null = sides.border(side, terms.tolerance, terms.exposure(step))
        if null is None:
            continue
        first, second = arms if side is Side.MORE else arms[::-1]
        pairs = Pairs(*(np.array([count]) for count in (*first, *second)))
        known = sides.known_rate(side, null, np.array([rate]))
        if Bet.on(Question.SAFE, pairs, null, known).gains().log_e(pairs).max() <= 0:
            text = sentences.never_safe(terms.tolerance, side, terms.exposure(step))
            return Note(NoteKind.NEVER_SAFE, text)
    return None


def _resolvable(terms: Terms, side: Side) -> float:
    """Return the greatest margin under which what is tolerated can still be told.

    Beyond it only a change of more than three times the tolerated one (of 20 % where less is
    tolerated) is called worse.
    """
    change = max(terms.tolerance.change(side) / 100, LEAST_CHANGE)
    ratio = 1 + change if side is Side.MORE else 1 / max(1 - change, 0.01)
    return min(1 + CHANGES_RESOLVED * (ratio - 1), nulls.MARGIN_CAP * ratio) / ratio


def _few_events(calibration: Calibration) -> Note | None:
    if not calibration.cautious_phi:
        return None
    return Note(NoteKind.FEW_EVENTS, sentences.few_events(calibration.history.bad))


def _recent(record: Record) -> tuple[Note, ...]:
    if not record.folded.number:
        return ()
    return (Note(NoteKind.RECENT_ONLY, sentences.recent_only(len(record))),)


def _margin(terms: Terms, table: Table) -> float:
    return float(asked.margin(terms, table)[-1]) if len(table.number) else 1.0


def _pods_needed(terms: Terms, table: Table, limit: float) -> int | None:
    spread = terms.calibration.spread * terms.calibration.quantile
    left = (math.log(limit) / spread) ** 2 - 1 / max(float(table.stable_pods[-1]), 1.0)
    return math.ceil(1 / left) if left > 0 else None


def _counts(total: evidence.Floats, bad: evidence.Floats) -> Counts:
    return Counts(int(total.sum()), int(bad.sum()))
