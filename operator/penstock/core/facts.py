"""What one reconcile has seen of the world, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import MetricStatus
from penstock.core.alerts import Alarm
from penstock.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class VersionPods:
    """The pods of one version.

    Attributes:
        ready: How many take requests.
        youngest: When the newest ready pod was created.
        total: How many there are to take requests: neither going, nor finished, nor without a node.
    """

    ready: int = 0
    images: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    youngest: datetime | None = None
    total: int = 0


NO_PODS = VersionPods()


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why no release may start, with a sentence that says how to mend it."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Route:
    """The live route.

    Attributes:
        exists: Every VirtualService and route that carries our weights is there.
        as_wanted: Our destinations are what the written status calls for.
        shares: The versions in the splits, and their share of all that is ours, in percent.
        named: The versions that any route of ours names: in a split, a preview or for copies.
        since: When our destinations were last written by us, or the list by somebody who left
            them as they were; None where nothing tells.
        editor: The field manager that changed our destinations since then; empty if none did.
        rolled_back: Release that a mark on the VirtualService calls rolled back.
        stable_mark: The version that a mark of ours calls stable.
        third: Destinations that are not ours share the route.
        version: Version of the object, to tell one edit from the next.
    """

    exists: bool = False
    as_wanted: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    since: datetime | None = None
    editor: str = ""
    rolled_back: str = ""
    stable_mark: str = ""
    third: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A metric that calls the candidate worse."""

    metric: str
    on_worse: str
    why: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """What all metrics say together.

    Attributes:
        verdict: The verdict of the whole.
        metrics: One row per metric, for the status.
        baked: Time with data on the step whose weight is in force.
        worse: The metric that acts first, if one is worse.
        held: The metric that asks to hold, if one does.
        silence: Why there is no data; empty while there is.
        mistrust: Why the data may not be trusted; empty when it may.
        mistrust_reason: The same in a word, for the condition.
        observed_share: Candidate's share of the requests on this step, in percent.
        notes: What cannot be resolved or promised.
        eta: When this and the following steps are expected to pass, median and 90 % bound.
        at: End of the newest look.
    """

    verdict: Verdict = Verdict.LEARNING
    metrics: tuple[MetricStatus, ...] = ()
    baked: timedelta = timedelta(0)
    worse: Finding | None = None
    held: Finding | None = None
    silence: str = ""
    mistrust: str = ""
    mistrust_reason: str = "WeightNotFollowed"
    observed_share: float | None = None
    notes: tuple[str, ...] = ()
    eta: Mapping[int, tuple[timedelta, timedelta]] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it stands in an annotation."""

    verb: str
    target: str
    id: str
    by: str = "unverified"


class GateState(StrEnum):
    """What a gate says."""

    CLOSED = "Closed"
    OPEN = "Open"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class GateSaid:
    """The newest answer of a gate; failed is for good, until somebody mends it."""

    state: GateState
    message: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """Facts gathered for one decision.

    Attributes:
        name: Name of the Rollout.
        generation: Generation of the spec.
        snapshot: The spec that the release in flight runs on; None when its Release is absent.
        deleting: The Rollout is being deleted.
        finalizer: Our finalizer stands.
        pods: Pods by version.
        route: The live route.
        prepared: Subsets and, where asked for, the EnvoyFilter of the release are in force.
        problems: Reasons why no release may start.
        commands: Commands in annotations.
        analysis: What the metrics say.
        propagation: Time from a write until every proxy follows it.
        next_release: Number that the next release gets.
        queued: Why a release may not start yet, though nothing is wrong; empty when it may.
        gate: What the gate says that the release waits for; None before its first answer.
        alarms: Alerts of the Rollout's namespace that have fired.
        contested_text: What to tell a user whose GitOps fights with us.
    """

    name: str = ""
    generation: int = 0
    snapshot: RolloutSpec | None = None
    deleting: bool = False
    finalizer: bool = False
    pods: Mapping[str, VersionPods] = field(default_factory=dict)
    route: Route = Route()
    prepared: bool = False
    problems: tuple[Problem, ...] = ()
    commands: tuple[Command, ...] = ()
    analysis: Analysis = Analysis()
    propagation: timedelta = timedelta(seconds=2)
    next_release: int = 1
    queued: str = ""
    gate: GateSaid | None = None
    alarms: tuple[Alarm, ...] = ()
    contested_text: str = ""

    def ready(self, version: str) -> int:
        """Return how many pods of a version are ready."""
        return self.pods.get(version, NO_PODS).ready
