"""The pods of a version: how many requests they get, and how many of them go wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import Floats
from penstock.core.simulation.setting import Traffic

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods of one version.

    Attributes:
        factors: Their shares of bad answers, as multiples of their version's, shape (pods,).
        burst: Requests that share one fate.
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
