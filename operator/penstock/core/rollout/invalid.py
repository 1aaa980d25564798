"""A spec that this operator cannot read: said in a condition, nothing is moved."""

from datetime import datetime

from pydantic import ValidationError

from penstock.api.v1alpha1.rollout_status import Condition, RolloutStatus
from penstock.core.facts import Problem

INVALID = "InvalidSpec"


def problem(error: ValidationError) -> Problem:
    """Return the mistakes of a spec in a sentence."""
    text = "; ".join(
        f"spec.{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
    )
    return Problem(INVALID, text)


def refuse(
    status: RolloutStatus, generation: int, error: ValidationError, now: datetime
) -> RolloutStatus:
    """Return the status with the mistakes of the spec in its conditions."""
    text = problem(error).message
    said = (
        ("Ready", "False"),
        ("Reconciling", "False"),
        ("Stalled", "True"),
        ("Accepted", "False"),
    )
    before = {c.type: c for c in status.conditions}
    conditions = []
    for type_, value in said:
        old = before.get(type_)
        moved = old is None or old.status != value
        conditions.append(
            Condition(
                type=type_,
                status=value,
                reason=INVALID,
                message=text,
                last_transition_time=now if moved or old is None else old.last_transition_time,
                observed_generation=generation,
            )
        )
    return status.model_copy(
        update={
            "observed_generation": generation,
            "message": text,
            "conditions": tuple(conditions),
        }
    )
