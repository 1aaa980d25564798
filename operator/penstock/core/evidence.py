"""The evidence of one metric as a pure function of its record.

"Worse?" is asked of the whole release at full exposure by twenty experts: ten tilts under the near
border, which skip warm-up, and ten under the far one, which do not. "Safe?" is asked of one step at
the next exposure by ten. Each ln e is divided by the over-dispersion inside all sums.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core.looks import NO_COUNTS, Counts, Table
from penstock.core.stats import mixture, nulls
from penstock.core.stats.proportion import Bet, Cell, Null, Pairs, Question
from penstock.core.terms import Terms

Floats = NDArray[np.float64]

PRIOR_BAD = 0.5
PRIOR_TOTAL = 50.0
_EXPERT_LOG_WEIGHTS = np.tile(mixture.LOG_WEIGHTS, 2) - math.log(2)
_EXPERTS = len(_EXPERT_LOG_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left of looks that are no longer kept.

    Attributes:
        number: The last of them, 0 for none.
        step: Its step.
        stable: Sum of stable's answers.
        log_worse: ln S per expert.
        worst_cells: Per expert the greatest ln e of a single cell, >= 0.
        log_safe: Per tilt the sum of ln e for `step`.
        answers: Candidate's and stable's answers in `step`.
        baked: Looks with data per step.
    """

    number: int = 0
    step: int = 0
    stable: Counts = NO_COUNTS
    log_worse: tuple[float, ...] = (-math.inf,) * _EXPERTS
    worst_cells: tuple[float, ...] = (0.0,) * _EXPERTS
    log_safe: tuple[float, ...] = (0.0,) * len(mixture.TILTS)
    answers: tuple[int, int] = (0, 0)
    baked: tuple[int, ...] = ()


NOTHING_FOLDED = Folded()


@dataclass(frozen=True, slots=True)
class Evidence:
    """Natural logs of e-values: exp(worse) to 1 that the candidate is worse than tolerated.

    Attributes:
        worse: At full exposure, over the whole release.
        worse_without_worst_cell: The same without the one scrape target in one look that adds most.
        safe: At the next exposure, over the looks of one step that are not in warm-up.
    """

    worse: float = 0.0
    worse_without_worst_cell: float = 0.0
    safe: float = 0.0


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
    rate = stable_rate(terms, folded, table)
    unrolled = _unroll(terms, folded, table, rate)
    starts = unrolled.starts(folded)
    cells = np.concatenate((np.array(folded.worst_cells)[:, None], unrolled.cells), -1)
    without = starts.log_without_each(cells) + _EXPERT_LOG_WEIGHTS[:, None]
    safe = _log_safe(terms, folded, table, rate, step)
    to_come = mixture.log_prior_to_come(table.number[-1] * terms.interval_seconds)
    return Evidence(
        worse=_with_prior(mixture.log_sum(starts.log_total() + _EXPERT_LOG_WEIGHTS), to_come),
        worse_without_worst_cell=_with_prior(mixture.log_sum(without, 0).min(), to_come),
        safe=float(mixture.log_sum(safe + mixture.LOG_WEIGHTS)),
    )


def fold(terms: Terms, folded: Folded, table: Table) -> Folded:
    """Return what is left of at least one look; nothing that `weigh` needs later is lost.

    Only the single cells are kept roughly: the greatest of each expert may stem from different
    looks, which makes the evidence without them smaller, never larger.
    """
    rate = stable_rate(terms, folded, table)
    unrolled = _unroll(terms, folded, table, rate)
    step = int(table.step[-1])
    cells = np.maximum(unrolled.cells.max(-1), folded.worst_cells)
    return Folded(
        number=int(table.number[-1]),
        step=step,
        stable=folded.stable + Counts(int(table.stable_total.sum()), int(table.stable_bad.sum())),
        log_worse=tuple(unrolled.starts(folded).log_total().tolist()),
        worst_cells=tuple(cells.tolist()),
        log_safe=tuple(_log_safe(terms, folded, table, rate, step).tolist()),
        answers=answers(folded, table, step),
        baked=baked_looks(folded, table),
    )


def answers(folded: Folded, table: Table, step: int) -> tuple[int, int]:
    """Return how many answers the candidate and stable gave in the newest step."""
    rows = table.step == step
    before = folded.answers if folded.step == step else (0, 0)
    return (
        before[0] + int(table.candidate_total[rows].sum()),
        before[1] + int(table.stable_total[rows].sum()),
    )


def baked_looks(folded: Folded, table: Table) -> tuple[int, ...]:
    """Return how many looks had data, per step."""
    with_data = table.candidate_total + table.stable_total > 0
    seen = np.bincount(table.step[with_data].astype(np.int64), minlength=len(folded.baked))
    seen[: len(folded.baked)] += np.array(folded.baked, dtype=np.int64)
    return tuple(seen.tolist())


def stable_rate(terms: Terms, folded: Folded, table: Table) -> Floats:
    """Return stable's share of bad answers as known before each look, in (0, 1).

    Starts from half a bad answer in fifty. Any start is valid; a high one would hide a bad first
    look in warm-up, where the border bends with the rate.
    """
    known = terms.calibration.history + folded.stable
    bad = known.bad + PRIOR_BAD + np.cumsum(table.stable_bad) - table.stable_bad
    total = known.total + PRIOR_TOTAL + np.cumsum(table.stable_total) - table.stable_total
    return bad / total


def margin(terms: Terms, table: Table) -> Floats:
    """Return the factor that pods alone may differ by, per look and before its cap."""
    calibration = terms.calibration
    return nulls.pod_margin(
        calibration.spread, calibration.quantile, table.candidate_pods, table.stable_pods
    )


@dataclass(frozen=True, slots=True)
class _Unrolled:
    """`log_e` and `cells` of shape (experts, looks), `log_prior` of shape (looks,)."""

    log_e: Floats
    cells: Floats
    log_prior: Floats

    def starts(self, folded: Folded) -> mixture.Starts:
        return mixture.Starts.of(self.log_e, self.log_prior, np.array(folded.log_worse))


def _unroll(terms: Terms, folded: Folded, table: Table, rate: Floats) -> _Unrolled:
    pairs = _pairs(table)
    bet = Bet.on(Question.WORSE, pairs, _borders(terms, table, rate), rate)
    gains = bet.gains()
    log_e = gains.log_e(pairs)
    cells = bet.log_e_of_cell(gains, pairs, Cell(table.worst_total, table.worst_bad))
    for array in (log_e, cells):
        array /= terms.calibration.phi
        array[0] *= table.warm == 0
    seconds = terms.interval_seconds
    prior = mixture.log_start_prior(table.number * seconds, folded.number * seconds)
    shape = (_EXPERTS, len(table.number))
    return _Unrolled(log_e.reshape(shape), np.maximum(cells, 0.0).reshape(shape), prior)


def _borders(terms: Terms, table: Table, rate: Floats) -> Null:
    plain = nulls.tolerated(terms.tolerance.max_increase, terms.tolerance.slack)
    near = nulls.with_margin(plain, np.minimum(margin(terms, table), nulls.MARGIN_CAP))
    far = nulls.far(near, plain.slack, rate)
    return Null(np.stack((near.ratio, far.ratio)), np.stack((near.slack, far.slack)))


def _log_safe(terms: Terms, folded: Folded, table: Table, rate: Floats, step: int) -> Floats:
    asked = (table.step == step) & (table.warm == 0)
    pairs = _pairs(table, asked)
    tolerance = terms.tolerance
    null = nulls.tolerated(tolerance.max_increase, tolerance.slack, terms.exposure(step))
    log_e = Bet.on(Question.SAFE, pairs, null, rate[asked]).gains().log_e(pairs)
    before = np.array(folded.log_safe) if folded.step == step else 0.0
    total: Floats = log_e.sum(-1) / terms.calibration.phi + before
    return total


def _pairs(table: Table, rows: NDArray[np.bool_] | slice = slice(None)) -> Pairs:
    return Pairs(
        table.candidate_total[rows],
        table.candidate_bad[rows],
        table.stable_total[rows],
        table.stable_bad[rows],
    )


def _with_prior(log_started: Floats, log_to_come: float) -> float:
    return float(np.logaddexp(log_started, log_to_come))
