"""The virtual time of a run: seconds since its start, and what recurs in it."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from penstock.core.looks import Floats
from penstock.core.simulation.pods import Integers
from penstock.core.simulation.setting import Setting

START = datetime(2020, 1, 1, tzinfo=UTC)
NEARLY = 1e-6
MOMENT = 0.001
LEAST_GRACE = 5.0


def instant(seconds: float) -> datetime:
    """Return the time that is so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def seconds_of(time: datetime) -> float:
    """Return how many seconds after the start a time is."""
    return (time - START).total_seconds()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The times of a setting, in seconds.

    Attributes:
        interval: Between two looks; look n ends after n of them: the release starts at an instant
            of the operator's grid (`core.instants`).
        lag: Until a sample is there, so that a look can be taken.
        propagation: Until every proxy follows a weight.
        horizon: When a run ends that has not ended.
    """

    interval: float
    lag: float
    propagation: float
    horizon: float

    @classmethod
    def of(cls, setting: Setting) -> "Rhythm":
        """Return the times of a setting."""
        times = (
            setting.spec.analysis.interval,
            setting.lag,
            setting.propagation,
            setting.end,
        )
        return cls(*(time.total_seconds() for time in times))

    @property
    def grace(self) -> float:
        """The time without an answer after which there is no data."""
        return max(3 * self.interval, LEAST_GRACE)

    def ends(self, numbers: Integers) -> Floats:
        """Return when looks of these numbers end."""
        return numbers.astype(np.float64) * self.interval

    def taken(self, number: int) -> float:
        """Return when a look can be taken."""
        return number * self.interval + self.lag

    def due(self, now: float) -> int:
        """Return the number of the newest look that can be taken by now."""
        return math.floor((now - self.lag) / self.interval + NEARLY)

    def looks(self, seconds: float) -> int:
        """Return how many looks fill a time."""
        return math.ceil(seconds / self.interval)
