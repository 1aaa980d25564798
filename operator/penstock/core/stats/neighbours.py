"""How much answers vary, as neighbouring looks of one arm tell (von Neumann 1941).

The mean over pairs of neighbouring looks of (difference of their means)^2 / (1/n + 1/n') is without
bias for the variance of one answer, whatever their law, and slow changes of the mean hardly matter.
It takes no sums of squares.

What it is for: of skewed answers a mean that is too low by chance comes with looks that agree too
well, so that a small candidate passes for lower, or no higher, too easily. Stable's many answers
tell how much answers really vary. See `contrasts.Sums.spreads`.
"""

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.contrasts import Arm
from penstock.core.stats.moments import pair

Floats = NDArray[np.float64]
Numbers = tuple[float, ...]

NOTHING: Numbers = (0.0,) * 11
_SURE = 3.0


def after_each(candidate: Arm, stable: Arm, before: Numbers = NOTHING) -> Floats:
    """Return what is known after each look, shape (looks, 11).

    Pairs of looks; over them the sums of both arms' squares, of the products of both arms in the
    unit of either, and of the squares of these; the counts and the means of the last look.
    Looks in which an arm has no answer are left out.

    Args:
        candidate: Its answers, shape (looks,).
        stable: Its answers.
        before: The row after the looks before.
    """
    counts, means = pair(candidate.count, stable.count), pair(candidate.mean(), stable.mean())
    both = counts.min(-1) > 0
    past = np.array(before)
    count = np.concatenate((past[None, 7:9], counts[both]))
    mean = np.concatenate((past[None, 9:11], means[both]))
    is_pair = count[:-1, 0] > 0
    inverse = 1 / np.maximum(count, 1.0)
    step, unit = np.diff(mean, axis=0) * is_pair[:, None], inverse[1:] + inverse[:-1]
    product = step.prod(-1, keepdims=True) / unit
    new = np.column_stack((is_pair, step**2 / unit, product, product**2))
    states = np.column_stack((past[:7] + np.cumsum(new, 0), count[1:], mean[1:]))
    known: Floats = np.concatenate((past[None], states))[np.cumsum(both)]
    return known


def variances(known: Floats) -> Floats:
    """Return the variance of one answer of candidate and stable, shape (..., 2); 0 if unknown.

    Where it is sure that the arms move together (3 standard errors), what they have in common from
    look to look is taken out, the mean product of their differences: contrasts do not show it.
    """
    squares, products, errors = known[..., 1:3], known[..., 3:5], np.sqrt(known[..., 5:7])
    common = np.where(products > _SURE * errors, products, 0.0)
    return np.asarray(np.maximum(squares - common, 0.0) / np.maximum(known[..., :1], 1.0))
