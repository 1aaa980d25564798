"""The values that every rule of the state machine sees."""

from dataclasses import dataclass
from datetime import datetime

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core.facts import Seen


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the state machine: the spec, the facts, the time."""

    spec: RolloutSpec
    seen: Seen
    now: datetime

    @property
    def rules(self) -> RolloutSpec:
        """Return the spec that a release in flight runs on: its snapshot, once there is one."""
        return self.seen.snapshot or self.spec
