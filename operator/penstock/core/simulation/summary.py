"""What many runs have in common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from penstock.core.simulation.course import Course, Event


@dataclass(frozen=True, slots=True)
class Spread:
    """What is typical of many runs: the median, and what nine of ten stay within."""

    median: float
    ninety: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Return the spread of values; None where there are none."""
        if not values:
            return None
        return cls(*(float(one) for one in np.quantile(np.array(values), (0.5, 0.9))))


@dataclass(frozen=True, slots=True)
class Summary:
    """Many runs.

    Attributes:
        runs: How many.
        outcomes: How many ended in which way.
        causes: How many were rolled back for which reason.
        weights: How many were rolled back at which weight, in percent.
        seconds: Time to the end, of those that ended.
        bad: Bad answers of the candidate.
        excess: How many more they are than expected of stable.
    """

    runs: int
    outcomes: Mapping[Event, int]
    causes: Mapping[str, int]
    weights: Mapping[float, int]
    seconds: Spread | None
    bad: Spread | None
    excess: Spread | None

    def percent(self, outcome: Event) -> float:
        """Return the share of runs that ended in a way, in percent."""
        return 100 * self.outcomes.get(outcome, 0) / max(self.runs, 1)

    @property
    def good_percent(self) -> float:
        """The share of runs that ended well: promoted, or observed as a shadow, in percent."""
        return self.percent(Event.PROMOTED) + self.percent(Event.OBSERVED)


def summary(courses: Sequence[Course]) -> Summary:
    """Return what many runs have in common."""
    back = [one for one in courses if one.outcome is Event.ROLLED_BACK]
    return Summary(
        runs=len(courses),
        outcomes=Counter(one.outcome for one in courses),
        causes=Counter(one.cause for one in back),
        weights=dict(sorted(Counter(one.weight for one in back).items())),
        seconds=Spread.of([one.seconds for one in courses if one.outcome is not Event.WAITING]),
        bad=Spread.of([one.bad for one in courses]),
        excess=Spread.of([one.excess for one in courses]),
    )
