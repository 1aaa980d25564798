"""What became of releases, and what that tells: shares and medians with their uncertainty.

Shapes: R replicates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

from tests.bench_evidence.peers import NEVER
from tests.bench_evidence.streams import ShareStreams, Streams

Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]
Looks = NDArray[np.int64]
Outcome = TypeVar("Outcome")

ERROR_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Fates:
    """What one rule did to R releases of one scenario; each array has the shape (R,).

    Attributes:
        at: The look of the rollback (or alarm), NEVER for none.
        early: Whether that was before the version turned bad.
        requests: The candidate's from the onset until then, infinite for never, 0 where early.
        bad: Its bad answers from the onset until then, or until the end.
        safe: The first look at which it was called safe, NEVER for none.
        unresolved: Whether it was said that the pods are too few to tell.
    """

    at: Looks
    early: Hits
    requests: Floats
    bad: Floats
    safe: Looks
    unresolved: Hits

    @classmethod
    def of(
        cls,
        streams: Streams,
        at: Looks,
        safe: Looks | None = None,
        unresolved: Hits | None = None,
    ) -> "Fates":
        """Return what a rule did that rolled back `at` these looks."""
        total = streams.candidate_total
        bad = streams.candidate_bad.reshape(*total.shape, -1)[..., 0]
        stopped, rows = at != NEVER, np.arange(len(at))
        served, failed = (since(counts.sum(-1), streams.onset) for counts in (total, bad))
        never, no = np.full(len(at), NEVER), np.zeros(len(at), bool)
        return cls(
            at=at,
            early=stopped & (at < streams.onset),
            requests=np.where(stopped, served[rows, at], np.inf),
            bad=failed[rows, at],
            safe=never if safe is None else safe,
            unresolved=no if unresolved is None else unresolved,
        )

    @classmethod
    def of_shares(cls, streams: ShareStreams, at: Looks) -> "Fates":
        """Return what a check of the shares did; requests are those of both arms."""
        served = np.cumsum(streams.candidate + streams.stable, 1)[np.arange(len(at)), at]
        no = np.zeros(len(at), bool)
        requests = np.where(at == NEVER, np.inf, served)
        return cls(at, no, requests, np.zeros(len(at)), np.full(len(at), NEVER), no)

    @property
    def stopped(self) -> Hits:
        """Whether a release was rolled back at all."""
        return self.at != NEVER

    @property
    def found(self) -> Hits:
        """Whether it was rolled back for what it is: not before it turned bad."""
        return self.stopped & ~self.early

    @property
    def bad_until_found(self) -> Floats:
        """Bad answers from the onset until the rollback, infinite where there was none."""
        return np.where(self.stopped, self.bad, np.inf)


def since(counts: NDArray[np.int64], onset: int) -> Floats:
    """Return sums from a look on, 0 before it; counts: (R, T)."""
    sums = np.cumsum(counts, 1).astype(float)
    before = sums[:, onset - 1, None] if onset > 0 else 0.0
    return np.maximum(sums - before, 0.0)


@dataclass(frozen=True, slots=True)
class Climbs:
    """What became of releases that were driven up the ladder; each array has the shape (R,).

    Attributes:
        promoted: Whether the release passed every step.
        rolled_back: Whether it was called worse.
        minutes: From the end of warm-up until the promotion, infinite for none.
    """

    promoted: Hits
    rolled_back: Hits
    minutes: Floats


def joined(parts: Sequence[Outcome]) -> Outcome:
    """Return the outcomes of several parts of the replicates as one."""
    first = parts[0]
    arrays = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(first)}
    return type(first)(**arrays)


class Met(StrEnum):
    """Whether a target is met; `WITHIN`: missed by less than the simulation can tell."""

    YES = "met"
    WITHIN = "met within error"
    NO = "NOT MET"
    NONE = ""


_WORST = (Met.NONE, Met.YES, Met.WITHIN, Met.NO)


def worst_of(several: Sequence[Met]) -> Met:
    """Return the worst of several answers."""
    return max(several, key=_WORST.index, default=Met.NONE)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a section."""

    what: str
    measured: str
    target: str = ""
    met: Met = Met.NONE


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some releases, with the 95 % interval of Clopper and Pearson, in percent."""

    hits: int
    of: int

    @classmethod
    def among(cls, hits: Hits) -> "Share":
        """Return the share of what is true."""
        return cls(int(hits.sum()), len(hits))

    @property
    def percent(self) -> float:
        """The estimate."""
        return 100 * self.hits / self.of

    @property
    def low(self) -> float:
        """The lower limit."""
        tail = ERROR_SHARE / 2
        return 100 * float(beta.ppf(tail, self.hits, self.of - self.hits + 1)) if self.hits else 0.0

    @property
    def high(self) -> float:
        """The upper limit."""
        if self.hits == self.of:
            return 100.0
        return 100 * float(beta.ppf(1 - ERROR_SHARE / 2, self.hits + 1, self.of - self.hits))

    def __str__(self) -> str:
        return f"{_number(self.percent)} % ({_number(self.low)} to {_number(self.high)})"

    def at_most(self, percent: float) -> Met:
        """Return whether the share is at most so many percent."""
        return _met(self.percent <= percent, self.low <= percent)

    def at_least(self, percent: float) -> Met:
        """Return whether the share is at least so many percent."""
        return _met(self.percent >= percent, self.high >= percent)


@dataclass(frozen=True, slots=True)
class Median:
    """A median with the 95 % interval of order statistics; infinite where half never end."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats) -> "Median":
        """Return the median of at least one value."""
        ordered = np.sort(values)
        count = len(ordered)
        below = max(int(binom.ppf(ERROR_SHARE / 2, count, 0.5)) - 1, 0)
        middle = ordered[(count - 1) // 2], ordered[count // 2]
        value = math.inf if math.isinf(middle[1]) else float(np.mean(middle))
        return cls(value, float(ordered[below]), float(ordered[count - 1 - below]))

    def __str__(self) -> str:
        if math.isinf(self.value):
            return "never in the median"
        return f"{_number(self.value)} ({_number(self.low)} to {_number(self.high)})"

    def at_most(self, limit: float) -> Met:
        """Return whether the median is at most a limit."""
        return _met(self.value <= limit, self.low <= limit)


def _met(plainly: bool, within_error: bool) -> Met:
    return Met.YES if plainly else Met.WITHIN if within_error else Met.NO


def _number(value: float) -> str:
    if math.isinf(value):
        return "never"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 10 or value == 0 else f"{value:.2g}"
