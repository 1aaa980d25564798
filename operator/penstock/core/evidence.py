"""The evidence of one proportion as a pure function of its record.

What each look adds (see `asked`) is summed, and each ln e is divided by the over-dispersion inside
all sums. Where both directions are bounded, "worse?" is the average of both, and "safe?" the
lesser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.asked import EXPERT_LOG_WEIGHTS, Asked, log_safe, unroll
from penstock.core.folded import Folded, FoldedSide, answers, baked_looks
from penstock.core.looks import Counts, Table
from penstock.core.stats import mixture
from penstock.core.stats.nulls import Side
from penstock.core.terms import Terms

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Natural logs of e-values: exp(worse) to 1 that the candidate is worse than tolerated.

    Attributes:
        worse: At full exposure, over the whole release.
        worse_without_worst_cell: The same without the one scrape target in one look that adds most.
        safe: At the next exposure, over the looks of one step that are not in warm-up; infinite
            where nothing at that exposure could be too much.
        worse_side: The direction that tells most for worse.
        safe_side: The direction that tells least for safe.
    """

    worse: float = 0.0
    worse_without_worst_cell: float = 0.0
    safe: float = 0.0
    worse_side: Side = Side.MORE
    safe_side: Side = Side.MORE


def together(found: Sequence[Evidence]) -> Evidence:
    """Return the evidence that any of several is worse, and that each of them is safe.

    The average of e-values is one, however they depend on each other. The proof that all are safe
    is the weakest one: no level is lost, since a version that is unsafe in one must pass that one.
    """
    if len(found) == 1:
        return found[0]
    share = math.log(len(found))
    worst, weakest = max(found, key=lambda e: e.worse), min(found, key=lambda e: e.safe)
    without = np.array([e.worse_without_worst_cell for e in found])
    return Evidence(
        worse=float(mixture.log_sum(np.array([e.worse for e in found]))) - share,
        worse_without_worst_cell=float(mixture.log_sum(without)) - share,
        safe=weakest.safe,
        worse_side=worst.worse_side,
        safe_side=weakest.safe_side,
    )


def weigh(terms: Terms, folded: Folded, table: Table, step: int) -> Evidence:
    """Return the evidence after all looks.

    Args:
        terms: What was fixed before the first look.
        folded: The looks before those of the table.
        table: The looks kept, oldest first.
        step: The step whose next exposure "safe?" is asked for.
    """
    if len(table.number) == 0:
        return Evidence()
    return together([_weigh_side(one, step) for one in Asked.each(terms, folded, table)])


def fold(terms: Terms, folded: Folded, table: Table) -> Folded:
    """Return what is left of at least one look; nothing that `weigh` needs later is lost.

    Only the single cells are kept roughly: the greatest of each expert may stem from different
    looks, which makes the evidence without them smaller, never larger.
    """
    step = int(table.step[-1])
    return Folded(
        number=int(table.number[-1]),
        step=step,
        stable=folded.stable + Counts(int(table.stable_total.sum()), int(table.stable_bad.sum())),
        answers=answers(folded, table, step),
        baked=baked_looks(folded, table),
        sides=tuple(_fold_side(one, step) for one in Asked.each(terms, folded, table)),
    )


def _weigh_side(asked: Asked, step: int) -> Evidence:
    unrolled = unroll(asked)
    starts = unrolled.starts(asked.before)
    cells = np.concatenate((np.array(asked.before.worst_cells)[:, None], unrolled.cells), -1)
    without = starts.log_without_each(cells) + EXPERT_LOG_WEIGHTS[:, None]
    safe = _log_safe(asked, step)
    seconds = asked.table.number[-1] * asked.terms.interval_seconds
    to_come = mixture.log_prior_to_come(seconds)
    return Evidence(
        worse=_with_prior(mixture.log_sum(starts.log_total() + EXPERT_LOG_WEIGHTS), to_come),
        worse_without_worst_cell=_with_prior(mixture.log_sum(without, 0).min(), to_come),
        safe=float(mixture.log_sum(safe + mixture.LOG_WEIGHTS)),
        worse_side=asked.side,
        safe_side=asked.side,
    )


def _fold_side(asked: Asked, step: int) -> FoldedSide:
    unrolled = unroll(asked)
    cells = np.maximum(unrolled.cells.max(-1), asked.before.worst_cells)
    return FoldedSide(
        log_worse=tuple(unrolled.starts(asked.before).log_total().tolist()),
        worst_cells=tuple(cells.tolist()),
        log_safe=tuple(_log_safe(asked, step).tolist()),
    )


def _log_safe(asked: Asked, step: int) -> Floats:
    """Return ln e of "safe?" per tilt, summed over the looks of a step."""
    table = asked.table
    each = log_safe(asked, step, (table.step == step) & (table.warm == 0))
    if each is None:
        return np.full(len(mixture.TILTS), np.inf)
    before = np.array(asked.before.log_safe) if asked.folded.step == step else 0.0
    total: Floats = each.sum(-1) / asked.terms.calibration.phi + before
    return total


def _with_prior(log_started: Floats, log_to_come: Floats) -> float:
    return float(np.logaddexp(log_started, log_to_come))
