"""How many times as bad the candidate is: an estimate and an anytime-valid interval.

Both tests are inverted over the ratio r with slack 0. There, with fair = r n / (r n + m) and a tilt
u, ln e = x u - (x + y) ln(1 + fair (exp(u) - 1)), one logarithm per look and tilt.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.mixture import LOG_WEIGHTS, TILTS, log_sum
from penstock.core.stats.proportion import Pairs, Question

Floats = NDArray[np.float64]

LOG_EVIDENCE = math.log(40)
_WIDEST = math.log(1e6)
_PRECISION = 1e-3


@dataclass(frozen=True, slots=True)
class Ratio:
    """The candidate's share of bad answers over stable's.

    Attributes:
        low: 40 to 1 that it is more; 0 where nothing is excluded.
        mid: Mantel-Haenszel estimate; None where stable has no bad answer.
        high: 40 to 1 that it is less; None where nothing is excluded.
    """

    low: float
    mid: float | None
    high: float | None


def ratio(pairs: Pairs, phi: float) -> Ratio | None:
    """Return the ratio over all looks; None where no bad answer can tell it.

    Args:
        pairs: The looks, shape (looks,).
        phi: Over-dispersion by which each ln e is divided, >= 1.
    """
    telling = _telling(pairs)
    if telling.candidate_bad.size == 0:
        return None
    low = _limit(telling, phi, Question.WORSE)
    high = _limit(telling, phi, Question.SAFE)
    return Ratio(low or 0.0, mantel_haenszel(telling), high)


def mantel_haenszel(pairs: Pairs) -> float | None:
    """Return sum x (1 - s) / sum y s with s = n / (n + m); None where stable has no bad answer."""
    share = pairs.candidate_total / (pairs.candidate_total + pairs.stable_total)
    stable = float((pairs.stable_bad * share).sum())
    return float((pairs.candidate_bad * (1 - share)).sum()) / stable if stable > 0 else None


def log_evidence(pairs: Pairs, phi: float, question: Question, log_ratio: float) -> float:
    """Return ln of the evidence against p_candidate <= (or >=) ratio * p_stable."""
    tilts = question.value * TILTS
    odds = math.exp(log_ratio) * pairs.candidate_total / pairs.stable_total
    fair = odds / (odds + 1)
    both = pairs.candidate_bad + pairs.stable_bad
    penalty = np.log1p(np.expm1(tilts)[:, None] * fair) @ both
    return float(log_sum((tilts * pairs.candidate_bad.sum() - penalty) / phi + LOG_WEIGHTS))


def _telling(pairs: Pairs) -> Pairs:
    answered = np.minimum(pairs.candidate_total, pairs.stable_total) > 0
    rows = answered & (pairs.candidate_bad + pairs.stable_bad > 0)
    return Pairs(
        pairs.candidate_total[rows],
        pairs.candidate_bad[rows],
        pairs.stable_total[rows],
        pairs.stable_bad[rows],
    )


def _limit(pairs: Pairs, phi: float, question: Question) -> float | None:
    def excess(log_ratio: float) -> float:
        return log_evidence(pairs, phi, question, log_ratio) - LOG_EVIDENCE

    start = -question.value * _WIDEST
    if excess(start) < 0 or excess(-start) > 0:
        return None
    return math.exp(_crossing(excess, start, -start))


def _crossing(function: Callable[[float], float], above: float, below: float) -> float:
    """Return where a monotone function crosses 0, by bisection to the precision shown.

    scipy's root finders would do, but their package takes longer to import than all of ours.
    """
    while abs(above - below) > _PRECISION:
        middle = (above + below) / 2
        if function(middle) > 0:
            above = middle
        else:
            below = middle
    return (above + below) / 2
