"""What happened in one run."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from penstock.core.looks import Floats


class Event(StrEnum):
    """What can happen to a release."""

    PREVIEW = "Preview"
    MIRROR = "Mirror"
    WEIGHT = "Weight"
    ASKED = "ApprovalAsked"
    APPROVED = "Approved"
    GATE_ASKED = "GateAsked"
    GATE_OPEN = "GateOpen"
    HELD = "Held"
    OVERDUE = "DeadlineOver"
    PROMOTED = "Promoted"
    OBSERVED = "Observed"
    ROLLED_BACK = "RolledBack"
    WAITING = "Waiting"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened.

    Attributes:
        seconds: Since the start of the release.
        event: What it was.
        weight: The weight from then on, in percent.
        why: Sentences, most often one per metric.
        mirror: The share of the requests that are copied from then on, in percent.
    """

    seconds: float
    event: Event
    weight: float
    why: tuple[str, ...] = ()
    mirror: float = 0.0


@dataclass(frozen=True, slots=True)
class Path:
    """The evidence after each look, natural logs, each of shape (looks,).

    Attributes:
        seconds: When the look was taken.
        weight: The weight that it was about, in percent; 0 for copies.
        worse: The greatest of the metrics that act.
        safe: The least of them.
    """

    seconds: Floats
    weight: Floats
    worse: Floats
    safe: Floats

    @classmethod
    def joined(cls, paths: Iterable["Path"]) -> "Path":
        """Return some paths as one."""
        columns = [[one.seconds, one.weight, one.worse, one.safe] for one in paths]
        return cls(*(np.concatenate(same) for same in zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Course:
    """One run, from its start to its end or to the horizon.

    Attributes:
        outcome: Promoted, Observed, RolledBack, or Waiting at the horizon.
        cause: Why, in one word; empty while it waits.
        seconds: Its length.
        weight: The greatest weight that the candidate had, in percent.
        requests: What users were answered by the candidate, until the end was in force.
        bad: Bad answers among them, of the first metric that compares.
        excess: How many more they are than expected of stable.
        moments: What happened, in order.
        notes: What the verdicts could not tell or promise.
        path: The evidence; None where it was not asked for.
    """

    outcome: Event
    cause: str
    seconds: float
    weight: float
    requests: int
    bad: int
    excess: float
    moments: tuple[Moment, ...]
    notes: tuple[str, ...]
    path: Path | None = None
