"""What is fixed before the first look of a release, per metric."""

from dataclasses import dataclass

from penstock.core.looks import NO_COUNTS, Counts


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse than stable may be: rate * (1 + max_increase / 100) + slack / 100.

    Attributes:
        max_increase: In percent of stable's share of bad answers, >= 0.
        slack: In percentage points, >= 0.
    """

    max_increase: float
    slack: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What stable's own history said before the first look; the defaults are for no history.

    Attributes:
        phi: Over-dispersion of bad answers, >= 1.
        spread: Standard deviation of the log rates of single pods.
        quantile: Standard deviations between pods that "worse?" allows for.
        history: Stable's answers before the first look.
    """

    phi: float = 1.5
    spread: float = 0.1
    quantile: float = 2.9
    history: Counts = NO_COUNTS


WITHOUT_HISTORY = Calibration()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed before the first look.

    Attributes:
        interval_seconds: Time between looks.
        tolerance: What is tolerated at full exposure.
        exposures: Per step, the share of users that the next step will expose, in (0, 1].
        calibration: What the history said.

    Raises:
        ValueError: An exposure is outside (0, 1], or the interval is not positive.
    """

    interval_seconds: float
    tolerance: Tolerance
    exposures: tuple[float, ...]
    calibration: Calibration = WITHOUT_HISTORY

    def __post_init__(self) -> None:
        """Refuse a plan that cannot be tested."""
        if self.interval_seconds <= 0 or not all(0 < share <= 1 for share in self.exposures):
            raise ValueError(f"interval {self.interval_seconds} s, exposures {self.exposures}")

    def exposure(self, step: int) -> float:
        """Return what a step must be safe for; everybody where the plan has no such step."""
        return self.exposures[step] if step < len(self.exposures) else 1.0
