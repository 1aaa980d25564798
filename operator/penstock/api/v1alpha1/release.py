"""Release: the record of one attempt of a Rollout. Written only by the operator."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from penstock.api.fields import ApiModel
from penstock.api.v1alpha1.rollout_status import CommandRecord, MetricStatus, StepStatus

KIND, PLURAL = "Release", "releases"


class Outcome(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    OBSERVED = "Observed"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    REVERTED = "Reverted"
    SUPERSEDED = "Superseded"
    DELETED = "Deleted"


class ReleaseSpec(ApiModel):
    """What the release runs on: fixed at its start."""

    rollout: str = Field(description="Name of the Rollout.")
    version: str = Field(description="The version that is released.")
    stable: str = Field(description="The version it is compared with.")
    started_at: datetime = Field(description="Start.")
    looks_from: datetime | None = Field(
        default=None,
        description="Looks end at this time plus whole intervals: the last instant up to the start "
        "that releases with the same interval share. Without it: startedAt.",
    )
    snapshot: dict[str, Any] = Field(
        description="The Rollout's spec as it was at the start.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    templates: dict[str, Any] = Field(
        default_factory=dict,
        description="The MetricTemplates as they were at the start, by metric name.",
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )


class ReleaseStatus(ApiModel):
    """What has happened so far."""

    outcome: str = Field(default="", description="How it ended; empty while it runs.")
    message: str = Field(default="", description="Why, in a sentence with its numbers.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")
    steps: tuple[StepStatus, ...] = Field(default=(), description="Its steps, in order.")
    metrics: tuple[MetricStatus, ...] = Field(
        default=(), description="What each metric said at the newest look."
    )
    commands: tuple[CommandRecord, ...] = Field(
        default=(), description="Commands that were taken or refused, in order."
    )
    records: dict[str, str] = Field(
        default_factory=dict,
        description="The counts of the looks by metric, packed; `docs/record.md` says how.",
    )
    variants: dict[str, str] = Field(
        default_factory=dict,
        description="The matchers that tell the series of the arms apart: stable, candidate.",
    )
