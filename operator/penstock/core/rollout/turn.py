"""The values that every rule of the state machine sees."""

from dataclasses import dataclass
from datetime import datetime

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core.facts import Problem, Seen
from penstock.core.rollout.invalid import INVALID
from penstock.core.route_problems import UNTOUCHABLE


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

    @property
    def unreadable(self) -> Problem | None:
        """Return what is wrong with a spec that the snapshot stands in for; None for none."""
        return next((p for p in self.seen.problems if p.reason == INVALID), None)

    @property
    def lost(self) -> str:
        """Return that the user's own route is gone, in a sentence; empty where it is there."""
        theirs = self.rules.traffic.route.theirs
        if not theirs or self.seen.route.exists:
            return ""
        found = ", or ".join(
            f"VirtualService {one.virtual_service} or its {one.words}" for one in theirs
        )
        return f"{found} is gone: restore it, or say abort"

    @property
    def blocked(self) -> Problem | None:
        """Return why not even the version that serves can be routed; None where it can."""
        problems = self.seen.problems
        if not self.seen.route.exists:
            return problems[0] if problems else None
        return next((p for p in problems if p.reason in UNTOUCHABLE), None)
