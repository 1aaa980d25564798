"""How long a step takes until an equally good candidate is Safe for the next exposure.

While the totals of a look and stable's known rate do not change, "safe?" depends only on sums over
looks, so a release is simulated on a geometric grid of moments, a few hundred releases at once.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from penstock.core import sides
from penstock.core.stats import mixture
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Gains, Null, Pairs, Question
from penstock.core.terms import Tolerance

Floats = NDArray[np.float64]

HORIZON_SECONDS = 7 * 24 * 3600.0
_GROWTH = 1.1
RELEASES = 100
_LEAST_RATE = 1e-7
SEED = 20_240_607


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is expected while the step lasts.

    Attributes:
        stable_rate: Stable's share of bad answers, 0 to 1.
        candidate_per_second: Requests that the candidate answers.
        stable_per_second: Requests that stable answers.
    """

    stable_rate: float
    candidate_per_second: float
    stable_per_second: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What the step must show, and how it is looked at.

    Attributes:
        tolerance: What is tolerated at full exposure.
        exposure: The next exposure, in (0, 1].
        miss_rate: Chance of a wrong pass, in (0, 1).
        phi: Over-dispersion, >= 1.
        interval_seconds: Time between looks.
        bake_seconds: Least time with data.
        warm_up_seconds: Time before the first look that counts.
    """

    tolerance: Tolerance
    exposure: float
    miss_rate: float
    phi: float
    interval_seconds: float
    bake_seconds: float = 0.0
    warm_up_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds from the start of the step until it passes; None beyond a week.

    Attributes:
        median: Half of all equally good candidates pass within it.
        bound: Nine of ten do.
    """

    median: float | None
    bound: float | None


@lru_cache(maxsize=256)
def until_safe(traffic: Traffic, proof: Proof) -> Forecast:
    """Return when the step of an equally good candidate passes, by seeded simulation."""
    if min(traffic.candidate_per_second, traffic.stable_per_second) <= 0:
        return Forecast(None, None)
    looks = grid(proof)
    return passes(_log_safe(traffic, proof, looks), looks, proof)


def passes(log_e: Floats, looks: Floats, proof: Proof) -> Forecast:
    """Return when steps pass.

    Args:
        log_e: ln of the evidence of "safe?" per release and moment, shape (releases, moments).
        looks: How many looks there are at each moment, shape (moments,).
        proof: What the step must show.
    """
    safe = log_e >= -math.log(proof.miss_rate)
    first = np.where(safe.any(-1), looks[safe.argmax(-1)] * proof.interval_seconds, np.inf)
    seconds = np.maximum(proof.warm_up_seconds + first, proof.bake_seconds)
    median, bound = np.quantile(seconds, (0.5, 0.9), method="higher")
    return Forecast(_capped(median), _capped(bound))


def grid(proof: Proof) -> Floats:
    """Return the moments of a forecast within a week, in looks."""
    most = max(HORIZON_SECONDS / proof.interval_seconds, 1.0)
    powers = _GROWTH ** np.arange(math.ceil(math.log(most, _GROWTH)) + 1)
    result: Floats = np.unique(np.ceil(powers))
    return result


def _log_safe(traffic: Traffic, proof: Proof, looks: Floats) -> Floats:
    """Return ln of the evidence of "safe?" per release and moment, shape (releases, moments)."""
    per_second = np.array([traffic.candidate_per_second, traffic.stable_per_second])
    per_look = per_second * proof.interval_seconds
    rate = min(max(traffic.stable_rate, 0.0), 1.0)
    bad = _bad_answers(per_look, rate, looks)
    flow = _Flow(per_look, min(max(rate, _LEAST_RATE), 1 - _LEAST_RATE), looks, bad)
    least: Floats = np.minimum.reduce(
        [flow.log_safe(side, proof) for side in proof.tolerance.sides]
    )
    return least


@dataclass(frozen=True, slots=True)
class _Flow:
    """Traffic per look of both arms, stable's rate, and bad answers (2, releases, moments)."""

    per_look: Floats
    rate: float
    looks: Floats
    bad: Floats

    def log_safe(self, side: Side, proof: Proof) -> Floats:
        """Return ln of the evidence on one side per release and moment."""
        null = sides.border(side, proof.tolerance, proof.exposure)
        if null is None:
            return np.full(self.bad.shape[1:], np.inf)
        first, second = (0, 1) if side is Side.MORE else (1, 0)
        known = sides.known_rate(side, null, np.array([self.rate]))
        gains = _gains(self.per_look[[first, second]], null, known)
        good = self.per_look[first] * self.looks - self.bad[first]
        answers = np.stack((good, self.bad[first], self.bad[second]))
        each = np.concatenate((gains.good, gains.bad, gains.stable_bad), -1) / proof.phi
        log_e = np.tensordot(each, answers, 1) + mixture.LOG_WEIGHTS[:, None, None]
        return mixture.log_sum(log_e, 0)


def _gains(per_look: Floats, null: Null, rate: Floats) -> Gains:
    nothing = np.zeros(1)
    pairs = Pairs(per_look[:1], nothing, per_look[1:], nothing)
    return Bet.on(Question.SAFE, pairs, null, rate).gains()


def _bad_answers(per_look: Floats, rate: float, looks: Floats) -> Floats:
    """Return the bad answers of both arms up to each moment, shape (2, releases, moments)."""
    generator = np.random.default_rng(SEED)
    expected = per_look[:, None, None] * np.diff(looks, prepend=0.0)
    spread = np.sqrt(1 - rate)
    noise = generator.poisson(expected * rate, (2, RELEASES, len(looks))) - expected * rate
    result: Floats = np.cumsum(expected * rate + spread * noise, -1)
    return np.clip(result, 0.0, per_look[:, None, None] * looks)


def _capped(seconds: np.float64) -> float | None:
    return float(seconds) if seconds <= HORIZON_SECONDS else None
