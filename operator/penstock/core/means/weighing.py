"""The evidence of one mean as a pure function of its looks.

"Worse?" is asked of the whole release at full exposure, and of what has come since many later
starts (`stats.onsets`); "safe?" of one step at the next exposure; both by the t of `stats.means` on
the looks outside warm-up. It sees how looks vary, but not how alike neighbours are, so each ln E is
divided by the over-dispersion of the calibration, which for a mean tells just that (see
`calibration.calibrate`).

A mean is at least 0 by nature, and all that is tolerated is in percent of stable's: the slack of a
`Tolerance` too, since a mean has no percentage points. Tolerable is at most stable's mean * (1 +
(max_increase + slack) / 100), at least stable's mean * (1 - (max_decrease + slack) / 100).
"""

from dataclasses import dataclass

import numpy as np

from penstock.core.means import late
from penstock.core.means.looks import Floats, MeanTable, Rows
from penstock.core.means.sums import NOTHING, Numbers, SideLooks, where_told
from penstock.core.means.worse import Worse
from penstock.core.stats import contrasts, means, neighbours, nulls
from penstock.core.stats.contrasts import Arm, Border, Sums
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Question
from penstock.core.terms import Terms, Tolerance

_MOST_DECREASE = 99.9


@dataclass(frozen=True, slots=True)
class MeanFolded:
    """What is left of looks that are no longer kept; sums are the numbers of `Sums`.

    Attributes:
        number: The last of them, 0 for none.
        step: Its step.
        answers: Candidate's and stable's answers in `step`.
        baked: Looks with data per step.
        prior: Weight of the first look of the release that was compared, 0 for none.
        step_prior: The same of `step`.
        in_step: Sums of the looks of `step`.
        whole: Sums of all looks under the border of each direction that is bounded.
        worst: Per direction the sums of the single look that adds most to the excess.
        late: Per direction the numbers of the late starts among them that are still asked for.
        neighbours: What neighbouring looks tell, the numbers of `stats.neighbours`.
    """

    number: int = 0
    step: int = 0
    answers: tuple[int, int] = (0, 0)
    baked: tuple[int, ...] = ()
    prior: float = 0.0
    step_prior: float = 0.0
    in_step: Numbers = NOTHING
    whole: tuple[Numbers, ...] = ()
    worst: tuple[Numbers, ...] = ()
    late: tuple[tuple[Numbers, ...], ...] = ()
    neighbours: Numbers = neighbours.NOTHING


NOTHING_FOLDED = MeanFolded()


def tolerated(terms: Terms) -> Tolerance:
    """Return what is tolerated with the slack inside, in percent of stable's mean."""
    given = terms.tolerance
    more, less = (
        None if change is None else change + given.slack
        for change in (given.max_increase, given.max_decrease)
    )
    return Tolerance(more, 0.0, None if less is None else min(less, _MOST_DECREASE))


@dataclass(frozen=True, slots=True)
class Weighing:
    """Looks to be weighed, at least one.

    Attributes:
        terms: What was fixed before the first look.
        between: See `contrasts.weights`; fixed as well.
        table: The looks, oldest first.
        folded: Those before them.
    """

    terms: Terms
    between: float
    table: MeanTable
    folded: MeanFolded = NOTHING_FOLDED

    @property
    def sides(self) -> tuple[Side, ...]:
        """The directions that are bounded."""
        return self.terms.tolerance.sides

    @property
    def prior(self) -> float:
        """The weight of the first look of the release that is compared; 0 for none."""
        return self.folded.prior or self._first_weight(self.table.compared)

    def step_prior(self, step: int) -> float:
        """Return the weight of the first look of a step that is compared; 0 for none."""
        before = self.folded.step_prior if self.folded.step == step else 0.0
        return before or self._first_weight(self._rows(step))

    @property
    def known(self) -> Floats:
        """What neighbouring looks tell after each look, shape (looks, 9)."""
        arms = self.table.arms(self.table.compared)
        return neighbours.after_each(*arms, self.folded.neighbours)

    def worse(self, index: int) -> Worse:
        """Return what "worse?" is asked with in one direction that is bounded."""
        side, folded, terms = self.sides[index], self.folded, self.terms
        answers = neighbours.variances(self.known)
        whole, worst = (
            Sums.of_numbers(np.array(some[index] if some else NOTHING))
            for some in (folded.whole, folded.worst)
        )
        looks = SideLooks(
            side=side,
            between=self.between,
            number=self.table.number,
            arms=_pair(side, self.table.arms(self.table.compared)),
            border=self._border(side),
            answers=answers if side is Side.MORE else answers[..., ::-1],
            folded=folded.number,
            whole=whole,
            worst=Sums.of_numbers(worst.numbers()[None]),
        )
        starts = late.kept(folded.late[index] if folded.late else ())
        phi, seconds = terms.calibration.phi_worse, terms.interval_seconds
        return Worse(looks, starts, self.prior or 1.0, phi, seconds)

    def in_step(self, step: int) -> Sums:
        """Return the sums after each look of what a step has shown by then, shape (looks,)."""
        before = self.folded.in_step if self.folded.step == step else NOTHING
        arms = self.table.arms(self._rows(step))
        found = Sums.of_numbers(np.array([before])) + Sums.after_each(*arms, self.between)
        return found.knowing(neighbours.variances(self.known))

    def log_safe(self, side: Side, sums: Sums, step: int) -> Floats:
        """Return ln of the evidence that the candidate is safe for what follows a step.

        Infinite where nothing at that exposure could be too much.
        """
        change = tolerated(self.terms).change(side)
        null = nulls.tolerated(side, change, 0.0, self.terms.exposure(step))
        if null is None:
            return np.full(sums.looks.shape, np.inf)
        asked = sums if side is Side.MORE else sums.swapped()
        border, prior = Border(float(null.ratio[0])), self.step_prior(step) or 1.0
        found = means.log_evidence(asked, Question.SAFE, prior, border)
        return np.asarray(where_told(asked, side, found) / self.terms.calibration.phi)

    def _rows(self, step: int) -> Rows:
        return np.asarray(self.table.compared & (self.table.step == step))

    def _first_weight(self, rows: Rows) -> float:
        candidate, stable = self.table.arms(rows)
        found = contrasts.weights(candidate.count, stable.count, self.between)
        return float(found[(found > 0).argmax()]) if len(found) else 0.0

    def _border(self, side: Side) -> Floats:
        """Return the ratio at full exposure with the margin of the pods, shape (looks,)."""
        calibration, table = self.terms.calibration, self.table
        null = nulls.tolerated(side, tolerated(self.terms).change(side), 0.0)
        margin = nulls.pod_margin(
            calibration.spread, calibration.quantile, table.candidate_pods, table.stable_pods
        )
        if null is None:
            raise ValueError("a decrease by 100 % is no bound")
        return np.asarray(null.ratio * np.minimum(margin, nulls.MARGIN_CAP))


def _pair(side: Side, arms: tuple[Arm, Arm]) -> tuple[Arm, Arm]:
    """Return the arms, the one whose excess is asked for first."""
    candidate, stable = arms
    return (candidate, stable) if side is Side.MORE else (stable, candidate)
