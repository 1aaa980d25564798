"""What is looked at in a turn, how much time there is for it, and what is seen: values."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import StepStatus
from penstock.core import phases, plan
from penstock.core.counters import LookCounts
from penstock.core.facts import Analysis, VersionPods
from penstock.core.judging import Opinion
from penstock.core.ledger import Guardrail, Ledger
from penstock.core.looks import Counts, Look, least_cell, worst_cell
from penstock.core.means.counters import MeanCounts
from penstock.core.means.looks import MeanLook
from penstock.core.queries import Subject, Unusable
from penstock.core.record import Record
from penstock.core.stats.nulls import Side


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at in one turn.

    Attributes:
        release: Name of the release, and of the phase that is judged (`core.phases`).
        started: Where its looks are counted from; they end at this time plus whole intervals.
        spec: The spec that it runs on.
        rails: Its guardrails.
        steps: Its steps.
        step: Index of the step whose weight is in force; -1 while none is, or it is not followed.
        since: When every proxy follows the weight.
        first: When the first weight was in force; None before.
        subject: Whom the metrics are about; None while versions cannot be told apart.
        pods: Ready pods of candidate and stable.
        youngest: When the newest ready pod of the candidate was created.
        stable_pods: Names and addresses of stable's pods.
        versions: The pods of candidate and stable by version.
    """

    release: str
    started: datetime
    spec: RolloutSpec
    rails: tuple[Guardrail, ...]
    steps: Sequence[StepStatus]
    step: int
    since: datetime
    first: datetime | None
    subject: Subject | Unusable
    pods: tuple[int, int]
    youngest: datetime | None
    stable_pods: frozenset[str] = frozenset()
    versions: Mapping[str, VersionPods] = field(default_factory=dict)

    @property
    def interval(self) -> timedelta:
        """Return the time between looks."""
        return self.spec.analysis.interval

    def end_of(self, number: int) -> datetime:
        """Return the instant at which a look ends."""
        return self.started + number * self.interval

    def number_at(self, time: datetime) -> int:
        """Return the number of the newest look that has ended by then."""
        return math.floor((time - self.started) / self.interval)

    def warm(self, number: int) -> bool:
        """Return whether the candidate was warming up in a look."""
        begin, warm_up = self.end_of(number - 1), self.spec.analysis.warm_up
        fresh = self.youngest is not None and begin < self.youngest + warm_up
        return self.first is None or begin < self.first + warm_up or fresh


@dataclass(frozen=True, slots=True)
class Haste:
    """How much time a turn has.

    Attributes:
        now: The time.
        pressing: A command or a change of the spec waits: no metric is asked.
        urgent: Set when one comes while metrics are asked.
    """

    now: datetime
    pressing: bool = False
    urgent: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen in one turn.

    Attributes:
        analysis: What all metrics say together.
        opinions: What each says.
        ledger: The counts, for the next checkpoint.
        next_look: When the next look is due.
        due: When the oldest look that was now taken was due; None where none was, or where it
            is only compared with.
        mirrored: Copies are judged.
    """

    analysis: Analysis
    opinions: tuple[Opinion, ...]
    ledger: Ledger
    next_look: datetime
    due: datetime | None = None
    mirrored: bool = False

    @property
    def records(self) -> dict[str, str]:
        """Return the counts as a Release stores them."""
        return phases.stored(self.ledger.encode(), self.mirrored)


def look_of(counts: LookCounts, watched: Watched, number: int, record: Record) -> Look:
    """Return the look that was counted."""
    candidate, stable = watched.pods
    cells, (least, most) = counts.candidate, record.tolerated
    too_few = Side.LESS in record.terms.tolerance.sides
    return Look(
        number=number,
        step=watched.step,
        candidate=counts.candidate_counts,
        stable=counts.stable_counts,
        worst=worst_cell(cells, most),
        least=least_cell(cells, least) if too_few else Counts(),
        candidate_pods=max(candidate, 1),
        stable_pods=max(stable, 1),
        warm=watched.warm(number),
        unreached=counts.unreached,
    )


def mean_look_of(counts: MeanCounts, watched: Watched, number: int) -> MeanLook:
    """Return the look of a mean that was counted."""
    candidate, stable = watched.pods
    return MeanLook(
        number=number,
        step=watched.step,
        warm=watched.warm(number),
        candidate=counts.candidate_arm,
        stable=counts.stable_arm,
        candidate_pods=max(candidate, 1),
        stable_pods=max(stable, 1),
    )


def first_in_force(steps: Sequence[StepStatus], propagation: timedelta) -> datetime | None:
    """Return when the first weight of a release was in force; None before."""
    first = plan.first_exposure(steps)
    return first.since + propagation if first and first.since else None
