"""What only the API server would refuse, as far as the length and the verdict of a release go."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import plan


def contradictions(spec: RolloutSpec) -> Iterator[str]:
    """Yield one sentence per contradiction in the spec of a Rollout."""
    if spec.analysis.interval < timedelta(seconds=1):
        yield "spec.analysis.interval must be at least 1s"
    for index, step in enumerate(spec.strategy.steps):
        where = f"spec.strategy.canary.steps.{index}"
        if (step.weight is None) == (step.approval is None):
            yield f"{where}: a step is either a weight or an approval"
        bake = plan.DEFAULT_BAKE if step.bake is None else step.bake
        if step.deadline is not None and bake > step.deadline:
            yield f"{where}.bake (1m when not given) must not be longer than deadline"
    yield from _of_metrics(spec.analysis.metrics)


def _of_metrics(metrics: Sequence[Metric]) -> Iterator[str]:
    titles = [metric.title for metric in metrics]
    for index, metric in enumerate(metrics):
        where, edges = f"spec.analysis.metrics.{index}", metric.edges or ()
        if (metric.template is None) == (metric.value is None):
            yield f"{where}: a metric takes exactly one of template, value"
        if titles.index(metric.title) < index:
            yield f"{where}: another metric has the name {metric.title}: give each its own"
        if list(edges) != sorted(set(edges)):
            yield f"{where}.edges must rise"
