"""What a metrics system answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No answer that may be trusted; `reason` is a sentence for people."""

    reason: str


Answer = tuple[Sample, ...] | Unreadable


@dataclass(frozen=True, slots=True)
class Query:
    """An expression for one connection of the operator's configuration.

    `namespace` is the namespace of the Rollout that asks: a connection may be closed to it.
    """

    connection: str
    expression: str
    namespace: str
    at: datetime


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
