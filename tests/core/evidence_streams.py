"""Seeded streams of looks for the tests of the evidence engine."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from penstock.core.looks import Counts, Look, worst_cell
from penstock.core.record import Calibration, Record, Terms, Tolerance

CERTAIN = Calibration(phi=1.0, spread=0.0)
LADDER = (0.01, 0.05, 0.25, 0.5)


def terms(
    max_increase: float = 20.0,
    slack: float = 0.1,
    exposures: tuple[float, ...] = (0.05, 0.25, 0.5, 1.0),
    interval: float = 10.0,
    calibration: Calibration | None = None,
) -> Terms:
    return Terms(interval, Tolerance(max_increase, slack), exposures, calibration or Calibration())


@dataclass(frozen=True)
class Stream:
    """Independent requests: `rate` of stable's are bad, `candidate_rate` of the candidate's."""

    rate: float = 0.005
    candidate_rate: float = 0.005
    per_look: float = 1000.0
    weight: float = 0.1
    pods: int = 2
    stable_pods: int = 18
    step: int = 0
    warm_until: int = 0
    seed: int = 1

    def looks(self, count: int, first: int = 1) -> Iterator[Look]:
        generator = np.random.default_rng((self.seed, first, self.step))
        mean = self.per_look * self.weight / self.pods
        totals = generator.poisson(mean, (count, self.pods))
        bad = generator.binomial(totals, self.candidate_rate)
        stable = generator.poisson(self.per_look * (1 - self.weight), count)
        stable_bad = generator.binomial(stable, self.rate)
        for row in range(count):
            pods = zip(totals[row].tolist(), bad[row].tolist(), strict=True)
            cells = {f"pod-{i}": Counts(total, bad) for i, (total, bad) in enumerate(pods)}
            yield Look(
                number=first + row,
                step=self.step,
                warm=first + row <= self.warm_until,
                candidate=sum(cells.values(), Counts()),
                stable=Counts(int(stable[row]), int(stable_bad[row])),
                worst=worst_cell(cells, self.rate),
                candidate_pods=self.pods,
                stable_pods=self.stable_pods,
            )


def record(stream: Stream, count: int, fixed: Terms | None = None) -> Record:
    result = Record(fixed or terms())
    for look in stream.looks(count):
        result = result.with_look(look)
    return result


def look(
    number: int,
    candidate: tuple[int, int],
    stable: tuple[int, int],
    worst: tuple[int, int] = (0, 0),
    **more: int | bool,
) -> Look:
    base = Look(
        number=number,
        step=0,
        candidate=Counts(*candidate),
        stable=Counts(*stable),
        worst=Counts(*worst),
        candidate_pods=2,
        stable_pods=18,
    )
    return replace(base, **more)
