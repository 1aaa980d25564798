"""The one list of steps that a strategy expands to, and what each step must prove."""

from collections.abc import Sequence
from datetime import timedelta

from penstock.api.fields import format_duration, parse_duration
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import StepState, StepStatus
from penstock.api.v1alpha1.strategy import Step

DEFAULT_BAKE = timedelta(minutes=1)
DEFAULT_DEADLINE = timedelta(hours=1)


def expand(spec: RolloutSpec) -> tuple[StepStatus, ...]:
    """Return the steps of a release, all pending. 100 is not among them: it follows the last."""
    return tuple(_expand(step) for step in spec.strategy.canary.steps)


def _expand(step: Step) -> StepStatus:
    if step.weight is None:
        return StepStatus(approval=True)
    bake = DEFAULT_BAKE if step.bake is None else step.bake
    deadline = max(DEFAULT_DEADLINE, bake) if step.deadline is None else step.deadline
    return StepStatus(
        weight=step.weight, bake=format_duration(bake), deadline=format_duration(deadline)
    )


def bake(step: StepStatus) -> timedelta:
    """Return the least time with data on a step."""
    return _read(step.bake, DEFAULT_BAKE)


def deadline(step: StepStatus) -> timedelta:
    """Return the wall time after which `onInconclusive` decides."""
    return _read(step.deadline, DEFAULT_DEADLINE)


def _read(text: str, default: timedelta) -> timedelta:
    """Return a duration of a status; the default where an operator of another version wrote it."""
    try:
        return parse_duration(text or "0s")
    except ValueError:
        return default


def next_exposures(steps: Sequence[StepStatus]) -> tuple[float, ...]:
    """Return, per step, the exposure that the step must prove Safe for: a share from 0 to 1."""
    result: list[float] = []
    following = 1.0
    for step in reversed(steps):
        result.append(following)
        if step.weight is not None:
            following = step.weight / 100
    return tuple(reversed(result))


def weight_step(steps: Sequence[StepStatus], index: int) -> int:
    """Return the index of the step whose weight is in force at `index`; -1 before the first."""
    for number in range(min(index, len(steps) - 1), -1, -1):
        if steps[number].weight is not None:
            return number
    return -1


def first_weight(steps: Sequence[StepStatus]) -> StepStatus | None:
    """Return the first step that has a weight."""
    return next((step for step in steps if step.weight is not None), None)


def total_units(spec: RolloutSpec, third_destinations: bool) -> int:
    """Return the sum of weights for a release: 10000 where hundredths of a percent are needed."""
    weights = [s.weight for s in spec.strategy.canary.steps if s.weight is not None]
    fractions = any(abs(weight - round(weight)) > 1e-9 for weight in weights)
    return 10_000 if fractions or third_destinations else 100


def with_state(
    steps: Sequence[StepStatus], index: int, state: StepState, **more: object
) -> tuple[StepStatus, ...]:
    """Return the steps with one of them changed."""
    changed = steps[index].model_copy(update={"state": state, **more})
    return (*steps[:index], changed, *steps[index + 1 :])
