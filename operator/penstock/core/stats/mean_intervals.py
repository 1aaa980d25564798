"""Anytime-valid intervals for what two means differ by: all that the two-sided t does not exclude.

The model is that of `means`; here effects of both signs count, as Lindon, Ham, Tingley and Bojinov
have it (arXiv 2210.08589).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.contrasts import EQUAL, Border, Sums
from penstock.core.stats.means import MIN_LOOKS, spread
from penstock.core.stats.moments import TINY, outer, scaled

Floats = NDArray[np.float64]

LOG_EVIDENCE = math.log(20)


@dataclass(frozen=True, slots=True)
class Interval:
    """An anytime-valid interval; -inf and inf where nothing is excluded, mid nan where unknown."""

    low: Floats
    mid: Floats
    high: Floats


def log_two_sided(t_squared: Floats, freedom: Floats, rest: Floats) -> Floats:
    """Return ln of the two-sided Bayes factor (the paper's eq. for B; shapes broadcast).

    Args:
        t_squared: The square of the t statistic.
        freedom: Its degrees of freedom, n - 1 for contrasts.
        rest: g / (g + W), W the number of observations where all weigh 1.
    """
    gain = np.log1p(t_squared / freedom) - np.log1p(rest * t_squared / freedom)
    return np.asarray(np.log(rest) / 2 + (freedom + 1) / 2 * gain)


def difference(sums: Sums, prior: float, log_evidence: float = LOG_EVIDENCE) -> Interval:
    """Return the interval of mean of candidate - mean of stable, in the metric's unit.

    All d whose two-sided Bayes factor stays below the evidence: P(ever missed) <= exp(-evidence).
    At 20 to 1 it is nearly that of both one-sided questions at 40 to 1.
    """
    candidate, stable = sums.means
    mid = np.where(sums.looks > 0, candidate - stable, np.nan)
    reach, known = _reach(sums, prior, log_evidence)
    seen, telling = spread(sums, EQUAL)
    radius = np.sqrt(reach * seen / np.maximum(sums.weighted.weight, TINY))
    known = known & telling
    low, high = np.where(known, mid - radius, -np.inf), np.where(known, mid + radius, np.inf)
    return Interval(low, mid, high)


def relative(sums: Sums, prior: float, log_evidence: float = LOG_EVIDENCE) -> Interval:
    """Return the interval of mean of candidate / mean of stable; 1 where they are equal.

    All ratios whose contrast (slack 0) has a two-sided Bayes factor below the evidence, which is a
    quadratic inequality (Fieller). It supposes one ratio in all looks, not one mean. Nothing is
    excluded where stable's mean may be 0.
    """
    candidate, stable = sums.means
    reach, known = _reach(sums, prior, log_evidence)
    mid = candidate / np.where(stable == 0, np.nan, stable)
    known = known & spread(sums, Border(mid))[1]
    form = scaled(outer(sums.weighted.mean), sums.weighted.weight)
    ends = [_ratios(form - scaled(one, reach), known) for one in sums.spreads()]
    low, high = (np.array(each) for each in zip(*ends, strict=True))
    return Interval(low.min(0), mid, high.max(0))


def _reach(sums: Sums, prior: float, log_evidence: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return t^2 / (n - 1) at which the two-sided Bayes factor is the evidence, and where it is."""
    rest = prior / (prior + sums.weighted.weight)
    bound = np.exp((np.log(rest) - 2 * log_evidence) / np.maximum(sums.looks, 1.0))
    known = (bound > rest) & (sums.looks >= MIN_LOOKS)
    return np.where(known, (1 - bound) / np.where(known, bound - rest, 1.0), 0.0), known


def _ratios(form: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return between which ratios the form of (1, -ratio) is <= 0; one of them it is."""
    square, middle, rest = form[..., 1, 1], form[..., 0, 1], form[..., 0, 0]
    bounded = known & (square > 0)
    square = np.where(bounded, square, 1.0)
    root = np.sqrt(np.maximum(middle**2 - square * rest, 0.0))
    low, high = (middle - root) / square, (middle + root) / square
    return np.where(bounded, low, -np.inf), np.where(bounded, high, np.inf)
