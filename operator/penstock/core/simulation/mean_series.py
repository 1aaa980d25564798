"""The looks of one mean, and the evidence after each of them."""

from dataclasses import dataclass, field

import numpy as np

from penstock.core.ledger import Guardrail
from penstock.core.means.looks import COLUMNS, Floats, MeanTable
from penstock.core.means.record import MeanRecord
from penstock.core.means.trace import MeanTrace
from penstock.core.means.weighing import Weighing
from penstock.core.simulation.pods import Integers
from penstock.core.simulation.series import PLACE, Flags

_SHARED = ("number", "step", "warm", "candidate_pods", "stable_pods")
_PLACE = {name: index for index, name in enumerate(COLUMNS)}


def _no_looks() -> Floats:
    return np.zeros((len(COLUMNS), 0))


@dataclass
class MeanSeries:
    """One mean.

    Attributes:
        rail: The metric.
        record: How it is judged; without looks.
        columns: Its looks, shape (columns of `means.looks.COLUMNS`, looks).
    """

    rail: Guardrail
    record: MeanRecord
    columns: Floats = field(default_factory=_no_looks)

    @property
    def squares(self) -> bool:
        """Whether sums of squares are counted."""
        return self.rail.mean is not None and self.rail.mean.sum_of_squares is not None

    def extend(
        self,
        fresh: Integers,
        candidate: tuple[Floats, Floats],
        stable: tuple[Floats, Floats],
    ) -> None:
        """Add looks.

        Args:
            fresh: Their columns of `looks.COLUMNS` that all metrics have in common.
            candidate: The sums of its values, and of their squares, by look and pod.
            stable: The same of stable.
        """
        new = np.zeros((len(COLUMNS), fresh.shape[1]))
        for name in _SHARED:
            new[_PLACE[name]] = fresh[PLACE[name]]
        for arm, (total, squares) in (("candidate", candidate), ("stable", stable)):
            new[_PLACE[f"{arm}_count"]] = fresh[PLACE[f"{arm}_total"]]
            new[_PLACE[f"{arm}_total"]] = total.sum(-1)
            new[_PLACE[f"{arm}_squares"]] = squares.sum(-1) if self.squares else np.nan
            new[_PLACE[f"{arm}_finite"]] = 1.0
        self.columns = np.concatenate((self.columns, new), 1)

    def cut(self, count: int) -> None:
        """Forget all looks but the first ones."""
        self.columns = self.columns[:, :count]

    def packed(self, rows: Flags) -> bytes:
        """Return some looks as rows of a record."""
        return np.ascontiguousarray(self.columns[:, rows].T, dtype="<f8").tobytes()

    def trace(self, rows: Flags) -> MeanTrace:
        """Return the evidence after each of some looks, at least one."""
        table = MeanTable(*self.columns[:, rows])
        return MeanTrace.of_mean(Weighing(self.record.terms, self.record.between, table))
