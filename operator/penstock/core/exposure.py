"""Which requests the candidate gets besides its weight: previews and copies."""

from dataclasses import dataclass

from penstock.api.v1alpha1.matching import HttpMatch
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core import plan


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the candidate gets besides its weight.

    Attributes:
        match: Requests that fit any of these go to the candidate.
        mirror: Share of the requests that are copied to the candidate, in percent; 0 for none.
        mirror_match: Only requests that fit any of these are copied; empty for all.
    """

    match: tuple[HttpMatch, ...] = ()
    mirror: float = 0.0
    mirror_match: tuple[HttpMatch, ...] = ()


NONE = Exposure()


def exposure(status: RolloutStatus, rules: RolloutSpec) -> Exposure:
    """Return what a status calls for, by the spec that the release runs on."""
    candidate = status.candidate
    if candidate is None or not plan.is_exposed(status):
        return NONE
    step = plan.step_of(rules, plan.traffic_step(status.steps, candidate.step))
    mirror = step.mirror if step is not None and status.traffic.mirror > 0 else None
    return Exposure(
        match=_previews(rules),
        mirror=status.traffic.mirror,
        mirror_match=(mirror.match or ()) if mirror else (),
    )


def _previews(rules: RolloutSpec) -> tuple[HttpMatch, ...]:
    strategy = rules.strategy
    if strategy.canary is not None:
        return strategy.canary.match or ()
    return (strategy.blue_green.preview or ()) if strategy.blue_green else ()


def matched(rules: RolloutSpec) -> tuple[HttpMatch, ...]:
    """Return every match that a release may put into a route."""
    mirrors = [step.mirror for step in plan.written(rules.strategy) if step.mirror is not None]
    copied = [one for mirror in mirrors for one in mirror.match or ()]
    return (*_previews(rules), *copied)


def copies(rules: RolloutSpec) -> bool:
    """Return whether a release copies requests."""
    return any(step.mirror is not None for step in plan.written(rules.strategy))
