"""Conditions in the form of Kubernetes, readable by kstatus and Argo CD (rule 13)."""

from dataclasses import dataclass
from datetime import timedelta

from penstock.api.fields import format_duration
from penstock.api.v1alpha1.rollout_status import Condition, Phase, RolloutStatus
from penstock.core import plan
from penstock.core.rollout import ending
from penstock.core.rollout.turn import Turn

BUSY = (Phase.PROGRESSING, Phase.PROMOTING, Phase.WAITING)


@dataclass(frozen=True, slots=True)
class Statement:
    """What one condition says now."""

    type: str
    status: bool | None
    reason: str
    message: str


def with_conditions(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with its conditions as of now; times move only when a status does."""
    before = {c.type: c for c in status.conditions}
    said = [
        _condition(statement, before.get(statement.type), turn)
        for statement in _statements(status, turn)
    ]
    return status.model_copy(update={"conditions": tuple(said)})


def _condition(said: Statement, before: Condition | None, turn: Turn) -> Condition:
    text = {True: "True", False: "False", None: "Unknown"}[said.status]
    same = before is not None and before.status == text
    return Condition(
        type=said.type,
        status=text,
        reason=said.reason,
        message=said.message,
        last_transition_time=before.last_transition_time if before and same else turn.now,
        observed_generation=turn.seen.generation,
    )


def _statements(status: RolloutStatus, turn: Turn) -> list[Statement]:
    stalled = why_stalled(status, turn)
    busy = status.phase in BUSY and stalled is None
    ready = not busy and stalled is None
    phase, message = str(status.phase), status.message
    problems = turn.seen.problems
    said = [
        Statement("Ready", ready, stalled.reason if stalled else phase, message),
        Statement("Reconciling", busy, phase, message if busy else ""),
        stalled or Statement("Stalled", False, phase, ""),
        Statement(
            "Accepted",
            not problems,
            problems[0].reason if problems else "Valid",
            "; ".join(p.message for p in problems),
        ),
    ]
    if status.candidate is not None:
        said += [_data(turn), _capacity(status, turn), _traffic(status, turn)]
        said += _resolution(turn)
    return said


def why_stalled(status: RolloutStatus, turn: Turn) -> Statement | None:
    """Return the condition Stalled where a person must act; None where nobody must."""
    if status.contested:
        return Statement("Stalled", True, ending.CONTESTED, turn.seen.contested_text)
    if status.stable is None:
        return Statement("Stalled", True, "StableUnknown", status.message)
    candidate = status.candidate
    if candidate is None:
        return _stalled_without_release(status, turn)
    if candidate.condemned:
        return Statement("Stalled", True, "StableHasNoReadyPods", status.message)
    if turn.unreadable:
        return Statement("Stalled", True, turn.unreadable.reason, status.message)
    if turn.lost:
        return Statement("Stalled", True, "RouteNotFound", status.message)
    if candidate.recorded and turn.seen.snapshot is None:
        return Statement("Stalled", True, "ReleaseMissing", status.message)
    return None


def _stalled_without_release(status: RolloutStatus, turn: Turn) -> Statement | None:
    wanted = status.stable is not None and turn.spec.version != status.stable.version
    if status.phase is Phase.ROLLED_BACK:
        return Statement("Stalled", True, "RolledBack", status.message)
    problem = turn.seen.problems[0] if wanted and turn.seen.problems else turn.blocked
    if problem is not None:
        return Statement("Stalled", True, problem.reason, status.message)
    return None


def _data(turn: Turn) -> Statement:
    analysis = turn.seen.analysis
    if analysis.silence:
        return Statement("DataTrusted", False, "NoData", analysis.silence)
    if analysis.mistrust:
        return Statement("DataTrusted", False, analysis.mistrust_reason, analysis.mistrust)
    return Statement("DataTrusted", True, "Trusted", "")


def _capacity(status: RolloutStatus, turn: Turn) -> Statement:
    name, start = "RollbackCapacity", status.candidate.stable_pods if status.candidate else 0
    stable = status.stable.version if status.stable else ""
    ready = turn.seen.ready(stable)
    text = f"stable {stable} has {ready} ready pods, {start} at the start of the release"
    if ready == 0:
        return Statement(name, False, "StableHasNoReadyPods", text)
    least = turn.rules.strategy.min_stable_ready / 100 * start
    if ready < least:
        return Statement(name, False, "BelowMinStableReady", text)
    return Statement(name, True, "Enough", "")


def _traffic(status: RolloutStatus, turn: Turn) -> Statement:
    name, candidate = "SufficientTraffic", status.candidate
    index = candidate.step if candidate else -1
    if index < 0 and (early := _too_early(status, turn)):
        return Statement(name, False, "DeadlineTooShort", early)
    if not 0 <= index < len(status.steps) or index not in turn.seen.analysis.eta:
        return Statement(name, None, "NotYetKnown", "")
    step, (middle, late) = status.steps[index], turn.seen.analysis.eta[index]
    left = plan.deadline(step) - (turn.now - (step.since or turn.now))
    text = f"about {_rough(middle)} more on this step, {_rough(late)} in nine of ten cases"
    if step.exposes and middle > left:
        return Statement(
            name, False, "DeadlineTooShort", f"{text}; the deadline is {step.deadline}"
        )
    return Statement(name, True, "Enough", "")


def _too_early(status: RolloutStatus, turn: Turn) -> str:
    """Return, before the first weight, which step would not end before its deadline."""
    began = timedelta(0)
    for index, step in enumerate(status.steps):
        middle, _ = turn.seen.analysis.eta.get(index, (None, None))
        if middle is None:
            return ""
        if step.exposes and middle - began > plan.deadline(step):
            return (
                f"by stable's traffic of the last hour step {index} needs about "
                f"{_rough(middle - began)}; its deadline is {step.deadline}"
            )
        began = middle
    return ""


def _rough(time: timedelta) -> str:
    seconds = time.total_seconds()
    unit = 1 if seconds < 120 else 60 if seconds < 7200 else 3600
    return format_duration(timedelta(seconds=max(1, round(seconds / unit)) * unit))


def _resolution(turn: Turn) -> list[Statement]:
    notes = turn.seen.analysis.notes
    return [Statement("CannotResolve", True, "Limits", "; ".join(notes))] if notes else []
