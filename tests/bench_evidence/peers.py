"""The rules of others, as baselines: when each would have rolled a release back.

A rule takes streams and returns the look of the rollback of each replicate, or -1, shape (R,).
Rules that check once a minute see looks added up to minutes and act at the end of one. Thresholds
are 99 % of good answers and a 99th percentile of 500 ms, tests are one-sided at the 1 % level.

Shapes: R replicates, T points in time (looks or minutes), n and m points of candidate and stable.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from tests.bench_evidence.streams import LatencyStreams, ShareStreams, Streams

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Looks = NDArray[np.int64]

NEVER = -1
LEVEL = 0.01
CHECK_SECONDS = 60.0
MAX_BAD = 0.01
MAX_P99 = 500.0
SHARE_LEVEL = 0.001
KAYENTA_CONFIDENCE, KAYENTA_TOLERANCE, KAYENTA_FIRST = 0.98, 0.25, 10
LEAST_BAD = 5
T_PRIOR, T_FIRST = 5.0, 4


@dataclass(frozen=True, slots=True)
class Arms:
    """Counts of both arms per point, all pods together, float64 of shape (R, T, ...).

    Attributes:
        looks: Looks in a point.
    """

    candidate_total: Floats
    candidate_bad: Floats
    stable_total: Floats
    stable_bad: Floats
    looks: int

    @classmethod
    def of(cls, streams: Streams, seconds: float = 0.0) -> "Arms":
        """Return the looks, or whole points of at least `seconds`."""
        looks = max(1, round(seconds / streams.interval))

        def added(counts: NDArray[np.int64]) -> Floats:
            points = counts.shape[1] // looks
            cut = counts[:, : points * looks].sum(2)
            shape = (len(cut), points, looks, *cut.shape[2:])
            return cut.reshape(shape).sum(2).astype(float)

        return cls(
            added(streams.candidate_total),
            added(streams.candidate_bad),
            added(streams.stable_total),
            added(streams.stable_bad),
            looks,
        )

    def shares(self) -> tuple[Floats, Floats]:
        """Return the shares of bad answers of both arms, NaN without traffic."""
        return (
            _ratio(self.candidate_bad, self.candidate_total),
            _ratio(self.stable_bad, self.stable_total),
        )


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _first(hits: Hits, looks: int = 1) -> Looks:
    """Return the last look of the first point that is hit, shape (R,); hits: (R, T)."""
    return np.where(hits.any(1), (hits.argmax(1) + 1) * looks - 1, NEVER)


def _failed_often(good: Hits, looks: int, limit: int) -> Looks:
    """Return when more than `limit` checks in all were not good; none is ever forgiven."""
    return _first(np.cumsum(~good, 1) > limit, looks)


def flagger(streams: Streams, threshold: int = 5) -> Looks:
    """Flagger: `threshold` checks with a success rate below 99 %, or without traffic.

    It counts them over the release and rolls back at the check after; here it does so at once.
    """
    arms = Arms.of(streams, CHECK_SECONDS)
    return _failed_often(arms.shares()[0] <= MAX_BAD, arms.looks, threshold - 1)


def argo(streams: Streams, failure_limit: int = 0) -> Looks:
    """Argo Rollouts: more than `failure_limit` measurements that are not >= .99; NaN is not."""
    arms = Arms.of(streams, CHECK_SECONDS)
    return _failed_often(arms.shares()[0] <= MAX_BAD, arms.looks, failure_limit)


def kayenta(streams: Streams, every: int = 10) -> Looks:
    """Kayenta's judge on the error shares of minutes, `every` so many minutes from the tenth on."""
    arms = Arms.of(streams, CHECK_SECONDS)
    return _judged_high(*arms.shares(), arms.looks, every)


def _judged_high(candidate: Floats, stable: Floats, looks: int, every: int) -> Looks:
    points = candidate.shape[1]
    hits = np.zeros(candidate.shape, bool)
    for end in range(KAYENTA_FIRST, points + 1, every):
        hits[:, end - 1] = mann_whitney_high(candidate[:, :end], stable[:, :end])
    return _first(hits, looks)


def mann_whitney_high(candidate: Floats, stable: Floats) -> Hits:
    """Return where Kayenta calls a metric "High", shape (R,).

    That is where the lower limit of the location shift exceeds a quarter of its Hodges-Lehmann
    estimate, in other words where the Mann-Whitney statistic rejects that shift.

    Args:
        candidate: One value per point, NaN where there is none, shape (R, n).
        stable: The same, shape (R, m).
    """
    pairs = (candidate[:, :, None] - stable[:, None, :]).reshape(len(candidate), -1)
    border = np.maximum(KAYENTA_TOLERANCE * np.abs(_medians(pairs)), 1e-12)[:, None]
    wins = (pairs > border).sum(1) + 0.5 * (pairs == border).sum(1)
    n, m = (~np.isnan(candidate)).sum(1), (~np.isnan(stable)).sum(1)
    excess = wins - n * m / 2
    ties = _ties(np.concatenate((candidate - border, stable), 1))
    both = np.maximum(n + m, 2)
    variance = n * m / 12 * (n + m + 1 - ties / (both * (both - 1)))
    z = (excess - 0.5 * np.sign(excess)) / np.sqrt(np.where(variance > 0, variance, np.inf))
    return z > norm.isf((1 - KAYENTA_CONFIDENCE) / 2)


def _medians(values: Floats) -> Floats:
    """Return the median of each row without its NaN; 0 for a row of nothing else."""
    ordered = np.nan_to_num(np.sort(values, 1), nan=0.0)
    count = (~np.isnan(values)).sum(1)[:, None]
    middle = np.concatenate((np.maximum(count - 1, 0) // 2, count // 2), 1)
    middle = np.minimum(middle, values.shape[1] - 1)
    return np.take_along_axis(ordered, middle, 1).mean(1)


def _ties(values: Floats) -> Floats:
    """Return the sum of t**3 - t over groups of t equal values, NaN apart, shape (R,)."""
    size = (values[:, :, None] == values[:, None, :]).sum(-1)
    return np.where(size > 0, size**2 - 1.0, 0.0).sum(1)


def pooled_z(streams: Streams, once: bool = False) -> Looks:
    """z of two pooled shares at the 1 % level, at each look or `once` at the end."""
    arms = Arms.of(streams)
    n, x, m, y = (
        np.cumsum(counts, 1)
        for counts in (arms.candidate_total, arms.candidate_bad, arms.stable_total, arms.stable_bad)
    )
    share = (x + y) / np.maximum(n + m, 1)
    variance = share * (1 - share) * (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1))
    excess = x / np.maximum(n, 1) - y / np.maximum(m, 1)
    hits = (excess > norm.isf(LEVEL) * np.sqrt(variance)) & (x + y >= LEAST_BAD)
    if once:
        hits[:, :-1] = False
    return _first(hits)


def group_sequential(streams: Streams, analyses: int = 6) -> Looks:
    """O'Brien-Fleming at the 1 % level on the score stratified by look, at equal times."""
    arms = Arms.of(streams)
    share = arms.candidate_total / np.maximum(arms.candidate_total + arms.stable_total, 1)
    bad = arms.candidate_bad + arms.stable_bad
    score = np.cumsum(arms.candidate_bad - bad * share, 1)
    information = np.cumsum(bad * share * (1 - share), 1)
    z = score / np.sqrt(np.maximum(information, 1e-12))
    ends = np.arange(1, analyses + 1) * z.shape[1] // analyses - 1
    hits = np.zeros(z.shape, bool)
    hits[:, ends] = z[:, ends] > obrien_fleming(LEVEL, analyses)
    return _first(hits)


@cache
def obrien_fleming(level: float, analyses: int) -> tuple[float, ...]:
    """Return the one-sided bounds of z, spent as 2 - 2 Phi(z_(level / 2) / sqrt(t)).

    The distribution of the sums of those who go on is carried from one analysis to the next.
    """
    fractions = np.arange(1, analyses + 1) / analyses
    spent = np.diff(2 * norm.sf(norm.isf(level / 2) / np.sqrt(fractions)), prepend=0.0)
    step, bounds = analyses**-0.5, []
    at, mass = np.zeros(1), np.ones(1)
    nodes, weights = leggauss(80)
    for fraction, part in zip(fractions, spent, strict=True):
        bound = brentq(_surplus, -9.0, 9.0, args=(at, mass, step, part))
        bounds.append(float(bound / fraction**0.5))
        half = (bound + 8 * fraction**0.5) / 2
        grid = bound + half * (nodes - 1)
        mass = half * weights * (norm.pdf((grid[:, None] - at) / step) / step @ mass)
        at = grid
    return tuple(bounds)


def _surplus(bound: float, at: Floats, mass: Floats, step: float, part: float) -> float:
    return float(mass @ norm.sf((bound - at) / step) - part)


def anytime_t(streams: Streams) -> Looks:
    """Anytime-valid t at the one-sided 1 % level on differences of minutes.

    Lindon, Ham, Tingley and Bojinov (arXiv 2210.08589), prior size 5, from four minutes on; minutes
    in which an arm has no traffic are left out.
    """
    arms = Arms.of(streams, CHECK_SECONDS)
    candidate, stable = arms.shares()
    there = ~np.isnan(candidate - stable)
    difference = np.where(there, candidate - stable, 0.0)
    count = np.maximum(np.cumsum(there, 1), 1)
    mean = np.cumsum(difference, 1) / count
    squares = np.maximum(np.cumsum(difference**2, 1) - count * mean**2, 1e-300)
    freedom = np.maximum(count - 1, 1)
    evidence = log_t_evidence(count * mean**2 / squares * freedom, freedom, count, T_PRIOR)
    hits = (evidence > -np.log(2 * LEVEL)) & (count >= T_FIRST) & (mean > 0)
    return _first(hits, arms.looks)


def log_t_evidence(square: Floats, freedom: Floats, count: Floats, prior: float) -> Floats:
    """Return ln of the two-sided evidence against a mean of 0.

    Args:
        square: Squares of t.
        freedom: Degrees of freedom of t.
        count: Observations.
        prior: Observations that the prior of the effect is worth.
    """
    kept = prior / (prior + count)
    gained = np.log1p(square / freedom) - np.log1p(kept * square / freedom)
    result: Floats = 0.5 * (np.log(kept) + (freedom + 1) * gained)
    return result


def histogram_quantile(total: Floats, beyond: Floats, edges: Floats, quantile: float) -> Floats:
    """Return a quantile as PromQL does: linear within a bucket, at most the last edge.

    Args:
        total: Answers, shape (...).
        beyond: Answers slower than each edge, shape (..., E).
        edges: Milliseconds, shape (E,).
        quantile: In (0, 1).
    """
    within = total[..., None] - beyond
    rank = quantile * total
    bucket = (within < rank[..., None]).sum(-1)
    inside = np.minimum(bucket, len(edges) - 1)
    below = np.concatenate((np.zeros((*total.shape, 1)), within), -1)
    low, high = (np.take_along_axis(below, (inside + n)[..., None], -1)[..., 0] for n in (0, 1))
    left, right = np.concatenate(([0.0], edges))[inside], edges[inside]
    value = left + (right - left) * np.minimum((rank - low) / np.maximum(high - low, 1.0), 1.0)
    value = np.where(bucket < len(edges), value, edges[-1])
    return np.where(total > 0, value, np.nan)


def _candidate_p99(streams: LatencyStreams) -> tuple[Floats, int]:
    arms = Arms.of(streams, CHECK_SECONDS)
    value = histogram_quantile(arms.candidate_total, arms.candidate_bad, streams.edges, 0.99)
    return value, arms.looks


def flagger_p99(streams: LatencyStreams, threshold: int = 5) -> Looks:
    """Flagger: `threshold` checks with a 99th percentile above 500 ms, or without traffic."""
    value, looks = _candidate_p99(streams)
    return _failed_often(value <= MAX_P99, looks, threshold - 1)


def argo_p99(streams: LatencyStreams, failure_limit: int = 0) -> Looks:
    """Argo Rollouts: more than `failure_limit` 99th percentiles that are not <= 500 ms."""
    value, looks = _candidate_p99(streams)
    return _failed_often(value <= MAX_P99, looks, failure_limit)


def kayenta_quantile(streams: LatencyStreams, quantile: float) -> Looks:
    """Kayenta's judge on a quantile of minutes, every ten minutes."""
    arms = Arms.of(streams, CHECK_SECONDS)
    edges = streams.edges
    candidate = histogram_quantile(arms.candidate_total, arms.candidate_bad, edges, quantile)
    stable = histogram_quantile(arms.stable_total, arms.stable_bad, edges, quantile)
    return _judged_high(candidate, stable, arms.looks, every=10)


def peeked_chi_square(streams: ShareStreams) -> Looks:
    """chi-square of the candidate's share at the .1 % level, looked at each look."""
    share = streams.weight / 100
    intended = np.cumsum((streams.candidate + streams.stable) * share, 1)
    variance = np.cumsum((streams.candidate + streams.stable) * share * (1 - share), 1)
    excess = np.cumsum(streams.candidate, 1) - intended
    return _first(excess**2 > chi2.isf(SHARE_LEVEL, 1) * variance)


RULES: dict[str, Callable[[Streams], Looks]] = {
    "Flagger thr=5, SR>=99%": flagger,
    "Argo failureLimit=0, SR>=99%": argo,
    "Argo failureLimit=3": partial(argo, failure_limit=3),
    "Kayenta MW /10 min": kayenta,
    "Kayenta MW /1 min": partial(kayenta, every=1),
    "pooled z, peek each look": pooled_z,
    "pooled z, once at end": partial(pooled_z, once=True),
    "group-seq OBF 6 looks (strat.)": group_sequential,
    "anytime t on interval diffs": anytime_t,
}

LATENCY_RULES: dict[str, Callable[[LatencyStreams], Looks]] = {
    "Flagger p99<=500ms thr=5": flagger_p99,
    "Argo p99<=500ms fl=0": argo_p99,
    "Kayenta MW on p99 /10 min": partial(kayenta_quantile, quantile=0.99),
    "Kayenta MW on p50 /10 min": partial(kayenta_quantile, quantile=0.5),
}

SHARE_RULES: dict[str, Callable[[ShareStreams], Looks]] = {
    "chi2 peeked each look": peeked_chi_square,
}
