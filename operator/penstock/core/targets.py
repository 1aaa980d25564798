"""The candidate's answers by scrape target over a whole release, and whether one stands out.

Kept beside the evidence and never a part of it: Worse acts whatever is found here (decision 10).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from penstock.core import sides
from penstock.core.counters import LookCounts
from penstock.core.looks import NO_COUNTS, Counts
from penstock.core.stats import mixture
from penstock.core.stats.nulls import Side
from penstock.core.stats.proportion import Bet, Null, Pairs, Question
from penstock.core.terms import Terms

MOST_TARGETS = 32
OTHERS = ""
"""Stands for the targets that are not kept by name."""

LOG_EVIDENT = float(np.log(10))
_EQUAL = Null(np.array([1.0]), np.array([0.0]))


@dataclass(frozen=True, slots=True)
class Target:
    """What the candidate answered at one scrape target (`job/instance`).

    Attributes:
        counts: Its answers since the first look.
        shared: It counts for stable, too: a proxy of clients or a gateway, no pod of the candidate.
    """

    name: str
    counts: Counts
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Sums:
    """Both versions over the whole release, and the share that stable is known to have."""

    targets: tuple[Target, ...]
    stable: Counts
    stable_rate: float

    @property
    def are_pods(self) -> bool:
        """Return whether there are several targets, and all of them the candidate's own pods."""
        return len(self.targets) > 1 and not any(one.shared for one in self.targets)

    def without(self, left_out: Target) -> Counts:
        """Return the candidate's answers without those of one target."""
        counts = (one.counts for one in self.targets if one is not left_out)
        return sum(counts, NO_COUNTS)


def added(targets: Sequence[Target], look: LookCounts) -> tuple[Target, ...]:
    """Return the targets with what one look counted; at most `MOST_TARGETS`.

    The ones that are furthest from the share of all are kept by name, the rest together.
    """
    sums = {one.name: one for one in targets}
    for name, counts in look.candidate.items():
        before = sums.get(name, Target(name, NO_COUNTS))
        shared = before.shared or name in look.stable
        sums[name] = Target(name, before.counts + counts, shared)
    return _fewer(tuple(sums.values()))


def _fewer(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    if len(targets) <= MOST_TARGETS:
        return tuple(sorted(targets, key=lambda one: one.name))
    rate = sum((one.counts for one in targets), NO_COUNTS).rate or 0.0
    named = [one for one in targets if one.name != OTHERS]
    named.sort(key=lambda one: (-abs(one.counts.bad - rate * one.counts.total), one.name))
    kept = named[: MOST_TARGETS - 1]
    names = {one.name for one in kept}
    rest = [one for one in targets if one.name not in names]
    counts = sum((one.counts for one in rest), NO_COUNTS)
    others = Target(OTHERS, counts, any(one.shared for one in rest))
    return tuple(sorted((*kept, others), key=lambda one: one.name))


def suspect(terms: Terms, sums: Sums, side: Side) -> Target | None:
    """Return the pod without which nothing speaks against the candidate; None for no such pod.

    It has more than half of what is too much (too little) over all pods, it differs from the
    others at 10 to 1 for each pod that it was chosen from, and without it the others are under
    10 to 1 beside stable. Both are told by the sums of the release in one look, so they are a hint
    where the weights or rates moved; no weight and no verdict "worse" depends on them.

    Args:
        terms: What was fixed before the first look.
        sums: The counts of the release.
        side: Which way the candidate is too far from stable.
    """
    if not sums.are_pods:
        return None
    excess = {one: _excess(terms, one.counts, sums.stable_rate, side) for one in sums.targets}
    most = max(sums.targets, key=lambda one: excess[one])
    if most.name == OTHERS or excess[most] * 2 <= sum(max(each, 0.0) for each in excess.values()):
        return None
    rest = sums.without(most)
    phi = terms.calibration.phi_worse
    apart = _log_evidence(side, _EQUAL, (most.counts, rest), rest.rate or 0.0) / phi
    if apart < LOG_EVIDENT + np.log(len(sums.targets)):
        return None
    plain = sides.border(side, terms.tolerance)
    if plain is None:
        return None
    left = _log_evidence(side, plain, (rest, sums.stable), sums.stable_rate) / phi
    return most if left < LOG_EVIDENT else None


def _excess(terms: Terms, counts: Counts, stable_rate: float, side: Side) -> float:
    if side is Side.MORE:
        return counts.bad - counts.total * terms.tolerance.most(stable_rate)
    return counts.total * terms.tolerance.least(stable_rate) - counts.bad


def _log_evidence(side: Side, border: Null, arms: tuple[Counts, Counts], rate: float) -> float:
    """Return ln of the evidence that the first arm is beyond the border, counted in one look."""
    first, second = arms if side is Side.MORE else arms[::-1]
    numbers = (first.total, first.bad, second.total, second.bad)
    pairs = Pairs(*(np.array([float(number)]) for number in numbers))
    known = sides.known_rate(side, border, np.array([max(rate, 1e-6)]))
    log_e = Bet.on(Question.WORSE, pairs, border, known).gains().log_e(pairs)[..., 0]
    return float(mixture.log_sum(log_e + mixture.LOG_WEIGHTS))


def to_payload(targets: Sequence[Target]) -> list[dict[str, Any]]:
    """Return the targets as what JSON can hold."""
    return [asdict(one) for one in targets]


def of_payload(payload: Sequence[Mapping[str, Any]]) -> tuple[Target, ...]:
    """Return the targets that `to_payload` gave.

    Raises:
        KeyError, TypeError: Something is missing or garbled.
    """
    return tuple(Target(one["name"], Counts(**one["counts"]), one["shared"]) for one in payload)
