"""How a new version is exposed: canary, blue/green or shadow."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.api.fields import (
    TWO_DECIMALS,
    TWO_DECIMALS_RULE,
    ApiModel,
    DnsLabel,
    DnsName,
    Duration,
    Percent,
    cel,
    parse_duration,
    rule,
)
from penstock.api.v1alpha1.matching import Matches

StepWeight = Annotated[float, Field(ge=0.01, le=99.99), TWO_DECIMALS, TWO_DECIMALS_RULE]
MirrorPercent = Annotated[float, Field(ge=0.01, le=100), TWO_DECIMALS, TWO_DECIMALS_RULE]
BAKE = "Least time with data, a duration; 1m when not given."
DEADLINE = (
    "Wall time after which `onInconclusive` decides, a duration; "
    "1h (or bake, if that is longer) when not given."
)
BAKE_WITHIN_DEADLINE = rule(
    "!has(self.deadline) || duration(has(self.bake) ? self.bake : '1m') <= duration(self.deadline)",
    "bake (1m when not given) must not be longer than deadline",
    fieldPath=".bake",
)


class Approval(ApiModel):
    """A person says `approve` before the release goes on."""


class OnFailure(StrEnum):
    """What happens when a gate says no for good."""

    HOLD = "Hold"
    ROLLBACK = "Rollback"


class GateJob(ApiModel):
    """A Job that must succeed."""

    from_cron_job: DnsName = Field(
        description="CronJob in this namespace (it may be suspended) whose Job is run once for "
        "each release and step."
    )


class Gate(ApiModel):
    """Something that must agree before the release goes on: exactly one form."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.service), has(self.host), has(self.job), has(self.rollout)]"
                ".filter(x, x).size() == 1",
                "a gate takes exactly one of service, host, job, rollout",
            ),
            rule(
                "has(self.service) || has(self.host) || (!has(self.port) && !has(self.path) "
                "&& !has(self.timeout) && !has(self.every))",
                "port, path, timeout and every belong to a gate with service or host",
            ),
        )
    )

    service: DnsLabel | None = Field(
        default=None, description="Service in this namespace that is asked with GET."
    )
    host: DnsName | None = Field(
        default=None,
        description="Host outside this namespace that is asked with GET; the operator's "
        "configuration must list it in gates.allow.",
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port, a number (80 when not given); 443 is asked with https."
    )
    path: Annotated[str, Field(pattern=r"^/[^\s#]*$", max_length=512)] | None = Field(
        default=None, description="Path and query; / when not given. Only the status counts: 2xx."
    )
    timeout: Duration | None = Field(
        default=None, description="Time for one answer, a duration; 5s when not given."
    )
    every: Duration | None = Field(
        default=None, description="Time between questions, a duration; 10s when not given."
    )
    job: GateJob | None = Field(default=None, description="A Job that must succeed.")
    rollout: DnsLabel | None = Field(
        default=None,
        description="Rollout in this namespace that must serve what its spec names: Promoted, or "
        "Idle with its version stable.",
    )
    on_failure: OnFailure = Field(
        default=OnFailure.HOLD,
        description="When the Job has failed, or the other Rollout has refused its version: Hold "
        "(until a command) or Rollback.",
    )


class Mirror(ApiModel):
    """Copies of live requests go to the candidate; its answers are thrown away."""

    percent: MirrorPercent = Field(
        default=100, description="Share of stable's requests that are copied, in percent."
    )
    match: Matches | None = Field(
        default=None,
        description="Only these requests are copied. The candidate's are then other requests than "
        "stable's: metrics are reported, not judged, unless their templates `separates` routes.",
    )


class Step(ApiModel):
    """One state of the traffic, or something to wait for between two of them."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.weight), has(self.mirror), has(self.approval), has(self.gate)]"
                ".filter(x, x).size() == 1",
                "a step is exactly one of weight, mirror, approval, gate",
            ),
            rule(
                "has(self.weight) || has(self.mirror) || !has(self.bake)",
                "bake belongs to a step with a weight or a mirror",
            ),
            rule(
                "!has(self.approval) || !has(self.deadline)",
                "an approval has no deadline: it waits",
            ),
            BAKE_WITHIN_DEADLINE,
        )
    )

    weight: StepWeight | None = Field(
        default=None,
        description="The candidate's share of stable and candidate, in percent (0.01 to 99.99; "
        "100 follows the last step by itself).",
    )
    mirror: Mirror | None = Field(
        default=None, description="The candidate gets copies only; before the first weight."
    )
    bake: Duration | None = Field(default=None, description=BAKE)
    deadline: Duration | None = Field(default=None, description=DEADLINE)
    approval: Approval | None = Field(
        default=None, description="Hold the weight before it until somebody says `approve`."
    )
    gate: Gate | None = Field(
        default=None, description="Hold the weight before it until something else agrees."
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
                "self.steps.map(s, has(s.weight) || has(s.mirror), has(s.weight) ? s.weight : 0.0)"
                ".isSorted() && "
                "self.steps.all(s, !has(s.weight) "
                "|| self.steps.exists_one(t, has(t.weight) && t.weight == s.weight))",
                "weights must grow from step to step, and mirrors stand before the first weight",
                fieldPath=".steps",
            ),
        )
    )

    match: Matches | None = Field(
        default=None,
        description="Requests that fit any of these get the candidate while it is released. They "
        "are not counted, so the metrics' templates must tell routes apart (`separates`).",
    )
    steps: tuple[Step, ...] = Field(
        min_length=1,
        max_length=32,
        description="Steps in order; each is the whole desired state of the traffic.",
    )


class BlueGreen(ApiModel):
    """All traffic at once, after a preview for some."""

    model_config = ConfigDict(json_schema_extra=cel(BAKE_WITHIN_DEADLINE))

    preview: Matches | None = Field(
        default=None,
        description="Requests that fit any of these get the candidate before the switch.",
    )
    bake: Duration | None = Field(
        default=None, description="Time of the preview, a duration; 1m when not given."
    )
    deadline: Duration | None = Field(default=None, description=DEADLINE)
    gate: Gate | None = Field(
        default=None, description="What must agree after the bake, before the switch."
    )
    approval: Approval | None = Field(
        default=None, description="Somebody must say `approve` before the switch."
    )


class Shadow(ApiModel):
    """The candidate gets copies of requests only, and never serves a user."""

    model_config = ConfigDict(json_schema_extra=cel(BAKE_WITHIN_DEADLINE))

    percent: MirrorPercent = Field(
        default=100, description="Share of stable's requests that are copied, in percent."
    )
    match: Matches | None = Field(default=None, description="Only these requests are copied.")
    bake: Duration | None = Field(default=None, description=BAKE)
    deadline: Duration | None = Field(default=None, description=DEADLINE)


class Strategy(ApiModel):
    """How a new version is exposed: exactly one of canary, blueGreen, shadow."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            rule(
                "[has(self.canary), has(self.blueGreen), has(self.shadow)]"
                ".filter(x, x).size() == 1",
                "strategy takes exactly one of canary, blueGreen, shadow",
            )
        )
    )

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
    canary: Canary | None = Field(default=None, description="Steps of growing weight.")
    blue_green: BlueGreen | None = Field(
        default=None, description="A preview for some, then all traffic at once."
    )
    shadow: Shadow | None = Field(
        default=None, description="Copies of requests only; ends Observed, never serves a user."
    )

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps of a canary; none for the other strategies."""
        return self.canary.steps if self.canary else ()

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = (self.canary, self.blue_green, self.shadow)
        if sum(one is not None for one in given) != 1:
            raise ValueError("strategy takes exactly one of canary, blueGreen, shadow")
        return self

    @model_validator(mode="after")
    def _growing(self) -> Self:
        weights = [s.weight for s in self.steps if s.weight is not None]
        if self.canary and (not weights or any(a >= b for a, b in pairwise(weights))):
            raise ValueError("canary.steps: weights must grow from step to step")
        return self
