"""The counts of one closed interval, and many of them packed as rows of integers."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COLUMNS = (
    "number",
    "step",
    "warm",
    "candidate_total",
    "candidate_bad",
    "stable_total",
    "stable_bad",
    "worst_total",
    "worst_bad",
    "candidate_pods",
    "stable_pods",
    "least_total",
    "least_bad",
    "unreached",
)
_ROW = struct.Struct(f"<{len(COLUMNS)}q")
ROW_BYTES = _ROW.size


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers, and how many of them were bad.

    Raises:
        ValueError: `bad` is not within 0 and `total`.
    """

    total: int = 0
    bad: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad of {self.total} answers")

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both together."""
        return Counts(self.total + other.total, self.bad + other.bad)

    @property
    def good(self) -> int:
        """Answers that were not bad."""
        return self.total - self.bad

    @property
    def rate(self) -> float | None:
        """The share of bad answers, 0 to 1; None without answers."""
        return self.bad / self.total if self.total else None


NO_COUNTS = Counts()


@dataclass(frozen=True, slots=True)
class Look:
    """One closed interval of one metric, both arms over the same time and the same weight.

    Attributes:
        number: From 1; the interval that ends at t0 + number * interval.
        step: Index into the steps of the release; never falls.
        warm: Whether the candidate was warming up.
        worst: The candidate's scrape target with most bad answers too many, see `worst_cell`.
        candidate_pods: Pods that served the candidate, at least 1 where it had answers.
        least: The candidate's scrape target with most bad answers too few, see `least_cell`; kept
            where too few are judged.
        unreached: Requests that reached no pod of any version; no part of either arm.

    Raises:
        ValueError: The number is below 1, or the worst cell is not a part of the candidate.
    """

    number: int
    step: int
    candidate: Counts
    stable: Counts
    worst: Counts
    candidate_pods: int
    stable_pods: int
    warm: bool = False
    least: Counts = NO_COUNTS
    unreached: int = 0

    def __post_init__(self) -> None:
        """Refuse a look that contradicts itself."""
        if self.number < 1 or self.step < 0:
            raise ValueError(f"look {self.number} of step {self.step}")
        for cell in (self.worst, self.least):
            if cell.bad > self.candidate.bad or cell.good > self.candidate.good:
                raise ValueError(f"the cell {cell} is not within {self.candidate}")

    @property
    def has_data(self) -> bool:
        """Whether at least one arm answered."""
        return self.candidate.total + self.stable.total > 0


def worst_cell(cells: Mapping[str, Counts], tolerated: float) -> Counts:
    """Return the counts of the cell with the most bad answers beyond the tolerated share.

    This excess is the first-order term of what a cell adds to the evidence.

    Args:
        cells: The candidate's answers in one look by scrape target.
        tolerated: Share of bad answers, 0 to 1, see `Record.tolerated`.
    """
    return max(
        cells.values(),
        key=lambda cell: (cell.bad - cell.total * tolerated, cell.bad),
        default=Counts(),
    )


def least_cell(cells: Mapping[str, Counts], tolerated: float) -> Counts:
    """Return the counts of the cell that is furthest below the least tolerated share.

    Args:
        cells: The candidate's answers in one look by scrape target.
        tolerated: Share of bad answers, see `Tolerance.least`.
    """
    return max(
        cells.values(),
        key=lambda cell: (cell.total * tolerated - cell.bad, cell.total),
        default=Counts(),
    )


def pack(look: Look) -> bytes:
    """Return the look as one row: little-endian 64-bit integers in the order of `COLUMNS`."""
    return _ROW.pack(
        look.number,
        look.step,
        look.warm,
        look.candidate.total,
        look.candidate.bad,
        look.stable.total,
        look.stable.bad,
        look.worst.total,
        look.worst.bad,
        look.candidate_pods,
        look.stable_pods,
        look.least.total,
        look.least.bad,
        look.unreached,
    )


def unpack(row: bytes) -> Look:
    """Return the look of one row."""
    number, step, warm, n, x, m, y, wn, wx, *rest = _ROW.unpack(row)
    candidate_pods, stable_pods, ln, lx, unreached = rest
    return Look(
        number=number,
        step=step,
        warm=bool(warm),
        candidate=Counts(n, x),
        stable=Counts(m, y),
        worst=Counts(wn, wx),
        candidate_pods=candidate_pods,
        stable_pods=stable_pods,
        least=Counts(ln, lx),
        unreached=unreached,
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Many looks as columns; each attribute is an array of shape (looks,), float64."""

    number: Floats
    step: Floats
    warm: Floats
    candidate_total: Floats
    candidate_bad: Floats
    stable_total: Floats
    stable_bad: Floats
    worst_total: Floats
    worst_bad: Floats
    candidate_pods: Floats
    stable_pods: Floats
    least_total: Floats
    least_bad: Floats
    unreached: Floats

    @classmethod
    def of(cls, rows: bytes) -> "Table":
        """Return the columns of packed rows."""
        return cls(*integers(rows).astype(np.float64))


def integers(rows: bytes) -> NDArray[np.int64]:
    """Return packed rows as integers of shape (columns, looks)."""
    return np.frombuffer(rows, dtype="<i8").reshape(-1, len(COLUMNS)).T.astype(np.int64)


def rows_of(columns: NDArray[np.int64]) -> bytes:
    """Return integers of shape (columns, looks) as packed rows."""
    return np.ascontiguousarray(columns.T, dtype="<i8").tobytes()
