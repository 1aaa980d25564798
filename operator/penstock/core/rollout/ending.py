"""How a release ends: condemned first, ended as soon as stable can take the traffic."""

from penstock.api.v1alpha1.release import Outcome
from penstock.api.v1alpha1.rollout_status import (
    Candidate,
    Ended,
    Observed,
    Phase,
    Previous,
    Proven,
    Refusal,
    RolloutStatus,
    Serving,
    StepState,
    TrafficStatus,
)
from penstock.core import plan
from penstock.core.rollout.turn import Turn
from penstock.core.verdict import Verdict

WORSE, NOT_READY, NO_DATA, INCONCLUSIVE = "Worse", "NotReady", "NoData", "Inconclusive"
GATE_FAILED = "GateFailed"
ABORTED, REVERTED, SUPERSEDED, CONTESTED = "Aborted", "Reverted", "Superseded", "Contested"
DELETED, RETURNED = "Deleted", "Returned"
OUTCOMES = {
    ABORTED: Outcome.ABORTED,
    REVERTED: Outcome.REVERTED,
    SUPERSEDED: Outcome.SUPERSEDED,
    DELETED: Outcome.DELETED,
}
CAUSES = {
    Outcome.PROMOTED: ("Proven", "Commanded", RETURNED),
    Outcome.OBSERVED: tuple(Verdict),
    Outcome.ROLLED_BACK: (
        WORSE, NOT_READY, NO_DATA, INCONCLUSIVE, GATE_FAILED, CONTESTED, "Alert"
    ),
    **{outcome: (cause,) for cause, outcome in OUTCOMES.items()},
}  # fmt: skip
"""Why releases end, by outcome."""

NOT_REFUSED = (REVERTED, SUPERSEDED, DELETED)


def condemn(status: RolloutStatus, reason: str, message: str) -> RolloutStatus:
    """Return the status with the candidate on its way back to 0. The first reason stays."""
    if status.candidate is None or status.candidate.condemned:
        return status
    update = {"condemned": reason, "condemned_because": message}
    return status.model_copy(update={"candidate": status.candidate.model_copy(update=update)})


def can_return(status: RolloutStatus, turn: Turn) -> bool:
    """Return whether stable can take all traffic: the one thing that may stop a rollback."""
    if status.candidate is None or status.stable is None or status.traffic.weight == 0:
        return True
    nobody_loses = turn.seen.ready(status.candidate.version) == 0
    return nobody_loses or turn.seen.ready(status.stable.version) > 0


def settle(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status with a condemned release ended, unless stable cannot take the traffic."""
    candidate = status.candidate
    if candidate is None or not candidate.condemned or not can_return(status, turn):
        return status
    return end(status, candidate, turn)


def end(status: RolloutStatus, candidate: Candidate, turn: Turn) -> RolloutStatus:
    """Return the status after the release: weight 0, no candidate, the outcome on record."""
    reason, message = candidate.condemned, candidate.condemned_because
    outcome = OUTCOMES.get(reason, Outcome.ROLLED_BACK)
    refused = status.refused
    if reason not in NOT_REFUSED:
        refusal = Refusal(
            version=candidate.version,
            release=candidate.release,
            reason=reason,
            message=message,
            at=turn.now,
        )
        refused = (*(r for r in refused if r.version != candidate.version), refusal)
    return status.model_copy(
        update={
            "candidate": None,
            "ended": Ended(
                release=candidate.release,
                outcome=outcome,
                cause=reason,
                message=message,
                at=turn.now,
            ),
            "refused": refused[-20:],
            "steps": _stopped(status, candidate),
            "traffic": TrafficStatus(weight=0, total=status.traffic.total),
            "phase": Phase.IDLE if reason in NOT_REFUSED else Phase.ROLLED_BACK,
        }
    )


def observe(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after a shadow: the copies end, what was seen is on record."""
    candidate = status.candidate
    if candidate is None:
        return status
    found = "; ".join(one.why for one in turn.seen.analysis.metrics if one.why)
    message = f"{candidate.version} was observed as a shadow: {found or 'nothing was counted'}"
    return status.model_copy(
        update={
            "phase": Phase.OBSERVED,
            "candidate": None,
            "observed": Observed(version=candidate.version, release=candidate.release),
            "ended": Ended(
                release=candidate.release,
                outcome=Outcome.OBSERVED,
                cause=str(turn.seen.analysis.verdict),
                message=message,
                at=turn.now,
            ),
            "traffic": TrafficStatus(weight=0, total=status.traffic.total),
        }
    )


def _stopped(status: RolloutStatus, candidate: Candidate) -> tuple[object, ...]:
    if not 0 <= candidate.step < len(status.steps):
        return status.steps
    return plan.with_state(status.steps, candidate.step, StepState.FAILED, eta=())


def _cause(candidate: Candidate) -> str:
    """Return why a candidate was promoted: by proof, by a command, or as a version known before."""
    return "Commanded" if candidate.commanded else RETURNED if candidate.straight else "Proven"


def promote(status: RolloutStatus, turn: Turn) -> RolloutStatus:
    """Return the status after a promotion: the candidate is stable, the old one is kept."""
    candidate, old = status.candidate, status.stable
    if candidate is None or old is None:
        return status
    keep = turn.rules.after_promotion.keep_old
    pods = turn.seen.pods.get(candidate.version)
    back = Proven(version=old.version, until=turn.now + turn.rules.return_within)
    proven = (*(p for p in status.proven if p.version != old.version and p.until > turn.now), back)
    message = f"{candidate.version} serves; it took over from {old.version}"
    return status.model_copy(
        update={
            "phase": Phase.PROMOTED,
            "stable": Serving(
                version=candidate.version,
                since=turn.now,
                images=pods.images if pods else candidate.images,
                workloads=pods.workloads if pods else candidate.workloads,
            ),
            "candidate": None,
            "previous": Previous(
                version=old.version,
                release=candidate.release,
                until=turn.now + keep,
                started=candidate.since,
            ),
            "ended": Ended(
                release=candidate.release,
                outcome=Outcome.PROMOTED,
                cause=_cause(candidate),
                message=message,
                at=turn.now,
            ),
            "proven": tuple(p for p in proven if p.version != candidate.version)[-10:],
            "traffic": TrafficStatus(weight=0, total=status.traffic.total),
        }
    )
