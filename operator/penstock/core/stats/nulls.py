"""What is tolerated, as borders p_candidate = ratio * p_stable + slack.

A bound on a decrease is the same border with the arms swapped: p_stable = ratio * p_candidate +
slack, with ratio 1 / (1 - d) and slack s / (1 - d) for p_candidate >= (1 - d) p_stable - s.
"""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from penstock.core.stats.proportion import Null

Floats = NDArray[np.float64]

FAR_ODDS = 8.0
MARGIN_CAP = 4.0


class Side(Enum):
    """Which way the candidate's share may be too far from stable's."""

    MORE = "more"
    LESS = "less"


def tolerated(side: Side, change: float, slack: float, exposure: float = 1.0) -> Null | None:
    """Return the border at one exposure, each part of shape (1,); None where none is too far.

    Args:
        side: Which change is bounded; for LESS the border is that of the swapped arms.
        change: Tolerated change of stable's share, in percent.
        slack: Tolerated on top, in percentage points.
        exposure: Share of users that will be exposed, in (0, 1]: what few see may be worse.
    """
    share, offset = change / 100 / exposure, slack / 100 / exposure
    if side is Side.MORE:
        return Null(np.array([1 + share]), np.array([offset]))
    if share >= 1:
        return None
    return Null(np.array([1 / (1 - share)]), np.array([offset / (1 - share)]))


def pod_margin(
    spread: float, quantile: float, candidate_pods: Floats, stable_pods: Floats
) -> Floats:
    """Return the factor by which pods alone may differ, before the cap `MARGIN_CAP`.

    Args:
        spread: Standard deviation of the log rates of single pods.
        quantile: How many standard deviations are allowed for.
        candidate_pods: Pods per look; 0 counts as 1.
        stable_pods: The same for stable.
    """
    inverse = 1 / np.maximum(candidate_pods, 1.0) + 1 / np.maximum(stable_pods, 1.0)
    result: Floats = np.exp(quantile * spread * np.sqrt(inverse))
    return result


def with_margin(null: Null, margin: Floats) -> Null:
    """Return the border moved by a factor per look."""
    return Null(null.ratio * margin, null.slack * margin)


def far(near: Null, slack: Floats, rate: Floats) -> Null:
    """Return a border that no cold start crosses: the tangent of "odds ratio <= 8".

    The border of an odds ratio is concave in p_stable, so its tangent at any rate contains it. It
    also contains the near border: neither its ratio nor its slack is smaller.

    Args:
        near: The border with its margin, per look.
        slack: The tolerated slack without a margin, as a share.
        rate: Stable's share of bad answers known before each look.
    """
    bend = 1 + (FAR_ODDS - 1) * rate
    ratio, offset = FAR_ODDS / bend**2, FAR_ODDS * (FAR_ODDS - 1) * (rate / bend) ** 2
    return Null(np.maximum(ratio, near.ratio), np.maximum(offset + FAR_ODDS * slack, near.slack))
