"""Releases that are driven: the weight rises when a step is proven safe, as the operator does it.

Traffic is drawn look by look at the weight in force, and `penstock.core.replay` judges the record
so far: the first "safe" (once the step has been baked) ends a step, the first "worse" the release.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penstock.core.replay import Replay
from penstock.core.streams import Arm, Release, calibrations
from penstock.core.terms import Calibration
from penstock.core.verdict import Verdict
from tests.bench_evidence import noise, ours
from tests.bench_evidence.noise import HISTORY_SECONDS, Floats, Grid
from tests.bench_evidence.outcomes import Climbs
from tests.bench_evidence.streams import RATE_CORRELATION, RATE_SPREAD, generator

HISTORY = 60
FIRST_CHUNK, GROWTH = 16, 4


@dataclass(frozen=True, slots=True)
class Climb:
    """One kind of release.

    Attributes:
        name: Name, which also seeds chance.
        rate: Stable's mean share of bad answers.
        ratios: How many times as bad the candidate is at each weight.
        per_second: Mean requests per second, both versions.
        pod_spread: Standard deviation of the log share of pods, for good.
        slack: Tolerated on top, in percentage points.
        interval: Seconds of a look.
        bakes: Least seconds at each weight.
        hours: How long it may take.
        lost: Looks lost at each change of weight, since no look may span one.
        pods: Pods of candidate and stable.
    """

    name: str
    rate: float = 0.005
    ratios: tuple[float, ...] = (1.0,) * len(ours.LADDER)
    per_second: float = 100.0
    pod_spread: float = 0.0
    slack: float = 0.0
    interval: float = 10.0
    bakes: tuple[float, ...] = (0.0,) * len(ours.LADDER)
    hours: float = 12.0
    lost: int = 1
    pods: tuple[int, int] = (2, 18)

    @property
    def looks(self) -> int:
        """How many looks there may be."""
        return round(self.hours * 3600 / self.interval)

    def climbs(self, replicates: int, seed: int) -> Climbs:
        """Return what becomes of releases; the same seed gives the same ones."""
        rng = generator(self.name, seed)
        ends = [one.driven() for one in self._releases(rng, replicates)]
        return Climbs(
            promoted=np.array([verdict is Verdict.SAFE for verdict, _ in ends]),
            rolled_back=np.array([verdict is Verdict.WORSE for verdict, _ in ends]),
            minutes=np.array(
                [
                    (end - ours.WARM_UP) / 60 if verdict is Verdict.SAFE else np.inf
                    for verdict, end in ends
                ]
            ),
        )

    def _releases(self, rng: np.random.Generator, replicates: int) -> Iterator["_Driven"]:
        grid = Grid.of(self.interval, self.looks, HISTORY)
        correlation = grid.correlation(RATE_CORRELATION)
        wandering = noise.wander(rng, (replicates, len(grid.seconds)), correlation)
        rates = self.per_second * grid.seconds * noise.factor(wandering, RATE_SPREAD)
        for requests in rates:
            shares = [
                self.rate * noise.factor(rng.standard_normal(pods), self.pod_spread)
                for pods in self.pods
            ]
            yield _Driven(self, rng, requests[HISTORY:], shares[0], shares[1]).calibrated_on(
                requests[:HISTORY]
            )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Looks at one weight: stable's counts are those of all its pods together."""

    first: int
    weight: float
    candidate: NDArray[np.int64]
    stable: NDArray[np.int64]

    def upto(self, count: int) -> "_Rows":
        return _Rows(self.first, self.weight, self.candidate[:count], self.stable[:count])


@dataclass(slots=True)
class _Driven:
    """One release: its traffic, and what was seen of it so far.

    Attributes:
        requests: Mean requests per look, shape (T,).
        candidate: Share of bad answers of each candidate pod at ratio 1.
        stable: The same of stable's pods.
    """

    climb: Climb
    rng: np.random.Generator
    requests: Floats
    candidate: Floats
    stable: Floats
    calibrated: tuple[Calibration, ...] = ()
    kept: list[_Rows] = field(default_factory=list)

    def calibrated_on(self, requests: Floats) -> "_Driven":
        """Return the release with what an hour of stable's history says."""
        total = self.rng.poisson(requests[:, None] / len(self.stable), (HISTORY, len(self.stable)))
        history = ours.arm(total, self.rng.binomial(total, self.stable))
        self.calibrated = calibrations(self._setup, history, HISTORY_SECONDS)
        return self

    @property
    def _setup(self):
        return ours.setup(self.climb.interval, self.climb.slack)

    def driven(self) -> tuple[Verdict, float]:
        """Return safe where it was promoted, worse or learning; and the end in seconds."""
        look = 0
        for step in range(len(ours.LADDER)):
            verdict, look = self._step(step, look)
            if verdict is not Verdict.SAFE:
                break
        return verdict, (look - self.climb.lost) * self.climb.interval

    def _step(self, step: int, begin: int) -> tuple[Verdict, int]:
        """Return how a step ends, and the look with which the next one can begin."""
        first, size = begin, FIRST_CHUNK
        baked = begin + self.climb.bakes[step] / self.climb.interval
        while first < self.climb.looks:
            rows = self._draw(step, first, min(size, self.climb.looks - first))
            self.kept.append(rows)
            count = len(rows.stable)
            verdict, judged = self._judge(count, round(max(baked - first, 0)))
            if verdict is not Verdict.LEARNING:
                self.kept[-1] = rows.upto(judged)
                return verdict, first + judged + self.climb.lost
            first, size = first + count, size * GROWTH
        return Verdict.LEARNING, first

    def _draw(self, step: int, first: int, count: int) -> _Rows:
        """Return looks at the weight of a step: good and bad answers are independent Poisson."""
        weight = ours.LADDER[step]
        mean = self.requests[first : first + count, None]
        worse = np.minimum(self.candidate * self.climb.ratios[step], 1.0)
        usual = np.minimum(self.stable.mean(keepdims=True), 1.0)
        return _Rows(
            first,
            weight,
            self._answers(mean * weight / len(worse), worse),
            self._answers(mean * (1 - weight), usual),
        )

    def _answers(self, mean: Floats, bad_share: Floats) -> NDArray[np.int64]:
        bad = self.rng.poisson(mean * bad_share)
        return np.stack((bad + self.rng.poisson(mean * (1 - bad_share)), bad), -1)

    def _judge(self, newest: int, unbaked: int) -> tuple[Verdict, int]:
        """Return the first verdict among the newest looks, and how many of them it took.

        Args:
            newest: How many looks have not been judged.
            unbaked: How many of them come too early for "safe".
        """
        one = Replay(self._setup, self.calibrated, self._release())
        worse = one.trace.worse >= -np.log(ours.ALPHA)
        safe = one.trace.safe >= -np.log(ours.MISS_RATE)
        begin = len(worse) - newest
        for look in (begin + np.flatnonzero((worse | safe)[begin:])).tolist():
            verdict, judged = one.verdict(look), look - begin + 1
            if verdict is Verdict.WORSE or (verdict is Verdict.SAFE and judged >= unbaked):
                return verdict, judged
        return Verdict.LEARNING, newest

    def _release(self) -> Release:
        numbers = np.concatenate([rows.first + np.arange(len(rows.stable)) for rows in self.kept])
        candidate = np.concatenate([rows.candidate for rows in self.kept]).astype(float)
        stable = np.concatenate([rows.stable for rows in self.kept]).astype(float)
        there = np.ones((len(numbers), self.climb.pods[1]), bool)
        return Release(
            ends=(numbers + 1) * self.climb.interval,
            weights=np.repeat(
                [rows.weight for rows in self.kept], [len(rows.stable) for rows in self.kept]
            ),
            candidate=Arm(candidate, np.ones(candidate.shape[:2], bool)),
            stable=Arm(stable, there),
        )
