"""What only the API server would refuse: the rules between fields, for files without a cluster.

Each function repeats the CEL rules of one model in `api.v1alpha1`, in the same words.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from penstock.api.v1alpha1.alerts import AlertRule
from penstock.api.v1alpha1.analysis import Analysis, Metric, Threshold
from penstock.api.v1alpha1.matching import HttpMatch, StringMatch
from penstock.api.v1alpha1.notifications import NotificationRule
from penstock.api.v1alpha1.rollout import OnDelete, RolloutSpec
from penstock.api.v1alpha1.strategy import BlueGreen, Canary, Gate, Shadow, Step
from penstock.api.v1alpha1.traffic import (
    Endpoints,
    Existing,
    Own,
    Route,
    Sticky,
    StickyCookie,
    Traffic,
)
from penstock.core import exposure, plan


def contradictions(spec: RolloutSpec) -> Iterator[str]:
    """Yield one sentence per contradiction in the spec of a Rollout."""
    for where, one in _models(spec, "spec"):
        rules = _RULES.get(type(one))
        for text in rules(one) if rules else ():
            yield f"{where}{text}" if text.startswith(".") else f"{where}: {text}"


def _models(value: object, where: str) -> Iterator[tuple[str, BaseModel]]:
    """Yield each model below a value with where it stands."""
    below: Mapping[Any, object] = {}
    if isinstance(value, BaseModel):
        yield where, value
        fields = type(value).model_fields
        below = {fields[name].alias or name: content for name, content in value}
    elif isinstance(value, tuple):
        below = dict(enumerate(value))
    elif isinstance(value, Mapping):
        below = value
    for key, content in below.items():
        yield from _models(content, f"{where}.{key}")


def _given(*values: object) -> int:
    """Return how many of the values are given."""
    return sum(value is not None for value in values)


def _twice(names: Sequence[object] | None, field: str) -> Iterator[str]:
    """Yield which entry of a field stands there a second time."""
    for index, name in enumerate(names or ()):
        if name in (names or ())[:index]:
            yield f".{field}.{index}: {name} stands twice"


def _of_spec(spec: RolloutSpec) -> Iterator[str]:
    route, endpoints = spec.traffic.route, spec.traffic.endpoints
    if spec.on_delete is OnDelete.REMOVE_ROUTES and route.theirs:
        yield (
            ".onDelete: RemoveRoutes needs route.delegate or route.own: your own VirtualService "
            "would be left without its subsets"
        )
    plain = bool(route.theirs) and not (route.delegate or route.own)
    if plain and not any(one.http for one in route.theirs) and _needs_http(spec):
        yield (
            ".strategy: match, preview, mirror and shadow need an http route: tls and tcp routes "
            "have weights only"
        )
    if endpoints.services is not None and spec.version not in endpoints.services:
        yield ".version must be a key of traffic.endpoints.services"
    matches = [one.match for one in spec.alerts]
    for index, match in enumerate(matches):
        if match in matches[:index]:
            yield f".alerts.{index}: each match must be one of its own"
    yield from _of_destinations(spec.notifications)


def _needs_http(spec: RolloutSpec) -> bool:
    return bool(exposure.matched(spec)) or exposure.copies(spec)


def _of_destinations(told: Sequence[NotificationRule]) -> Iterator[str]:
    places = [(one.type, one.secret_ref.name) for one in told]
    for index, place in enumerate(places):
        if place in places[:index]:
            yield (
                f".notifications.{index}: each type and Secret must be one of its own: write all "
                f"its events in one entry"
            )


def _of_traffic(traffic: Traffic) -> Iterator[str]:
    if traffic.sticky is not None and traffic.route.theirs:
        yield (
            ".sticky needs route.delegate or route.own, alone: in routes of your own, rules of "
            "yours could move users"
        )


def _of_route(route: Route) -> Iterator[str]:
    if _given(route.delegate, route.own, route.existing) != 1:
        yield "route takes exactly one of delegate, own, existing"
    names = [one.virtual_service for one in route.also or ()]
    main = (route.delegate, route.existing.virtual_service if route.existing else None)
    if any(name in main for name in names):
        yield ".also names other VirtualServices than the route itself"
    yield from _twice(names, "also")


def _of_own(own: Own) -> Iterator[str]:
    yield from _twice(own.hosts, "hosts")
    yield from _twice(own.gateways, "gateways")


def _of_existing(existing: Existing) -> Iterator[str]:
    if not existing.chosen:
        yield "routes of yours are chosen by at least one of http, tls, tcp"
    for field in ("http", "tls", "tcp"):
        yield from _twice(getattr(existing, field), field)


def _of_endpoints(endpoints: Endpoints) -> Iterator[str]:
    if _given(endpoints.label, endpoints.services) != 1:
        yield "endpoints takes exactly one of label, services"


def _of_sticky(sticky: Sticky) -> Iterator[str]:
    if _given(sticky.header, sticky.cookie) != 1:
        yield "sticky takes exactly one of header, cookie"


def _of_cookie(cookie: StickyCookie) -> Iterator[str]:
    if not cookie.issue:
        yield (
            ".issue must be true: a cookie of your own cannot be salted by the release; put the "
            "user into a header instead"
        )


def _of_string(match: StringMatch) -> Iterator[str]:
    if _given(match.exact, match.prefix, match.regex) != 1:
        yield "a match takes exactly one of exact, prefix, regex"
    try:
        re.compile(match.regex or "")
    except re.error as error:
        yield f".regex must be an expression: {error}"


def _of_match(match: HttpMatch) -> Iterator[str]:
    if not _given(match.headers, match.cookies, match.method, match.path):
        yield "a match needs at least one of headers, cookies, method, path"


def _of_canary(canary: Canary) -> Iterator[str]:
    weights = [i for i, step in enumerate(canary.steps) if step.weight is not None]
    mirrors = [i for i, step in enumerate(canary.steps) if step.mirror is not None]
    if weights and mirrors and max(mirrors) > min(weights):
        yield ".steps: mirrors stand before the first weight"


def _of_step(step: Step) -> Iterator[str]:
    if _given(step.weight, step.mirror, step.approval, step.gate) != 1:
        yield "a step is exactly one of weight, mirror, approval, gate"
    elif not _given(step.weight, step.mirror) and step.bake is not None:
        yield "bake belongs to a step with a weight or a mirror"
    if step.approval is not None and step.deadline is not None:
        yield "an approval has no deadline: it waits"
    yield from _of_bake(step)


def _of_bake(timed: Step | BlueGreen | Shadow) -> Iterator[str]:
    bake = plan.DEFAULT_BAKE if timed.bake is None else timed.bake
    if timed.deadline is not None and bake > timed.deadline:
        yield ".bake (1m when not given) must not be longer than deadline"


def _of_gate(gate: Gate) -> Iterator[str]:
    if _given(gate.service, gate.host, gate.job, gate.rollout) != 1:
        yield "a gate takes exactly one of service, host, job, rollout"
    asked = _given(gate.port, gate.path, gate.timeout, gate.every)
    if asked and not _given(gate.service, gate.host):
        yield "port, path, timeout and every belong to a gate with service or host"


def _of_analysis(analysis: Analysis) -> Iterator[str]:
    if analysis.interval < timedelta(seconds=1):
        yield ".interval must be at least 1s"
    titles = [metric.title for metric in analysis.metrics]
    for index, title in enumerate(titles):
        if title in titles[:index]:
            where = f".metrics.{index}"
            yield f"{where}: another metric has the name {title}: give each its own"


def _of_metric(metric: Metric) -> Iterator[str]:
    if _given(metric.template, metric.value) != 1:
        yield "a metric takes exactly one of template, value"
    if metric.value is not None and metric.name is None:
        yield "a metric with a value needs a name"
    more = (metric.max_increase, metric.max_decrease, metric.slack, metric.edges, metric.args)
    if metric.value is not None and _given(*more):
        yield "maxIncrease, maxDecrease, slack, edges and args belong to a template, not to a value"
    edges = list(metric.edges or ())
    if edges != sorted(set(edges)):
        yield ".edges must rise"


def _of_threshold(value: Threshold) -> Iterator[str]:
    if not _given(value.min, value.max):
        yield "a value needs min, max or both"
    elif value.min is not None and value.max is not None and value.min > value.max:
        yield ".min must not be greater than max"


def _of_alert(alert: AlertRule) -> Iterator[str]:
    if "namespace" in alert.match:
        yield (
            ".match: only alerts of the Rollout's own namespace act: leave the label namespace out"
        )


def _of_destination(told: NotificationRule) -> Iterator[str]:
    yield from _twice(told.events, "events")


_RULES: dict[type[BaseModel], Callable[[Any], Iterator[str]]] = {
    RolloutSpec: _of_spec,
    Traffic: _of_traffic,
    Route: _of_route,
    Own: _of_own,
    Existing: _of_existing,
    Endpoints: _of_endpoints,
    Sticky: _of_sticky,
    StickyCookie: _of_cookie,
    StringMatch: _of_string,
    HttpMatch: _of_match,
    Canary: _of_canary,
    Step: _of_step,
    BlueGreen: _of_bake,
    Shadow: _of_bake,
    Gate: _of_gate,
    Analysis: _of_analysis,
    Metric: _of_metric,
    Threshold: _of_threshold,
    AlertRule: _of_alert,
    NotificationRule: _of_destination,
}
