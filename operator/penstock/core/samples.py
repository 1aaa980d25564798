"""What a metrics system answers, as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


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
