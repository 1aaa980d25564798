"""Streams that were recorded or made elsewhere, and what the history in them says of chance.

A stream is the history of stable, and then the closed intervals of one release.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import Counts
from penstock.core.stats import calibration
from penstock.core.terms import WITHOUT_HISTORY, Calibration, Tolerance

Floats = NDArray[np.float64]
Pods = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What all streams have in common.

    Attributes:
        name: What sentences call the metric.
        tolerance: What is tolerated at full exposure.
        labels: One per proportion of the metric, empty where it has but one.
        ladder: The weights of the plan as shares, rising, without 1.
        alpha: Chance of a false alarm, 0 to 1.
        miss_rate: Chance of a wrong "safe" for a step, 0 to 1.
        interval_seconds: Time between looks.
        warm_up_seconds: Time in which fresh pods are not compared.
        sticky: Whether users stick to a version, so that shares of requests tell nothing.
        mean: Whether counts are those of a mean, which `means.replay` judges.
    """

    name: str
    tolerance: Tolerance
    labels: tuple[str, ...]
    ladder: tuple[float, ...]
    alpha: float
    miss_rate: float
    interval_seconds: float
    warm_up_seconds: float
    sticky: bool = False
    mean: bool = False


@dataclass(frozen=True, slots=True)
class Arm:
    """The answers of one version.

    Attributes:
        counts: Shape (intervals, pods, 1 + proportions): total, bad, bad at the next edge, ...
        there: Which pods there were, shape (intervals, pods).
    """

    counts: Floats
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Pods], width: int) -> "Arm":
        """Return the counts by pod and interval as arrays; a pod that is not named has none."""
        pods = list(dict.fromkeys(pod for row in rows for pod in row))
        nothing = (0,) * width
        counts = np.array([[row.get(pod, nothing) for pod in pods] for row in rows], np.float64)
        there = np.array([[pod in row for pod in pods] for row in rows], dtype=bool)
        shape = (len(rows), len(pods))
        return cls(counts.reshape(*shape, width), there.reshape(shape))

    def total(self, part: int) -> Floats:
        """Return the sums over pods, shape (intervals,): of all answers for part 0, else bad."""
        result: Floats = self.counts[..., part].sum(-1)
        return result

    @property
    def pods(self) -> Floats:
        """How many pods there were per interval, at least 1."""
        result: Floats = np.maximum(self.there.sum(-1), 1.0)
        return result


@dataclass(frozen=True, slots=True)
class Release:
    """The closed intervals of one release.

    Attributes:
        ends: In seconds on any clock, rising, shape (intervals,).
        weights: The candidate's weight as a share, same shape.
        candidate: Its answers.
        stable: Its answers.
    """

    ends: Floats
    weights: Floats
    candidate: Arm
    stable: Arm


def calibrations(setup: Setup, history: Arm, seconds: float) -> tuple[Calibration, ...]:
    """Return what stable's history says, per proportion; its intervals last so many seconds."""
    if not history.counts.size:
        return (WITHOUT_HISTORY,) * len(setup.labels)
    total = calibration.in_minutes(history.counts[..., 0], seconds)
    if not calibration.is_long_enough(total, max(seconds, 60.0)):
        return (WITHOUT_HISTORY,) * len(setup.labels)
    return tuple(
        _calibration(total, calibration.in_minutes(history.counts[..., part], seconds), setup.alpha)
        for part in range(1, 1 + len(setup.labels))
    )


def _calibration(total: Floats, bad: Floats, alpha: float) -> Calibration:
    sums = Counts(int(total.sum()), int(bad.sum()))
    return Calibration.of(calibration.calibrate(total, bad, alpha), sums, 60.0 * len(total))
