"""What stable's own history tells about chance: how bad answers cluster, and how pods differ.

Each pod in turn plays the candidate. Given all bad answers X of a block of minutes and the pod's
share s of the requests, its bad answers have expectation X s and, if requests are independent,
variance at most V = X s (1 - s). The over-dispersion phi is what the squared residuals are more
than that, after each pod's own constant difference is taken out; blocks of 1, 4 and 12 minutes show
bursts that last. The pods' constant differences, r / V = ln(rate of the pod / rate of all), tell
the spread of pods, less what chance alone gives.

Both are shrunk: phi to 1.5 (3 with few bad answers) with 8 degrees of freedom, the variance between
pods to .1^2 with 4. Approximate: it takes errors to be Poisson-like within blocks, pods to be
alike in kind, and the hour to be like the release. See statistics in docs/evidence.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

BLOCKS = (1, 4, 12)
PRIOR_PHI, CAUTIOUS_PHI, PRIOR_PHI_DF = 1.5, 3.0, 8.0
PRIOR_SPREAD, PRIOR_SPREAD_DF = 0.1, 4.0
ENOUGH_BAD = 30
LEAST_SECONDS = 600.0
LEAST_INFORMATION = 0.05


@dataclass(frozen=True, slots=True)
class Chance:
    """What chance alone does.

    Attributes:
        phi: Over-dispersion of bad answers, >= 1.
        cautious_phi: The same from a cautious prior, where there were fewer than 30 bad answers;
            0 where there were enough.
        spread: Standard deviation of single pods' log rates.
        quantile: How many standard deviations pods are allowed, at level alpha / 2.
    """

    phi: float
    cautious_phi: float
    spread: float
    quantile: float


@dataclass(frozen=True, slots=True)
class _Residuals:
    """Per pod: residuals and variances, (pods, minutes), and the log rate with its information."""

    residual: Floats
    variance: Floats
    log_rate: Floats
    information: Floats


def calibrate(total: Floats, bad: Floats, alpha: float) -> Chance:
    """Return what a history says.

    Args:
        total: Answers per minute and pod, shape (minutes, pods); 0 where a pod was not there.
        bad: Bad ones among them.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
    """
    kept = total.sum(0) > 0
    found = _residuals(total[:, kept], bad[:, kept])
    few = bad.sum() < ENOUGH_BAD
    phi = _dispersion(found, PRIOR_PHI)
    cautious = _dispersion(found, CAUTIOUS_PHI) if few else 0.0
    variance, df = _between_pods(found, phi)
    quantile = float(stdtrit(df, 1 - alpha / 2))
    return Chance(phi, cautious, float(np.sqrt(variance)), quantile)


def _residuals(total: Floats, bad: Floats) -> _Residuals:
    share = total / np.maximum(total.sum(1, keepdims=True), 1.0)
    all_bad = bad.sum(1, keepdims=True)
    residual, variance = bad - all_bad * share, all_bad * share * (1 - share)
    information = np.maximum(variance.sum(0), 1e-9)
    log_rate = residual.sum(0) / information
    return _Residuals((residual - variance * log_rate).T, variance.T, log_rate, information)


def _dispersion(found: _Residuals, prior: float) -> float:
    """Return the greatest over-dispersion of the blocks, each shrunk to the prior; >= 1."""
    minutes = found.residual.shape[1]
    result = prior if minutes < 2 else 1.0
    for length in BLOCKS:
        count = minutes // length
        if count < 2:
            continue
        blocks = found.residual[:, : count * length].reshape(-1, count, length).sum(-1)
        expected = float(found.variance[:, : count * length].sum()) * (1 - 1 / count)
        weight = min(len(blocks) * (count - 1), 2 * expected)
        seen = float((blocks**2).sum()) / max(expected, 1e-9)
        shrunk = (PRIOR_PHI_DF * prior + weight * seen) / (PRIOR_PHI_DF + weight)
        result = max(result, shrunk)
    return result


def _between_pods(found: _Residuals, phi: float) -> tuple[float, float]:
    """Return the variance of single pods' log rates, shrunk, and its degrees of freedom."""
    telling = found.information >= LEAST_INFORMATION
    information, log_rate = found.information[telling], found.log_rate[telling]
    pods = len(log_rate)
    known = pods - 1.0
    variance = 0.0
    if pods > 1:
        weight = information / information.sum()
        noise = float((weight * phi / information).sum())
        raw = float((weight * log_rate**2).sum()) - noise
        variance = max(raw * (pods - 1) / pods, 0.0)
        told = max(variance, PRIOR_SPREAD**2)
        known *= (told / (told + noise)) ** 2
    df = PRIOR_SPREAD_DF + max(known, 0.0)
    return (PRIOR_SPREAD_DF * PRIOR_SPREAD**2 + max(known, 0.0) * variance) / df, df


def is_long_enough(total: Floats, seconds: float) -> bool:
    """Return whether answers in rows of so many seconds are a history: ten minutes with some."""
    return float((total.sum(-1) > 0).sum()) * seconds >= LEAST_SECONDS


def in_minutes(table: Floats, interval_seconds: float) -> Floats:
    """Return rows of shape (intervals, pods) summed to whole minutes; longer intervals stay."""
    length = max(round(60 / interval_seconds), 1)
    count = len(table) // length
    result: Floats = table[: count * length].reshape(count, length, table.shape[1]).sum(1)
    return result
