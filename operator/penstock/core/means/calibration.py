"""What stable's past tells of the chance in the looks of a mean."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import Counts
from penstock.core.stats import calibration, contrasts
from penstock.core.streams import Arm, Setup
from penstock.core.terms import WITHOUT_HISTORY, Calibration

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MeanChance:
    """What chance alone does to a mean; the defaults are for no history.

    Attributes:
        calibration: How alike neighbouring looks are (`phi`), and how pods differ.
        between: How much a look varies beyond its answers, see `contrasts.weights`.
        noise: Variance of one answer over the square of the mean, 0 where it is not known.
    """

    calibration: Calibration = WITHOUT_HISTORY
    between: float = 0.0
    noise: float = 0.0

    def for_looks(self, row_seconds: float, look_seconds: float, count: Floats) -> "MeanChance":
        """Return it for looks of another length than the rows, with the length of the history.

        Args:
            row_seconds: How long the rows of the history last.
            look_seconds: Time between looks.
            count: The answers of the history, shape (rows, pods).
        """
        seconds = float((count.sum(-1) > 0).sum()) * row_seconds
        fixed = replace(self.calibration, seconds=seconds)
        return replace(self, calibration=fixed, between=self.between * row_seconds / look_seconds)


def chance(setup: Setup, history: Arm, seconds: float) -> MeanChance:
    """Return what stable's history says of the looks of a stream.

    Args:
        setup: How it is judged.
        history: Stable's answers, shape (intervals, pods, 2 or 3): count, sum, squares.
        seconds: How long its intervals last.
    """
    if not history.counts.size:
        return MeanChance()
    count, total, *squares = (
        calibration.in_minutes(history.counts[..., part], seconds)
        for part in range(history.counts.shape[-1])
    )
    if not calibration.is_long_enough(count, max(seconds, 60.0)):
        return MeanChance()
    found = calibrate(count, total, squares[0] if squares else None, setup.alpha)
    rows_last = seconds * max(round(60 / seconds), 1)
    return found.for_looks(rows_last, setup.interval_seconds, count)


def calibrate(count: Floats, total: Floats, squares: Floats | None, alpha: float) -> MeanChance:
    """Return what a history says; `between` is that of looks as long as its rows.

    By `stats.calibration`: each pod in turn plays the candidate, and its sum has the expectation
    X s where X is the sum of all pods and s its share of the answers. The sums are told in the unit
    in which their variance in one row is X s (1 - s). Then the over-dispersion is what blocks of 4
    and 12 rows vary beyond single rows (shrunk to 1.5 with 8 degrees of freedom), and the pods'
    constant differences tell the spread of their log means (shrunk to .1 with 4), with its t
    quantile. Looks within one row are taken to be independent.

    Args:
        count: Answers per minute and pod, shape (minutes, pods); 0 where a pod was not there.
        total: Their sums.
        squares: Sums of their squares; None where they are not known: `between` is then 0.
        alpha: Chance of a false alarm of the guardrail, 0 to 1.
    """
    kept = count.sum(0) > 0
    count, total = count[:, kept], total[:, kept]
    history = Counts(int(count.sum()), 0)
    unit = _unit(count, total)
    if not unit > 0:
        return MeanChance(replace(WITHOUT_HISTORY, history=history))
    seen = calibration.calibrate(count, total / unit, alpha)
    between = 0.0 if squares is None else _between(count, total, squares[:, kept])
    fixed = Calibration(seen.phi, seen.spread, seen.quantile, history, seen.cautious_phi)
    return MeanChance(fixed, between, unit * float(count.sum() / total.sum()))


def _unit(count: Floats, total: Floats) -> float:
    """Return the variance of the pods' sums in one row over X s (1 - s); nan where unknown."""
    share = count / np.maximum(count.sum(1, keepdims=True), 1.0)
    all_pods = total.sum(1, keepdims=True)
    residual, scale = total - all_pods * share, all_pods * share * (1 - share)
    whole = scale.sum(0)
    if len(count) < 2 or not (whole > 0).any() or (all_pods < 0).any():
        return np.nan
    constant = residual.sum(0) / np.where(whole > 0, whole, 1.0)
    expected = whole.sum() * (1 - 1 / len(count))
    return float(((residual - scale * constant) ** 2).sum() / expected)


def _between(count: Floats, total: Floats, squares: Floats) -> float:
    """Return the variance of a pod's contrast with the others beyond that of its answers, over it.

    By moments, each pod's constant difference taken out: with weights w as of `contrasts.weights`,
    sum w (y - mean)^2 is v (n - 1) + v between (W - sum w^2 / W) where v is the variance of one
    answer.
    """
    others = count.sum(1, keepdims=True) - count
    weight, safe = contrasts.weights(count, others), np.maximum(count, 1.0)
    rest = (total.sum(1, keepdims=True) - total) / np.maximum(others, 1.0)
    y, within = total / safe - rest, squares - total**2 / safe
    answer = within.sum() / max((count - 1).clip(0).sum(), 1.0)
    whole = np.maximum(weight.sum(0), 1e-300)
    around = y - (weight * y).sum(0) / whole
    excess = (weight * around**2).sum(0) / answer - np.maximum((weight > 0).sum(0) - 1, 0)
    room = (whole - (weight**2).sum(0) / whole).sum()
    return float(max(excess.sum() / room, 0.0)) if answer > 0 and room > 0 else 0.0
