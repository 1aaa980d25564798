"""The looks of one phase of a run: requests and bad answers of every interval, made ahead."""

import copy
from dataclasses import dataclass

import numpy as np

from penstock.core.looks import COLUMNS
from penstock.core.simulation.calibrated import calibrated
from penstock.core.simulation.mean_series import MeanSeries
from penstock.core.simulation.pods import Integers, Pods
from penstock.core.simulation.series import PLACE, Flags, Series, no_looks
from penstock.core.simulation.setting import Setting


@dataclass(frozen=True, slots=True)
class Span:
    """The time of one state of the traffic.

    Attributes:
        step: Index of its step.
        weight: The share of the requests that the candidate answers, in percent.
        begins: When every proxy follows it, in seconds since the start.
        base: Looks with greater numbers are about it.
        mirror: The share of the requests that are copied to the candidate, in percent.
    """

    step: int
    weight: float
    begins: float
    base: int
    mirror: float = 0.0

    @property
    def exposure(self) -> float:
        """The share of the requests that the candidate gets, to answer or as copies, in percent."""
        return self.mirror or self.weight


class Looks:
    """The looks of one phase of a run, some of them of a time that has not come yet.

    Attributes:
        before: The ledger before the first look, calibrated.
        series: The metrics that compare shares, each with its looks.
        means: The metrics that compare means.
    """

    def __init__(self, setting: Setting, rng: np.random.Generator) -> None:
        """Draw the pods and the hour of history; there are no looks yet."""
        self._rng, self._traffic, self._setting = rng, setting.traffic, setting
        self._interval = setting.spec.analysis.interval.total_seconds()
        self._stable = Pods.drawn(self._traffic.pods, self._traffic, rng)
        self._candidate = Pods.drawn(self._traffic.candidate_pods, self._traffic, rng)
        self.before = calibrated(setting, self._stable, rng)
        self._begin()

    def anew(self) -> "Looks":
        """Return what a new phase begins with: the same pods and history, and no looks."""
        new = copy.copy(self)
        new._begin()
        return new

    def _begin(self) -> None:
        """Begin without looks."""
        setting = self._setting
        self._columns = no_looks()
        self._bad = np.zeros(0, np.int64)
        self.series = [
            Series(rail, setting.counts_good(rail), self.before.proportions[rail.name].first.terms)
            for rail in setting.rails
            if rail.counted
        ]
        self.means = [
            MeanSeries(rail, self.before.means[rail.name])
            for rail in setting.rails
            if rail.mean is not None
        ]

    def column(self, name: str) -> Integers:
        """Return a column that all metrics have in common: all but those of bad answers."""
        result: Integers = self._columns[PLACE[name]]
        return result

    @property
    def all_series(self) -> tuple[Series | MeanSeries, ...]:
        """The metrics that compare."""
        return (*self.series, *self.means)

    @property
    def last(self) -> int:
        """The number of the newest look that was made; 0 for none."""
        return int(self.column("number")[-1]) if self._columns.shape[1] else 0

    @property
    def with_data(self) -> Flags:
        """Which looks have an answer; the others are not in the ledger."""
        return self.column("candidate_total") + self.column("stable_total") > 0

    def extend(self, span: Span, count: int, warm_until: float) -> None:
        """Make looks of a span; those that begin before `warm_until` (seconds) are warm-up."""
        expected = self._traffic.per_second * self._interval
        candidate = self._candidate.requests(expected * span.exposure / 100, count, self._rng)
        stable = self._stable.requests(expected * (1 - span.weight / 100), count, self._rng)
        numbers = max(span.base, self.last) + 1 + np.arange(count)
        fresh = np.zeros((len(COLUMNS), count), np.int64)
        for name, values in (
            ("number", numbers),
            ("step", span.step),
            ("warm", (numbers - 1) * self._interval < warm_until),
            ("candidate_total", candidate.sum(-1)),
            ("stable_total", stable.sum(-1)),
            ("candidate_pods", self._traffic.candidate_pods),
            ("stable_pods", self._traffic.pods),
        ):
            fresh[PLACE[name]] = values
        self._columns = np.concatenate((self._columns, fresh), 1)
        self._count(fresh, candidate, stable, self._traffic.candidate_at(span.exposure))
        self._value(fresh, candidate, stable, self._traffic.candidate_mean_at(span.exposure))

    def _count(self, fresh: Integers, candidate: Integers, stable: Integers, rate: float) -> None:
        """Give each share its bad answers; without one the candidate still has some."""
        if not self.series:
            bad = self._candidate.bad(candidate, rate, self._rng)
            self._bad = np.concatenate((self._bad, bad.sum(-1)))
        for index, one in enumerate(self.series):
            ours = self._candidate.bad(candidate, rate, self._rng)
            theirs = self._stable.bad(stable, self._traffic.stable_rate, self._rng)
            if index == 0:
                self._bad = np.concatenate((self._bad, ours.sum(-1)))
            hits = (candidate - ours, stable - theirs) if one.counts_good else (ours, theirs)
            own = fresh.copy()
            own[PLACE["stable_bad"]] = hits[1].sum(-1)
            one.extend(own, candidate, hits[0])

    def _value(self, fresh: Integers, candidate: Integers, stable: Integers, mean: float) -> None:
        """Give each mean its values; the candidate's have this mean."""
        values = self._traffic.values
        for one in self.means:
            ours = self._candidate.worth(candidate, mean, values.shape, self._rng)
            theirs = self._stable.worth(stable, values.stable, values.shape, self._rng)
            one.extend(fresh, ours, theirs)

    def cut(self, number: int) -> None:
        """Forget the looks after a number: they are of a weight that was left."""
        kept = int(np.searchsorted(self.column("number"), number, "right"))
        self._columns, self._bad = self._columns[:, :kept], self._bad[:kept]
        for one in self.all_series:
            one.cut(kept)

    def answered(self, span: Span, until: float) -> tuple[int, int]:
        """Return what the candidate answered to users until a time, and how much of it badly.

        What lies beside the looks, while the weight changes, is drawn here. Nobody gets the
        answers to copies.
        """
        if not span.weight:
            return 0, 0
        mine = self.column("number") > span.base
        rest = until - span.begins - float(mine.sum()) * self._interval
        expected = self._traffic.per_second * span.weight / 100 * max(rest, 0.0)
        requests = self._candidate.requests(expected, 1, self._rng)
        bad = self._candidate.bad(requests, self._traffic.candidate_at(span.weight), self._rng)
        return (
            int(self.column("candidate_total")[mine].sum() + requests.sum()),
            int(self._bad[mine].sum() + bad.sum()),
        )
