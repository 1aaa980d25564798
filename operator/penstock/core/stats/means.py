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
2210.08589), here `log_two_sided`. Averaged over h > 0 only (half normal) it is in closed form, with
r = g / (g + W), q^2 = 1 - k^2 / (g + W) and T_n the distribution function of Student's t,

    E = 2 sqrt(r) q^-n T_n(k sqrt(n / (g + W - k^2))).

Proof that P(E ever >= 1/a) <= a whenever d <= 0 ("safe?" turns all signs): at d = 0 each factor is
a likelihood ratio of the contrasts over the first one's size, whose distribution does not depend on
v, so E is a martingale of expectation 1, and Ville's inequality holds. To lower all y by one number
keeps R and lowers D, so k, and each factor with h > 0 rises with k: at d < 0 every path of E lies
below one at d = 0.

Exact for normal contrasts that are independent, of one d, and of variance proportional to 1 / w;
else approximate (measured in the tests). Without sums of squares a look should have as many answers
of either arm as the square of their skewness, or a candidate's lower mean comes too easily. Invalid
where looks are correlated; persistent differences between pods need a margin of their own.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, stdtr

from penstock.core.stats.proportion import Question

Floats = NDArray[np.float64]

MIN_LOOKS = 5
LOG_EVIDENCE = math.log(20)
_TINY = 1e-300
_ROUNDING = 1e-26


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
class Moments:
    """Weighted means of both arms of any number of looks, and products about them; `+` adds looks.

    Kept about the means, so that nothing is lost where these are large beside the differences.

    Attributes:
        weight: Sum of the weights, shape (...).
        mean: Of candidate and stable, shape (..., 2).
        products: Weighted sums of products of both arms about their means, shape (..., 2, 2).
    """

    weight: Floats
    mean: Floats
    products: Floats

    @classmethod
    def after_each(cls, weight: Floats, means: Floats) -> "Moments":
        """Return the moments after each look.

        Args:
            weight: Shape (..., looks).
            means: Of both arms, shape (..., looks, 2).
        """
        total, column = np.cumsum(weight, -1), weight[..., None]
        whole = np.maximum(total, _TINY)[..., None]
        middle = (column * means).sum(-2, keepdims=True) / whole[..., -1:, :]
        off = means - middle
        mean = np.cumsum(column * off, -2) / whole
        products = np.cumsum(column[..., None] * _outer(off), -3)
        seen = (total > 0)[..., None]
        return cls(total, (middle + mean) * seen, products - _scaled(_outer(mean), total))

    @classmethod
    def of_numbers(cls, numbers: Floats) -> "Moments":
        """Return the moments of which these are the numbers."""
        products = numbers[..., 3:].reshape(*numbers.shape[:-1], 2, 2)
        return cls(numbers[..., 0], numbers[..., 1:3], products)

    def numbers(self) -> Floats:
        """Return all numbers, shape (..., 7)."""
        products = self.products.reshape(*self.weight.shape, 4)
        return np.concatenate((self.weight[..., None], self.mean, products), -1)

    def swapped(self) -> "Moments":
        """Return the moments with the arms swapped."""
        return Moments(self.weight, self.mean[..., ::-1], self.products[..., ::-1, ::-1])

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both; shapes broadcast (Chan, Golub and LeVeque 1983)."""
        weight = self.weight + other.weight
        share = np.asarray(other.weight / np.maximum(weight, _TINY))
        apart = other.mean - self.mean
        moved = _scaled(_outer(apart), self.weight * share)
        products = self.products + other.products + moved
        return Moments(weight, self.mean + share[..., None] * apart, products)

    def about(self, mean: Floats) -> Floats:
        """Return the products about other means, shape (..., 2, 2)."""
        return self.products + _scaled(_outer(self.mean - mean), self.weight)


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
    """

    looks: Floats
    weighted: Moments
    twice_weighted: Moments
    errors: Floats
    crossed: Floats

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
        means = _pair(candidate.mean(), border.ratio * stable.mean() + border.slack)
        variances = _pair(candidate.variance(), stable.variance())
        scale = _pair(np.ones_like(weight), border.ratio**2 * np.ones_like(weight))
        per_count = weight[..., None] / np.maximum(_pair(candidate.count, stable.count), 1.0)
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

    def swapped(self) -> "Sums":
        """Return the sums with the arms swapped."""
        moments = self.weighted.swapped(), self.twice_weighted.swapped()
        errors, crossed = self.errors[..., ::-1], self.crossed[..., ::-1]
        return Sums(self.looks, *moments, errors=errors, crossed=crossed)

    def __add__(self, other: "Sums") -> "Sums":
        """Return the sums of both; shapes broadcast."""
        return Sums(
            self.looks + other.looks,
            self.weighted + other.weighted,
            self.twice_weighted + other.twice_weighted,
            self.errors + other.errors,
            self.crossed + other.crossed,
        )

    def spreads(self) -> tuple[Floats, Floats, Floats]:
        """Return three estimates of R as quadratic forms of (1, -ratio), each (..., 2, 2).

        - What was seen between the looks.
        - n - 1 times the mean of w * (squared error of y as the answers within looks tell): few
          looks may by chance agree better than their own answers allow. Each arm's answers are
          taken to vary as the arm's that vary more: with skewed answers a mean that is too low by
          chance comes with a variance that is too low.
        - What the looks tell whose weight makes the mean (White 1980, without bias for variances
          in proportion to 1 / w): those of much traffic may spread more than their weight says.

        The largest counts. That keeps the level, exactly: k only moves towards 0, so E falls where
        D > 0, and stays below sqrt(r) < 1 where not. The test becomes less sure, never more.
        """
        whole, squared = self.weighted.weight, self.twice_weighted.weight
        freedom = np.maximum(self.looks - 1, 0.0)
        room = np.maximum(whole**2 - squared, _TINY)
        errors = np.maximum(self.errors, self.crossed)[..., None] * np.eye(2)
        heavy = self.twice_weighted.about(self.weighted.mean)
        return (
            self.weighted.products,
            _scaled(errors, freedom / np.maximum(self.looks, 1.0)),
            _scaled(heavy, freedom * whole / room),
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """An anytime-valid interval; -inf and inf where nothing is excluded, mid nan where unknown."""

    low: Floats
    mid: Floats
    high: Floats


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


def log_two_sided(t_squared: Floats, freedom: Floats, rest: Floats) -> Floats:
    """Return ln of the two-sided Bayes factor (the paper's eq. for B; shapes broadcast).

    Args:
        t_squared: The square of the t statistic.
        freedom: Its degrees of freedom, n - 1 for contrasts.
        rest: g / (g + W), W the number of observations where all weigh 1.
    """
    gain = np.log1p(t_squared / freedom) - np.log1p(rest * t_squared / freedom)
    return np.asarray(np.log(rest) / 2 + (freedom + 1) / 2 * gain)


def log_evidence(sums: Sums, question: Question, prior: float, border: Border = EQUAL) -> Floats:
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
    """
    candidate, stable = _arms(sums)
    excess = question.value * (candidate - border.ratio * stable - border.slack)
    weight, (spread, telling) = sums.weighted.weight, _spread(sums, border)
    rest = prior / (prior + weight)
    left = rest + (1 - rest) * spread / np.maximum(spread + weight * excess**2, _TINY)
    slope = np.sign(excess) * np.sqrt(np.maximum(1 - left, 0.0) / left)
    result = np.log(rest) / 2 + _log_half(np.maximum(sums.looks, 1.0), left, slope)
    return np.asarray(np.where(telling, result, 0.0))


def difference(sums: Sums, prior: float, log_evidence: float = LOG_EVIDENCE) -> Interval:
    """Return the interval of mean of candidate - mean of stable, in the metric's unit.

    All d whose two-sided Bayes factor stays below the evidence: P(ever missed) <= exp(-evidence).
    At 20 to 1 it is nearly that of both one-sided questions at 40 to 1.
    """
    candidate, stable = _arms(sums)
    mid = np.where(sums.looks > 0, candidate - stable, np.nan)
    reach, known = _reach(sums, prior, log_evidence)
    spread, telling = _spread(sums, EQUAL)
    radius = np.sqrt(reach * spread / np.maximum(sums.weighted.weight, _TINY))
    known = known & telling
    low, high = np.where(known, mid - radius, -np.inf), np.where(known, mid + radius, np.inf)
    return Interval(low, mid, high)


def relative(sums: Sums, prior: float, log_evidence: float = LOG_EVIDENCE) -> Interval:
    """Return the interval of mean of candidate / mean of stable; 1 where they are equal.

    All ratios whose contrast (slack 0) has a two-sided Bayes factor below the evidence, which is a
    quadratic inequality (Fieller). It supposes one ratio in all looks, not one mean. Nothing is
    excluded where stable's mean may be 0.
    """
    candidate, stable = _arms(sums)
    reach, known = _reach(sums, prior, log_evidence)
    mid = candidate / np.where(stable == 0, np.nan, stable)
    known = known & _spread(sums, Border(mid))[1]
    form = _scaled(_outer(sums.weighted.mean), sums.weighted.weight)
    ends = [_ratios(form - _scaled(spread, reach), known) for spread in sums.spreads()]
    low, high = (np.array(each) for each in zip(*ends, strict=True))
    return Interval(low.min(0), mid, high.max(0))


def _arms(sums: Sums) -> tuple[Floats, Floats]:
    return sums.weighted.mean[..., 0], sums.weighted.mean[..., 1]


def _spread(sums: Sums, border: Border) -> tuple[Floats, NDArray[np.bool_]]:
    """Return R, and whether there are looks enough and it is more than rounding leaves."""
    ratio = np.asarray(border.ratio)
    form = _outer(_pair(np.ones_like(ratio), -ratio))
    spread = np.max([(each * form).sum((-1, -2)) for each in sums.spreads()], 0)
    scale = (np.abs(sums.weighted.mean) * _pair(np.ones_like(ratio), ratio)).sum(-1)
    rounding = _ROUNDING * sums.weighted.weight * (scale + np.abs(border.slack)) ** 2
    return np.maximum(spread, 0.0), (sums.looks >= MIN_LOOKS) & (spread > rounding)


def _pair(candidate: Floats, stable: Floats) -> Floats:
    return np.asarray(np.stack(np.broadcast_arrays(candidate, stable), -1))


def _outer(pair: Floats) -> Floats:
    return np.asarray(pair[..., :, None] * pair[..., None, :])


def _scaled(forms: Floats, factor: Floats) -> Floats:
    return np.asarray(forms * np.asarray(factor)[..., None, None])


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


def _reach(sums: Sums, prior: float, log_evidence: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return t^2 / (n - 1) at which the two-sided Bayes factor is the evidence, and where it is."""
    rest = prior / (prior + sums.weighted.weight)
    bound = np.exp((np.log(rest) - 2 * log_evidence) / np.maximum(sums.looks, 1.0))
    known = (bound > rest) & (sums.looks >= MIN_LOOKS)
    return np.where(known, (1 - bound) / np.where(known, bound - rest, 1.0), 0.0), known


def _ratios(form: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return between which ratios the form of (1, -ratio) is <= 0; one of them it is."""
    square, middle, rest = form[..., 1, 1], form[..., 0, 1], form[..., 0, 0]
    bounded = known & (square > 0)
    square = np.where(bounded, square, 1.0)
    root = np.sqrt(np.maximum(middle**2 - square * rest, 0.0))
    low, high = (middle - root) / square, (middle + root) / square
    return np.where(bounded, low, -np.inf), np.where(bounded, high, np.inf)
