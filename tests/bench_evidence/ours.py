"""Penstock's own rule on the same streams: `penstock.core.replay`, with the default settings.

What is judged is one metric with `maxIncrease: 20`; false alarms 1 %, wrong "safe" 5 %, warm-up
three minutes. Shapes: R replicates, T looks, P pods, E edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penstock.core.replay import Replay
from penstock.core.stats import shares
from penstock.core.streams import Arm, Release, Setup, calibrations
from penstock.core.terms import Calibration, Tolerance
from penstock.core.verdict import Verdict
from tests.bench_evidence.noise import HISTORY_SECONDS, Counts
from tests.bench_evidence.outcomes import Fates
from tests.bench_evidence.peers import NEVER, Looks
from tests.bench_evidence.streams import LatencyStreams, Presence, ShareStreams, Streams

LADDER = (0.01, 0.05, 0.25, 0.5)
ALPHA, MISS_RATE = 0.01, 0.05
MAX_INCREASE, SLACK = 20.0, 0.1
WARM_UP = 180.0
UNRESOLVED = "may differ by"


def setup(
    interval: float,
    slack: float = SLACK,
    warm_up: float = WARM_UP,
    labels: Sequence[str] = ("",),
    ladder: tuple[float, ...] = LADDER,
    sticky: bool = False,
) -> Setup:
    """Return the settings of the rule; `slack` in percentage points, times in seconds."""
    return Setup(
        name="errors",
        tolerance=Tolerance(MAX_INCREASE, slack),
        labels=tuple(labels),
        ladder=ladder,
        alpha=ALPHA,
        miss_rate=MISS_RATE,
        interval_seconds=interval,
        warm_up_seconds=warm_up,
        sticky=sticky,
    )


def arm(total: Counts, bad: Counts, there: Presence | None = None) -> Arm:
    """Return one arm of one replicate.

    Args:
        total: Requests, shape (T, P).
        bad: Bad ones among them, shape (T, P) or (T, P, E).
        there: Which pods there are, shape (T, P); None for all.
    """
    counts = np.concatenate((total[..., None], bad.reshape(*total.shape, -1)), -1, dtype=np.float64)
    return Arm(counts, np.ones(total.shape, bool) if there is None else there)


@dataclass(frozen=True, slots=True)
class Stream:
    """One replicate, ready to be judged under settings that differ in their tolerance."""

    calibrated: tuple[Calibration, ...]
    release: Release

    @classmethod
    def of(cls, settings: Setup, streams: Streams, replicate: int) -> "Stream":
        """Return a replicate; only the labels and alpha of the settings matter."""

        def counts(which: str, there: Presence | None = None) -> Arm:
            total, bad = getattr(streams, f"{which}_total"), getattr(streams, f"{which}_bad")
            return arm(total[replicate], bad[replicate], there)

        release = Release(
            ends=np.arange(1, len(streams.weight) + 1) * streams.interval,
            weights=streams.weight / 100,
            candidate=counts("candidate", streams.candidate_there),
            stable=counts("stable", streams.stable_there),
        )
        return cls(calibrations(settings, counts("history"), HISTORY_SECONDS), release)

    def replay(self, settings: Setup) -> Replay:
        """Return the judgement of the replicate."""
        return Replay(settings, self.calibrated, self.release)


def fates(streams: Streams, *settings: Setup) -> list[Fates]:
    """Return what the rule does to the releases of a scenario, under each of some settings."""
    found = [_Found([], [], []) for _ in settings]
    for replicate in range(len(streams.candidate_total)):
        stream = Stream.of(settings[0], streams, replicate)
        for one, into in zip(settings, found, strict=True):
            into.add(stream.replay(one), streams.interval)
    return [
        Fates.of(streams, np.array(one.at), np.array(one.safe), np.array(one.unresolved))
        for one in found
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    at: list[int]
    safe: list[int]
    unresolved: list[bool]

    def add(self, one: Replay, interval: float) -> None:
        summary = one.summary()
        self.at.append(_look(summary.worse_at, interval))
        self.safe.append(_look(summary.safe_at, interval))
        self.unresolved.append(any(UNRESOLVED in note for note in one.notes))


def _look(end: float | None, interval: float) -> int:
    return NEVER if end is None else round(end / interval) - 1


def at_edges(streams: LatencyStreams, edges: Sequence[float]) -> LatencyStreams:
    """Return the same streams with some of their edges only."""
    kept = [int(np.flatnonzero(streams.edges == edge)[0]) for edge in edges]
    return replace(
        streams,
        history_bad=streams.history_bad[..., kept],
        candidate_bad=streams.candidate_bad[..., kept],
        stable_bad=streams.stable_bad[..., kept],
        edges=streams.edges[kept],
    )


def mistrusted(streams: ShareStreams) -> Looks:
    """Return the look at which the shares first contradict the weights, NEVER for none, (R,)."""
    share = streams.weight / 100
    return np.array(
        [
            _first(shares.log_evidence(candidate, stable, share) >= shares.ALARM)
            for candidate, stable in zip(
                streams.candidate.astype(float), streams.stable.astype(float), strict=True
            )
        ]
    )


def untrusted(streams: ShareStreams, sticky: bool = False) -> Looks:
    """Return the look of the first verdict `Untrusted`, NEVER for none, shape (R,).

    One pod of each version answers, and nothing is bad.
    """
    found = []
    for candidate, stable in zip(streams.candidate, streams.stable, strict=True):
        arms = [arm(counts[:, None], 0 * counts[:, None]) for counts in (candidate, stable)]
        ends = np.arange(1, len(candidate) + 1) * streams.interval
        settings = setup(streams.interval, sticky=sticky)
        calibrated = calibrations(settings, arms[1], streams.interval)
        one = Replay(settings, calibrated, Release(ends, streams.weight / 100, *arms))
        verdicts = [one.verdict(look) is Verdict.UNTRUSTED for look in range(len(ends))]
        found.append(_first(np.array(verdicts)))
    return np.array(found)


def _first(hits: NDArray[np.bool_]) -> int:
    return int(hits.argmax()) if hits.any() else NEVER
