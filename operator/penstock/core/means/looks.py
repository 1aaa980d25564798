"""What is counted of a mean in one look, and many looks as columns."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.contrasts import Arm

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

_GREATEST = 1e100


@dataclass(frozen=True, slots=True)
class MeanArm:
    """The answers of one version in one look, or in many.

    Attributes:
        count: How many, >= 0.
        total: Their sum, in the metric's unit.
        squares: Sum of their squares; None where it is not known.
        finite: Whether the sums are numbers; where not, they are 0 and tell nothing.

    Raises:
        ValueError: The count is negative, or a sum is no number.
    """

    count: int = 0
    total: float = 0.0
    squares: float | None = None
    finite: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be compared."""
        if self.count < 0 or not _are_numbers(self.total, self.squares or 0.0):
            raise ValueError(f"{self.count} answers of sum {self.total}, squares {self.squares}")

    @classmethod
    def of(cls, count: int, total: float, squares: float | None = None) -> "MeanArm":
        """Return the answers, also where their sums are no numbers."""
        if _are_numbers(total, squares or 0.0):
            return cls(count, total, squares)
        return cls(count, 0.0, None if squares is None else 0.0, finite=False)

    @classmethod
    def together(cls, arms: Iterable["MeanArm"]) -> "MeanArm":
        """Return the answers of all; without squares where one of them is without."""
        known = tuple(arms)
        squares = [arm.squares for arm in known if arm.squares is not None]
        return cls(
            sum(arm.count for arm in known),
            math.fsum(arm.total for arm in known),
            math.fsum(squares) if len(squares) == len(known) else None,
            all(arm.finite for arm in known),
        )

    @property
    def mean(self) -> float | None:
        """Their mean; None without answers, or where the sums are no numbers."""
        return self.total / self.count if self.count and self.finite else None


@dataclass(frozen=True, slots=True)
class MeanLook:
    """One closed interval of one mean, both arms over the same time and the same weight.

    Attributes:
        number: From 1; the interval that ends at t0 + number * interval.
        step: Index into the steps of the release; never falls.
        warm: Whether the candidate was warming up.
        candidate_pods: Pods that served the candidate.

    Raises:
        ValueError: The number is below 1, or the step below 0.
    """

    number: int
    step: int
    warm: bool
    candidate: MeanArm
    stable: MeanArm
    candidate_pods: int
    stable_pods: int

    def __post_init__(self) -> None:
        """Refuse a look that has no place."""
        if self.number < 1 or self.step < 0:
            raise ValueError(f"look {self.number} of step {self.step}")

    @property
    def has_data(self) -> bool:
        """Whether at least one arm answered."""
        return self.candidate.count + self.stable.count > 0


@dataclass(frozen=True, slots=True)
class MeanTable:
    """Many looks as columns; each attribute is an array of shape (looks,), float64.

    Squares are nan where they are not known; `warm` and `finite` are 0 or 1.
    """

    number: Floats
    step: Floats
    warm: Floats
    candidate_count: Floats
    candidate_total: Floats
    candidate_squares: Floats
    candidate_finite: Floats
    stable_count: Floats
    stable_total: Floats
    stable_squares: Floats
    stable_finite: Floats
    candidate_pods: Floats
    stable_pods: Floats

    @classmethod
    def of(cls, rows: bytes) -> "MeanTable":
        """Return the columns of packed rows."""
        return cls(*np.frombuffer(rows, dtype="<f8").reshape(-1, len(COLUMNS)).T)

    @property
    def finite(self) -> Rows:
        """Which looks have sums that are numbers."""
        return np.asarray(np.minimum(self.candidate_finite, self.stable_finite) > 0)

    @property
    def compared(self) -> Rows:
        """Which looks may tell something: those outside warm-up, with numbers."""
        return np.asarray(self.finite & (self.warm == 0))

    def arms(self, rows: Rows) -> tuple[Arm, Arm]:
        """Return candidate and stable, without answers in all looks but these."""
        return (
            _arm(rows, self.candidate_count, self.candidate_total, self.candidate_squares),
            _arm(rows, self.stable_count, self.stable_total, self.stable_squares),
        )


COLUMNS = tuple(entry.name for entry in fields(MeanTable))
ROW_BYTES = 8 * len(COLUMNS)


def pack(look: MeanLook) -> bytes:
    """Return the row of a look."""
    arms = [
        (arm.count, arm.total, math.nan if arm.squares is None else arm.squares, arm.finite)
        for arm in (look.candidate, look.stable)
    ]
    pods = look.candidate_pods, look.stable_pods
    row = (look.number, look.step, look.warm, *arms[0], *arms[1], *pods)
    return np.array(row, dtype="<f8").tobytes()


def unpack(rows: bytes) -> tuple[MeanLook, ...]:
    """Return the looks of packed rows."""
    table = np.frombuffer(rows, dtype="<f8").reshape(-1, len(COLUMNS))
    return tuple(_look(row) for row in table.tolist())


def _are_numbers(total: float, squares: float) -> bool:
    """Return whether sums are finite, and so small that their products are."""
    return abs(total) <= _GREATEST and abs(squares) <= _GREATEST**2


def _arm(rows: Rows, count: Floats, total: Floats, squares: Floats) -> Arm:
    return Arm(count * rows, total * rows, np.nan_to_num(squares) * rows)


def _look(row: list[float]) -> MeanLook:
    number, step, warm, *_, candidate_pods, stable_pods = row
    candidate, stable = (
        MeanArm(int(count), total, None if math.isnan(squares) else squares, bool(finite))
        for count, total, squares, finite in (row[3:7], row[7:11])
    )
    pods = int(candidate_pods), int(stable_pods)
    return MeanLook(int(number), int(step), bool(warm), candidate, stable, *pods)
