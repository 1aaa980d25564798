"""Means: an anytime-valid one-sided t on the contrasts of looks.

A look's contrast is y = mean of candidate - ratio * mean of stable - slack. "Worse?" rejects that
its expectation is <= 0, "safe?" that it is >= 0; where higher is better, arms are swapped (border
mean of stable = ratio * mean of candidate + slack). The spread of y between looks is estimated from
the looks, so that what makes answers of one look alike cannot fool it.

Model: sqrt(w) y is normal with mean sqrt(w) d and variance v; d and v unknown, w known before the
answers. With n looks, W = sum w, D = weighted mean of y, R = sum w (y - D)^2, the Bayes factor of
an effect h = d / sqrt(v) against 0, by which scale and sign are tested and nothing else, is

    exp(-W h^2 / 2) * E[exp(h k V)],  V chi distributed with n degrees, k = W D / sqrt(R + W D^2).

Averaged over h normal with variance 1 / g it is that of Lindon, Ham, Tingley and Bojinov (arXiv
2210.08589), see `mean_intervals`. Averaged over h > 0 only (half normal) it is in closed form, with
r = g / (g + W), q^2 = 1 - k^2 / (g + W) and T_n the distribution function of Student's t,

    E = 2 sqrt(r) q^-n T_n(k sqrt(n / (g + W - k^2))).

Looks before a start (`Past`) may tell of v: m of them, of any one mean, add m - 1 to n and their
spread about it to R, since what is tested by then is the scale of all, the mean of the earlier ones
and the sign of the later ones. R is then at least what the later ones alone would make it: v may
have grown with the weight.

Proof that P(E ever >= 1/a) <= a whenever d <= 0 ("safe?" turns all signs): at d = 0 each factor is
a likelihood ratio of the contrasts over the first one's size, whose distribution does not depend on
v, so E is a martingale of expectation 1, and Ville's inequality holds. To lower all y by one number
keeps R and lowers D, so k, and each factor with h > 0 rises with k: at d < 0 every path of E lies
below one at d = 0.

Exact for normal contrasts that are independent, of one d, and of variance proportional to 1 / w;
else approximate (measured in the tests). Invalid where looks are correlated; persistent differences
between pods need a margin of their own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, stdtr

from penstock.core.stats.contrasts import EQUAL, Border, Sums
from penstock.core.stats.moments import TINY, outer, pair
from penstock.core.stats.proportion import Question

Floats = NDArray[np.float64]

MIN_LOOKS = 5
_ROUNDING = 1e-26


@dataclass(frozen=True, slots=True)
class Past:
    """What looks before a start tell of v, whatever their mean; shapes broadcast.

    Attributes:
        freedom: Degrees of freedom, their number less 1; 0 for no looks.
        variance: Of sqrt(w) y about its mean in them.
    """

    freedom: Floats | float = 0.0
    variance: Floats | float = 0.0

    def pooled(self, looks: Floats, seen: Floats) -> tuple[Floats, Floats]:
        """Return n and R of the looks since with those before."""
        freedom = np.maximum(looks - 1, 1.0)
        own, whole = seen / freedom, freedom + self.freedom
        variance = np.maximum(own, (seen + self.freedom * self.variance) / whole)
        return looks + self.freedom, np.asarray(variance * whole)


NO_PAST = Past()


def log_evidence(
    sums: Sums,
    question: Question,
    prior: Floats | float,
    border: Border = EQUAL,
    past: Past = NO_PAST,
) -> Floats:
    """Return ln E of one question, in the shape of the sums.

    0 while fewer than 5 looks had answers, and where the looks show no spread at all. So what
    holds is P(ever >= 1/a) <= a, not that the expectation is at most 1 at stopping times chosen by
    the first 4 looks.

    Args:
        sums: Of the looks so far.
        question: What is asked.
        prior: g, in the unit of the weights, fixed before the answers; the weight of one look is
            near the best where 5 to 60 looks decide.
        border: One for all looks, in numbers or in the shape of the sums.
        past: What looks before those of the sums tell of v; in numbers or in their shape.
    """
    candidate, stable = sums.means
    excess = question.value * (candidate - border.ratio * stable - border.slack)
    weight, (seen, telling) = sums.weighted.weight, spread(sums, border)
    looks, seen = past.pooled(np.maximum(sums.looks, 1.0), seen)
    rest = prior / (prior + weight)
    left = rest + (1 - rest) * seen / np.maximum(seen + weight * excess**2, TINY)
    slope = np.sign(excess) * np.sqrt(np.maximum(1 - left, 0.0) / left)
    result = np.log(rest) / 2 + _log_half(looks, left, slope)
    return np.asarray(np.where(telling, result, 0.0))


def spread(sums: Sums, border: Border) -> tuple[Floats, NDArray[np.bool_]]:
    """Return R, and whether there are looks enough and it is more than rounding leaves."""
    ratio = np.asarray(border.ratio)
    form = outer(pair(np.ones_like(ratio), -ratio))
    found = np.max([(each * form).sum((-1, -2)) for each in sums.spreads()], 0)
    scale = (np.abs(sums.weighted.mean) * pair(np.ones_like(ratio), ratio)).sum(-1)
    rounding = _ROUNDING * sums.weighted.weight * (scale + np.abs(border.slack)) ** 2
    return np.maximum(found, 0.0), (sums.looks >= MIN_LOOKS) & (found > rounding)


def _log_half(looks: Floats, left: Floats, slope: Floats) -> Floats:
    """Return ln(2 q^-n T_n(slope sqrt(n))), q^2 = left.

    Where slope < 0 it is ln of the mean of (1 - left b)^-1/2 over b beta distributed (n/2, 1), less
    ln(n/2 B(n/2, 1/2)). Jensen's inequality bounds it from below, closely where T_n is too small.
    """
    half = looks / 2
    with np.errstate(divide="ignore"):
        direct = math.log(2) + np.log(stdtr(looks, slope * np.sqrt(looks))) - half * np.log(left)
    below = -np.log(half) - betaln(half, 0.5) - np.log1p(-left * half / (half + 1)) / 2
    return np.asarray(np.where(slope < 0, np.maximum(direct, below), direct))
