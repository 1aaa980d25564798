"""Mixtures of e-processes: over tilts, and over the moments at which a fault may have begun.

An expert is one tilt under one null. Each expert's evidence is averaged over start times,
S <- (S + prior of this start) * e, which needs one number per expert whatever the past. All sums
are kept as natural logs. Shapes: (experts, looks) and (experts,).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TILTS: Floats = np.linspace(0.15, 3.2, 10)
_SPREAD = 1.2
START_SCALE_SECONDS = 600.0
FIRST_START_SHARE = 0.5


def log_sum(values: Floats, axis: int = -1) -> Floats:
    """Return ln of the sum of exponentials along an axis that is not empty."""
    top: Floats = values.max(axis, keepdims=True)
    if np.isfinite(top).all():
        total: Floats = np.log(np.exp(values - top).sum(axis))
        return total + top.squeeze(axis)
    finite = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - finite).sum(axis))
    return total + finite.squeeze(axis)


def log_add(a: Floats, b: Floats) -> Floats:
    """Return ln(exp(a) + exp(b)), faster than `numpy.logaddexp`; not both may be -inf."""
    top = np.maximum(a, b)
    result: Floats = top + np.log1p(np.exp(np.minimum(a, b) - top))
    return result


def _log_weights() -> Floats:
    raw = -0.5 * (TILTS / _SPREAD) ** 2
    return np.asarray(raw - log_sum(raw))


LOG_WEIGHTS: Floats = _log_weights()


def log_prior_to_come(seconds: Floats) -> Floats:
    """Return ln of the prior mass of starts later than moments: 1/2 / (1 + ln(1 + t / 10 min))."""
    result: Floats = np.log(1 - FIRST_START_SHARE) - np.log1p(
        np.log1p(seconds / START_SCALE_SECONDS)
    )
    return result


def log_start_prior(ends: Floats, before: float) -> Floats:
    """Return ln of the prior mass of starts at each look.

    A start within a gap is a start at the look after it. Half of all mass is on the first look.

    Args:
        ends: End of each look in seconds since t0, rising, shape (looks,).
        before: End of the look before the first one, in seconds; 0 when there is none.
    """
    edges = np.concatenate(([before], ends)) / START_SCALE_SECONDS
    age = 1 + np.log1p(edges)
    step = np.log1p((edges[1:] - edges[:-1]) / (1 + edges[:-1]))
    mass = (1 - FIRST_START_SHARE) * step / (age[1:] * age[:-1])
    if before == 0.0:
        mass[:1] += FIRST_START_SHARE
    result: Floats = np.log(mass)
    return result


@dataclass(frozen=True, slots=True)
class Starts:
    """Evidence of each expert split by the look at which a fault is taken to have begun.

    Attributes:
        parts: Shape (experts, 1 + looks), scaled to a maximum of 1; the first column is all starts
            before the looks.
        log_scale: Shape (experts, 1).
    """

    parts: Floats
    log_scale: Floats

    @classmethod
    def of(cls, log_e: Floats, log_prior: Floats, log_before: Floats) -> "Starts":
        """Return the evidence after at least one look.

        Args:
            log_e: ln e per expert and look, shape (experts, looks).
            log_prior: From `log_start_prior`, shape (looks,).
            log_before: ln S before the looks, -inf where nothing was seen, shape (experts,).
        """
        sums = np.cumsum(log_e, -1)
        parts = np.empty((len(log_e), 1 + len(log_prior)))
        parts[:, 0] = log_before
        parts[:, 1] = log_prior[0]
        np.subtract(log_prior[1:], sums[:, :-1], out=parts[:, 2:])
        top = parts.max(-1, keepdims=True)
        parts -= top
        return cls(np.exp(parts, out=parts), top + sums[:, -1:])

    def log_total(self) -> Floats:
        """Return ln S of each expert, shape (experts,)."""
        total: Floats = np.log(self.parts.sum(-1)) + self.log_scale[:, 0]
        return total

    def log_without_each(self, cells: Floats) -> Floats:
        """Return ln S of each expert, once per look with that look's cell left out.

        Starts later than a look do not contain it. Where ln S spans more than the range of float64,
        what is lost makes the result smaller, never larger.

        Args:
            cells: What ln e falls by without the cell, >= 0, shape (experts, 1 + looks); the first
                column is the greatest among the looks before.
        """
        later = np.zeros_like(self.parts)
        np.cumsum(self.parts[:, :0:-1], -1, out=later[:, -2::-1])
        with np.errstate(divide="ignore"):
            containing, later = np.log(np.cumsum(self.parts, -1)), np.log(later)
        return log_add(containing - cells, later) + self.log_scale
