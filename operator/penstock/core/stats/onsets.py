"""Starts from which a mean is compared: from the first look on, and from later ones.

A fault that begins late is diluted by all looks before it. So the t of `means` is taken over the
looks after each of many starts too: after look `a`, for every a that is a multiple of 4. The
spacing of a is the greatest of 4, 8, 16, ... 512 that divides it, and a start is asked for 4 times
its spacing. So at any moment there are at most 18 late starts, and a fault that n looks tell of
(up to 2,048) has one within about n/8 looks of its beginning.

Each start has a share of the error, q, and "worse" is its greatest q * E. Half is the first one's.
At each of the 8 spacings s, the start after `a` has 1/8 of the prior mass G of `mixture` over the
time of the looks a - 2s to a (a - s for 512); these times do not overlap, so all shares together
are at most 1/2 + 8 * G(0) / 8 = 1.

Proof that P(q E >= 1/a of any start, ever) <= a: for each start it is at most q a, by Ville's
inequality for that start alone; the sum of these is at most a. *The sum of all q E would be no
e-process*: each E is a martingale for one who sees the looks of its start only, in the unit of the
first of them, which is what makes it independent of the unknown variance. Those who see more looks
know the variance better, and no two starts are fair bets for the same one (Choe and Ramdas,
arXiv 2402.09698). A start may be dropped at any time: the greatest of fewer is not greater.
"""

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats import mixture

Floats = NDArray[np.float64]

SPACINGS = tuple(4 << power for power in range(8))
LOG_FIRST = float(np.log(mixture.FIRST_START_SHARE))
LIFE = 4
"""How often its own spacing a start is asked for."""


def spacing(after: Floats) -> Floats:
    """Return the spacing of starts, in looks; `after` are multiples of 4, above 0."""
    whole = after.astype(np.int64)
    found: Floats = np.minimum(whole & -whole, SPACINGS[-1]).astype(np.float64)
    return found


def last(after: Floats) -> Floats:
    """Return the number of the last look at which starts are asked for."""
    return np.asarray(after + LIFE * spacing(after))


def of_spacing(space: int, number: int) -> Floats:
    """Return all late starts of a spacing before a look, rising."""
    step = space if space == SPACINGS[-1] else 2 * space
    return np.arange(space, number, step, dtype=np.float64)


def asked(number: int) -> Floats:
    """Return the late starts that are asked for at a look, by spacing."""
    found = []
    for space in SPACINGS:
        begun = of_spacing(space, number)[-LIFE:]
        found.append(begun[begun + LIFE * space >= number])
    return np.concatenate(found)


def log_share(after: Floats, interval_seconds: float) -> Floats:
    """Return ln of the share of the error of late starts."""
    space = spacing(after)
    covered = np.where(space == SPACINGS[-1], space, 2 * space)
    begins = np.maximum(after - covered, 0.0)
    mass = [np.exp(mixture.log_prior_to_come(edge * interval_seconds)) for edge in (begins, after)]
    return np.asarray(np.log(mass[0] - mass[1]) - np.log(len(SPACINGS)))
