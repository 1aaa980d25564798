"""What is wrong with metrics: mistakes that no schema can see, each with its cure."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import classes, ledger, queries
from penstock.core.facts import Problem
from penstock.core.means.queries import mean_query
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.traffic.target import Target

_ANY_TIME = datetime(2020, 1, 1, tzinfo=UTC)


def of_metrics(
    spec: RolloutSpec,
    templates: Mapping[str, MetricTemplateSpec],
    connections: Collection[str],
    target: Target,
) -> tuple[Problem, ...]:
    """Return what is wrong with the metrics: templates, connections, variables."""
    found = []
    for metric in spec.analysis.metrics:
        template = templates.get(metric.title)
        problem = _of_metric(metric, template, connections, target)
        problem = problem or _of_match(spec, metric, template)
        if problem is not None:
            found.append(problem)
    return tuple(found)


def of_alerts(
    spec: RolloutSpec, namespace: str, heard: Collection[str] | None
) -> tuple[Problem, ...]:
    """Return whether no alert would ever be heard; `heard` are namespaces, None for all."""
    if not spec.alerts or heard is None or namespace in heard:
        return ()
    text = (
        f"no alert of namespace {namespace} is heard: give the operator's configuration an "
        f"alertReceiver or a connection of kind alertmanager, or leave spec.alerts out"
    )
    return (Problem("AlertsNotHeard", text),)


def _of_metric(
    metric: Metric,
    template: MetricTemplateSpec | None,
    connections: Collection[str],
    target: Target,
) -> Problem | None:
    if metric.template is not None and template is None:
        return Problem(
            "TemplateNotFound",
            f"metric {metric.title}: there is no MetricTemplate {metric.template} in namespace "
            f"{target.namespace} nor in the catalogue",
        )
    connection = template.connection if template else "prometheus"
    if connection not in connections:
        known = ", ".join(sorted(connections)) or "none"
        text = f"metric {metric.title}: connection {connection} is not configured ({known} is)"
        return Problem("ConnectionUnknown", text)
    if template is not None and (text := _misfit(metric, template)):
        return Problem("MetricInvalid", f"metric {metric.title}: {text}")
    return _of_expression(metric, template, target)


def _of_match(
    spec: RolloutSpec, metric: Metric, template: MetricTemplateSpec | None
) -> Problem | None:
    """Return whether a metric would count requests that were chosen, not shared out by weight."""
    matched = spec.strategy.canary is not None and spec.strategy.canary.match is not None
    compares = template is not None and template.value is None
    if not matched or not compares or (template and template.separates):
        return None
    text = (
        f"metric {metric.title}: canary.match needs templates that tell routes apart: put a label "
        f'with the route into its selectors (route_name=~"$route") and write separates: [route]'
    )
    return Problem("RoutesNotSeparated", text)


def _misfit(metric: Metric, template: MetricTemplateSpec) -> str:
    """Return what of a metric its template has no use for, or lacks; empty for nothing."""
    given = (metric.max_increase, metric.max_decrease, metric.slack)
    if template.value is not None and any(one is not None for one in given):
        return "maxIncrease, maxDecrease and slack need a template that compares"
    if template.distribution is not None and not metric.edges:
        return "a distribution needs edges: one to three bounds of its buckets"
    if template.distribution is None and metric.edges:
        return "edges need a template with a distribution"
    return ""


def _of_expression(
    metric: Metric, template: MetricTemplateSpec | None, target: Target
) -> Problem | None:
    arm = Arm("v", target.host(target.service), 'destination_workload="w"')
    subject = Subject(target.namespace, target.rollout, target.service, arm, arm)
    subject = replace(subject, route=target.route_pattern)
    rail = ledger.guardrail(metric, template)
    if rail is None:
        return None
    subject = subject.with_args(rail.args)
    made: list[object] = [
        queries.proportion_query(counted.proportion, "c", subject, _ANY_TIME, None)
        for counted in rail.counted
    ]
    if rail.categories is not None:
        made.append(classes.query(rail.categories, "c", subject, _ANY_TIME))
    if rail.mean is not None:
        made.append(mean_query(rail.mean, "c", subject, _ANY_TIME, None))
    if rail.threshold is not None:
        made.append(queries.value_query(rail.threshold.query, "c", subject, _ANY_TIME))
    wrong = next((one for one in made if isinstance(one, Unusable)), None)
    return Problem("MetricInvalid", f"metric {metric.title}: {wrong.reason}") if wrong else None
