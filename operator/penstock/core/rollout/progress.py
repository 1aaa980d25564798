"""A release in flight: readiness, silence, evidence, steps."""

from datetime import timedelta

from penstock.api.fields import format_duration
from penstock.api.v1alpha1.analysis import OnInconclusive, OnSilence
from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    Phase,
    RolloutStatus,
    StepState,
    StepStatus,
)
from penstock.core import plan
from penstock.core.rollout import ending, gates
from penstock.core.rollout.turn import Turn
from penstock.core.verdict import Verdict

FULL = 100.0
UNREADY_WITH_TRAFFIC = timedelta(seconds=30)


def progress(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after one turn of the release in flight."""
    if status.candidate is None:
        return status
    status = _repaired(status, status.candidate, turn)
    status = _watch_over(_note_facts(status, turn), turn)
    status = ending.settle(status, turn)
    if status.candidate is None:
        return status
    return _advance(status, status.candidate, turn)


def _repaired(status: RolloutStatus, candidate: Candidate, turn: Turn) -> RolloutStatus:
    """Return the status with a plan and a step within it, whatever an older version wrote."""
    steps = status.steps or plan.expand(turn.rules)
    at_full = status.traffic.weight >= FULL
    if not at_full and candidate.step >= len(steps):
        candidate = candidate.model_copy(update={"step": len(steps) - 1})
    return status.model_copy(update={"steps": steps, "candidate": candidate})


def _with(status: RolloutStatus, **update: object) -> RolloutStatus:
    if status.candidate is None:
        return status
    candidate = status.candidate.model_copy(update=update)
    return status.model_copy(update={"candidate": candidate})


def _note_facts(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    seen, now, candidate = turn.seen, turn.now, status.candidate
    if candidate is None:
        return status
    ready = seen.ready(candidate.version) > 0
    unready_since = None if ready else candidate.unready_since or now
    silent = bool(seen.analysis.silence) and plan.is_exposed(status)
    silent_since = (candidate.silent_since or now) if silent else None
    recorded = candidate.recorded or seen.snapshot is not None
    if recorded and not candidate.recorded:
        total = plan.total_units(turn.rules, seen.route.third)
        traffic = status.traffic.model_copy(update={"total": total})
        status = status.model_copy(update={"steps": plan.expand(turn.rules), "traffic": traffic})
    pods = seen.pods.get(candidate.version)
    if pods and pods.ready:
        status = _with(status, images=pods.images, workloads=pods.workloads)
    return _with(status, unready_since=unready_since, silent_since=silent_since, recorded=recorded)


def _watch_over(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status, with the candidate condemned if one of the reasons to stop holds."""
    candidate = status.candidate
    if candidate is None or candidate.condemned:
        return status
    if finding := turn.seen.analysis.worse:
        return ending.condemn(status, ending.WORSE, finding.why)
    if message := _unready_too_long(candidate, plan.is_exposed(status), turn):
        return ending.condemn(status, ending.NOT_READY, message)
    if message := _silent_too_long(candidate, turn):
        return ending.condemn(status, ending.NO_DATA, message)
    held = turn.seen.analysis.held
    if held and not _waved_through(status, candidate):
        return _with(status, held_by=held.why)
    return status


def _waved_through(status: RolloutStatus, candidate: Candidate) -> bool:
    return candidate.commanded or bool(
        0 <= candidate.step < len(status.steps) and status.steps[candidate.step].by
    )


def _unready_too_long(candidate: Candidate, has_traffic: bool, turn: Turn) -> str:
    if candidate.unready_since is None:
        return ""
    version, limit = candidate.version, turn.rules.strategy.ready_deadline
    if has_traffic and turn.now - candidate.unready_since >= UNREADY_WITH_TRAFFIC:
        return f"{version} has had no ready pod for 30s while it has traffic"
    if not has_traffic and turn.now - candidate.unready_since >= limit:
        return f"{version} had no ready pod within readyDeadline {format_duration(limit)}"
    return ""


def _silent_too_long(candidate: Candidate, turn: Turn) -> str:
    policy = turn.rules.analysis.on_no_data
    since = candidate.silent_since
    if since is None or policy.then is not OnSilence.ROLLBACK or turn.now - since < policy.after:
        return ""
    return f"no data for {format_duration(policy.after)}, and onNoData says Rollback"


def _advance(status: RolloutStatus, candidate: Candidate, turn: Turn) -> RolloutStatus:
    if status.traffic.weight >= FULL and not candidate.condemned:
        return _finish(status.model_copy(update={"phase": Phase.PROMOTING}), turn)
    if candidate.condemned or stopped(status, candidate, turn):
        return status.model_copy(update={"phase": Phase.WAITING})
    if candidate.straight or candidate.commanded:
        return _to_full(status, turn)
    if candidate.step < 0:
        return _enter(status, 0, turn)
    return _work_on(status, candidate, status.steps[candidate.step], turn)


def stopped(status: RolloutStatus, candidate: Candidate, turn: Turn) -> str:
    """Return why no weight may rise now, in a sentence; empty when it may."""
    seen = turn.seen
    if candidate.recorded and seen.snapshot is None:
        return f"Release {candidate.release} was deleted: say abort, or restore it"
    if turn.unreadable:
        return turn.unreadable.message
    if turn.lost:
        return turn.lost
    if turn.spec.suspend:
        return "suspended by spec.suspend"
    if held := candidate.suspended_by or candidate.held_by:
        return f"held by {held}; say approve, promote or abort"
    if candidate.step < 0 and seen.ready(candidate.version) == 0:
        return f"waiting for a ready pod of {candidate.version}"
    return _short_of_stable(status, candidate, turn)


def _short_of_stable(status: RolloutStatus, candidate: Candidate, turn: Turn) -> str:
    least = turn.rules.strategy.min_stable_ready / 100 * candidate.stable_pods
    stable = status.stable.version if status.stable else ""
    ready = turn.seen.ready(stable)
    if least and ready < least:
        return (
            f"stable {stable} has {ready} of {candidate.stable_pods} ready pods; "
            f"minStableReady asks for {turn.rules.strategy.min_stable_ready:g} %"
        )
    return ""


def may_take_traffic(candidate: Candidate, turn: Turn) -> bool:
    """Return whether a route may name the candidate (make before break, rule 7)."""
    seen = turn.seen
    return (
        candidate.recorded
        and seen.finalizer
        and seen.prepared
        and seen.route.exists
        and seen.ready(candidate.version) > 0
    )


def _enter(status: RolloutStatus, index: int, turn: Turn) -> RolloutStatus:
    """Return the status at the step of that index: a weight in force, or an approval asked."""
    if index >= len(status.steps):
        return _after_last(status, turn)
    step, candidate = status.steps[index], status.candidate
    if candidate is None or not candidate.recorded:
        return status.model_copy(update={"phase": Phase.PROGRESSING})
    if step.exposes and not may_take_traffic(candidate, turn):
        return status.model_copy(update={"phase": Phase.PROGRESSING})
    update: dict[str, object] = {
        "steps": plan.with_state(status.steps, index, StepState.RUNNING, since=turn.now),
        "phase": Phase.PROGRESSING if step.exposes else Phase.WAITING,
    }
    if step.exposes:
        shares = {"weight": step.weight or 0.0, "mirror": step.mirror or 0.0}
        update["traffic"] = status.traffic.model_copy(update=shares | {"observed_share": None})
    return _with(status.model_copy(update=update), step=index)


def _work_on(
    status: RolloutStatus, candidate: Candidate, step: StepStatus, turn: Turn
) -> RolloutStatus:
    if step.waits_for_people:
        return status.model_copy(update={"phase": Phase.WAITING})
    if step.gate and step.state is not StepState.PASSED:
        status = gates.ask(status, step, turn)
        step = status.steps[candidate.step]
        if step.state is not StepState.PASSED:
            return gates.at_deadline(status, step, turn)
    in_force = plan.traffic_step(status.steps, candidate.step)
    if _proven(status, in_force, turn):
        return _enter(_passed(status, candidate.step), candidate.step + 1, turn)
    return _at_deadline(status, step, turn)


def _passed(status: RolloutStatus, index: int) -> RolloutStatus:
    steps = plan.with_state(status.steps, index, StepState.PASSED, eta=())
    return status.model_copy(update={"steps": steps})


def _proven(status: RolloutStatus, index: int, turn: Turn) -> bool:
    """Return whether the weight in force has baked and is Safe for the next exposure, now."""
    if index < 0:
        return True
    candidate, step = status.candidate, status.steps[index]
    if candidate is None or not turn.seen.route.as_wanted:
        return False
    if turn.seen.ready(candidate.version) == 0:
        return False
    return _safe(status, index, turn) and _baked(step, turn) >= plan.bake(step)


def _safe(status: RolloutStatus, index: int, turn: Turn) -> bool:
    """Return whether the step in force may be left: proven, waved through, or only looked at."""
    candidate, verdict = status.candidate, turn.seen.analysis.verdict
    if candidate is not None and _waved(status.steps[candidate.step]):
        return True
    if plan.needs_proof(turn.rules, status.steps, index):
        return verdict is Verdict.SAFE
    return verdict in (Verdict.SAFE, Verdict.LEARNING)


def _waved(step: StepStatus) -> bool:
    return step.exposes and bool(step.by)


def _baked(step: StepStatus, turn: Turn) -> timedelta:
    """Return the time with data on a step; of a preview, in which nothing is compared, its time."""
    if not step.preview:
        return turn.seen.analysis.baked
    since = max(step.since or turn.now, turn.seen.route.since or turn.now)
    return max(turn.now - since - turn.seen.propagation, timedelta(0))


def _at_deadline(status: RolloutStatus, step: StepStatus, turn: Turn) -> RolloutStatus:
    over = (
        step.exposes and step.since is not None and (turn.now - step.since >= plan.deadline(step))
    )
    if not over:
        return status.model_copy(update={"phase": Phase.PROGRESSING})
    candidate, choice = status.candidate, turn.rules.analysis.on_inconclusive
    if choice is OnInconclusive.ROLLBACK:
        why = f"the deadline {step.deadline} of the step is over without proof"
        return ending.settle(ending.condemn(status, ending.INCONCLUSIVE, why), turn)
    if choice is OnInconclusive.ADVANCE and candidate is not None and _has_data(turn):
        passed = _passed(status, candidate.step)
        return _enter(passed, candidate.step + 1, turn)
    return status.model_copy(update={"phase": Phase.WAITING})


def _has_data(turn: Turn) -> bool:
    analysis = turn.seen.analysis
    looked = turn.seen.route.as_wanted and analysis.baked > timedelta(0)
    return looked and analysis.verdict in (Verdict.SAFE, Verdict.LEARNING)


def _after_last(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after the last step: all traffic, or the end of what was observed."""
    if turn.rules.strategy.shadow is None:
        return _to_full(status, turn)
    return ending.observe(status, turn)


def _to_full(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    candidate = status.candidate
    if candidate is None or not may_take_traffic(candidate, turn):
        return status.model_copy(update={"phase": Phase.PROGRESSING})
    steps = tuple(
        s if s.state is StepState.PASSED else s.model_copy(update={"state": StepState.SKIPPED})
        for s in status.steps
    )
    full = {"weight": 100.0, "mirror": 0.0, "observed_share": None}
    traffic = status.traffic.model_copy(update=full)
    return _with(
        status.model_copy(update={"phase": Phase.PROMOTING, "traffic": traffic, "steps": steps}),
        step=len(status.steps),
    )


def _finish(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    route = turn.seen.route
    in_force = route.as_wanted and route.since is not None
    if in_force and route.since and turn.now >= route.since + turn.seen.propagation:
        return ending.promote(status, turn)
    return status
