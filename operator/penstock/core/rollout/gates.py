"""Gates: something else must agree before a release goes on."""

from penstock.api.v1alpha1.analysis import OnInconclusive
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus, StepState, StepStatus
from penstock.api.v1alpha1.strategy import Gate, OnFailure
from penstock.core import plan
from penstock.core.facts import GateState
from penstock.core.rollout import ending
from penstock.core.rollout.turn import Turn


def gate_of(spec: RolloutSpec, index: int) -> Gate | None:
    """Return the gate of a step as the spec has it; None where it has none."""
    step = plan.step_of(spec, index)
    return step.gate if step else None


def asked(status: RolloutStatus, rules: RolloutSpec) -> Gate | None:
    """Return the gate that the release waits for now; None where it waits for none."""
    candidate = status.candidate
    if candidate is None or candidate.condemned or not 0 <= candidate.step < len(status.steps):
        return None
    step = status.steps[candidate.step]
    waits = bool(step.gate) and step.state is not StepState.PASSED
    return gate_of(rules, candidate.step) if waits else None


def ask(status: RolloutStatus, step: StepStatus, turn: Turn) -> RolloutStatus:
    """Return the status after the answer of the gate: passed, condemned, or as it was.

    An answer is taken once: a gate that closes again afterwards changes nothing.
    """
    candidate, said = status.candidate, turn.seen.gate
    if candidate is None or said is None:
        return status
    opened = said.state is GateState.OPEN
    state, by = (StepState.PASSED, step.gate) if opened else (step.state, "")
    steps = plan.with_state(status.steps, candidate.step, state, by=by, answer=said.message)
    status = status.model_copy(update={"steps": steps})
    gate = gate_of(turn.rules, candidate.step)
    if said.state is GateState.FAILED and gate and gate.on_failure is OnFailure.ROLLBACK:
        return ending.condemn(status, ending.GATE_FAILED, f"{step.gate}: {said.message}")
    return status


def at_deadline(status: RolloutStatus, step: StepStatus, turn: Turn) -> RolloutStatus:
    """Return the status of a gate that has not agreed: waiting, or rolled back at its deadline.

    A gate that does not agree is never passed by time: `Advance` holds as well.
    """
    candidate = status.candidate
    if candidate is None or candidate.condemned:
        return ending.settle(status, turn)
    over = step.since is not None and turn.now - step.since >= plan.deadline(step)
    if over and turn.rules.analysis.on_inconclusive is OnInconclusive.ROLLBACK:
        why = f"the deadline {step.deadline} is over and {step.gate} has not agreed"
        return ending.settle(ending.condemn(status, ending.INCONCLUSIVE, why), turn)
    return status.model_copy(update={"phase": Phase.WAITING})


def sentence(step: StepStatus) -> str:
    """Return what is waited for."""
    return f"waiting for {step.gate}" + (f" ({step.answer})" if step.answer else "")
