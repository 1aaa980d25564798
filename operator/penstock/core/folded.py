"""What is left of the looks of one proportion that are no longer kept."""

import math
from dataclasses import dataclass

import numpy as np

from penstock.core.looks import NO_COUNTS, Counts, Table
from penstock.core.stats import mixture

BORDERS = 2
"""The near one and the far one of "worse?"."""

EXPERTS = BORDERS * len(mixture.TILTS)


@dataclass(frozen=True, slots=True)
class FoldedSide:
    """What is left of the evidence of one direction.

    Attributes:
        log_worse: ln S per expert.
        worst_cells: Per expert the greatest ln e of a single cell, >= 0.
        log_safe: Per tilt the sum of ln e for the step.
    """

    log_worse: tuple[float, ...] = (-math.inf,) * EXPERTS
    worst_cells: tuple[float, ...] = (0.0,) * EXPERTS
    log_safe: tuple[float, ...] = (0.0,) * len(mixture.TILTS)


NOTHING_OF_SIDE = FoldedSide()


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left of looks that are no longer kept.

    Attributes:
        number: The last of them, 0 for none.
        step: Its step.
        stable: Sum of stable's answers.
        answers: Candidate's and stable's answers in `step`.
        baked: Looks with data per step.
        sides: The evidence per direction that is bounded, in the order of `Tolerance.sides`.
    """

    number: int = 0
    step: int = 0
    stable: Counts = NO_COUNTS
    answers: tuple[int, int] = (0, 0)
    baked: tuple[int, ...] = ()
    sides: tuple[FoldedSide, ...] = ()

    def of_side(self, index: int) -> FoldedSide:
        """Return what is left of a direction."""
        return self.sides[index] if index < len(self.sides) else NOTHING_OF_SIDE


NOTHING_FOLDED = Folded()


def answers(folded: Folded, table: Table, step: int) -> tuple[int, int]:
    """Return how many answers the candidate and stable gave in the newest step."""
    rows = table.step == step
    before = folded.answers if folded.step == step else (0, 0)
    return (
        before[0] + int(table.candidate_total[rows].sum()),
        before[1] + int(table.stable_total[rows].sum()),
    )


def baked_looks(folded: Folded, table: Table) -> tuple[int, ...]:
    """Return how many looks had data, per step."""
    with_data = table.candidate_total + table.stable_total > 0
    seen = np.bincount(table.step[with_data].astype(np.int64), minlength=len(folded.baked))
    seen[: len(folded.baked)] += np.array(folded.baked, dtype=np.int64)
    return tuple(seen.tolist())
