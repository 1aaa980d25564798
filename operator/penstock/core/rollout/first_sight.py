"""Which version is stable when a Rollout is seen for the first time (rule 2).

Never the version in the spec: a deleted, restored or replaced Rollout must not ship unproven code.
"""

from penstock.api.v1alpha1.rollout_status import RolloutStatus, Serving
from penstock.core import plan
from penstock.core.facts import NO_PODS, Seen
from penstock.core.rollout.turn import Turn


def find_stable(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with a stable version, where one can be told without guessing."""
    if status.stable is not None:
        return status
    version = _told_by(turn.seen)
    return status if version is None else adopt(status, version, turn)


def adopt(status: RolloutStatus, version: str, turn: Turn) -> RolloutStatus:
    """Return the status with this version as the one that has earned the traffic."""
    pods = turn.seen.pods.get(version, NO_PODS)
    stable = Serving(version=version, since=turn.now, images=pods.images, workloads=pods.workloads)
    total = plan.total_units(turn.spec, turn.seen.route.third)
    traffic = status.traffic.model_copy(update={"total": total})
    return status.model_copy(update={"stable": stable, "traffic": traffic})


def _told_by(seen: Seen) -> str | None:
    if seen.route.stable_mark:
        return seen.route.stable_mark
    live = [version for version, share in seen.route.shares.items() if share > 0]
    if len(live) == 1 and live[0]:
        return live[0]
    if live in ([], [""]):
        running = [version for version, pods in seen.pods.items() if pods.ready]
        return running[0] if len(running) == 1 else None
    return None
