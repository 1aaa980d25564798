"""The first line of a file of recorded streams: how they are to be judged."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from penstock.api.fields import ApiModel, Duration, parse_duration
from penstock.api.v1alpha1.metric_template import Better

Share = Annotated[float, Field(gt=0, le=50)]


class Kind(StrEnum):
    """What the counts of a pod are."""

    PROPORTION = "proportion"
    DISTRIBUTION = "distribution"
    MEAN = "mean"


def _some_time(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("there must be some time between looks, such as 10s")
    return value


class StreamAnalysis(ApiModel):
    """Error rates and times, as in a Rollout."""

    interval: Annotated[Duration, AfterValidator(_some_time)] = Field(
        default=parse_duration("10s"), description="Time between looks."
    )
    false_alarm_rate: Share = Field(default=1, description="In percent, over the whole release.")
    miss_rate: Share = Field(default=5, description="In percent, per step.")
    warm_up: Duration = Field(default=parse_duration("3m"), description="Time of fresh pods.")


class StreamMetric(ApiModel):
    """What is counted and tolerated, as in a Rollout; here slack may be 0."""

    kind: Kind = Field(default=Kind.PROPORTION, description="What the counts of a pod are.")
    name: str = Field(default="errors", description="What sentences call it.")
    better: Better = Field(default=Better.LOWER, description="Lower or Higher.")
    max_increase: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="Tolerated increase in percent of stable's share."
    )
    max_decrease: Annotated[float, Field(ge=0, le=99)] | None = Field(
        default=None, description="Tolerated decrease in percent of stable's share."
    )
    slack: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.1, description="Tolerated on top, in percentage points."
    )
    edges: tuple[float, ...] = Field(default=(), max_length=3, description="Of a distribution.")
    unit: str = Field(default="", description="Unit of the edges, for people.")


class StreamHeader(ApiModel):
    """The whole first line."""

    analysis: StreamAnalysis = Field(default=StreamAnalysis(), description="How it is judged.")
    metric: StreamMetric = Field(default=StreamMetric(), description="What is judged.")
    edges: tuple[float, ...] = Field(
        default=(), max_length=3, description="The same as `metric.edges`."
    )
    ladder: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        default=(), description="Weights of the plan in percent."
    )
    sticky: bool = Field(
        default=False, description="Users stick to a version: shares of requests tell nothing."
    )

    @property
    def all_edges(self) -> tuple[float, ...]:
        """The edges, wherever they were written."""
        return self.metric.edges or self.edges

    @property
    def is_distribution(self) -> bool:
        """Whether counts are (total, beyond the first edge, beyond the second, ...)."""
        return bool(self.all_edges)

    @model_validator(mode="after")
    def _edges_fit(self) -> "StreamHeader":
        """Refuse a distribution without rising edges."""
        edges = self.all_edges
        if list(edges) != sorted(set(edges)):
            raise ValueError("edges must rise")
        if self.metric.kind is Kind.MEAN and edges:
            raise ValueError("a mean has no edges")
        if self.metric.kind is Kind.DISTRIBUTION and not edges:
            raise ValueError("a distribution needs edges: one to three")
        return self
