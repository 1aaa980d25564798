"""The verdict on a mean in one sentence."""

import math
from dataclasses import dataclass

from penstock.core import sentences
from penstock.core.analysis import LOG_WITHOUT_WORST_CELL
from penstock.core.evidence import Evidence
from penstock.core.means.looks import MeanArm
from penstock.core.means.weighing import tolerated
from penstock.core.stats.means import MIN_LOOKS
from penstock.core.stats.ratio import Ratio
from penstock.core.terms import Terms
from penstock.core.verdict import Verdict


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


def single_look(seen: Evidence) -> str:
    """Return why a version is not called worse: one look carries it."""
    return (
        f"{seen.worse_side.value} than tolerated, but one look carries it: evidence "
        f"{sentences.odds(seen.worse)}, without it "
        f"{sentences.odds(seen.worse_without_worst_cell)}, "
        f"{sentences.odds(LOG_WITHOUT_WORST_CELL)} needed"
    )


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
        return single_look(seen)
    if told.looks < MIN_LOOKS:
        return (
            f"learning: {told.looks} looks outside warm-up have answers of both on this step, "
            f"{MIN_LOOKS} are needed"
        )
    return sentences.learning(seen, tolerance, exposure, safe_needed, worse_needed)


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
