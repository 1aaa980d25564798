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

NOTHING: Numbers = (0.0,) * 9
_SURE = 3.0


def after_each(candidate: Arm, stable: Arm, before: Numbers = NOTHING) -> Floats:
    """Return what is known after each look, shape (looks, 9).

    Pairs of looks; over them the sums of both arms' squares, and of the products of both arms in
    the unit of either; the counts and the means of the last look.
    Looks in which an arm has no answer are left out.

    Args:
        candidate: Its answers, shape (looks,).
        stable: Its answers.
        before: The row after the looks before.
    """
    counts, means = pair(candidate.count, stable.count), pair(candidate.mean(), stable.mean())
    both = counts.min(-1) > 0
    past = np.array(before)
    count = np.concatenate((past[None, 5:7], counts[both]))
    mean = np.concatenate((past[None, 7:9], means[both]))
    is_pair = count[:-1, 0] > 0
    inverse = 1 / np.maximum(count, 1.0)
    step, unit = np.diff(mean, axis=0) * is_pair[:, None], inverse[1:] + inverse[:-1]
    product = step.prod(-1, keepdims=True) / unit
    new = np.column_stack((is_pair, step**2 / unit, product))
    states = np.column_stack((past[:5] + np.cumsum(new, 0), count[1:], mean[1:]))
    known: Floats = np.concatenate((past[None], states))[np.cumsum(both)]
    return known


def variances(known: Floats) -> Floats:
    """Return the variance of one answer of candidate and stable, shape (..., 2); 0 if unknown.

    Where it is sure that the arms move together (their correlation is 3 standard errors above 0),
    what they have in common from look to look is taken out, the mean product of their differences:
    contrasts do not show it.
    """
    pairs = np.maximum(known[..., :1], 1.0)
    squares, products = known[..., 1:3], np.maximum(known[..., 3:5], 0.0)
    chance = _SURE / np.sqrt(pairs) * np.sqrt(squares).prod(-1, keepdims=True)
    common = np.where(np.sqrt(products).prod(-1, keepdims=True) > chance, products, 0.0)
    return np.asarray(np.maximum(squares - common, 0.0) / pairs)
