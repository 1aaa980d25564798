"""The looks of one metric that compares, and the evidence after each of them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.core.asked import stable_rate
from penstock.core.folded import NOTHING_FOLDED
from penstock.core.ledger import Guardrail
from penstock.core.looks import COLUMNS, Table
from penstock.core.simulation.pods import Integers
from penstock.core.stats.nulls import Side
from penstock.core.terms import Terms
from penstock.core.trace import Trace, trace

Flags = NDArray[np.bool_]

PLACE = {name: index for index, name in enumerate(COLUMNS)}
"""Where each of `looks.COLUMNS` stands."""


def no_looks() -> Integers:
    """Return the columns of no look."""
    return np.zeros((len(COLUMNS), 0), np.int64)


@dataclass
class Series:
    """One metric that compares.

    Attributes:
        rail: The metric.
        counts_good: Whether its hits are good answers.
        terms: How it is judged.
        columns: Its looks, shape (columns of `looks.COLUMNS`, looks).
    """

    rail: Guardrail
    counts_good: bool
    terms: Terms
    columns: Integers = field(default_factory=no_looks)

    def extend(self, fresh: Integers, requests: Integers, hits: Integers) -> None:
        """Add looks; the candidate's requests and hits by pod, (looks, pods), tell the cells."""
        fresh[PLACE["candidate_bad"]] = hits.sum(-1)
        self.columns = np.concatenate((self.columns, fresh), 1)
        new, rows = self.columns[:, -len(hits) :], np.arange(len(hits))
        rate = stable_rate(self.terms, NOTHING_FOLDED, _table(self.columns))
        known, tolerance = rate[-len(hits) :].tolist(), self.terms.tolerance
        for side in tolerance.sides:
            more = side is Side.MORE
            name, bound_of, sign = (
                ("worst", tolerance.most, 1) if more else ("least", tolerance.least, -1)
            )
            bounds = np.array([bound_of(one) for one in known])[:, None]
            cell = (sign * (hits - requests * bounds)).argmax(-1)
            new[PLACE[f"{name}_total"]] = requests[rows, cell]
            new[PLACE[f"{name}_bad"]] = hits[rows, cell]

    def cut(self, count: int) -> None:
        """Forget all looks but the first ones."""
        self.columns = self.columns[:, :count]

    def trace(self, rows: Flags) -> Trace:
        """Return the evidence after each of some looks, at least one.

        One part tells for all: the parts of a metric have the same counts here.
        """
        return Trace.of(trace(self.terms, _table(self.columns[:, rows])))


def _table(columns: Integers) -> Table:
    return Table(*columns.astype(np.float64))
