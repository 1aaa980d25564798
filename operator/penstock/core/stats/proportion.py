"""The two tests of a proportion: what one look adds to the evidence, per tilt.

Null hypothesis, per look: p_candidate <= ratio * p_stable + slack ("worse?" rejects it), or the
same with >= ("safe?" rejects it). With a stake L, n requests of the candidate (x bad) and m of
stable (y bad):

    ln e = (n - x) ln(1 - L slack) + x ln(1 + L (1 - slack)) + y ln(1 - L ratio n / m)

0 < L for "worse?", L < 0 for "safe?". Proof that E[e] <= 1 under the null: the expectation of e is
(1 + L (p_c - slack))^n (1 - p_b L ratio n / m)^m, and ln(1 + z) <= z bounds its logarithm by
n L (p_c - slack - ratio p_b) <= 0. The stake may depend on n, m and all earlier looks. With
slack 0 this is the conditional binomial likelihood ratio of Lindon and Malek (arXiv 2011.03567).

Shapes: counts and nulls (..., looks), all else (..., tilts, looks); any leading axes broadcast.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.mixture import TILTS

Floats = NDArray[np.float64]

BOUND_SHARE = 0.999
SAFE_SLACK_CAP = 0.95


class Question(Enum):
    """What is asked; the value is the sign of the stake."""

    WORSE = 1
    SAFE = -1


_ODDS = {question: np.expm1(question.value * TILTS)[:, None] for question in Question}


@dataclass(frozen=True, slots=True)
class Pairs:
    """Counts of both arms per look, float64 of shape (..., looks), 0 <= bad <= total."""

    candidate_total: Floats
    candidate_bad: Floats
    stable_total: Floats
    stable_bad: Floats


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of the candidate's answers in each look, float64 of shape (..., looks)."""

    total: Floats
    bad: Floats


@dataclass(frozen=True, slots=True)
class Null:
    """The border p_candidate = ratio * p_stable + slack; ratio > 0, slack >= 0 as a share."""

    ratio: Floats
    slack: Floats


@dataclass(frozen=True, slots=True)
class Gains:
    """Natural logs gained per good and bad answer of the candidate and per bad one of stable."""

    good: Floats
    bad: Floats
    stable_bad: Floats

    def log_e(self, pairs: Pairs) -> Floats:
        """Return ln e of each look and tilt."""
        good = (pairs.candidate_total - pairs.candidate_bad)[..., None, :]
        bad, stable_bad = pairs.candidate_bad[..., None, :], pairs.stable_bad[..., None, :]
        return good * self.good + bad * self.bad + stable_bad * self.stable_bad


@dataclass(frozen=True, slots=True)
class Bet:
    """The stakes on one question about looks whose outcomes are not known yet.

    Attributes:
        stake: Shape (..., tilts, looks); 0 where an arm has no request, so that e = 1.
        slack: Shape (..., 1, looks), the slack that is tested.
        exposure: Shape (..., 1, looks), ratio * n / m.
    """

    stake: Floats
    slack: Floats
    exposure: Floats

    @classmethod
    def on(cls, question: Question, pairs: Pairs, null: Null, rate: Floats) -> "Bet":
        """Return near-best stakes; uses only the totals of the looks, never their bad answers.

        Args:
            question: What is asked.
            pairs: The looks.
            null: The border. A slack above .95 is tested as .95 by "safe?": a wider null.
            rate: Stable's share of bad answers known before each look, in (0, 1), (..., looks).
        """
        slack = null.slack if question is Question.WORSE else np.minimum(null.slack, SAFE_SLACK_CAP)
        totals = pairs.candidate_total, pairs.stable_total
        exposure = null.ratio * totals[0] / np.maximum(totals[1], 1.0)
        tolerated = null.ratio * rate
        fair = exposure / (exposure + 1) * tolerated / (tolerated + slack)
        fair, exposure, slack = (array[..., None, :] for array in (fair, exposure, slack))
        surplus = _ODDS[question] * (1 - fair)
        stake = surplus / (1 + _ODDS[question] * fair + slack * surplus)
        if question is Question.WORSE:
            bound = BOUND_SHARE / np.maximum(np.maximum(exposure, slack), 1e-300)
            stake = np.minimum(stake, bound)
        else:
            stake = np.maximum(stake, -BOUND_SHARE / (1 - slack))
        stake *= (np.minimum(*totals) > 0)[..., None, :]
        return cls(stake, slack, exposure)

    def gains(self) -> Gains:
        """Return what each answer adds."""
        return Gains(
            good=np.log1p(-self.stake * self.slack),
            bad=np.log1p(self.stake * (1 - self.slack)),
            stable_bad=np.log1p(-self.stake * self.exposure),
        )

    def without_stable_cell(self, pairs: Pairs, cell: Cell) -> Floats:
        """Return ln e of each look and tilt with a part of stable left out; 0 without stable.

        The stake is kept, but for its bound, which falls with stable's answers.
        """
        total = pairs.stable_total - cell.total
        ratio = self.exposure * (pairs.stable_total / np.maximum(total, 1.0))[..., None, :]
        stake = np.clip(self.stake, -np.inf, BOUND_SHARE / np.maximum(ratio, 1e-300))
        stake = stake * (total > 0)[..., None, :]
        bad = pairs.stable_bad - cell.bad
        left = Pairs(pairs.candidate_total, pairs.candidate_bad, total, bad)
        return Bet(stake, self.slack, ratio).gains().log_e(left)

    def log_e_of_cell(self, gains: Gains, pairs: Pairs, cell: Cell) -> Floats:
        """Return how much ln e of each look falls when a part of the candidate is left out.

        The stake is kept; stable's answers then weigh as if n were smaller by the cell.
        """
        share_left = 1 - cell.total / np.maximum(pairs.candidate_total, 1.0)
        without = np.log1p(-self.stake * (self.exposure * share_left[..., None, :]))
        good, bad = (cell.total - cell.bad)[..., None, :], cell.bad[..., None, :]
        stable_bad = pairs.stable_bad[..., None, :]
        return good * gains.good + bad * gains.bad + stable_bad * (gains.stable_bad - without)
