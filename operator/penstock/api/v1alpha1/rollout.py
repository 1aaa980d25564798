"""Rollout: what users write. Its status is in `rollout_status`."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.api.fields import (
    ApiModel,
    Duration,
    VersionName,
    cel,
    parse_duration,
    rule,
)
from penstock.api.v1alpha1.alerts import Alerts
from penstock.api.v1alpha1.analysis import Analysis
from penstock.api.v1alpha1.notifications import Notifications
from penstock.api.v1alpha1.strategy import Strategy
from penstock.api.v1alpha1.traffic import Traffic

KIND, PLURAL = "Rollout", "rollouts"


class OnDelete(StrEnum):
    """What becomes of our routes when the Rollout is deleted."""

    LEAVE_ROUTES = "LeaveRoutes"
    REMOVE_ROUTES = "RemoveRoutes"


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
                "|| (!has(self.traffic.route.existing) && !has(self.traffic.route.also))",
                "onDelete: RemoveRoutes needs route.delegate or route.own: your own "
                "VirtualService would be left without its subsets",
                fieldPath=".onDelete",
            ),
            rule(
                "has(self.strategy.blueGreen) || (has(self.analysis) "
                "&& has(self.analysis.metrics) && self.analysis.metrics.size() > 0)",
                "canary and shadow need at least one metric in analysis.metrics",
                fieldPath=".analysis",
            ),
            rule(
                "has(self.traffic.route.delegate) || has(self.traffic.route.own) "
                "|| (has(self.traffic.route.existing) && has(self.traffic.route.existing.http)) "
                "|| (has(self.traffic.route.also) "
                "&& self.traffic.route.also.exists(a, has(a.http))) "
                "|| !(has(self.strategy.shadow) "
                "|| (has(self.strategy.blueGreen) && has(self.strategy.blueGreen.preview)) "
                "|| (has(self.strategy.canary) && (has(self.strategy.canary.match) "
                "|| self.strategy.canary.steps.exists(s, has(s.mirror)))))",
                "match, preview, mirror and shadow need an http route: tls and tcp routes have "
                "weights only",
                fieldPath=".strategy",
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
    analysis: Analysis = Field(default=Analysis(), description="How the candidate is judged.")
    alerts: Alerts = Field(
        default=(),
        description="Alerts of the Rollout's namespace that act on a release if they began after "
        "it; none starts while one fires. A change acts at once.",
    )
    notifications: Notifications = Field(
        default=(),
        description="Who is told of releases outside the cluster. A change acts at once.",
    )
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
    def _judged(self) -> Self:
        if self.strategy.blue_green is None and not self.analysis.metrics:
            raise ValueError("canary and shadow need at least one metric in analysis.metrics")
        return self
