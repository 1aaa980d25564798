"""The columns of a record as the arms of one test: as they are, or swapped.

Too many bad answers are told by the candidate's share beside stable's; too few by the same test
with the arms swapped, where the candidate takes stable's place.
"""

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import Table
from penstock.core.stats import nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Cell, Null, Pairs
from penstock.core.terms import Tolerance

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_] | slice
ALL = slice(None)
_LEAST_SHARE = 0.01


def pairs(side: Side, table: Table, rows: Rows = ALL) -> Pairs:
    """Return the counts of the arms, the one whose excess is asked for first."""
    candidate = table.candidate_total[rows], table.candidate_bad[rows]
    stable = table.stable_total[rows], table.stable_bad[rows]
    return Pairs(*candidate, *stable) if side is Side.MORE else Pairs(*stable, *candidate)


def border(side: Side, tolerance: Tolerance, exposure: float = 1.0) -> Null | None:
    """Return what is tolerated on this side at an exposure; None where nothing is too far."""
    return nulls.tolerated(side, tolerance.change(side), tolerance.slack, exposure)


def known_rate(side: Side, null: Null, rate: Floats) -> Floats:
    """Return the share that the second arm is taken to have before each look, in (0, 1).

    Args:
        side: What is asked.
        null: The border.
        rate: Stable's share known before each look. Swapped, the candidate is taken to be at the
            border: p_stable = ratio * p_candidate + slack.
    """
    if side is Side.MORE:
        return rate
    return np.maximum((rate - null.slack) / null.ratio, _LEAST_SHARE * rate)


def loss_of_cell(side: Side, bet: Bet, log_e: Floats, arms: Pairs, table: Table) -> Floats:
    """Return how much ln e of each look falls when the candidate's worst cell is left out, >= 0."""
    if side is Side.MORE:
        loss = bet.log_e_of_cell(bet.gains(), arms, Cell(table.worst_total, table.worst_bad))
    else:
        cell = Cell(table.least_total, table.least_bad)
        loss = log_e - bet.without_stable_cell(arms, cell)
    return np.maximum(loss, 0.0)
