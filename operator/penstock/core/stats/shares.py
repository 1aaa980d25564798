"""Whether traffic follows the weights: a sequential multinomial test of the candidate's share.

While one share is intended all answers count together; the evidence is their Dirichlet mixture of
concentration 1000 around the intended share over their probability under it (Lindon and Malek,
arXiv 2011.03567), and the product over the spans of equal shares. P(ever >= 1000) <= 1/1000, for
randomised requests only: sticky users come in clusters.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]

CONCENTRATION = 1000.0
ALARM = math.log(1000)


def log_evidence(candidate: Floats, stable: Floats, share: Floats) -> Floats:
    """Return ln of the evidence after each look that the traffic does not follow the weights.

    Args:
        candidate: Requests per look, shape (looks,).
        stable: The same for stable.
        share: Intended share of the candidate per look, 0 to 1. A share of 0 or 1 leaves nothing to
            chance: its looks add nothing.
    """
    result = np.zeros(len(share))
    past = 0.0
    for rows in np.split(np.arange(len(share)), np.flatnonzero(np.diff(share)) + 1):
        result[rows] = past
        if len(rows) and 0 < share[rows[0]] < 1:
            counts = np.cumsum(candidate[rows]), np.cumsum(stable[rows])
            result[rows] += _log_mixture(*counts, float(share[rows[0]]))
        past = float(result[rows[-1]]) if len(rows) else past
    return result


def _log_mixture(candidate: Floats, stable: Floats, share: float) -> Floats:
    ours, theirs = CONCENTRATION * share, CONCENTRATION * (1 - share)
    gained = gammaln(ours + candidate) - gammaln(ours) + gammaln(theirs + stable) - gammaln(theirs)
    total = gammaln(CONCENTRATION) - gammaln(CONCENTRATION + candidate + stable)
    intended = candidate * math.log(share) + stable * math.log1p(-share)
    result: Floats = gained + total - intended
    return result
