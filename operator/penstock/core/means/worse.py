"""Whether a mean is worse than tolerated in one direction: the evidence of all starts together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from penstock.core.evidence import Evidence
from penstock.core.means import late, sums
from penstock.core.means.late import Late
from penstock.core.means.looks import Floats
from penstock.core.means.sums import SideLooks
from penstock.core.stats import means, onsets
from penstock.core.stats.contrasts import Sums
from penstock.core.stats.means import Past
from penstock.core.stats.proportion import Question


@dataclass(frozen=True, slots=True)
class Worse:
    """What "worse?" is asked with in one direction.

    ln E of each start is divided by phi before its share of the error is taken: P(E ^ (1/phi) >=
    1/a) is at most a ^ phi.

    Attributes:
        looks: The looks, at least one.
        folded: Late starts among the looks before.
        prior: Weight of the first look of the release that is compared.
        phi: What ln E is divided by.
        interval_seconds: Time between looks.
    """

    looks: SideLooks
    folded: Late
    prior: float
    phi: float
    interval_seconds: float

    def log_each(self) -> Floats:
        """Return ln of the evidence after each look, shape (looks,); no look may be folded."""
        found = self._log_first(self.looks.total)
        for rows, there, starts in late.windows(self.looks):
            np.maximum.at(found, rows[there], self._log_late(starts)[there])
        return found

    def evidence(self, index: int, log_safe: float) -> Evidence:
        """Return the evidence after a look, given that of "safe?"."""
        first = self.looks.total.at(index)
        starts = late.asked(self.looks, self.folded, index, int(self.looks.number[index]))
        worse, each = float(self._log_first(first)), self._log_late(starts)
        best = int(each.argmax()) if each.size else 0
        if each.size and each[best] > worse:
            worse, without = float(each[best]), self._late_without_a_look(starts, best, index)
        else:
            without = self._first_without_a_look(first, index)
        side = self.looks.side
        return Evidence(worse, min(worse, without), log_safe, worse_side=side, safe_side=side)

    def _log_first(self, whole: Sums) -> Floats:
        """Return ln of the evidence of the first start; 0 as long as nothing is told."""
        found = means.log_evidence(whole, Question.WORSE, self.prior)
        found = sums.where_told(whole, self.looks.side, found)
        return np.where(found != 0, found / self.phi + onsets.LOG_FIRST, 0.0)

    def _log_late(self, starts: Late) -> Floats:
        """Return ln of the evidence of late starts; -inf where nothing is told."""
        prior = np.where(starts.prior > 0, starts.prior, 1.0)
        past = Past(starts.freedom, starts.variance)
        found = means.log_evidence(starts.sums, Question.WORSE, prior, past=past)
        found = sums.where_told(starts.sums, self.looks.side, found)
        share = onsets.log_share(starts.after, self.interval_seconds)
        return np.where(found != 0, found / self.phi + share, -np.inf)

    def _first_without_a_look(self, whole: Sums, index: int) -> float:
        """Return the least evidence that is left when any one look is left out.

        Of folded looks only the one that adds most is tried. The evidence needs five looks, so of
        five nothing is left.
        """
        if not sums.enough_without_one(whole):
            return 0.0
        numbers = self.looks.single.numbers()[: index + 1], self.looks.worst.numbers()
        each = Sums.of_numbers(np.concatenate(numbers))
        return float(self._log_first(sums.without_each(whole, each)).min())

    def _late_without_a_look(self, starts: Late, place: int, index: int) -> float:
        """Return the same of one late start; of folded looks none is tried."""
        number = starts.numbers()[place : place + 1]
        one = Late.of_numbers(number)
        if not sums.enough_without_one(one.sums):
            return 0.0
        rows = self.looks.number[: index + 1] > one.after
        each = Sums.of_numbers(self.looks.single.numbers()[: index + 1][rows])
        whole = one.sums.knowing(self.looks.scaled_answers[index])
        left = sums.without_each(whole, each)
        return float(self._log_late(replace(one, sums=left)).min())


def either(found: Sequence[Evidence]) -> Evidence:
    """Return the evidence that any of several directions is worse, and that each of them is safe.

    Each has an equal share of the error, since the evidence of a direction is only a bound that
    is rarely passed, see `stats.onsets`; the proof that all are safe is the weakest one.
    """
    worst, weakest = max(found, key=lambda e: e.worse), min(found, key=lambda e: e.safe)
    share = float(np.log(len(found)))
    return Evidence(
        worse=worst.worse - share,
        worse_without_worst_cell=worst.worse_without_worst_cell - share,
        safe=weakest.safe,
        worse_side=worst.worse_side,
        safe_side=weakest.safe_side,
    )
