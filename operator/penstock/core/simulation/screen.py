"""What the evidence after each look may allow, told for many looks at once."""

from dataclasses import dataclass

import numpy as np

from penstock.api.v1alpha1.analysis import OnWorse
from penstock.core.looks import Floats
from penstock.core.simulation.course import Path
from penstock.core.simulation.looks import Looks
from penstock.core.simulation.mean_series import MeanSeries
from penstock.core.simulation.rhythm import NEARLY
from penstock.core.simulation.series import Flags, Series


@dataclass(frozen=True, slots=True)
class Screen:
    """What the evidence after each look may allow, each of shape (looks,).

    Attributes:
        worse: A metric that rolls back may be worse.
        held: The same of one that holds.
        safe: All metrics that act may be safe.
    """

    worse: Flags
    held: Flags
    safe: Flags

    @classmethod
    def of(cls, made: Looks, log_needed: tuple[float, float]) -> "Screen":
        """Return it, a little more eager than the judgement: that one decides."""
        count = len(made.with_data)
        screen = cls(np.zeros(count, bool), np.zeros(count, bool), np.ones(count, bool))
        for one in made.all_series:
            if one.rail.acts:
                worse, safe = _evidence(one, made)
                acts = screen.worse if one.rail.on_worse is OnWorse.ROLLBACK else screen.held
                acts |= worse >= log_needed[0] - NEARLY
                screen.safe[:] &= safe >= log_needed[1] - NEARLY
        return screen

    def first(self, count: int) -> "Screen":
        """Return it for the first looks only."""
        return Screen(self.worse[:count], self.held[:count], self.safe[:count])


def path(made: Looks, seconds: Floats, weights: Floats) -> Path:
    """Return the evidence of the metrics that act; the looks were taken at these times.

    Args:
        made: The looks.
        seconds: When each of them was taken, shape (looks,).
        weights: The weights of the steps, in percent, shape (steps,).
    """
    acting = [_evidence(one, made) for one in made.all_series if one.rail.acts]
    nothing = np.full(len(seconds), -np.inf)
    return Path(
        seconds=seconds,
        weight=weights[made.column("step")],
        worse=np.maximum.reduce([one for one, _ in acting]) if acting else nothing,
        safe=np.minimum.reduce([one for _, one in acting]) if acting else nothing,
    )


def _evidence(series: Series | MeanSeries, made: Looks) -> tuple[Floats, Floats]:
    """Return ln of the evidence for worse and for safe after each look that was made.

    A look without answers changes nothing; nothing is safe before a step has answers.
    """
    rows, step = made.with_data, made.column("step")
    nothing = np.full(len(rows), -np.inf)
    if not rows.any():
        return nothing, nothing
    trace = series.trace(rows)
    newest = np.cumsum(rows) - 1
    any_yet = newest >= 0
    of_step = any_yet & (step[rows][newest] == step)
    return np.where(any_yet, trace.worse[newest], nothing), np.where(
        of_step, trace.safe[newest], nothing
    )
