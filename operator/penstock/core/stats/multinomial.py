"""Categories: sequential multinomial tests against given shares, and of two concurrent arms.

Shapes: counts per look and class (..., looks, classes), float64, >= 0; leading axes broadcast.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from penstock.core.stats.mixture import log_sum

Floats = NDArray[np.float64]

_SIZES: Floats = np.geomspace(0.02, 3.2, 10)
TILTS: Floats = np.concatenate((-_SIZES[::-1], _SIZES))
MOST_CLASSES = 12
LEAST_EXPECTED = 5.0


def log_evidence(counts: Floats, shares: Floats, concentration: Floats) -> Floats:
    """Return ln of the evidence after each look against given shares, shape (..., looks).

    The Dirichlet mixture of all answers so far over their probability under the shares (Lindon and
    Malek, arXiv 2011.03567): a likelihood ratio, so its expectation is exactly 1 at every stopping
    time, for independent answers. Infinite once an answer falls in a class of share 0.

    Args:
        counts: Answers per look and class.
        shares: Expected share of each class, summing to 1, (..., classes), equal in all looks.
        concentration: Of the mixture, > 0, (..., classes).
    """
    seen = np.cumsum(counts, -2)
    alpha = np.broadcast_to(concentration, shares.shape)[..., None, :]
    gained = (gammaln(alpha + seen) - gammaln(alpha)).sum(-1)
    whole = alpha.sum(-1)
    total = gammaln(whole) - gammaln(whole + seen.sum(-1))
    expected = xlogy(seen, shares[..., None, :]).sum(-1)
    return np.asarray(gained + total - expected)


def log_gains(candidate: Floats, stable: Floats) -> Floats:
    """Return ln e of each look, class and tilt against "both arms have one distribution".

    Of N = n + m answers n are the candidate's; z fall in the class, x of these the candidate's.
    With a tilt u (ln of an odds ratio) ln e = u x - c, c the least of four bounds of ln E[exp(ux)]:

        z ln(1 + s a), n ln(1 + p a), u n + (N - z) ln(1 + s b), u z + m ln(1 + p b),

    s = n / N, p = z / N, a = exp(u) - 1, b = exp(-u) - 1. Proof that E[e] <= 1 given the past, n, m
    and z, if the N answers may be exchanged between the arms: x is hypergeometric. As the number of
    the candidate's among the z it is dominated in convex order by a binomial (z, s) (Hoeffding
    1963, theorem 4), as the number of the class among the n by (n, p); so are n - x and z - x. So
    products of e over looks are e-processes, at any stopping time and whatever the shares of the
    classes do over time. Against the exact law e loses little where s or p is near 0 or 1, and
    never acts as if the variance were more than twice what it is. Divided by phi >= 1, ln e stays
    valid (Jensen), and for over-dispersed answers nearly so.

    Invalid where answers come in clusters without such a phi. n and m may not depend on the
    classes.

    Args:
        candidate: Its answers per look and class.
        stable: The same for stable.

    Returns:
        Shape (..., looks, classes, tilts), tilts as in `TILTS`; 0 for looks without n or m.
    """
    inside = (candidate + stable)[..., None]
    ours, theirs = (arm.sum(-1)[..., None, None] for arm in (candidate, stable))
    everything = ours + theirs
    arm_share, class_share = (part / np.maximum(everything, 1.0) for part in (ours, inside))
    up, down = np.expm1(TILTS), np.expm1(-TILTS)
    bounds = (
        inside * np.log1p(arm_share * up),
        ours * np.log1p(class_share * up),
        TILTS * ours + (everything - inside) * np.log1p(arm_share * down),
        TILTS * inside + theirs * np.log1p(class_share * down),
    )
    least = np.minimum(np.minimum(bounds[0], bounds[1]), np.minimum(bounds[2], bounds[3]))
    return np.asarray(TILTS * candidate[..., None] - least)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Natural logs of the evidence that the arms differ.

    Attributes:
        classes: Per class, shape (..., classes): that its share differs.
        together: That any differs, shape (...).
    """

    classes: Floats
    together: Floats

    @classmethod
    def of(cls, sums: Floats) -> "Evidence":
        """Return the evidence: averages over tilts, and over classes; averages of e-processes.

        An average needs no independence, and none of its parts costs more than ln of their number.

        Args:
            sums: Of `log_gains` over looks, shape (..., classes, tilts). They are all that old
                looks leave.
        """
        classes = log_sum(sums) - np.log(sums.shape[-1])
        return cls(classes, log_sum(classes) - np.log(classes.shape[-1]))


@dataclass(frozen=True, slots=True)
class Groups:
    """Which classes are counted together.

    Attributes:
        index: Group of each class, shape (classes,), 0 to size - 1.
        size: Number of groups; the last is all rare classes, and any that history does not know.
    """

    index: NDArray[np.intp]
    size: int

    @classmethod
    def of(cls, history: Floats, answers: float, most: int = MOST_CLASSES) -> "Groups":
        """Return groups chosen by history alone, so that they cannot favour an outcome.

        The most frequent classes stay, if at least 5 answers are expected in each.

        Args:
            history: Answers per class before the first look, shape (classes,).
            answers: How many the smaller arm may expect until the decision.
            most: Most groups, the last one included; >= 1.
        """
        expected = history / max(float(history.sum()), 1.0) * answers
        frequent = np.argsort(-history, kind="stable")[: most - 1]
        kept = np.sort(frequent[expected[frequent] >= LEAST_EXPECTED])
        index = np.full(len(history), len(kept), dtype=np.intp)
        index[kept] = np.arange(len(kept))
        return cls(index, len(kept) + 1)

    def merge(self, counts: Floats) -> Floats:
        """Return counts per group, shape (..., size).

        Args:
            counts: Per class, shape (..., classes); further columns are classes new to history.
        """
        further = np.full(counts.shape[-1] - len(self.index), self.size - 1)
        member = np.concatenate((self.index, further))[:, None] == np.arange(self.size)
        return np.asarray(counts @ member)
