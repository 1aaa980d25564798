"""What one look adds to the evidence of one direction of one proportion, per expert.

"Worse?" is asked of the whole release at full exposure by twenty experts: ten tilts under the near
border, which skip warm-up, and ten under the far one, which do not. "Safe?" is asked of one step at
the next exposure by ten.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core import sides
from penstock.core.folded import BORDERS, EXPERTS, Folded, FoldedSide
from penstock.core.looks import Table
from penstock.core.stats import mixture, nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Null, Pairs, Question
from penstock.core.terms import Terms

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

PRIOR_BAD = 0.5
PRIOR_TOTAL = 50.0
EXPERT_LOG_WEIGHTS = np.tile(mixture.LOG_WEIGHTS, BORDERS) - math.log(BORDERS)


def stable_rate(terms: Terms, folded: Folded, table: Table) -> Floats:
    """Return stable's share of bad answers as known before each look, in (0, 1).

    Starts from half a bad answer in fifty. Any start is valid; a high one would hide a bad first
    look in warm-up, where the border bends with the rate.
    """
    known = terms.calibration.history + folded.stable
    bad = known.bad + PRIOR_BAD + np.cumsum(table.stable_bad) - table.stable_bad
    total = known.total + PRIOR_TOTAL + np.cumsum(table.stable_total) - table.stable_total
    return bad / total


def margin(terms: Terms, table: Table) -> Floats:
    """Return the factor that pods alone may differ by, per look and before its cap."""
    calibration = terms.calibration
    return nulls.pod_margin(
        calibration.spread, calibration.quantile, table.candidate_pods, table.stable_pods
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """One direction of one proportion that is bounded.

    Attributes:
        terms: What was fixed before the first look.
        folded: The looks before those of the table.
        table: The looks, oldest first.
        rate: Stable's share of bad answers known before each look, see `stable_rate`.
        index: Of the direction in `Tolerance.sides`.
    """

    terms: Terms
    folded: Folded
    table: Table
    rate: Floats
    index: int

    @property
    def side(self) -> Side:
        """The direction."""
        return self.terms.tolerance.sides[self.index]

    @property
    def before(self) -> FoldedSide:
        """What is left of the looks before those of the table."""
        return self.folded.of_side(self.index)

    @classmethod
    def each(cls, terms: Terms, folded: Folded, table: Table) -> "tuple[Asked, ...]":
        """Return every direction that is bounded."""
        rate = stable_rate(terms, folded, table)
        places = range(len(terms.tolerance.sides))
        return tuple(cls(terms, folded, table, rate, index) for index in places)


@dataclass(frozen=True, slots=True)
class Unrolled:
    """What "worse?" is made of.

    Attributes:
        log_e: ln e of each expert in each look, shape (experts, looks).
        cells: What it falls by without the worst cell of the look, same shape.
        log_prior: ln of the prior of a start at each look, shape (looks,).
    """

    log_e: Floats
    cells: Floats
    log_prior: Floats

    def starts(self, before: FoldedSide) -> mixture.Starts:
        """Return the starts of the looks, after those of the looks before."""
        return mixture.Starts.of(self.log_e, self.log_prior, np.array(before.log_worse))


def unroll(asked: Asked) -> Unrolled:
    """Return ln e of "worse?" per expert and look."""
    bet, log_e, arms = _log_worse(asked)
    cells = sides.loss_of_cell(asked.side, bet, log_e, arms, asked.table)
    for array in (log_e, cells):
        array /= asked.terms.calibration.phi_worse
        array[0] *= asked.table.warm == 0
    number, seconds = asked.table.number, asked.terms.interval_seconds
    prior = mixture.log_start_prior(number * seconds, asked.folded.number * seconds)
    shape = (EXPERTS, len(number))
    return Unrolled(log_e.reshape(shape), cells.reshape(shape), prior)


def log_safe(asked: Asked, step: int, rows: Rows) -> Floats | None:
    """Return ln e of "safe?" for the next exposure of a step, shape (tilts, rows).

    None where nothing at that exposure could be too much.
    """
    null = sides.border(asked.side, asked.terms.tolerance, asked.terms.exposure(step))
    if null is None:
        return None
    arms = sides.pairs(asked.side, asked.table, rows)
    rate = sides.known_rate(asked.side, null, asked.rate[rows])
    return Bet.on(Question.SAFE, arms, null, rate).gains().log_e(arms)


def _log_worse(asked: Asked) -> tuple[Bet, Floats, Pairs]:
    """Return the stakes, ln e of shape (borders, tilts, looks), and the arms."""
    arms = sides.pairs(asked.side, asked.table)
    null, rate = _borders(asked)
    bet = Bet.on(Question.WORSE, arms, null, rate)
    return bet, bet.gains().log_e(arms), arms


def _borders(asked: Asked) -> tuple[Null, Floats]:
    """Return the near and the far border, shape (2, looks), and the second arm's known share."""
    terms = asked.terms
    plain = sides.border(asked.side, terms.tolerance)
    if plain is None:
        raise ValueError("a decrease by 100 % is no bound")
    rate = sides.known_rate(asked.side, plain, asked.rate)
    near = nulls.with_margin(plain, np.minimum(margin(terms, asked.table), nulls.MARGIN_CAP))
    far = nulls.far(near, plain.slack, rate)
    return Null(np.stack((near.ratio, far.ratio)), np.stack((near.slack, far.slack))), rate
