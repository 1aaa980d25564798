"""The sums of looks as evidence: what "worse?" is made of in one direction."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.evidence import Evidence
from penstock.core.stats import means
from penstock.core.stats.contrasts import EQUAL, Border, Sums
from penstock.core.stats.means import MIN_LOOKS
from penstock.core.stats.moments import Moments
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Question

Floats = NDArray[np.float64]
Numbers = tuple[float, ...]
NOTHING: Numbers = (0.0,) * 19


@dataclass(frozen=True, slots=True)
class WorseSums:
    """What "worse?" is made of in one direction, after each look.

    Attributes:
        side: The direction; arms are swapped for LESS.
        prior: See `stats.means.log_evidence`.
        phi: What ln E is divided by.
        total: Sums after each look, shape (looks,), folded ones included.
        single: Sums of each look alone, shape (looks,).
        worst: Sums of the folded look that adds most, shape (1,).
    """

    side: Side
    prior: float
    phi: float
    total: Sums
    single: Sums
    worst: Sums

    def log_worse(self, sums: Sums) -> Floats:
        """Return ln of the evidence of such sums."""
        found = log_evidence(sums, self.side, Question.WORSE, self.prior)
        return np.asarray(found / self.phi)

    def evidence(self, index: int, log_safe: float) -> Evidence:
        """Return the evidence after a look, given that of "safe?"."""
        whole = self.total.at(index)
        worse = float(self.log_worse(whole))
        return Evidence(
            worse=worse,
            worse_without_worst_cell=min(worse, self._without_worst_look(whole, index)),
            safe=log_safe,
            worse_side=self.side,
            safe_side=self.side,
        )

    def _without_worst_look(self, whole: Sums, index: int) -> float:
        """Return the least evidence that is left when any one look is left out.

        Of folded looks only the one that adds most is tried. The evidence needs five looks, so of
        five nothing is left.
        """
        if whole.looks <= MIN_LOOKS:
            return 0.0
        numbers = self.single.numbers()[: index + 1], self.worst.numbers()
        each = Sums.of_numbers(np.concatenate(numbers))
        return float(self.log_worse(whole + _negative(each)).min())

    def most_telling(self) -> Numbers:
        """Return the sums of the single look, kept or folded, that adds most to the excess."""
        each = Sums.of_numbers(np.concatenate((self.single.numbers(), self.worst.numbers())))
        weighted = each.weighted
        excess = weighted.weight * (weighted.mean[:, 0] - weighted.mean[:, 1])
        return tuple(each.numbers()[int(excess.argmax())].tolist())


def log_evidence(
    sums: Sums, side: Side, question: Question, prior: float, border: Border = EQUAL
) -> Floats:
    """Return ln of the evidence; 0 where stable's mean is not above 0, so that no share is told."""
    stable = sums.weighted.mean[..., 1 if side is Side.MORE else 0]
    return np.where(stable > 0, means.log_evidence(sums, question, prior, border), 0.0)


def _negative(sums: Sums) -> Sums:
    """Return what, added to sums that contain these, takes them out again."""
    weighted, twice = (
        Moments(-one.weight, one.mean, -one.products)
        for one in (sums.weighted, sums.twice_weighted)
    )
    return Sums(-sums.looks, weighted, twice, -sums.errors, -sums.crossed)
