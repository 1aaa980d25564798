"""How far two histograms lie apart, to report: at one look, never to decide on.

None of this holds when it is looked at repeatedly, and all of it supposes independent answers.
Shapes: counts per bucket (..., buckets), not cumulative, float64, >= 0; leading axes broadcast.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, chdtri

Floats = NDArray[np.float64]

LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """A chi-square test of homogeneity, each of shape (...).

    Attributes:
        statistic: Pearson's sum.
        freedom: Merged buckets - 1.
        p_value: Upper tail probability; 1 where all buckets had to be merged.
    """

    statistic: Floats
    freedom: Floats
    p_value: Floats


def psi(one: Floats, other: Floats) -> Floats:
    """Return the population stability index, sum of (p - q) ln(p / q), shape (...).

    p = (count + 1/2) / (total + buckets / 2), so that an empty bucket is not infinite. The usual
    limit of .1 says nothing without the totals: compare with `psi_quantile`. nan without answers.
    """
    p, q = (_smoothed(each) for each in (one, other))
    result = ((p - q) * np.log(p / q)).sum(-1)
    return _where_both(one, other, result)


def psi_quantile(one: Floats, other: Floats, tail: float) -> Floats:
    """Return the value that the index of two equal distributions exceeds with probability tail.

    The index over (1/n + 1/m) is nearly chi-square with buckets - 1 degrees of freedom; good from
    about 5 answers a bucket and arm on, too large where buckets are empty. nan without answers.
    """
    totals = [np.maximum(each.sum(-1), 1.0) for each in (one, other)]
    quantile = chdtri(one.shape[-1] - 1, tail)
    return _where_both(one, other, quantile * (1 / totals[0] + 1 / totals[1]))


def chi_square(one: Floats, other: Floats) -> ChiSquare:
    """Return Pearson's test that both have one distribution, over merged neighbours.

    From the left, buckets are merged until the smaller arm expects 5 answers; what is left at the
    end joins the last. Merging sees only the sum of both arms, so it cannot favour an outcome.
    """
    both = one + other
    totals = [each.sum(-1, keepdims=True) for each in (one, other)]
    everything = np.maximum(totals[0] + totals[1], 1.0)
    groups = _merged(both * np.minimum(*totals) / everything)
    member = groups[..., :, None] == np.arange(both.shape[-1])
    pooled = _sums(both, member)
    statistic = np.zeros(pooled.shape[:-1])
    for arm, total in zip((one, other), totals, strict=True):
        expected = pooled * total / everything
        off = (_sums(arm, member) - expected) ** 2
        statistic += (off / np.where(expected > 0, expected, 1.0)).sum(-1)
    freedom = np.asarray(groups[..., -1], dtype=np.float64)
    tail = chdtrc(np.maximum(freedom, 1.0), statistic)
    return ChiSquare(statistic, freedom, np.where(freedom > 0, tail, 1.0))


def ks_distance(one: Floats, other: Floats) -> Floats:
    """Return the largest difference of both distribution functions at bucket edges, 0 to 1.

    Never above Kolmogorov's distance of the answers themselves. nan without answers.
    """
    shares = [
        np.cumsum(each, -1) / np.maximum(each.sum(-1), 1.0)[..., None] for each in (one, other)
    ]
    return _where_both(one, other, np.abs(shares[0] - shares[1]).max(-1))


def _smoothed(counts: Floats) -> Floats:
    buckets = counts.shape[-1]
    return np.asarray((counts + 0.5) / (counts.sum(-1, keepdims=True) + buckets / 2))


def _merged(expected: Floats) -> NDArray[np.intp]:
    """Return the group of each bucket, 0, 0, 1, …, with at least 5 expected in each group."""
    group = np.zeros(expected.shape, dtype=np.intp)
    closed = np.zeros(expected.shape[:-1], dtype=np.intp)
    gathered = np.zeros(expected.shape[:-1])
    for bucket in range(expected.shape[-1]):
        group[..., bucket] = closed
        gathered = gathered + expected[..., bucket]
        full = gathered >= LEAST_EXPECTED
        closed = closed + full
        gathered = np.where(full, 0.0, gathered)
    return np.minimum(group, np.maximum(closed - 1, 0)[..., None])


def _sums(counts: Floats, member: NDArray[np.bool_]) -> Floats:
    return np.asarray((counts[..., None, :] @ member)[..., 0, :])


def _where_both(one: Floats, other: Floats, values: Floats) -> Floats:
    answered = (one.sum(-1) > 0) & (other.sum(-1) > 0)
    return np.asarray(np.where(answered, values, np.nan))
