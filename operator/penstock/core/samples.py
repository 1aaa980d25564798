"""What a metrics system answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from penstock.core.rows import Counters


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No answer that may be trusted.

    Attributes:
        reason: A sentence for people.
        too_much: The question itself was refused; parts of it may be answered.
        late: There was no answer in time.
    """

    reason: str
    too_much: bool = field(default=False, compare=False)
    late: bool = field(default=False, compare=False)


Answer = tuple[Sample, ...] | Unreadable


@dataclass(frozen=True, slots=True)
class Query:
    """An expression for one connection of the operator's configuration.

    Attributes:
        namespace: The namespace of the Rollout that asks: a connection may be closed to it.
        counters: What it reads, where that is counters and facts: such queries can be asked
            together, see `core.batch`.
    """

    connection: str
    expression: str
    namespace: str
    at: datetime
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """One series over time: its values by time, in Unix seconds."""

    labels: Mapping[str, str]
    values: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """An expression over a time, for one connection; `namespace` as in `Query`."""

    connection: str
    expression: str
    namespace: str
    begin: datetime
    end: datetime
    step: timedelta

    def over(self, begin: datetime, end: datetime, step: timedelta) -> "RangeQuery":
        """Return the same question about another time."""
        return replace(self, begin=begin, end=end, step=step)


Tracks = tuple[Track, ...] | Unreadable
