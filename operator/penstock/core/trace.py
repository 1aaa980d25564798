"""The evidence of a record after each of its looks, of all looks at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.core.asked import EXPERT_LOG_WEIGHTS, Asked, Floats, Rows, log_safe, unroll
from penstock.core.evidence import Evidence, together
from penstock.core.folded import NOTHING_FOLDED
from penstock.core.looks import Table
from penstock.core.stats import mixture
from penstock.core.stats.nulls import Side
from penstock.core.terms import Terms


@dataclass(frozen=True, slots=True)
class SideTrace:
    """The evidence of one direction after each look.

    Attributes:
        side: The direction.
        worse: Shape (looks,), without the mass of starts to come.
        to_come: Shape (looks,).
        safe: Shape (looks,); "safe?" is asked of the step of each look.
        gained: ln of the product of e per expert up to each look, weighted, (experts, looks).
        begun: ln of the prior of a start at each look over the product before it, same shape.
        started: ln of their sum so far, same shape.
        cells: What ln e falls by without the worst cell of each look, same shape.
    """

    side: Side
    worse: Floats
    to_come: Floats
    safe: Floats
    gained: Floats
    begun: Floats
    started: Floats
    cells: Floats

    def without_worst_cell(self, index: int) -> float:
        """Return `Evidence.worse_without_worst_cell` after a look.

        An expert's sum is product * (all starts so far); without the cell of look i the starts up
        to i keep only the share exp(-cell) of theirs.
        """
        upto = slice(0, index + 1)
        started, cells = self.started[:, upto], self.cells[:, upto]
        later = np.full_like(started, -np.inf)
        later[:, :-1] = np.logaddexp.accumulate(self.begun[:, index:0:-1], -1)[:, ::-1]
        left = mixture.log_add(started - cells, later) + self.gained[:, index, None]
        return float(np.logaddexp(mixture.log_sum(left, 0).min(), self.to_come[index]))


@dataclass(frozen=True, slots=True)
class Trace:
    """What `evidence.weigh` gives after each look of a record that keeps all of them.

    Attributes:
        sides: Every direction of every part of a metric.
        worse: Shape (looks,).
        safe: Shape (looks,).
    """

    sides: tuple[SideTrace, ...]
    worse: Floats
    safe: Floats

    @classmethod
    def of(cls, sides: Sequence[SideTrace]) -> "Trace":
        """Return the evidence that any of several is worse, and that each of them is safe."""
        worse = np.stack([np.logaddexp(one.worse, one.to_come) for one in sides])
        return cls(
            tuple(sides),
            mixture.log_sum(worse, 0) - math.log(len(sides)),
            np.minimum.reduce([one.safe for one in sides]),
        )

    def at(self, index: int) -> Evidence:
        """Return the evidence after a look."""
        each = [
            Evidence(
                worse=float(np.logaddexp(one.worse[index], one.to_come[index])),
                worse_without_worst_cell=one.without_worst_cell(index),
                safe=float(one.safe[index]),
                worse_side=one.side,
                safe_side=one.side,
            )
            for one in self.sides
        ]
        return together(each)


def trace(terms: Terms, table: Table) -> tuple[SideTrace, ...]:
    """Return the evidence after each look, per direction; the table begins with the first look."""
    return tuple(_trace_side(one) for one in Asked.each(terms, NOTHING_FOLDED, table))


def _trace_side(asked: Asked) -> SideTrace:
    unrolled = unroll(asked)
    gained = np.cumsum(unrolled.log_e, -1)
    begun = unrolled.log_prior - (gained - unrolled.log_e)
    started = np.logaddexp.accumulate(begun, -1)
    gained += EXPERT_LOG_WEIGHTS[:, None]
    return SideTrace(
        side=asked.side,
        worse=mixture.log_sum(started + gained, 0),
        to_come=mixture.log_prior_to_come(asked.table.number * asked.terms.interval_seconds),
        safe=_trace_safe(asked),
        gained=gained,
        begun=begun,
        started=started,
        cells=unrolled.cells,
    )


def _trace_safe(asked: Asked) -> Floats:
    """Return ln e of "safe?" after each look, over the looks of its own step so far."""
    result = np.zeros(len(asked.table.number))
    for step in np.unique(asked.table.step):
        rows = asked.table.step == step
        result[rows] = _trace_safe_step(asked, rows, int(step))
    return result


def _trace_safe_step(asked: Asked, rows: Rows, step: int) -> Floats:
    log_e = log_safe(asked, step, rows)
    if log_e is None:
        return np.full(int(rows.sum()), np.inf)
    log_e *= asked.table.warm[rows] == 0
    sums = np.cumsum(log_e, -1) / asked.terms.calibration.phi
    return mixture.log_sum(sums + mixture.LOG_WEIGHTS[:, None], 0)
