"""The random processes of the streams: what wanders, what comes in clusters, who is there.

Shapes: R replicates, T rows of a grid (history, then looks), P pods.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

HEAVY_TAIL = 1.5
LARGEST_CLUSTER = 200
HISTORY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows of a stream: `history` rows of a minute before the release, then its looks.

    Attributes:
        minutes: Begin of each row in minutes since the release began, shape (T,).
        seconds: Length of each row, shape (T,).
        history: Number of rows before the release.
    """

    minutes: Floats
    seconds: Floats
    history: int

    @classmethod
    def of(cls, interval: float, looks: int, history: int) -> "Grid":
        """Return the grid of a release with looks of `interval` seconds."""
        before = np.arange(-history, 0) * HISTORY_SECONDS / 60
        seconds = np.repeat([HISTORY_SECONDS, interval], [history, looks])
        return cls(np.concatenate((before, np.arange(looks) * interval / 60)), seconds, history)

    def correlation(self, per_minute: float) -> Floats:
        """Return the correlation of each row with the row before it, shape (T,)."""
        gaps = np.diff(self.minutes, prepend=self.minutes[0] - 1)
        result: Floats = per_minute**gaps
        return result

    def stepped(self, values: tuple[float, ...], before: float) -> Floats:
        """Return values that change every ten minutes of the release, the last one for good."""
        steps = np.clip(self.minutes // 10, 0, len(values) - 1).astype(int)
        return np.where(self.minutes < 0, before, np.array(values)[steps])

    def daily(self) -> Floats:
        """Return a sine of 24 hours, shape (T,).

        The release begins where it climbs fastest; the history is from six hours before, its low.
        """
        return np.sin(
            2 * np.pi * np.where(self.minutes < 0, self.minutes - 360, self.minutes) / 1440
        )


def wander(rng: np.random.Generator, shape: tuple[int, ...], correlation: Floats) -> Floats:
    """Return a stationary AR(1) of mean 0 and variance 1 along axis 1.

    Args:
        rng: The source of chance.
        shape: (R, T) or (R, T, P).
        correlation: With the row before, shape (T,).
    """
    result = rng.standard_normal(shape)
    fresh = np.sqrt(1 - correlation**2)
    for row in range(1, shape[1]):
        result[:, row] = correlation[row] * result[:, row - 1] + fresh[row] * result[:, row]
    return result


def factor(normal: Floats, spread: float) -> Floats:
    """Return log-normal factors of mean 1 whose logarithms have the standard deviation `spread`."""
    result: Floats = np.exp(spread * normal - spread**2 / 2)
    return result


def present(places: int, replaced: tuple[float, ...], grid: Grid) -> NDArray[np.bool_]:
    """Return which pods are there at the begin of each row, shape (T, places + replacements).

    Args:
        places: Pods at any moment.
        replaced: Minutes at which the oldest pod gives way to a new one, rising.
        grid: The rows.
    """
    born = np.concatenate((np.full(places, -np.inf), replaced))
    gone = np.concatenate((replaced, np.full(places, np.inf)))
    return (born <= grid.minutes[:, None]) & (grid.minutes[:, None] < gone)


def over_pods(rng: np.random.Generator, mean: Floats, there: NDArray[np.bool_]) -> Counts:
    """Return Poisson requests of each pod, equal shares of `mean` (R, T), as (R, T, P)."""
    share = there / there.sum(-1, keepdims=True)
    return rng.poisson(mean[..., None] * share)


def geometric_clusters(rng: np.random.Generator, total: Counts, p: Floats, mean: float) -> Counts:
    """Return bad answers of share `p` in clusters of geometric size within one pod and row.

    A cluster takes no more than the row's requests of its pod, so very short rows lose some.
    """
    clusters = rng.poisson(total * p / mean)
    return np.minimum(clusters + _further(rng, clusters, 1 - 1 / mean), total)


def heavy_clusters(rng: np.random.Generator, total: Counts, per_request: float) -> Counts:
    """Return bad answers in clusters with Pareto sizes, each within one pod and row.

    A cluster of the size s or more has the probability s**-1.5; none exceeds 200.
    """
    clusters = rng.poisson(total * per_request)
    cells = np.repeat(np.arange(clusters.size), clusters.ravel())
    sizes = np.minimum(np.floor((1 - rng.random(len(cells))) ** (-1 / HEAVY_TAIL)), LARGEST_CLUSTER)
    sums = np.bincount(cells, sizes, clusters.size).reshape(clusters.shape)
    return sums.astype(np.int64)


def retried(
    rng: np.random.Generator, total: Counts, bad: Counts, again: float
) -> tuple[Counts, Counts]:
    """Return requests and bad answers of an arm, (R, T, P), when errors are retried until good.

    Args:
        rng: The source of chance.
        total: Requests without retries.
        bad: Bad answers among them.
        again: Probability that a retry is bad too. It goes to any pod of the arm, in the same row.
    """
    chains, requests = bad.sum(-1), total.sum(-1, keepdims=True)
    pods = np.where(requests > 0, total / np.maximum(requests, 1), 1 / total.shape[-1])
    more_bad = rng.multinomial(_further(rng, chains, again), pods)
    good = rng.multinomial(chains, pods)
    return total + more_bad + good, bad + more_bad


def episodes(rng: np.random.Generator, replicates: int, grid: Grid, per_hour: float) -> Floats:
    """Return the part of each row during which a dependency fails, shape (R, T).

    Episodes begin at any moment and last half a minute on average (exponential).
    """
    begin, end = grid.minutes, grid.minutes + grid.seconds / 60
    count = rng.poisson(per_hour * (end[-1] - begin[0]) / 60, replicates)
    result = np.zeros((replicates, len(begin)))
    for number in range(count.max(initial=0)):
        start = rng.uniform(begin[0], end[-1], (replicates, 1))
        stop = start + rng.exponential(0.5, (replicates, 1))
        overlap = np.minimum(stop, end) - np.maximum(start, begin)
        result += np.where(number < count[:, None], np.maximum(overlap, 0), 0)
    return np.minimum(result / (end - begin), 1.0)


def _further(rng: np.random.Generator, chains: Counts, again: float) -> Counts:
    """Return the sum of geometric further events after each of some chains."""
    further = rng.negative_binomial(np.maximum(chains, 1), 1 - again)
    return np.where(chains > 0, further, 0)
