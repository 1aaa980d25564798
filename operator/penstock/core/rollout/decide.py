"""The next state of one Rollout: the order of the rules."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import (
    AnalysisStatus,
    Phase,
    RolloutStatus,
    StepState,
    StepStatus,
)
from penstock.core.facts import Analysis, Seen
from penstock.core.rollout import (
    afterwards,
    alarms,
    commands,
    conditions,
    contest,
    ending,
    first_sight,
    following,
    progress,
    summary,
)
from penstock.core.rollout.turn import Turn
from penstock.core.verdict import Verdict

POLL = timedelta(seconds=1)
POLL_PROBLEM = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write, the status first: it is the commit, everything else follows from it.

    Attributes:
        status: The whole next status.
        finalizer: Whether our finalizer is to stand.
        requeue_after: When to look again; None when only a change matters. Looks at metrics
            have a clock of their own.
    """

    status: RolloutStatus
    finalizer: bool
    requeue_after: timedelta | None


def decide(spec: RolloutSpec, status: RolloutStatus, seen: Seen, now: datetime) -> Decision:
    """Return the next state of one Rollout.

    Total and deterministic: every valid input has one answer, and nothing is raised.

    Args:
        spec: What the user wants.
        status: What the previous decision wrote.
        seen: Facts gathered for this decision.
        now: Aware UTC time.
    """
    turn = Turn(spec, seen, now)
    following_status = _deleted(status, turn) if seen.deleting else _lived(status, turn)
    after_step = _after_step(status, following_status, turn)
    shown = _with_analysis(status, following_status, after_step)
    described = _described(shown, after_step)
    return Decision(described, _finalizer(status, described, turn), _requeue(described, turn))


def _after_step(before: RolloutStatus, after: RolloutStatus, turn: Turn) -> Turn:
    """Return the turn without the verdict of the step that was left: it says nothing of the new."""
    left, entered = before.candidate, after.candidate
    if entered is None or (left is not None and left.step == entered.step):
        return turn
    analysis = replace(turn.seen.analysis, verdict=Verdict.LEARNING, observed_share=None)
    return replace(turn, seen=replace(turn.seen, analysis=analysis))


def _lived(before: RolloutStatus, turn: Turn) -> RolloutStatus:
    status = before
    for rule in (
        contest.obey_mark,
        commands.obey,
        first_sight.find_stable,
        contest.answer_edits,
        following.follow_version,
        alarms.heed,
        progress.progress,
        afterwards.watch_promoted,
    ):
        status = rule(status, turn)
        turn = _about(before, status, turn)
    return status


def _about(before: RolloutStatus, after: RolloutStatus, turn: Turn) -> Turn:
    """Return the turn without facts about a release that is no longer the one in flight."""
    names = [one.candidate.release if one.candidate else "" for one in (before, after)]
    if names[0] == names[1]:
        return turn
    seen = replace(turn.seen, snapshot=None, prepared=False, analysis=Analysis())
    return replace(turn, seen=seen)


def _deleted(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    return ending.settle(ending.condemn(status, ending.DELETED, "the Rollout is deleted"), turn)


def _with_analysis(before: RolloutStatus, after: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with what the metrics said: to the end, and of the last step at its end."""
    if before.candidate is None:
        return after
    analysis = turn.seen.analysis
    shown = AnalysisStatus(verdict=analysis.verdict, metrics=analysis.metrics, at=analysis.at)
    return after.model_copy(update={"analysis": shown})


def _described(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with what is only shown: traffic as seen, metrics, message, conditions."""
    seen, candidate = turn.seen, status.candidate
    update: dict[str, object] = {"observed_generation": seen.generation}
    if candidate is not None:
        share = seen.route.shares.get(candidate.version, 0.0) if seen.route.as_wanted else None
        moved = share is not None and abs(share - status.traffic.weight) > 1
        update["traffic"] = status.traffic.model_copy(
            update={
                "read_back": None if moved else share,
                "observed_share": seen.analysis.observed_share,
            }
        )
        update["steps"] = tuple(
            _with_eta(step, index, turn) for index, step in enumerate(status.steps)
        )
    status = status.model_copy(update=update)
    status = status.model_copy(update={"message": summary.sentence(status, turn)})
    return conditions.with_conditions(status, turn)


def _with_eta(step: StepStatus, index: int, turn: Turn) -> StepStatus:
    eta = turn.seen.analysis.eta.get(index)
    if eta is None or step.state not in (StepState.RUNNING, StepState.PENDING):
        return step
    return step.model_copy(update={"eta": tuple(turn.now + bound for bound in eta)})


def _finalizer(before: RolloutStatus, after: RolloutStatus, turn: Turn) -> bool:
    """Return whether the finalizer stands: while a release is in flight or its end not in force."""
    if turn.seen.deleting and before.candidate is not None:
        blocked = after.candidate is not None
        return not blocked
    if after.candidate is not None or before.candidate is not None:
        return True
    settled = turn.seen.route.as_wanted or after.yielded or not turn.seen.route.exists
    return turn.seen.finalizer and not settled


def _requeue(status: RolloutStatus, turn: Turn) -> timedelta | None:
    if turn.seen.deleting:
        return POLL
    candidate = status.candidate
    if candidate is not None:
        waiting = candidate.step < 0 or status.phase is Phase.PROMOTING or candidate.condemned
        return POLL / 5 if status.phase is Phase.PROMOTING else POLL if waiting else 10 * POLL
    barred = status.phase is Phase.WAITING and alarms.bars(status, turn)
    if status.stable is None or turn.seen.problems or barred:
        return POLL_PROBLEM
    if turn.seen.queued and status.phase is Phase.WAITING:
        return 2 * POLL
    if status.previous is not None and status.previous.until is not None:
        return max(status.previous.until - turn.now, timedelta(0)) + POLL / 10
    return None
