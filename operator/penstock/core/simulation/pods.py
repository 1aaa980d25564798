"""The pods of a version: the requests that they get, how many go wrong, what answers are worth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import Floats
from penstock.core.simulation.setting import Traffic

_FEW = 100

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one version.

    Attributes:
        factors: Their shares of bad answers, and their means, as multiples of their version's,
            shape (pods,).
        burst: Requests that share one fate, or value.
    """

    factors: Floats
    burst: int

    @classmethod
    def drawn(cls, count: int, traffic: Traffic, rng: np.random.Generator) -> "Pods":
        """Return so many pods, as different as the traffic says."""
        spread = traffic.spread
        return cls(np.exp(rng.normal(0.0, spread, count) - spread**2 / 2), traffic.burst)

    def requests(self, expected: float, count: int, rng: np.random.Generator) -> Integers:
        """Return the requests of so many looks, shape (looks, pods).

        Args:
            expected: Requests of all pods that are expected in a look.
            count: Number of looks.
            rng: Source of chance.
        """
        pods = len(self.factors)
        return rng.poisson(expected / pods, (count, pods))

    def bad(self, requests: Integers, rate: float, rng: np.random.Generator) -> Integers:
        """Return how many of the requests get a bad answer; those of a burst share one fate."""
        rates = np.minimum(rate * self.factors, 1.0)
        if self.burst == 1:
            return rng.binomial(requests, rates)
        bursts, left = np.divmod(requests, self.burst)
        last = left * rng.binomial(1, rates, requests.shape)
        result: Integers = rng.binomial(bursts, rates) * self.burst + last
        return result

    def worth(
        self, requests: Integers, mean: float, shape: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Return the sums of the values of the requests, and of their squares, as `requests`.

        Values have a gamma distribution of this mean and shape, those of a burst are one.
        """
        bursts, left = np.divmod(requests, self.burst)
        total, squares = _sums(bursts, shape, rng)
        last, last_squares = _sums((left > 0).astype(np.int64), shape, rng)
        scale = mean * self.factors / shape
        return (
            scale * (self.burst * total + left * last),
            scale**2 * (self.burst * squares + left * last_squares),
        )


def _sums(count: Integers, shape: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return sums of so many gamma variables of scale 1, and of their squares.

    From 100 values on the squares are taken to be normal given the sum; they differ little.
    """
    many = count > _FEW
    total = rng.gamma(np.where(many, count * shape, 1.0))
    expected = total**2 * (1 + shape) / (1 + np.maximum(count, 1) * shape)
    deviation = np.sqrt(2 * shape * (1 + shape) * np.maximum(count, 1))
    squares = expected + deviation * rng.normal(size=count.shape)
    squares = np.maximum(squares, total**2 / np.maximum(count, 1))
    few = np.where(many, 0, count).ravel()
    owner = np.repeat(np.arange(count.size), few)
    values = rng.gamma(shape, size=len(owner))
    sums = [np.bincount(owner, values**power, count.size).reshape(count.shape) for power in (1, 2)]
    return np.where(many, total, sums[0]), np.where(many, squares, sums[1])
