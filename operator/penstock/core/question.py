"""What is asked of the counts of a release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import StepStatus
from penstock.core.facts import VersionPods
from penstock.core.ledger import Guardrail


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the counts.

    Attributes:
        spec: The spec that the release runs on.
        rails: Its guardrails.
        steps: Its steps.
        step: Index of the step whose weight is in force; -1 for none.
        quiet: Why there is no data, by metric; metrics with data are absent.
        at: End of the newest look.
        pods: The pods of both versions by version; none where they are not known.
    """

    spec: RolloutSpec
    rails: tuple[Guardrail, ...]
    steps: Sequence[StepStatus]
    step: int
    quiet: Mapping[str, str]
    at: datetime | None
    pods: Mapping[str, VersionPods] = field(default_factory=dict)
