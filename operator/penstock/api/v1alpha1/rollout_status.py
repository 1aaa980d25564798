"""The status of a Rollout: what the operator has decided. Written only by the reconciler.

The schema is loose on purpose (no enums, no bounds): a status write must never be refused by a
CRD that is older or newer than the operator, since a rollback begins with one.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from penstock.api.fields import ApiModel


class Phase(StrEnum):
    """Where a Rollout stands."""

    IDLE = "Idle"
    PROGRESSING = "Progressing"
    WAITING = "Waiting"
    PROMOTING = "Promoting"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    OBSERVED = "Observed"

    @classmethod
    def _missing_(cls, value: object) -> "Phase":
        """Read what a newer operator wrote: the next decision says it anew."""
        return cls.IDLE


class StepState(StrEnum):
    """Where one step of a release stands."""

    PENDING = "Pending"
    RUNNING = "Running"
    PASSED = "Passed"
    SKIPPED = "Skipped"
    FAILED = "Failed"

    @classmethod
    def _missing_(cls, value: object) -> "StepState":
        """Read what a newer operator wrote; nothing has passed that is not known to have."""
        return cls.PENDING


class Serving(ApiModel):
    """The version that has earned the traffic."""

    version: str = Field(description="The version.")
    since: datetime | None = Field(default=None, description="When it became stable.")
    images: tuple[str, ...] = Field(default=(), description="Images of its ready pods.")
    workloads: tuple[str, ...] = Field(default=(), description="Names of its workloads.")


class Candidate(ApiModel):
    """The version that is being released."""

    version: str = Field(description="The version.")
    release: str = Field(description="Name of its Release.")
    since: datetime = Field(description="When the release started.")
    generation: int = Field(default=0, description="Generation of the spec it was started from.")
    recorded: bool = Field(
        default=False, description="The Release exists, with the snapshot that the release runs on."
    )
    images: tuple[str, ...] = Field(default=(), description="Images of its ready pods.")
    workloads: tuple[str, ...] = Field(default=(), description="Names of its workloads.")
    stable_pods: int = Field(
        default=0, description="Ready pods of stable at the start of the release, a count."
    )
    step: int = Field(default=-1, description="Index into steps; -1 before the first.")
    unready_since: datetime | None = Field(
        default=None, description="Since when no pod of it is ready."
    )
    silent_since: datetime | None = Field(default=None, description="Since when there is no data.")
    held_by: str = Field(
        default="", description="Metric whose Worse holds the release until a command."
    )
    suspended_by: str = Field(
        default="", description="Alert that holds the release until a command, in a sentence."
    )
    heard: tuple[str, ...] = Field(
        default=(), description="Alerts in spite of which a command has let the release go on."
    )
    condemned: str = Field(
        default="", description="Why it goes back to 0; set until all traffic is on stable."
    )
    condemned_because: str = Field(default="", description="The same in a sentence.")
    straight: bool = Field(
        default=False, description="Goes straight to 100: it was stable a short while ago."
    )
    commanded: bool = Field(default=False, description="Goes to 100 by the command promote.")


class Previous(ApiModel):
    """The version that was stable before, kept for `undo`."""

    version: str = Field(description="The version.")
    release: str = Field(default="", description="Release whose promotion replaced it.")
    until: datetime | None = Field(default=None, description="How long `undo` is offered.")
    started: datetime | None = Field(
        default=None, description="When that release started: later alerts undo it."
    )


class Refusal(ApiModel):
    """A version that is not tried again until `retry`."""

    version: str = Field(description="The version.")
    release: str = Field(description="Release that refused it.")
    reason: str = Field(description="Why, in one word.")
    message: str = Field(default="", description="Why, in a sentence with its numbers.")
    at: datetime | None = Field(default=None, description="When it was refused.")


class Observed(ApiModel):
    """A version that has been observed as a shadow; it is not observed again until `retry`."""

    version: str = Field(description="The version.")
    release: str = Field(description="Release that observed it.")


class Ended(ApiModel):
    """The newest release that has ended, and how."""

    release: str = Field(description="Name of the Release.")
    outcome: str = Field(description="How it ended, in one word.")
    cause: str = Field(default="", description="Why, in one word.")
    message: str = Field(default="", description="Why, in a sentence with its numbers.")
    at: datetime = Field(description="When it ended.")


class Proven(ApiModel):
    """A version that was stable, and until when it may come back straight to 100."""

    version: str = Field(description="The version.")
    until: datetime = Field(description="How long it may come back straight to 100.")


class StepStatus(ApiModel):
    """One step of the list that the strategy expands to."""

    weight: float | None = Field(default=None, description="Candidate's share, in percent.")
    mirror: float | None = Field(
        default=None, description="Share of stable's requests that are copied, in percent."
    )
    preview: bool = Field(
        default=False, description="Only requests that the strategy matches get the candidate."
    )
    gate: str = Field(default="", description="What must agree before the release goes on.")
    answer: str = Field(default="", description="What the gate said last.")
    approval: bool = Field(default=False, description="Waits for the command approve.")
    bake: str = Field(default="", description="Least time with data, a duration.")
    deadline: str = Field(default="", description="Wall time for the step, a duration.")
    state: StepState = Field(
        default=StepState.PENDING, description="Pending, Running, Passed, Skipped or Failed."
    )
    since: datetime | None = Field(default=None, description="When it began.")
    eta: tuple[datetime, ...] = Field(
        default=(), description="When it is expected to pass: the median and the 90 % bound."
    )
    by: str = Field(default="", description="Who approved it.")

    @property
    def exposes(self) -> bool:
        """Return whether the step is a state of the traffic, not something to wait for."""
        return self.weight is not None or self.mirror is not None or self.preview

    @property
    def waits_for_people(self) -> bool:
        """Return whether the step is an approval that nobody has given yet."""
        return self.approval and self.state is not StepState.PASSED


class TrafficStatus(ApiModel):
    """The traffic as decided, as read back, and as seen."""

    weight: float = Field(default=0, description="Candidate's share as decided, in percent.")
    mirror: float = Field(
        default=0, description="Share of stable's requests that are copied, in percent."
    )
    read_back: float | None = Field(
        default=None, description="Candidate's share in the mesh's configuration, in percent."
    )
    observed_share: float | None = Field(
        default=None, description="Candidate's share of the requests seen, in percent."
    )
    total: int = Field(
        default=100, description="Sum of the weights within this release: 100 or 10000."
    )


class SegmentStatus(ApiModel):
    """The rates of one segment: reported, never decided on."""

    name: str = Field(description="Values of the template's `by` labels, joined by a slash.")
    candidate: float | None = Field(default=None, description="Candidate's rate, in percent.")
    stable: float | None = Field(default=None, description="Stable's rate, in percent.")
    requests: int = Field(default=0, description="A count: the candidate's answers in it.")


class MetricStatus(ApiModel):
    """What one metric says."""

    name: str = Field(description="Name of the metric.")
    verdict: str = Field(
        default="", description="Worse, Safe, Learning, NoData or Untrusted; empty before a look."
    )
    candidate: float | None = Field(default=None, description="Candidate's rate, in percent.")
    stable: float | None = Field(default=None, description="Stable's rate, in percent.")
    ratio: tuple[float, ...] = Field(
        default=(), description="Candidate to stable: low, middle, high; no unit."
    )
    why: str = Field(default="", description="The verdict in a sentence with its numbers.")
    segments: tuple[SegmentStatus, ...] = Field(
        default=(), description="The busiest segments, by the template's `by`."
    )


class AnalysisStatus(ApiModel):
    """What the metrics say together."""

    verdict: str = Field(
        default="", description="The verdict that counts: the worst of the metrics."
    )
    metrics: tuple[MetricStatus, ...] = Field(default=(), description="What each metric says.")
    at: datetime | None = Field(default=None, description="End of the newest look.")


class CommandRecord(ApiModel):
    """A command that was taken or refused."""

    verb: str = Field(description="approve, promote, abort, retry, undo or adopt.")
    target: str = Field(
        default="",
        description="What it was for: a release, a step of one (`release/step`), or a version.",
    )
    id: str = Field(default="", description="Its id; each is taken once.")
    at: datetime = Field(description="When the operator saw it.")
    by: str = Field(
        default="unverified", description="Who gave it; `unverified` where nobody vouches for it."
    )
    taken: bool = Field(default=True, description="False when it was refused.")
    message: str = Field(default="", description="What came of it, or why it was refused.")


class Revert(ApiModel):
    """Somebody else changed our weights and they were put back."""

    manager: str = Field(description="Field manager of the edit.")
    at: datetime = Field(description="When it was put back.")
    edit: str = Field(default="", description="Version of the route's object with the edit.")


class Condition(ApiModel):
    """A condition in the form of Kubernetes."""

    type: str = Field(description="What it is about, such as Ready or Stalled.")
    status: str = Field(description="True, False or Unknown.")
    reason: str = Field(description="Why, in one word.")
    message: str = Field(default="", description="Why, in a sentence, and the cure.")
    last_transition_time: datetime = Field(description="When the status changed.")
    observed_generation: int = Field(
        default=0, description="Generation of the spec that it is about."
    )


class RolloutStatus(ApiModel):
    """What the operator has decided."""

    observed_generation: int = Field(default=0, description="Generation of the spec that was seen.")
    phase: Phase = Field(
        default=Phase.IDLE,
        description="Idle, Progressing, Waiting, Promoting, Promoted, RolledBack or Observed.",
    )
    message: str = Field(default="", description="What it is doing and why, in a sentence.")
    stable: Serving | None = None
    candidate: Candidate | None = None
    previous: Previous | None = None
    ended: Ended | None = None
    refused: tuple[Refusal, ...] = Field(
        default=(), description="Versions that are not tried again until `retry`."
    )
    observed: Observed | None = Field(
        default=None, description="The version that a shadow has observed to its end."
    )
    proven: tuple[Proven, ...] = Field(
        default=(), description="Versions that may come back straight to 100 (`returnWithin`)."
    )
    steps: tuple[StepStatus, ...] = Field(
        default=(), description="Steps of the release, in order; 100 follows the last."
    )
    traffic: TrafficStatus = TrafficStatus()
    analysis: AnalysisStatus = AnalysisStatus()
    commands: tuple[CommandRecord, ...] = Field(
        default=(), description="Commands that were taken or refused, in order."
    )
    reverts: tuple[Revert, ...] = Field(
        default=(), description="Edits of our weights by others that were put back."
    )
    contested: str = Field(
        default="", description="Field manager with whom the route is contested; we do not fight."
    )
    routed: bool = Field(
        default=False, description="The route has been as wanted once: from then on, edits count."
    )
    yielded: bool = Field(
        default=False, description="The contested route has been set to weight 0, once."
    )
    releases: int = Field(default=0, description="Number of the newest release, a count.")
    conditions: tuple[Condition, ...] = Field(
        default=(),
        description="Ready, Reconciling, Stalled and others, in the form of Kubernetes.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
