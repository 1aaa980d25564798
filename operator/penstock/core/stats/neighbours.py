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

NOTHING: Numbers = (0.0,) * 7


def after_each(candidate: Arm, stable: Arm, before: Numbers = NOTHING) -> Floats:
    """Return what is known after each look, shape (looks, 7).

    Pairs of looks; the sums of both arms over them; the counts and the means of the last look.
    Looks in which an arm has no answer are left out.

    Args:
        candidate: Its answers, shape (looks,).
        stable: Its answers.
        before: The row after the looks before.
    """
    counts, means = pair(candidate.count, stable.count), pair(candidate.mean(), stable.mean())
    both = counts.min(-1) > 0
    past = np.array(before)
    count = np.concatenate((past[None, 3:5], counts[both]))
    mean = np.concatenate((past[None, 5:7], means[both]))
    is_pair = count[:-1, 0] > 0
    inverse = 1 / np.maximum(count, 1.0)
    squares = np.diff(mean, axis=0) ** 2 / (inverse[1:] + inverse[:-1]) * is_pair[:, None]
    new = np.column_stack((is_pair, squares))
    states = np.column_stack((past[:3] + np.cumsum(new, 0), count[1:], mean[1:]))
    known: Floats = np.concatenate((past[None], states))[np.cumsum(both)]
    return known


def variances(known: Floats) -> Floats:
    """Return the variance of one answer of candidate and stable, shape (..., 2); 0 if unknown."""
    return np.asarray(known[..., 1:3] / np.maximum(known[..., :1], 1.0))
