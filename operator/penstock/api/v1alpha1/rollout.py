"""Rollout: what users write. Its status is in `rollout_status`."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.api.fields import (
    TWO_DECIMALS,
    TWO_DECIMALS_RULE,
    UNIQUE,
    ApiModel,
    DnsLabel,
    DnsName,
    Duration,
    Percent,
    VersionName,
    cel,
    known_variables,
    parse_duration,
    rule,
)

KIND, PLURAL = "Rollout", "rollouts"

GatewayName = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=317,
    ),
]
StepWeight = Annotated[float, Field(ge=0.01, le=99.99), TWO_DECIMALS, TWO_DECIMALS_RULE]
Slack = Annotated[float, Field(ge=0.01, le=50), TWO_DECIMALS, TWO_DECIMALS_RULE]
ErrorRate = Annotated[float, Field(ge=0.01, le=50)]


class OnDelete(StrEnum):
    """What becomes of our routes when the Rollout is deleted."""

    LEAVE_ROUTES = "LeaveRoutes"
    REMOVE_ROUTES = "RemoveRoutes"


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


class Own(ApiModel):
    """A VirtualService that Penstock owns whole."""

    hosts: tuple[DnsName, ...] = Field(
        min_length=1,
        max_length=16,
        description="Hosts of the VirtualService, as clients call them.",
        json_schema_extra=UNIQUE,
    )
    gateways: tuple[GatewayName, ...] = Field(
        default=("mesh",),
        min_length=1,
        max_length=16,
        description="Gateways as `namespace/name`; `mesh` for the sidecars of the mesh.",
        json_schema_extra=UNIQUE,
    )


class Existing(ApiModel):
    """Named routes of somebody else's VirtualService; only their destinations are ours."""

    virtual_service: DnsName = Field(description="VirtualService in the Rollout's namespace.")
    http: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        min_length=1,
        max_length=16,
        description="Names of the http routes whose destinations Penstock sets.",
        json_schema_extra=UNIQUE,
    )


class Route(ApiModel):
    """Where the weights are written: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.delegate), has(self.own), has(self.existing)].filter(x, x).size() == 1",
                "route takes exactly one of delegate, own, existing",
            )
        )
    )

    delegate: DnsName | None = Field(
        default=None,
        description="Name of a delegate VirtualService of ours in this namespace; a root "
        "VirtualService of yours points at it. The best form with GitOps.",
    )
    own: Own | None = Field(default=None, description="A VirtualService that Penstock owns.")
    existing: Existing | None = Field(
        default=None, description="Named http routes of your own VirtualService."
    )


class Endpoints(ApiModel):
    """How the pods of the versions are told apart: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.label) != has(self.services)",
                "endpoints takes exactly one of label, services",
            )
        )
    )

    label: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_./]+$", max_length=317)] | None = Field(
        default=None,
        description="Pod label whose value is the version; becomes subsets of a DestinationRule.",
    )
    services: dict[VersionName, DnsLabel] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="One Service per version: version to Service name, in this namespace.",
    )


class Sticky(ApiModel):
    """The same user keeps the same version while the weight grows."""

    header: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=128)] = (
        Field(
            description="Request header that names the user, in lower case. It must be set or "
            "verified upstream; a request without it is placed at random."
        )
    )


class Traffic(ApiModel):
    """Whose requests are shared out, between which pods, and where the shares are written."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.sticky) || !has(self.route.existing)",
                "sticky needs route.delegate or route.own: an EnvoyFilter must not touch "
                "a route that somebody else may collapse",
                fieldPath=".sticky",
            )
        )
    )

    service: DnsLabel = Field(description="The Service that clients call, in this namespace.")
    endpoints: Endpoints = Field(
        default=Endpoints(label="version"), description="How the pods of the versions differ."
    )
    route: Route = Field(description="Where the weights are written.")
    sticky: Sticky | None = Field(
        default=None,
        description="Keep each user on one version, by a hash in the proxy. "
        "Needs Istio 1.28 or newer and the component `sticky` of the manifests.",
    )


class Approval(ApiModel):
    """A person says `approve` before the release goes on."""


class Step(ApiModel):
    """One state of the traffic, or an approval between two of them."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "has(self.weight) != has(self.approval)",
                "a step is either a weight or an approval",
            ),
            rule(
                "has(self.weight) || (!has(self.bake) && !has(self.deadline))",
                "bake and deadline belong to a step with a weight",
            ),
            rule(
                "!has(self.deadline) "
                "|| duration(has(self.bake) ? self.bake : '1m') <= duration(self.deadline)",
                "bake (1m when not given) must not be longer than deadline",
                fieldPath=".bake",
            ),
        )
    )

    weight: StepWeight | None = Field(
        default=None,
        description="The candidate's share of stable and candidate, in percent (0.01 to 99.99; "
        "100 follows the last step by itself).",
    )
    bake: Duration | None = Field(
        default=None,
        description="Least time with data on this step, a duration; 1m when not given.",
    )
    deadline: Duration | None = Field(
        default=None,
        description="Wall time after which `onInconclusive` decides, a duration; "
        "1h (or bake, if that is longer) when not given.",
    )
    approval: Approval | None = Field(
        default=None, description="Hold the weight before it until somebody says `approve`."
    )


class Canary(ApiModel):
    """Steps of growing weight."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "self.steps.exists(s, has(s.weight))",
                "canary.steps needs at least one step with a weight",
                fieldPath=".steps",
            ),
            rule(
                "self.steps.map(s, has(s.weight), s.weight).isSorted() && "
                "self.steps.all(s, !has(s.weight) "
                "|| self.steps.exists_one(t, has(t.weight) && t.weight == s.weight))",
                "weights must grow from step to step",
                fieldPath=".steps",
            ),
        )
    )

    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=32,
        description="Steps in order; each is the whole desired state of the traffic.",
    )


class Strategy(ApiModel):
    """How a new version is exposed."""

    ready_deadline: Duration = Field(
        default=parse_duration("10m"),
        description="A candidate not ready by then is rolled back, a duration. One without ready "
        "pods for 30s while it has traffic is rolled back too.",
    )
    min_stable_ready: Percent = Field(
        default=0,
        description="The weight rises only while stable keeps this share of the ready pods that "
        "it had at the start, in percent; 0 only reports.",
    )
    canary: Canary = Field(description="Steps of growing weight.")


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
        min_length=1, max_length=16, description="What is judged. Every one must be Safe to pass."
    )


class AfterPromotion(ApiModel):
    """What stays live after a promotion."""

    keep_old: Duration = Field(
        default=parse_duration("1h"),
        description="How long the old version stays a target of `undo`, and thresholds stay "
        "live, a duration. Keep its pods as long.",
    )


class RolloutSpec(ApiModel):
    """What the user wants."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "!has(self.onDelete) || self.onDelete != 'RemoveRoutes' "
                "|| !has(self.traffic.route.existing)",
                "onDelete: RemoveRoutes needs route.delegate or route.own: your own "
                "VirtualService would be left without its subsets",
                fieldPath=".onDelete",
            ),
            rule(
                "!has(self.traffic.endpoints) || !has(self.traffic.endpoints.services) "
                "|| self.version in self.traffic.endpoints.services",
                "version must be a key of traffic.endpoints.services",
                fieldPath=".version",
            ),
        )
    )

    version: VersionName = Field(
        description="The version that should serve: the value of the pods' version label, or a "
        "key of `traffic.endpoints.services`."
    )
    traffic: Traffic = Field(description="Whose requests are shared out, and where.")
    strategy: Strategy = Field(description="How a new version is exposed.")
    analysis: Analysis = Field(description="How the candidate is judged.")
    after_promotion: AfterPromotion = Field(
        default=AfterPromotion(), description="What stays live after a promotion."
    )
    return_within: Duration = Field(
        default=parse_duration("24h"),
        description="A version that was stable this recently may come back straight to 100, "
        "a duration.",
    )
    on_delete: OnDelete = Field(
        default=OnDelete.LEAVE_ROUTES,
        description="LeaveRoutes (all traffic on stable, our objects stay) or RemoveRoutes.",
    )
    history_limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10, description="How many finished Releases are kept, a count."
    )
    suspend: bool = Field(default=False, description="No advance while true; rollback still works.")

    @model_validator(mode="after")
    def _growing(self) -> Self:
        weights = [s.weight for s in self.strategy.canary.steps if s.weight is not None]
        if not weights or any(a >= b for a, b in pairwise(weights)):
            raise ValueError("strategy.canary.steps: weights must grow from step to step")
        return self
