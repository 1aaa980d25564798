"""How long a step takes until an equal mean is Safe for the next exposure.

Contrasts of looks are taken to be normal. Their sums over more and more looks are drawn on a
geometric grid of moments, for a hundred releases at once.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from penstock.core import forecast
from penstock.core.forecast import Forecast, Proof
from penstock.core.means.looks import Floats
from penstock.core.means.record import MeanRecord
from penstock.core.stats import contrasts, means, neighbours, nulls
from penstock.core.stats.contrasts import EQUAL, Sums
from penstock.core.stats.moments import Moments
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Question


@dataclass(frozen=True, slots=True)
class MeanTraffic:
    """What is expected while the step lasts.

    Attributes:
        noise: Variance of one answer over the square of the mean.
        between: How much a look varies beyond its answers, see `contrasts.weights`.
        candidate_per_second: Answers of the candidate.
        stable_per_second: Answers of stable.
    """

    noise: float
    between: float
    candidate_per_second: float
    stable_per_second: float


def noise(record: MeanRecord) -> float | None:
    """Return the variance of one answer over the square of stable's mean; None where unknown.

    By what the contrasts of the looks kept vary by, from five on; before, by the history.
    """
    if record.rows:
        weighing = record.weighing
        arms = weighing.table.arms(weighing.table.compared)
        sums = Sums.after_each(*arms, record.between)
        sums = sums.knowing(neighbours.variances(weighing.known)).at(-1)
        seen, telling = means.spread(sums, EQUAL)
        mean = float(sums.means[1])
        if telling and mean > 0:
            return float(seen) / (float(sums.looks) - 1) / mean**2
    return record.noise or None


@lru_cache(maxsize=256)
def until_safe(traffic: MeanTraffic, proof: Proof) -> Forecast:
    """Return when the step of an equally good candidate passes, by seeded simulation.

    Looks in which an arm has no answer by chance are left out of the looks that tell.
    """
    per_second = np.array([traffic.candidate_per_second, traffic.stable_per_second])
    if per_second.min() <= 0:
        return Forecast(None, None)
    per_look = per_second * proof.interval_seconds
    telling = float(np.prod(-np.expm1(-per_look)))
    looks = forecast.grid(proof)
    counted = np.floor(looks * telling)
    each = [
        _log_safe(side, traffic, proof, per_look / telling, counted)
        for side in proof.tolerance.sides
    ]
    return forecast.passes(np.minimum.reduce(each) / proof.phi, looks, proof)


def _log_safe(
    side: Side, traffic: MeanTraffic, proof: Proof, per_look: Floats, looks: Floats
) -> Floats:
    """Return ln of the evidence of "safe?" on one side per release and moment."""
    null = nulls.tolerated(side, proof.tolerance.change(side), 0.0, proof.exposure)
    if null is None:
        return np.full((forecast.RELEASES, len(looks)), math.inf)
    ratio = float(null.ratio[0])
    one, other = per_look if side is Side.MORE else per_look[::-1]
    weight = float(contrasts.weights(np.array(one), np.array(other), traffic.between))
    variance = traffic.noise * (1 / one + ratio**2 / other + traffic.between)
    sums = _drawn(looks, 1 - ratio, variance, weight)
    return means.log_evidence(sums, Question.SAFE, weight)


def _drawn(looks: Floats, mean: float, variance: float, weight: float) -> Sums:
    """Return the sums of contrasts of this mean and variance, shape (releases, moments)."""
    generator, shape = np.random.default_rng(forecast.SEED), (forecast.RELEASES, len(looks))
    new = np.broadcast_to(np.diff(looks, prepend=0.0), shape)
    size = np.maximum(new, 1.0)
    middle = (mean + np.sqrt(variance / size) * generator.normal(size=shape)) * (new > 0)
    within = variance * generator.chisquare(np.maximum(size - 1, 1e-9))
    total = np.cumsum(new * middle, -1)
    squares = np.cumsum(new * middle**2 + within * (new > 1), -1)
    all_looks = np.broadcast_to(looks, shape)
    average = total / np.maximum(all_looks, 1.0)
    around = np.maximum(squares - total * average, 0.0)
    weighted, twice = (
        _moments(all_looks * factor, average, around * factor) for factor in (weight, weight**2)
    )
    nothing = np.zeros((*shape, 2))
    return Sums(all_looks, weighted, twice, nothing, nothing)


def _moments(weight: Floats, mean: Floats, around: Floats) -> Moments:
    """Return the moments of contrasts as those of a candidate beside a stable that is 0."""
    products = np.zeros((*weight.shape, 2, 2))
    products[..., 0, 0] = around
    return Moments(weight, np.stack((mean, np.zeros_like(mean)), -1), products)
