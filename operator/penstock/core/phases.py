"""Copies and live requests are judged apart: a copy never counts for what users have met.

Each phase of a release has records of its own. Where a release has both, each gets half of the
level, so that a good version is rolled back by either of them at most as often as was asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from penstock.api.v1alpha1.analysis import OnWorse
from penstock.api.v1alpha1.metric_template import Told
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import StepStatus
from penstock.core import plan
from penstock.core.ledger import Guardrail

_MIRROR = "mirror/"


def is_mirrored(steps: Sequence[StepStatus], index: int) -> bool:
    """Return whether copies are judged at a step; before the first, at the first that exposes."""
    place = plan.traffic_step(steps, index)
    step = steps[place] if place >= 0 else plan.first_exposure(steps)
    return step is not None and step.mirror is not None


def rules(spec: RolloutSpec, steps: Sequence[StepStatus]) -> RolloutSpec:
    """Return the spec with the level of one phase."""
    kinds = {one.mirror is not None for one in steps if one.exposes}
    if len(kinds) < 2:
        return spec
    rate = spec.analysis.false_alarm_rate / len(kinds)
    analysis = spec.analysis.model_copy(update={"false_alarm_rate": rate})
    return spec.model_copy(update={"analysis": analysis})


def key(release: str, mirrored: bool) -> str:
    """Return the name under which the counts of a phase are remembered."""
    return f"{_MIRROR}{release}" if mirrored else release


def keys(release: str) -> tuple[str, str]:
    """Return the names of both phases."""
    return key(release, mirrored=False), key(release, mirrored=True)


def stored(records: Mapping[str, str], mirrored: bool) -> dict[str, str]:
    """Return records by metric as a Release stores those of a phase."""
    return {key(name, mirrored): text for name, text in records.items()}


def loaded(records: Mapping[str, str], mirrored: bool) -> dict[str, str]:
    """Return the records of a phase by metric, from those that a Release stores."""
    return {
        name.removeprefix(_MIRROR): text
        for name, text in records.items()
        if name.startswith(_MIRROR) == mirrored
    }


def judged(
    rails: Sequence[Guardrail], spec: RolloutSpec, steps: Sequence[StepStatus], index: int
) -> tuple[Guardrail, ...]:
    """Return what judges at a step: only thresholds where nothing is compared, as in a preview.

    Where only chosen requests are copied, metrics that cannot tell routes apart are reported.
    """
    place = plan.traffic_step(steps, index)
    if place >= 0 and not plan.compares(steps, place):
        return tuple(rail for rail in rails if rail.threshold)
    if not plan.is_partial(spec, place):
        return tuple(rails)
    return tuple(
        replace(rail, on_worse=OnWorse.REPORT)
        if rail.compares and Told.ROUTE not in rail.separates
        else rail
        for rail in rails
    )
