"""What happened in one run."""

from dataclasses import dataclass
from enum import StrEnum

from penstock.core.looks import Floats


class Event(StrEnum):
    """What can happen to a release."""

    WEIGHT = "Weight"
    ASKED = "ApprovalAsked"
    APPROVED = "Approved"
    HELD = "Held"
    OVERDUE = "DeadlineOver"
    PROMOTED = "Promoted"
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
    """

    seconds: float
    event: Event
    weight: float
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """The evidence after each look, natural logs, each of shape (looks,).

    Attributes:
        seconds: When the look was taken.
        weight: The weight that it was about, in percent.
        worse: The greatest of the metrics that act.
        safe: The least of them.
    """

    seconds: Floats
    weight: Floats
    worse: Floats
    safe: Floats


@dataclass(frozen=True, slots=True)
class Course:
    """One run, from its start to its end or to the horizon.

    Attributes:
        outcome: Promoted, RolledBack, or Waiting at the horizon.
        cause: Why, in one word; empty while it waits.
        seconds: Its length.
        weight: The greatest weight that the candidate had, in percent.
        requests: What the candidate answered, until the end was in force.
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
