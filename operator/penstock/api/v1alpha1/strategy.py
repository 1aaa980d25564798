"""How a new version is exposed: the steps of a release."""

from typing import Annotated

from pydantic import ConfigDict, Field

from penstock.api.fields import (
    TWO_DECIMALS,
    TWO_DECIMALS_RULE,
    ApiModel,
    Duration,
    Percent,
    cel,
    parse_duration,
    rule,
)

StepWeight = Annotated[float, Field(ge=0.01, le=99.99), TWO_DECIMALS, TWO_DECIMALS_RULE]


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
