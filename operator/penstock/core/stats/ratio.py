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
_STEEP = 12.0
_WIDE: Floats = np.linspace(-_WIDEST, _WIDEST, 101)
_NEAR: Floats = np.concatenate((-np.geomspace(2e-3, 0.6, 12), np.geomspace(2e-3, 0.6, 12)))
_ROOT = math.sqrt(LOG_EVIDENCE + 1)


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


@dataclass(frozen=True, slots=True)
class RatioPath:
    """`Ratio` after each look, shape (looks,); nan where a limit or the estimate is not known."""

    low: Floats
    mid: Floats
    high: Floats

    def at(self, index: int) -> Ratio | None:
        """Return the ratio after a look; None where no bad answer can tell it."""
        low, mid, high = (
            None if math.isnan(part[index]) else float(part[index])
            for part in (self.low, self.mid, self.high)
        )
        if low is None and mid is None and high is None:
            return None
        return Ratio(low or 0.0, mid, high)


def ratio_path(pairs: Pairs, phi: float) -> RatioPath:
    """Return what `ratio` gives after each look, its limits within two percent.

    The tests are evaluated on a grid of ratios for all looks at once, and inverted between its
    points, where the root of their logarithm is nearly straight; where it is too steep, exactly.

    Args:
        pairs: The looks, shape (looks,).
        phi: Over-dispersion by which each ln e is divided, >= 1.
    """
    answered = np.minimum(pairs.candidate_total, pairs.stable_total) > 0
    share = pairs.candidate_total / np.maximum(pairs.candidate_total + pairs.stable_total, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mid = np.cumsum(np.where(answered, pairs.candidate_bad * (1 - share), 0.0)) / np.cumsum(
            np.where(answered, pairs.stable_bad * share, 0.0)
        )
    mid[~np.isfinite(mid)] = np.nan
    grid = _grid(mid)
    low = _limits(pairs, answered, phi, Question.WORSE, grid)
    high = _limits(pairs, answered, phi, Question.SAFE, grid)
    return RatioPath(low, mid, high)


def _grid(mid: Floats) -> Floats:
    """Return logarithms of ratios, close together around the last estimate."""
    last = mid[-1] if len(mid) else np.nan
    if not last > 0:
        return _WIDE
    around: Floats = np.unique(np.concatenate((_WIDE, math.log(last) + _NEAR)))
    return around


def _limits(
    pairs: Pairs, answered: NDArray[np.bool_], phi: float, question: Question, grid: Floats
) -> Floats:
    """Return the ratio at which the evidence after each look is 40 to 1."""
    tilts, grid = question.value * TILTS, grid[:: question.value]
    odds = np.exp(grid)[:, None] * pairs.candidate_total / np.maximum(pairs.stable_total, 1.0)
    fair = odds / (odds + 1)
    bad = np.where(answered, pairs.candidate_bad, 0.0)
    both = bad + np.where(answered, pairs.stable_bad, 0.0)
    penalty = np.log1p(np.expm1(tilts)[:, None, None] * fair) * both
    sums = tilts[:, None, None] * np.cumsum(bad) - np.cumsum(penalty, -1)
    excess = log_sum(sums / phi + LOG_WEIGHTS[:, None, None], 0) - LOG_EVIDENCE
    first = np.argmax(excess < 0, 0)
    looks = np.arange(len(bad))
    known = (excess[0] > 0) & (excess[first, looks] < 0) & (first > 0)
    above, below = (
        np.sqrt(np.maximum(excess[index, looks] + LOG_EVIDENCE + 1, 0)) - _ROOT
        for index in (first - 1, first)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        part = above / (above - below)
    log_ratio = grid[first - 1] + part * (grid[first] - grid[first - 1])
    steep = known & (excess[first - 1, looks] - excess[first, looks] > _STEEP)
    for look in np.flatnonzero(steep).tolist():
        upto = _telling(Pairs(*(column[: look + 1] for column in _columns(pairs))))
        log_ratio[look] = math.log(_limit(upto, phi, question) or math.exp(log_ratio[look]))
    return np.exp(np.where(known, log_ratio, np.nan))


def _columns(pairs: Pairs) -> tuple[Floats, Floats, Floats, Floats]:
    return pairs.candidate_total, pairs.candidate_bad, pairs.stable_total, pairs.stable_bad


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
