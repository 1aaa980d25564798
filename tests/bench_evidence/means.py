"""Means: how soon a fault is found that begins late, and whether skewed values keep the level."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from penstock.core.means import looks
from penstock.core.means.looks import MeanArm, MeanLook
from penstock.core.means.record import MeanRecord
from penstock.core.means.trace import MeanTrace
from penstock.core.terms import Calibration, Terms, Tolerance
from tests.bench_evidence.outcomes import Met, Row, Share

RELEASES = 200
INTERVAL, HOUR, WITHIN = 10.0, 360, 150
LOG_WORSE, LOG_SAFE = math.log(100), math.log(20)
MORE, LESS = Tolerance(0.0, 0.0, None), Tolerance(None, 0.0, 10.0)
ARMS = (20, 180)
FAULTS = (1.3, 1.5, 2.0, 4.0)
SKEWED_SIGMA = 1.13
"""Of a lognormal with skewness 9."""
SKEWED_ARMS = ((2, 40), (15, 300), (50, 1000))
SKEWED_LOOKS = 60


@dataclass(frozen=True, slots=True)
class Stream:
    """One release whose candidate is so many times stable's mean from one look on.

    Attributes:
        ratio: The candidate's mean over stable's, from `begins` on; 1 before.
        arms: Answers of candidate and stable in a look.
        sigma: Of lognormal values; 0 for exponential ones.
        squares: Sums of squares are exported.
    """

    tolerance: Tolerance
    ratio: float
    begins: int
    looks: int
    arms: tuple[int, int]
    sigma: float = 0.0
    squares: bool = True


def trace(stream: Stream, seed: int) -> MeanTrace:
    """Return the evidence after each look of one release without warm-up."""
    dice = np.random.default_rng(seed)
    rows = b"".join(looks.pack(_look(stream, number, dice)) for number in range(stream.looks))
    calibration = Calibration(phi=1.0, spread=0.0)
    terms = Terms(INTERVAL, stream.tolerance, (1.0,), calibration)
    return MeanTrace.of_mean(MeanRecord(terms, rows=rows).weighing)


def _look(stream: Stream, number: int, dice: np.random.Generator) -> MeanLook:
    ratio = stream.ratio if number >= stream.begins else 1.0
    candidate, stable = stream.arms
    arms = _arm(stream, ratio, candidate, dice), _arm(stream, 1.0, stable, dice)
    return MeanLook(number + 1, 0, False, *arms, 2, 18)


def _arm(stream: Stream, mean: float, count: int, dice: np.random.Generator) -> MeanArm:
    values = (
        dice.lognormal(0.0, stream.sigma, count) / math.exp(stream.sigma**2 / 2)
        if stream.sigma
        else dice.exponential(1.0, count)
    ) * mean
    return MeanArm(count, float(values.sum()), float((values**2).sum()) if stream.squares else None)


def found_after(stream: Stream, releases: int) -> list[float]:
    """Return, per release, looks of the fault until it is called worse at 100 to 1; inf for never.

    A release that is called worse before its fault begins counts as never.
    """
    result = []
    for seed in range(releases):
        worse = np.flatnonzero(trace(stream, seed).worse >= LOG_WORSE)
        first = worse[0] if worse.size else -1
        result.append(float(first - stream.begins + 1) if first >= stream.begins else math.inf)
    return result


def wrongly_called(stream: Stream, releases: int) -> tuple[Share, Share]:
    """Return how many releases at the border are ever called worse, and how many ever safe."""
    traces = [trace(stream, seed) for seed in range(releases)]
    worse = np.array([(one.worse >= LOG_WORSE).any() for one in traces])
    safe = np.array([(one.safe >= LOG_SAFE).any() for one in traces])
    return Share.among(worse), Share.among(safe)


def rows() -> Iterator[Row]:
    """Yield one row per fault, and one per size of a look with skewed values."""
    for ratio in FAULTS:
        texts = []
        for name, begins in (("at the start", 0), ("after an hour", HOUR)):
            stream = Stream(MORE, ratio, begins, begins + WITHIN, ARMS)
            found = found_after(stream, RELEASES)
            part = 100 * np.isfinite(found).mean()
            texts.append(f"{name}: median {np.median(found):g} looks, {part:.0f} % in {WITHIN}")
        yield Row(f"a mean {ratio:g} times as high, 20 and 180 answers", "; ".join(texts))
    for arms in SKEWED_ARMS:
        stream = Stream(LESS, 0.9, 0, SKEWED_LOOKS, arms, SKEWED_SIGMA, squares=False)
        worse, safe = wrongly_called(stream, RELEASES)
        what = f"skewness 9 without squares, {arms[0]} and {arms[1]} answers, at the border"
        met = Met.YES if worse.percent <= 1.5 and safe.percent <= 7.5 else Met.NO
        text = f"ever worse at 100 to 1: {worse}; ever safe at 20 to 1: {safe}"
        yield Row(what, text, "<= 1.5 %, <= 7.5 %", met)
