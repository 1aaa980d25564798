"""How a candidate is judged."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import (
    TWO_DECIMALS,
    TWO_DECIMALS_RULE,
    ApiModel,
    DnsLabel,
    DnsName,
    Duration,
    cel,
    known_variables,
    parse_duration,
    rule,
)

Slack = Annotated[float, Field(ge=0.01, le=50), TWO_DECIMALS, TWO_DECIMALS_RULE]
ErrorRate = Annotated[float, Field(ge=0.01, le=50)]


class OnInconclusive(StrEnum):
    """What happens at a step's deadline when the evidence does not suffice."""

    HOLD = "Hold"
    ADVANCE = "Advance"
    ROLLBACK = "Rollback"


class OnSilence(StrEnum):
    """What happens when metrics have been silent for too long."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class OnWorse(StrEnum):
    """What a metric may do when it finds the candidate worse."""

    ROLLBACK = "Rollback"
    HOLD = "Hold"
    REPORT = "Report"


class OnNoData(ApiModel):
    """A policy for silence. Silence is never evidence."""

    after: Duration = Field(
        default=parse_duration("10m"), description="Time without data, a duration."
    )
    then: OnSilence = Field(default=OnSilence.HOLD, description="Hold or Rollback.")


class Threshold(ApiModel):
    """A plain threshold on the value of a query."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule("has(self.min) || has(self.max)", "a value needs min, max or both"),
            rule(
                "!has(self.min) || !has(self.max) || self.min <= self.max",
                "min must not be greater than max",
                fieldPath=".min",
            ),
        )
    )

    query: str = Field(
        min_length=1,
        max_length=4096,
        description="PromQL that gives one number. May use $variant, $version, $host, $service, "
        "$namespace, $rollout, $reporter.",
        json_schema_extra=cel(known_variables()),
    )
    min: float | None = Field(default=None, description="Lowest good value, in the query's unit.")
    max: float | None = Field(default=None, description="Highest good value, in the query's unit.")
    for_: Duration = Field(
        default=parse_duration("1m"),
        alias="for",
        description="The value must stay bad for this long, a duration; a good look resets it.",
    )


Edge = Annotated[float, Field(ge=0, le=1e9)]
ArgName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=63)]
ArgValue = Annotated[str, Field(min_length=1, max_length=256)]


class Metric(ApiModel):
    """A guardrail: a template by name, or a threshold written in place."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.template) != has(self.value)",
                "a metric takes exactly one of template, value",
            ),
            rule(
                "!has(self.value) || has(self.name)",
                "a metric with a value needs a name",
                fieldPath=".name",
            ),
            rule(
                "!has(self.value) || (!has(self.maxIncrease) && !has(self.maxDecrease) "
                "&& !has(self.slack) && !has(self.edges) && !has(self.args))",
                "maxIncrease, maxDecrease, slack, edges and args belong to a template, "
                "not to a value",
            ),
        )
    )

    name: DnsLabel | None = Field(
        default=None, description="Name in status and events; the template's name when not given."
    )
    template: DnsName | None = Field(
        default=None,
        description="MetricTemplate in this namespace, else in the operator's catalogue.",
    )
    value: Threshold | None = Field(default=None, description="A plain threshold.")
    max_increase: Annotated[float, Field(ge=0, le=10_000)] | None = Field(
        default=None,
        description="Tolerated increase over stable's rate, in percent of it; "
        "20 when not given (1.2 times).",
    )
    max_decrease: Annotated[float, Field(ge=0, le=99)] | None = Field(
        default=None,
        description="Tolerated decrease below stable's rate, in percent of it; 20 when not given "
        "for a template with better: Higher, else no bound (too good may be a bug too).",
    )
    slack: Slack | None = Field(
        default=None,
        description="Tolerated on top, in percentage points; 0.1 when not given.",
    )
    edges: Annotated[tuple[Edge, ...], Field(min_length=1, max_length=3)] | None = Field(
        default=None,
        description="Bounds of the histogram's buckets at which a distribution is compared, "
        "rising, in its unit: the share beyond each.",
        json_schema_extra=cel(
            rule(
                "self.all(a, self.filter(b, b == a).size() == 1) "
                "&& self.all(a, self.indexOf(a) == self.filter(b, b < a).size())",
                "edges must rise",
            )
        ),
    )
    args: Annotated[dict[ArgName, ArgValue], Field(max_length=16)] | None = Field(
        default=None,
        description="Values of $args.<name> in the template.",
    )
    on_worse: OnWorse = Field(
        default=OnWorse.ROLLBACK,
        description="Rollback, Hold (until a command), or Report (never acts, spends no alpha).",
    )

    @property
    def title(self) -> str:
        """Return the name under which the metric is shown."""
        return self.name or self.template or "value"


def _title(metric: str) -> str:
    """Return the CEL of `Metric.title`."""
    template = f"(has({metric}.template) ? {metric}.template : '')"
    return f"(has({metric}.name) ? {metric}.name : {template})"


class Analysis(ApiModel):
    """How the evidence is gathered and what error rates are kept."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                f"self.metrics.all(m, self.metrics.exists_one(n, {_title('n')} == {_title('m')}))",
                "each metric needs a name of its own: give `name` to metrics of one template",
                fieldPath=".metrics",
            )
        )
    )

    interval: Duration = Field(
        default=parse_duration("10s"),
        description="How often new data is looked at, a duration of at least 1s; not less than "
        "the scrape interval, since a look without a new sample counts as no time.",
        json_schema_extra=cel(
            rule("duration(self) >= duration('1s')", "interval must be at least 1s")
        ),
    )
    false_alarm_rate: ErrorRate = Field(
        default=1,
        description="Chance that a good version is rolled back, over the whole release: all "
        "metrics, steps and looks together, in percent.",
    )
    miss_rate: ErrorRate = Field(
        default=5,
        description="Chance that a step is passed by a version that is not good enough for the "
        "next one, in percent.",
    )
    warm_up: Duration = Field(
        default=parse_duration("3m"),
        description="Time in which fresh pods may be slow or cold, a duration, from the first "
        "weight on and for each young candidate pod.",
    )
    on_inconclusive: OnInconclusive = Field(
        default=OnInconclusive.HOLD,
        description="At a step's deadline: Hold, Advance or Rollback.",
    )
    on_no_data: OnNoData = Field(default=OnNoData(), description="A policy for silence.")
    metrics: tuple[Metric, ...] = Field(
        default=(),
        max_length=16,
        description="What is judged. Every one must be Safe to pass. Only blueGreen, which "
        "compares nothing, may do without any.",
    )
