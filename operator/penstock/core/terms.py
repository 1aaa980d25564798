"""What is fixed before the first look of a release, per metric."""

from dataclasses import dataclass

from penstock.core.looks import NO_COUNTS, Counts
from penstock.core.stats.calibration import Chance
from penstock.core.stats.nulls import Side


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the candidate's share may be from stable's, upwards, downwards or both.

    Tolerable is at most rate * (1 + max_increase / 100) + slack / 100, and at least
    rate * (1 - max_decrease / 100) - slack / 100.

    Attributes:
        max_increase: In percent of stable's share, >= 0; None where any increase is welcome.
        slack: In percentage points, >= 0.
        max_decrease: In percent of stable's share, 0 to 100; None where any decrease is welcome.

    Raises:
        ValueError: Neither direction is bounded.
    """

    max_increase: float | None
    slack: float
    max_decrease: float | None = None

    def __post_init__(self) -> None:
        """Refuse a tolerance of everything."""
        if not self.sides:
            raise ValueError("neither an increase nor a decrease is bounded")

    @property
    def sides(self) -> tuple[Side, ...]:
        """The directions that are bounded."""
        more = () if self.max_increase is None else (Side.MORE,)
        return more if self.max_decrease is None else (*more, Side.LESS)

    def change(self, side: Side) -> float:
        """Return the tolerated change towards a side that is bounded, in percent."""
        found = self.max_increase if side is Side.MORE else self.max_decrease
        return found or 0.0

    def most(self, rate: float) -> float:
        """Return the greatest tolerable share beside this share of stable."""
        return rate * (1 + self.change(Side.MORE) / 100) + self.slack / 100

    def least(self, rate: float) -> float:
        """Return the least tolerable share beside this share of stable."""
        return rate * (1 - self.change(Side.LESS) / 100) - self.slack / 100


@dataclass(frozen=True, slots=True)
class Calibration:
    """What stable's own history said before the first look; the defaults are for no history.

    Attributes:
        phi: Over-dispersion of bad answers, >= 1.
        spread: Standard deviation of the log rates of single pods.
        quantile: Standard deviations between pods that "worse?" allows for.
        history: Stable's answers before the first look.
        seconds: How long the history is; 0 for none.
        cautious_phi: The same as `phi` for "worse?", where the history has too few bad answers to
            tell; 0 where it is the same.
    """

    phi: float = 1.5
    spread: float = 0.1
    quantile: float = 2.9
    history: Counts = NO_COUNTS
    cautious_phi: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, chance: Chance, history: Counts, seconds: float) -> "Calibration":
        """Return what a history of this length says, with its sums."""
        return cls(
            chance.phi, chance.spread, chance.quantile, history, chance.cautious_phi, seconds
        )

    @property
    def phi_worse(self) -> float:
        """Over-dispersion by which "worse?" divides."""
        return self.cautious_phi or self.phi


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
