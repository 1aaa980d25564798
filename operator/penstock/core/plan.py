"""The one list of steps that a strategy expands to, and what each step must prove."""

from collections.abc import Sequence
from datetime import timedelta

from penstock.api.fields import format_duration, parse_duration
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus, StepState, StepStatus
from penstock.api.v1alpha1.strategy import BlueGreen, Gate, Mirror, Shadow, Step, Strategy

DEFAULT_BAKE = timedelta(minutes=1)
DEFAULT_DEADLINE = timedelta(hours=1)


def expand(spec: RolloutSpec) -> tuple[StepStatus, ...]:
    """Return the steps of a release, all pending. 100 is not among them: it follows the last."""
    return tuple(_shown(step) for step in written(spec.strategy))


def written(strategy: Strategy) -> tuple[Step, ...]:
    """Return the steps of a strategy as a canary would write them, index by index.

    The preview of blue/green has none of weight, mirror, approval and gate.
    """
    if strategy.blue_green is not None:
        return _blue_green(strategy.blue_green)
    if strategy.shadow is not None:
        return (_shadow(strategy.shadow),)
    return strategy.steps


def _blue_green(form: BlueGreen) -> tuple[Step, ...]:
    steps = [Step(bake=form.bake, deadline=form.deadline)]
    steps += [Step(gate=form.gate)] if form.gate else []
    steps += [Step(approval=form.approval)] if form.approval else []
    return tuple(steps)


def _shadow(form: Shadow) -> Step:
    mirror = Mirror(percent=form.percent, match=form.match)
    return Step(mirror=mirror, bake=form.bake, deadline=form.deadline)


def _shown(step: Step) -> StepStatus:
    if step.approval is not None:
        return StepStatus(approval=True)
    bake = DEFAULT_BAKE if step.bake is None else step.bake
    deadline = max(DEFAULT_DEADLINE, bake) if step.deadline is None else step.deadline
    if step.gate is not None:
        return StepStatus(gate=gate_text(step.gate), deadline=format_duration(deadline))
    return StepStatus(
        weight=step.weight,
        mirror=step.mirror.percent if step.mirror else None,
        preview=step.weight is None and step.mirror is None,
        bake=format_duration(bake),
        deadline=format_duration(deadline),
    )


def gate_text(gate: Gate) -> str:
    """Return what a gate asks, in a few words."""
    if gate.job is not None:
        return f"job {gate.job.from_cron_job}"
    if gate.rollout is not None:
        return f"rollout {gate.rollout}"
    where = f"service {gate.service}" if gate.service else f"host {gate.host}"
    return f"{where}:{gate.port or 80}{gate.path or '/'}"


def step_of(spec: RolloutSpec, index: int) -> Step | None:
    """Return the step of that index as the spec has it; None where it has none."""
    steps = written(spec.strategy)
    return steps[index] if 0 <= index < len(steps) else None


def is_partial(spec: RolloutSpec, index: int) -> bool:
    """Return whether only chosen requests are copied on a step: not the same as stable's."""
    step = step_of(spec, index)
    return step is not None and step.mirror is not None and bool(step.mirror.match)


def compares(steps: Sequence[StepStatus], index: int) -> bool:
    """Return whether both versions get the same kind of requests on a step."""
    return 0 <= index < len(steps) and not steps[index].preview


def needs_proof(spec: RolloutSpec, steps: Sequence[StepStatus], index: int) -> bool:
    """Return whether a step with traffic is left only when it is proven Safe.

    A preview, a shadow and copies of chosen requests only must have nothing against them.
    """
    looked_at = spec.strategy.shadow is not None or is_partial(spec, index)
    return not (steps[index].preview or looked_at)


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


def traffic_step(steps: Sequence[StepStatus], index: int) -> int:
    """Return the step whose traffic is in force at `index`; -1 before the first.

    An approval and a gate hold the weight before them. While the gate after a mirror or a preview
    is open, that one stays.
    """
    for number in range(min(index, len(steps) - 1), -1, -1):
        if steps[number].exposes:
            return number
    return -1


def is_exposed(status: RolloutStatus) -> bool:
    """Return whether the candidate gets requests: by weight, as copies, or in a preview."""
    candidate = status.candidate
    return candidate is not None and traffic_step(status.steps, candidate.step) >= 0


def first_exposure(steps: Sequence[StepStatus]) -> StepStatus | None:
    """Return the first step in which the candidate gets requests."""
    return next((step for step in steps if step.exposes), None)


def total_units(spec: RolloutSpec, third_destinations: bool) -> int:
    """Return the sum of weights for a release: 10000 where hundredths of a percent are needed."""
    weights = [s.weight for s in spec.strategy.steps if s.weight is not None]
    fractions = any(abs(weight - round(weight)) > 1e-9 for weight in weights)
    return 10_000 if fractions or third_destinations else 100


def with_state(
    steps: Sequence[StepStatus], index: int, state: StepState, **more: object
) -> tuple[StepStatus, ...]:
    """Return the steps with one of them changed."""
    changed = steps[index].model_copy(update={"state": state, **more})
    return (*steps[:index], changed, *steps[index + 1 :])
