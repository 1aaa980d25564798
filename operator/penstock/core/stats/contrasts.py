"""The contrasts of looks, mean of candidate beside mean of stable, and all that is kept of them.

What the evidence of `means` and the intervals of `mean_intervals` need, whatever the border.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.moments import TINY, Moments, pair, scaled

Floats = NDArray[np.float64]

ENOUGH_ANSWERS = 100
"""Weight of a look, in answers, from which on skewed answers without squares do little harm."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Answers of one arm per look, shape (..., looks), in the metric's unit.

    Attributes:
        count: How many, >= 0.
        total: Their sum.
        squares: Sum of their squares; None where it is not known.
    """

    count: Floats
    total: Floats
    squares: Floats | None = None

    def mean(self) -> Floats:
        """Return the mean of each look, 0 where there is no answer."""
        return np.asarray(self.total / np.maximum(self.count, 1.0))

    def variance(self) -> Floats:
        """Return the variance of the answers of each look; 0 where unknown."""
        if self.squares is None:
            return np.zeros(np.shape(self.count))
        around = np.maximum(self.squares - self.total * self.mean(), 0.0)
        return np.asarray(around / np.maximum(self.count - 1, 1.0))


@dataclass(frozen=True, slots=True)
class Border:
    """The border mean of candidate = ratio * mean of stable + slack; numbers or (..., looks).

    A ratio is for means that are positive by nature; slack is in the metric's unit, of either sign.
    """

    ratio: Floats | float = 1.0
    slack: Floats | float = 0.0


EQUAL = Border()


@dataclass(frozen=True, slots=True)
class Sums:
    """All that the evidence needs of any number of looks, whatever the border; `+` adds looks.

    Looks in which an arm has no answer are not counted.

    Attributes:
        looks: How many had answers in both arms, shape (...).
        weighted: Moments by weight.
        twice_weighted: Moments by the square of the weight.
        errors: Weighted sums of each arm's variance within looks over its count, shape (..., 2).
        crossed: The same with the other arm's variance.
        answers: Variance of one answer of each arm as neighbouring looks tell, shape (..., 2); not
            summed, and none of the numbers that are kept.
    """

    looks: Floats
    weighted: Moments
    twice_weighted: Moments
    errors: Floats
    crossed: Floats
    answers: Floats | float = 0.0

    @classmethod
    def after_each(
        cls, candidate: Arm, stable: Arm, between: float = 0.0, border: Border = EQUAL
    ) -> "Sums":
        """Return the sums after each look, every leading shape (..., looks).

        Args:
            candidate: Its answers.
            stable: Its answers.
            between: See `weights`.
            border: Only where it differs from look to look; the sums then serve no other, and
                their evidence is asked for with the border left out.
        """
        weight = weights(candidate.count, stable.count, between)
        means = pair(candidate.mean(), border.ratio * stable.mean() + border.slack)
        variances = pair(candidate.variance(), stable.variance())
        scale = pair(np.ones_like(weight), border.ratio**2 * np.ones_like(weight))
        per_count = weight[..., None] / np.maximum(pair(candidate.count, stable.count), 1.0)
        return cls(
            np.cumsum(weight > 0, -1, dtype=np.float64),
            Moments.after_each(weight, means),
            Moments.after_each(weight**2, means),
            np.cumsum(per_count * scale * variances, -2),
            np.cumsum(per_count * scale * variances[..., ::-1], -2),
        )

    @classmethod
    def of_numbers(cls, numbers: Floats) -> "Sums":
        """Return the sums of which these are the numbers."""
        looks, first, second, errors, crossed = np.split(numbers, (1, 8, 15, 17), -1)
        moments = Moments.of_numbers(first), Moments.of_numbers(second)
        return cls(looks[..., 0], *moments, errors=errors, crossed=crossed)

    def numbers(self) -> Floats:
        """Return what is to be kept of these looks, shape (..., 19)."""
        moments = self.weighted.numbers(), self.twice_weighted.numbers()
        return np.concatenate((self.looks[..., None], *moments, self.errors, self.crossed), -1)

    def at(self, index: int) -> "Sums":
        """Return the sums after one of the looks, where the last axis is the looks."""
        found = Sums.of_numbers(self.numbers()[..., index, :])
        answers = np.broadcast_to(self.answers, self.errors.shape)
        return found.knowing(answers[..., index, :])

    def knowing(self, answers: Floats | float) -> "Sums":
        """Return the sums with the variance of one answer of each arm, times the border's."""
        return replace(self, answers=answers)

    @property
    def means(self) -> tuple[Floats, Floats]:
        """The weighted means of candidate and stable, in the shape of the sums."""
        return self.weighted.mean[..., 0], self.weighted.mean[..., 1]

    def swapped(self) -> "Sums":
        """Return the sums with the arms swapped."""
        moments = self.weighted.swapped(), self.twice_weighted.swapped()
        errors, crossed = self.errors[..., ::-1], self.crossed[..., ::-1]
        answers = np.broadcast_to(self.answers, errors.shape)[..., ::-1]
        return Sums(self.looks, *moments, errors=errors, crossed=crossed, answers=answers)

    def __add__(self, other: "Sums") -> "Sums":
        """Return the sums of both; shapes broadcast."""
        return Sums(
            self.looks + other.looks,
            self.weighted + other.weighted,
            self.twice_weighted + other.twice_weighted,
            self.errors + other.errors,
            self.crossed + other.crossed,
            np.maximum(self.answers, other.answers),
        )

    def spreads(self) -> tuple[Floats, ...]:
        """Return five estimates of R as quadratic forms of (1, -ratio), each (..., 2, 2).

        - What was seen between the looks.
        - n - 1 times the mean of w * (squared error of y as the answers within looks tell): few
          looks may by chance agree better than their own answers allow. Each arm's answers are
          taken to vary as the arm's that vary more: with skewed answers a mean that is too low by
          chance comes with a variance that is too low.
        - What the looks tell whose weight makes the mean (White 1980, without bias for variances
          in proportion to 1 / w): those of much traffic may spread more than their weight says.
        - Where there are no squares, n - 1 times the variance of one answer as neighbouring looks
          of either arm tell (w is 1 over the sum of both 1/n). It is left out where a look weighs
          100 answers or more: skewness does little harm then, and what both arms have in common
          from look to look, which the contrast does not show, would count in full.

        The largest counts. That keeps the level, exactly: k only moves towards 0, so E falls where
        D > 0, and stays below sqrt(r) < 1 where not. The test becomes less sure, never more.
        """
        whole, squared = self.weighted.weight, self.twice_weighted.weight
        freedom = np.maximum(self.looks - 1, 0.0)
        room = np.maximum(whole**2 - squared, TINY)
        errors = np.maximum(self.errors, self.crossed)[..., None] * np.eye(2)
        heavy = self.twice_weighted.about(self.weighted.mean)
        return (
            self.weighted.products,
            scaled(errors, freedom / np.maximum(self.looks, 1.0)),
            scaled(heavy, freedom * whole / room),
            *self._of_answers(freedom),
        )

    def _of_answers(self, freedom: Floats) -> tuple[Floats, Floats]:
        """Return R as the answers of one arm tell, and of the other."""
        few = self.weighted.weight < ENOUGH_ANSWERS * self.looks
        unknown = few & (self.errors.max(-1) <= 0)
        answers = np.broadcast_to(self.answers, self.errors.shape)
        one, other = (scaled(np.diag(place), freedom * unknown * answers[..., index])
                      for index, place in enumerate(np.eye(2)))  # fmt: skip
        return one, other


def weights(candidate: Floats, stable: Floats, between: float = 0.0) -> Floats:
    """Return what each look counts, in answers: 1 / (1/n + 1/m + between); 0 without n or m.

    Right where answers of both arms vary alike. A ratio other than 1, or arms that vary unlike,
    change all variances by one factor, which does not matter while n : m stays.

    Args:
        candidate: Answers per look.
        stable: The same for stable.
        between: Variance of a contrast in looks of endless traffic over the variance of one answer.
            0 where unknown: exact if traffic is even, else looks with much traffic weigh too much.
    """
    least = np.minimum(candidate, stable)
    inverse = 1 / np.maximum(candidate, 1.0) + 1 / np.maximum(stable, 1.0) + between
    return np.asarray(np.where(least > 0, 1 / inverse, 0.0))
