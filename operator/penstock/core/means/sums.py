"""The looks of a mean in one direction, and their sums: what "worse?" is made of."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats import means
from penstock.core.stats.contrasts import EQUAL, Arm, Border, Sums, weights
from penstock.core.stats.means import MIN_LOOKS
from penstock.core.stats.moments import Moments
from penstock.core.stats.nulls import Side

Floats = NDArray[np.float64]
Numbers = tuple[float, ...]
NOTHING: Numbers = (0.0,) * 19


@dataclass(frozen=True)
class SideLooks:
    """The looks kept, the arm whose excess is asked for first; each array of shape (looks,).

    Attributes:
        side: The direction; arms are swapped for LESS.
        between: See `contrasts.weights`.
        number: Of each look.
        arms: The answers of each look.
        border: The ratio at each look, with the margin of the pods.
        answers: What neighbouring looks tell after each look, shape (looks, 2); as `arms`.
        folded: The number of the last look before them, 0 for none.
        whole: Sums of the looks before them, shape ().
        worst: Sums of the one of these that adds most, shape (1,).
    """

    side: Side
    between: float
    number: Floats
    arms: tuple[Arm, Arm]
    border: Floats
    answers: Floats
    folded: int
    whole: Sums
    worst: Sums

    @cached_property
    def total(self) -> Sums:
        """Sums after each look, shape (looks,), folded ones included."""
        found = self.whole + Sums.after_each(*self.arms, self.between, Border(self.border))
        return found.knowing(self.scaled_answers)

    @cached_property
    def single(self) -> Sums:
        """Sums of each look alone, shape (looks,)."""
        one, other = (
            Arm(arm.count[:, None], arm.total[:, None], np.asarray(arm.squares)[:, None])
            for arm in self.arms
        )
        return Sums.after_each(one, other, self.between, Border(self.border[:, None])).at(0)

    @cached_property
    def scaled_answers(self) -> Floats:
        """The variance of one answer of each arm under the border, after each look, (looks, 2)."""
        scale = np.stack((np.ones_like(self.border), self.border**2), -1)
        return np.asarray(self.answers * scale)

    @cached_property
    def first_weights(self) -> Floats:
        """The weight of the first look from each one on that is compared, 0 for none."""
        weight = weights(self.arms[0].count, self.arms[1].count, self.between)
        places = np.where(weight > 0, np.arange(len(weight)), len(weight))
        upcoming = np.minimum.accumulate(places[::-1])[::-1]
        return np.append(weight, 0.0)[upcoming]

    def past(self, places: NDArray[np.int64]) -> Floats:
        """Return what all looks before some tell, the numbers of `means.Past`, (places, 2)."""
        before = np.concatenate((self.whole.numbers()[None], self.total.numbers()))
        sums = Sums.of_numbers(before[places])
        seen, telling = means.spread(sums, EQUAL)
        freedom = np.maximum(sums.looks - 1, 1.0)
        return np.stack((freedom, seen / freedom), -1) * telling[:, None]

    def most_telling(self) -> Numbers:
        """Return the sums of the single look, kept or folded, that adds most to the excess."""
        each = Sums.of_numbers(np.concatenate((self.single.numbers(), self.worst.numbers())))
        weighted = each.weighted
        excess = weighted.weight * (weighted.mean[:, 0] - weighted.mean[:, 1])
        return tuple(each.numbers()[int(excess.argmax())].tolist())


def where_told(sums: Sums, side: Side, log_e: Floats) -> Floats:
    """Return ln of the evidence; 0 where stable's mean is not above 0, so that no share is told."""
    stable = sums.weighted.mean[..., 1 if side is Side.MORE else 0]
    return np.where(stable > 0, log_e, 0.0)


def without_each(sums: Sums, each: Sums) -> Sums:
    """Return sums without each of the single looks that they contain, in turn."""
    weighted, twice = (
        Moments(-one.weight, one.mean, -one.products)
        for one in (each.weighted, each.twice_weighted)
    )
    return sums + Sums(-each.looks, weighted, twice, -each.errors, -each.crossed)


def enough_without_one(sums: Sums) -> bool:
    """Return whether there are looks enough when one is left out."""
    return bool(sums.looks > MIN_LOOKS)
