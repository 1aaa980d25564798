"""From the record of one mean to its verdict, with the numbers and the sentence behind it."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from penstock.core import analysis, looks, sentences
from penstock.core.analysis import LOG_WITHOUT_WORST_CELL, Note, NoteKind
from penstock.core.evidence import Evidence
from penstock.core.mean_record import MeanArm, MeanRecord, MeanTable, Rows, tolerated
from penstock.core.stats import means, nulls
from penstock.core.stats.means import LOG_EVIDENCE, MIN_LOOKS, Sums
from penstock.core.stats.ratio import Ratio, RatioPath
from penstock.core.terms import Calibration, Terms
from penstock.core.verdict import Verdict

ENOUGH_ANSWERS = 30
"""Answers of an arm per look from which on skewed values without squares do little harm."""


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


@dataclass(frozen=True, slots=True)
class MeanTold:
    """The numbers of a sentence.

    Attributes:
        name: What is judged.
        step: Index of the step.
        looks: Looks of the step that were compared.
        candidate: Answers of the candidate.
        stable: Answers of stable.
        ratio: Of their means.
    """

    name: str
    step: int
    looks: int
    candidate: MeanArm
    stable: MeanArm
    ratio: Ratio | None


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
        ratio=ratios(terms, record.between, table).at(-1) if len(record) else None,
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


def explain(
    terms: Terms, told: MeanTold, seen: Evidence, verdict: Verdict, rates: tuple[float, float]
) -> str:
    """Return the one sentence with the numbers; `rates` are alpha and the miss rate, 0 to 1."""
    if verdict is Verdict.NO_DATA:
        return sentences.no_data(told.name)
    reason = _reason(terms, told, seen, verdict, rates)
    if not told.candidate.count + told.stable.count:
        return f"{told.name}: {reason}"
    arms = f"candidate {_arm_text(told.candidate, 'answers')}, stable {_arm_text(told.stable)}"
    return f"{told.name}: {arms}{_ratio_text(told.ratio)}; {reason}"


def ratios(terms: Terms, between: float, table: MeanTable) -> RatioPath:
    """Return the ratio of the means after each look, with its interval, over what is compared.

    Args:
        terms: What was fixed before the first look.
        between: The same, see `means.weights`.
        table: The looks, at least one.
    """
    arms = table.arms(table.compared)
    sums = Sums.after_each(*arms, between)
    weights = means.weights(arms[0].count, arms[1].count, between)
    prior = float(weights[(weights > 0).argmax()]) or 1.0
    span = means.relative(sums, prior, LOG_EVIDENCE * terms.calibration.phi)
    low = np.where(span.low > 0, span.low, np.nan)
    return RatioPath(low, span.mid, np.where(np.isfinite(span.high), span.high, np.nan))


def limits(terms: Terms, table: MeanTable, step: int) -> tuple[Note, ...]:
    """Return what cannot be told or promised about a mean on a step, for the looks kept."""
    known = replace(terms.calibration, cautious_phi=0.0)
    of_pods = analysis.limits(
        replace(terms, tolerance=tolerated(terms), calibration=known), _pods(table), step
    )
    return of_pods + _few(terms.calibration) + _without_numbers(table) + _skewed(table)


def _arm(count: means.Floats, total: means.Floats, rows: Rows) -> MeanArm:
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
    return (*found, Note(NoteKind.RECENT_ONLY, sentences.recent_only(len(record))))


def _pods(table: MeanTable) -> looks.Table:
    """Return the looks as those of a proportion without answers, for what asks only for pods."""
    columns = {name: np.zeros_like(table.number) for name in looks.COLUMNS}
    columns |= {"candidate_pods": table.candidate_pods, "stable_pods": table.stable_pods}
    return looks.Table(**columns)


def _few(calibration: Calibration) -> tuple[Note, ...]:
    if not calibration.cautious_phi:
        return ()
    text = (
        "few answers make up the sum of stable's history, so it cannot tell how alike neighbouring "
        "looks are: where they are, the false alarm rate is not guaranteed"
    )
    return (Note(NoteKind.FEW_EVENTS, text),)


def _without_numbers(table: MeanTable) -> tuple[Note, ...]:
    lost = int((~table.finite).sum())
    if not lost:
        return ()
    text = (
        f"in {lost} of {len(table.number)} looks a sum is no number (NaN or infinite), so they "
        "tell nothing: look for answers that add such a value"
    )
    return (Note(NoteKind.CANNOT_RESOLVE, text),)


def _skewed(table: MeanTable) -> tuple[Note, ...]:
    """Return a note where few answers per look are compared without their squares."""
    rows = table.compared & (np.minimum(table.candidate_count, table.stable_count) > 0)
    unknown = np.isnan(table.candidate_squares + table.stable_squares)[rows]
    answers = np.minimum(table.candidate_count, table.stable_count)[rows]
    if not unknown.any() or np.median(answers) >= ENOUGH_ANSWERS:
        return ()
    text = (
        f"a look has {np.median(answers):.0f} answers and sumOfSquares is not given: where few "
        "answers make most of the sum the rates of errors are not guaranteed"
    )
    return (Note(NoteKind.FEW_EVENTS, text),)


def _held_back(verdict: Verdict, seen: Evidence, alpha: float) -> tuple[Note, ...]:
    if verdict is Verdict.WORSE or seen.worse < -math.log(alpha):
        return ()
    return (Note(NoteKind.SINGLE_CELL, _single_look(seen)),)


def _reason(
    terms: Terms, told: MeanTold, seen: Evidence, verdict: Verdict, rates: tuple[float, float]
) -> str:
    tolerance, exposure = tolerated(terms), terms.exposure(told.step)
    worse_needed, safe_needed = (-math.log(rate) for rate in rates)
    if verdict is Verdict.WORSE:
        return sentences.worse(seen, tolerance, worse_needed)
    if verdict is Verdict.SAFE:
        return sentences.safe(seen, tolerance, exposure, safe_needed)
    if seen.worse >= worse_needed:
        return _single_look(seen)
    if told.looks < MIN_LOOKS:
        return (
            f"learning: {told.looks} looks outside warm-up have answers of both on this step, "
            f"{MIN_LOOKS} are needed"
        )
    return sentences.learning(seen, tolerance, exposure, safe_needed, worse_needed)


def _single_look(seen: Evidence) -> str:
    return (
        f"{seen.worse_side.value} than tolerated, but one look carries it: evidence "
        f"{sentences.odds(seen.worse)}, without it "
        f"{sentences.odds(seen.worse_without_worst_cell)}, "
        f"{sentences.odds(LOG_WITHOUT_WORST_CELL)} needed"
    )


def _arm_text(arm: MeanArm, unit: str = "") -> str:
    if arm.mean is None:
        return "no answers"
    return f"{_number(arm.mean)} ({f'{arm.count:,} {unit}'.rstrip()})"


def _ratio_text(ratio: Ratio | None) -> str:
    """Return the ratio as ": 0.88 times (0.81 to 0.95)"; empty where it is not known."""
    if ratio is None or ratio.mid is None:
        return ""
    return f": {_times(ratio.mid)} times ({_span(ratio) or 'not bounded yet'})"


def _span(ratio: Ratio) -> str:
    low, high = ratio.low, ratio.high
    if low and high is not None:
        return f"{_times(low)} to {_times(high)}"
    if high is not None:
        return f"at most {_times(high)}"
    return f"at least {_times(low)}" if low else ""


def _times(ratio: float) -> str:
    """Return a ratio as "0.88"; two decimals, since means are compared closely."""
    return f"{ratio:.2f}" if 0.095 <= ratio < 9.995 else sentences.times(ratio)


def _number(value: float) -> str:
    """Return three digits that count, without an exponent: 0.0431, 4.31, 1,234."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(digits, 0)}f}"
