"""What a Rollout is doing and why, in one sentence that condition, event and log share."""

from penstock.api.v1alpha1.rollout_status import Candidate, Phase, RolloutStatus, StepState
from penstock.core import plan
from penstock.core.rollout import alarms, gates, progress
from penstock.core.rollout.turn import Turn
from penstock.core.verdict import Verdict


def sentence(status: RolloutStatus, turn: Turn) -> str:
    """Return the sentence for a status."""
    if status.contested:
        return turn.seen.contested_text
    if status.stable is None:
        return _no_stable(turn)
    if status.candidate is None:
        return _at_rest(status, status.stable.version, turn)
    return _in_flight(status, status.candidate, turn)


def _no_stable(turn: Turn) -> str:
    if turn.seen.problems:
        return turn.seen.problems[0].message
    running = sorted(v for v, pods in turn.seen.pods.items() if pods.ready)
    found = f"ready pods of {', '.join(running)}" if running else "no version with ready pods"
    return (
        f"cannot tell which version is stable ({found}): annotate with "
        f"penstock.dev/adopt: <version>#<id>"
    )


def _at_rest(status: RolloutStatus, stable: str, turn: Turn) -> str:
    wanted = turn.spec.version
    if wanted == stable:
        return turn.blocked.message if turn.blocked else f"{stable} serves"
    refusal = next((r for r in status.refused if r.version == wanted), None)
    if refusal is not None:
        return (
            f"{wanted} was refused ({refusal.reason}: {refusal.message}); {stable} serves; "
            f"annotate with penstock.dev/retry: {refusal.release}#<id> to try it again"
        )
    if status.phase is Phase.OBSERVED and status.ended is not None:
        return (
            f"{status.ended.message}; {stable} serves; annotate with penstock.dev/retry: "
            f"{status.ended.release}#<id> to observe it again"
        )
    if turn.seen.problems:
        return turn.seen.problems[0].message
    if turn.spec.suspend:
        return f"{wanted} waits: suspended by spec.suspend"
    if turn.seen.queued:
        return f"{wanted} {turn.seen.queued}"
    if alarm := alarms.bars(status, turn):
        return alarm
    return f"{stable} serves, {wanted} is to come"


def _in_flight(status: RolloutStatus, candidate: Candidate, turn: Turn) -> str:
    name = f"{candidate.version} ({candidate.release})"
    if candidate.condemned:
        return (
            f"{name} is to be rolled back ({candidate.condemned_because}), but stable has no "
            f"ready pod to take the traffic: bring stable's pods back"
        )
    if status.phase is Phase.PROMOTING:
        return f"{name} gets all traffic{'; ' if turn.lost else ''}{turn.lost}"
    if why := progress.stopped(status, candidate, turn):
        return f"{name}: {why}"
    if candidate.step < 0:
        return f"{name}: preparing subsets and routes"
    step = status.steps[min(candidate.step, len(status.steps) - 1)]
    where = f"{name} {_exposure(status)}"
    approve = f"penstock.dev/approve: {candidate.release}/{candidate.step}#<id>"
    if step.waits_for_people:
        return f"{where}: waiting for {approve}"
    if step.gate and step.state is not StepState.PASSED:
        return f"{where}: {gates.sentence(step)}"
    return f"{where}: {_evidence(status, turn)}"


def _exposure(status: RolloutStatus) -> str:
    """Return what the candidate gets, in a few words."""
    index = status.candidate.step if status.candidate else -1
    place = plan.traffic_step(status.steps, index)
    if place >= 0 and status.steps[place].preview:
        return "in preview"
    if status.traffic.mirror > 0:
        return f"mirrored {status.traffic.mirror:g} %"
    return f"at {status.traffic.weight:g} %"


def _evidence(status: RolloutStatus, turn: Turn) -> str:
    analysis = turn.seen.analysis
    if not turn.seen.route.as_wanted:
        return "the route does not have this weight yet, so nothing is judged"
    version = status.candidate.version if status.candidate else ""
    if status.traffic.weight > 0 and turn.seen.route.shares.get(version) == 0:
        return "this is less than one unit of the route's weights: give third destinations less"
    if analysis.silence:
        return f"no data ({analysis.silence}); the weight stays"
    if analysis.mistrust:
        return f"data not trusted ({analysis.mistrust}); the weight stays"
    return _judged(status, turn)


def _judged(status: RolloutStatus, turn: Turn) -> str:
    """Return what the step in force still waits for."""
    index = status.candidate.step if status.candidate else 0
    place = plan.traffic_step(status.steps, index)
    if turn.rules.strategy.shadow is not None:
        return "observed"
    if plan.is_partial(turn.rules, place):
        return "observed: other requests than stable's, so nothing is judged"
    if not plan.compares(status.steps, place):
        return "baking; only thresholds and alerts judge, before the switch and after it"
    exposure = plan.next_exposures(status.steps)[index] * 100
    if turn.seen.analysis.verdict is Verdict.SAFE:
        return f"safe for {exposure:g} %, baking"
    return f"gathering evidence that it is safe for {exposure:g} %"
