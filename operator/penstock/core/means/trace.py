"""The evidence of a mean after each look, of all looks at once."""

from dataclasses import dataclass

import numpy as np

from penstock.core.evidence import Evidence
from penstock.core.means.looks import Floats
from penstock.core.means.weighing import Weighing
from penstock.core.means.worse import Worse, either
from penstock.core.trace import Trace


@dataclass(frozen=True, slots=True)
class MeanTrace(Trace):
    """The evidence after each look; `worse_sides` and `safe_sides` take the place of `sides`.

    Attributes:
        worse_sides: What "worse?" is asked with, per direction that is bounded.
        safe_sides: "Safe?" asked of the step of each look, shape (directions, looks).
        compared: Looks of that step that were compared by then, shape (looks,).
    """

    worse_sides: tuple[Worse, ...]
    safe_sides: Floats
    compared: Floats

    @classmethod
    def of_mean(cls, weighing: Weighing) -> "MeanTrace":
        """Return the evidence after each look of a record that keeps all of them."""
        worse = tuple(weighing.worse(index) for index in range(len(weighing.sides)))
        each = np.stack([one.log_each() for one in worse])
        safe, compared = _safe(weighing)
        log_worse = each.max(0) - np.log(len(worse))
        return cls((), log_worse, safe.min(0), worse, safe, compared)

    def at(self, index: int) -> Evidence:
        """Return the evidence after a look."""
        each = zip(self.worse_sides, self.safe_sides[:, index].tolist(), strict=True)
        return either([one.evidence(index, safe) for one, safe in each])


def _safe(weighing: Weighing) -> tuple[Floats, Floats]:
    """Return ln of the evidence of "safe?" for the step of each look, (directions, looks).

    And of how many looks of that step it is, shape (looks,).
    """
    steps = weighing.table.step
    log_e, compared = np.zeros((len(weighing.sides), len(steps))), np.zeros(len(steps))
    for step in np.unique(steps).astype(np.int64).tolist():
        rows, shown = steps == step, weighing.in_step(step)
        compared[rows] = shown.looks[rows]
        for place, side in enumerate(weighing.sides):
            log_e[place, rows] = weighing.log_safe(side, shown, step)[rows]
    return log_e, compared
