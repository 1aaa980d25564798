"""The evidence of one proportion as a pure function of its record.

"Worse?" is asked of the whole release at full exposure by twenty experts: ten tilts under the near
border, which skip warm-up, and ten under the far one, which do not. "Safe?" is asked of one step at
the next exposure by ten. Each ln e is divided by the over-dispersion inside all sums. Where both
directions are bounded, "worse?" is the average of both, and "safe?" the lesser.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.core import sides
from penstock.core.looks import NO_COUNTS, Counts, Table
from penstock.core.stats import mixture, nulls
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Null, Pairs, Question
from penstock.core.terms import Terms

Floats = NDArray[np.float64]

PRIOR_BAD = 0.5
PRIOR_TOTAL = 50.0
_EXPERT_LOG_WEIGHTS = np.tile(mixture.LOG_WEIGHTS, 2) - math.log(2)
_EXPERTS = len(_EXPERT_LOG_WEIGHTS)


@dataclass(frozen=True, slots=True)
class FoldedSide:
    """What is left of the evidence of one direction.

    Attributes:
        log_worse: ln S per expert.
        worst_cells: Per expert the greatest ln e of a single cell, >= 0.
        log_safe: Per tilt the sum of ln e for the step.
    """

    log_worse: tuple[float, ...] = (-math.inf,) * _EXPERTS
    worst_cells: tuple[float, ...] = (0.0,) * _EXPERTS
    log_safe: tuple[float, ...] = (0.0,) * len(mixture.TILTS)


NOTHING_OF_SIDE = FoldedSide()


@dataclass(frozen=True, slots=True)
class Folded:
    """What is left of looks that are no longer kept.

    Attributes:
        number: The last of them, 0 for none.
        step: Its step.
        stable: Sum of stable's answers.
        answers: Candidate's and stable's answers in `step`.
        baked: Looks with data per step.
        sides: The evidence per direction that is bounded, in the order of `Tolerance.sides`.
    """

    number: int = 0
    step: int = 0
    stable: Counts = NO_COUNTS
    answers: tuple[int, int] = (0, 0)
    baked: tuple[int, ...] = ()
    sides: tuple[FoldedSide, ...] = ()

    def of_side(self, index: int) -> FoldedSide:
        """Return what is left of a direction."""
        return self.sides[index] if index < len(self.sides) else NOTHING_OF_SIDE


NOTHING_FOLDED = Folded()


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
    rate = stable_rate(terms, folded, table)
    each = [
        _weigh_side(_Asked(terms, folded, table, rate, index), step)
        for index in range(len(terms.tolerance.sides))
    ]
    return together(each)


def fold(terms: Terms, folded: Folded, table: Table) -> Folded:
    """Return what is left of at least one look; nothing that `weigh` needs later is lost.

    Only the single cells are kept roughly: the greatest of each expert may stem from different
    looks, which makes the evidence without them smaller, never larger.
    """
    rate = stable_rate(terms, folded, table)
    step = int(table.step[-1])
    return Folded(
        number=int(table.number[-1]),
        step=step,
        stable=folded.stable + Counts(int(table.stable_total.sum()), int(table.stable_bad.sum())),
        answers=answers(folded, table, step),
        baked=baked_looks(folded, table),
        sides=tuple(
            _fold_side(_Asked(terms, folded, table, rate, index), step)
            for index in range(len(terms.tolerance.sides))
        ),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One direction of one metric: `rate` is stable's share known before each look."""

    terms: Terms
    folded: Folded
    table: Table
    rate: Floats
    index: int

    @property
    def side(self) -> Side:
        return self.terms.tolerance.sides[self.index]

    @property
    def before(self) -> FoldedSide:
        return self.folded.of_side(self.index)


def _weigh_side(asked: _Asked, step: int) -> Evidence:
    unrolled = _unroll(asked)
    starts = unrolled.starts(asked.before)
    cells = np.concatenate((np.array(asked.before.worst_cells)[:, None], unrolled.cells), -1)
    without = starts.log_without_each(cells) + _EXPERT_LOG_WEIGHTS[:, None]
    safe = _log_safe(asked, step)
    seconds = asked.table.number[-1] * asked.terms.interval_seconds
    to_come = mixture.log_prior_to_come(seconds)
    return Evidence(
        worse=_with_prior(mixture.log_sum(starts.log_total() + _EXPERT_LOG_WEIGHTS), to_come),
        worse_without_worst_cell=_with_prior(mixture.log_sum(without, 0).min(), to_come),
        safe=float(mixture.log_sum(safe + mixture.LOG_WEIGHTS)),
        worse_side=asked.side,
        safe_side=asked.side,
    )


def _fold_side(asked: _Asked, step: int) -> FoldedSide:
    unrolled = _unroll(asked)
    cells = np.maximum(unrolled.cells.max(-1), asked.before.worst_cells)
    return FoldedSide(
        log_worse=tuple(unrolled.starts(asked.before).log_total().tolist()),
        worst_cells=tuple(cells.tolist()),
        log_safe=tuple(_log_safe(asked, step).tolist()),
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

    def starts(self, before: FoldedSide) -> mixture.Starts:
        return mixture.Starts.of(self.log_e, self.log_prior, np.array(before.log_worse))


def _unroll(asked: _Asked) -> _Unrolled:
    bet, log_e, arms = _log_worse(asked)
    cells = sides.loss_of_cell(asked.side, bet, log_e, arms, asked.table)
    for array in (log_e, cells):
        array /= asked.terms.calibration.phi_worse
        array[0] *= asked.table.warm == 0
    number, seconds = asked.table.number, asked.terms.interval_seconds
    prior = mixture.log_start_prior(number * seconds, asked.folded.number * seconds)
    shape = (_EXPERTS, len(number))
    return _Unrolled(log_e.reshape(shape), cells.reshape(shape), prior)


def _log_worse(asked: _Asked) -> tuple[Bet, Floats, Pairs]:
    """Return the stakes, ln e of shape (borders, tilts, looks), and the arms."""
    arms = sides.pairs(asked.side, asked.table)
    null, rate = _borders(asked)
    bet = Bet.on(Question.WORSE, arms, null, rate)
    return bet, bet.gains().log_e(arms), arms


def _borders(asked: _Asked) -> tuple[Null, Floats]:
    """Return the near and the far border, shape (2, looks), and the second arm's known share."""
    terms = asked.terms
    plain = sides.border(asked.side, terms.tolerance)
    if plain is None:
        raise ValueError("a decrease by 100 % is no bound")
    rate = sides.known_rate(asked.side, plain, asked.rate)
    near = nulls.with_margin(plain, np.minimum(margin(terms, asked.table), nulls.MARGIN_CAP))
    far = nulls.far(near, plain.slack, rate)
    return Null(np.stack((near.ratio, far.ratio)), np.stack((near.slack, far.slack))), rate


def _log_safe(asked: _Asked, step: int) -> Floats:
    """Return ln e of "safe?" per tilt, summed over the looks of a step."""
    terms, table = asked.terms, asked.table
    null = sides.border(asked.side, terms.tolerance, terms.exposure(step))
    if null is None:
        return np.full(len(mixture.TILTS), np.inf)
    rows = (table.step == step) & (table.warm == 0)
    arms = sides.pairs(asked.side, table, rows)
    rate = sides.known_rate(asked.side, null, asked.rate[rows])
    log_e = Bet.on(Question.SAFE, arms, null, rate).gains().log_e(arms)
    before = np.array(asked.before.log_safe) if asked.folded.step == step else 0.0
    total: Floats = log_e.sum(-1) / terms.calibration.phi + before
    return total


def _with_prior(log_started: Floats, log_to_come: Floats) -> float:
    return float(np.logaddexp(log_started, log_to_come))


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
    """What `weigh` gives after each look of a record that keeps all of them.

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
    rate = stable_rate(terms, NOTHING_FOLDED, table)
    return tuple(
        _trace_side(_Asked(terms, NOTHING_FOLDED, table, rate, index))
        for index in range(len(terms.tolerance.sides))
    )


def _trace_side(asked: _Asked) -> SideTrace:
    unrolled = _unroll(asked)
    gained = np.cumsum(unrolled.log_e, -1)
    begun = unrolled.log_prior - (gained - unrolled.log_e)
    started = np.logaddexp.accumulate(begun, -1)
    gained += _EXPERT_LOG_WEIGHTS[:, None]
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


def _trace_safe(asked: _Asked) -> Floats:
    """Return ln e of "safe?" after each look, over the looks of its own step so far."""
    result = np.zeros(len(asked.table.number))
    for step in np.unique(asked.table.step):
        rows = asked.table.step == step
        result[rows] = _trace_safe_step(asked, rows, int(step))
    return result


def _trace_safe_step(asked: _Asked, rows: NDArray[np.bool_], step: int) -> Floats:
    null = sides.border(asked.side, asked.terms.tolerance, asked.terms.exposure(step))
    if null is None:
        return np.full(int(rows.sum()), np.inf)
    arms = sides.pairs(asked.side, asked.table, rows)
    rate = sides.known_rate(asked.side, null, asked.rate[rows])
    log_e = Bet.on(Question.SAFE, arms, null, rate).gains().log_e(arms)
    log_e *= asked.table.warm[rows] == 0
    sums = np.cumsum(log_e, -1) / asked.terms.calibration.phi
    return mixture.log_sum(sums + mixture.LOG_WEIGHTS[:, None], 0)
