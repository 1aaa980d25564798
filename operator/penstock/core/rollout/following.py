"""The spec says which version should serve; the status says which has earned it (rule 1)."""

from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    Phase,
    RolloutStatus,
    TrafficStatus,
)
from penstock.core import plan
from penstock.core.facts import NO_PODS
from penstock.core.rollout import alarms, ending
from penstock.core.rollout.turn import Turn


def follow_version(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after a change of the wanted version: started, reverted, superseded."""
    if status.stable is None:
        return status.model_copy(update={"phase": Phase.WAITING})
    stable = status.stable.version
    status = ending.settle(_leave(status, turn), turn)
    if status.candidate is not None:
        return status
    if turn.spec.version == stable:
        served = status.phase in (Phase.PROMOTED, Phase.PROMOTING)
        return status.model_copy(update={"phase": Phase.PROMOTED if served else Phase.IDLE})
    if any(r.version == turn.spec.version for r in status.refused):
        return status.model_copy(update={"phase": Phase.ROLLED_BACK})
    if _is_observed(status, turn):
        return status.model_copy(update={"phase": Phase.OBSERVED})
    if turn.seen.problems or turn.seen.queued or turn.spec.suspend or turn.seen.deleting:
        return status.model_copy(update={"phase": Phase.WAITING})
    if alarms.bars(status, turn):
        return status.model_copy(update={"phase": Phase.WAITING})
    return _start(status, turn)


def _is_observed(status: RolloutStatus, turn: Turn) -> bool:
    """Return whether a shadow has seen the wanted version to its end; a canary may release it."""
    observed = status.observed
    shadow = turn.spec.strategy.shadow is not None
    return shadow and observed is not None and observed.version == turn.spec.version


def _leave(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with the candidate condemned if it is no longer the wanted version."""
    candidate, stable, wanted = status.candidate, status.stable, turn.spec.version
    if candidate is None or stable is None or wanted == candidate.version:
        return status
    if wanted == stable.version:
        return ending.condemn(status, ending.REVERTED, f"the spec names {wanted} again")
    return ending.condemn(status, ending.SUPERSEDED, f"the spec names the newer {wanted}")


def _start(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    version, stable = turn.spec.version, status.stable
    number = max(status.releases + 1, turn.seen.next_release)
    pods = turn.seen.pods.get(version, NO_PODS)
    candidate = Candidate(
        version=version,
        release=f"{turn.seen.name}-{number}",
        since=turn.now,
        generation=turn.seen.generation,
        images=pods.images,
        workloads=pods.workloads,
        stable_pods=0 if stable is None else turn.seen.ready(stable.version),
        straight=any(p.version == version and p.until > turn.now for p in status.proven),
    )
    total = plan.total_units(turn.spec, turn.seen.route.third)
    return status.model_copy(
        update={
            "phase": Phase.PROGRESSING,
            "candidate": candidate,
            "releases": number,
            "steps": plan.expand(turn.spec),
            "traffic": TrafficStatus(weight=0, total=total),
            "contested": "",
            "yielded": False,
            "reverts": (),
        }
    )
