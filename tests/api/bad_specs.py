"""Specs that are wrong, each as a change of a good one, and what the refusal must name."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

Spec = dict[str, Any]

GOOD: Spec = {
    "version": "v2",
    "traffic": {"service": "fraud", "route": {"delegate": "fraud-split"}},
    "strategy": {"canary": {"steps": [{"weight": 1}, {"weight": 50}]}},
    "analysis": {"metrics": [{"template": "istio-errors"}]},
}
OWN = {"own": {"hosts": ["fraud.example.com"]}}
EXISTING = {"existing": {"virtualService": "fraud", "http": ["primary"]}}
COOKIE = {"name": "v", "issue": True}
CONNECTIONS = {"existing": {"virtualService": "fraud", "tls": ["a.example.com"], "tcp": [9000]}}
VALUE = {"query": "max(cpu)", "max": 1}


def _set(path: str, value: Any) -> Callable[[Spec], None]:
    """Return a change that sets a field."""

    def change(spec: Spec) -> None:
        *parents, last = path.split(".")
        node: Any = spec
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value

    return change


def _drop(path: str) -> Callable[[Spec], None]:
    """Return a change that removes a field."""

    def change(spec: Spec) -> None:
        *parents, last = path.split(".")
        node: Any = spec
        for name in parents:
            node = node[name]
        del node[last]

    return change


def _both(*changes: Callable[[Spec], None]) -> Callable[[Spec], None]:
    """Return a change that makes several."""

    def change(spec: Spec) -> None:
        for one in changes:
            one(spec)

    return change


def _steps(*steps: Any) -> Callable[[Spec], None]:
    return _set("strategy.canary.steps", list(steps))


def _alerts(*alerts: Any) -> Callable[[Spec], None]:
    return _set("alerts", list(alerts))


def _metrics(*metrics: Any) -> Callable[[Spec], None]:
    return _set("analysis.metrics", list(metrics))


REFUSED: dict[str, tuple[Callable[[Spec], None], str]] = {
    "no version": (_drop("version"), "version"),
    "an empty version": (_set("version", ""), "version"),
    "a version that is no label value": (_set("version", "v 2"), "version"),
    "no service": (_drop("traffic.service"), "service"),
    "a service that is no name": (_set("traffic.service", "Fraud_1"), "service"),
    "no route": (_drop("traffic.route"), "route"),
    "an empty route": (_set("traffic.route", {}), "route takes exactly one"),
    "two routes": (_set("traffic.route", {**OWN, "delegate": "x"}), "route takes exactly one"),
    "an own route without hosts": (_set("traffic.route", {"own": {"hosts": []}}), "hosts"),
    "an own route with a host twice": (
        _set("traffic.route", {"own": {"hosts": ["a.example.com", "a.example.com"]}}),
        "hosts[1]",
    ),
    "a gateway that is no name": (
        _set("traffic.route", {"own": {**OWN["own"], "gateways": ["a/b/c"]}}),
        "gateways[0]",
    ),
    "an existing route without names": (
        _set("traffic.route", {"existing": {"virtualService": "fraud", "http": []}}),
        "http",
    ),
    "two forms of endpoints": (
        _set("traffic.endpoints", {"label": "version", "services": {"v2": "fraud-b"}}),
        "endpoints takes exactly one",
    ),
    "no form of endpoints": (_set("traffic.endpoints", {}), "endpoints takes exactly one"),
    "a version of services that is no version": (
        _set("traffic.endpoints", {"services": {"v2": "fraud-b", "v 3": "fraud-c"}}),
        "endpoints.services: Invalid value: keys must match",
    ),
    "a version that is no key of services": (
        _set("traffic.endpoints", {"services": {"v1": "fraud-a"}}),
        "version must be a key",
    ),
    "sticky on an existing route": (
        _set("traffic", {"service": "fraud", "route": EXISTING, "sticky": {"header": "x-user"}}),
        "sticky needs",
    ),
    "sticky on one of several routes": (
        _both(
            _set("traffic.sticky", {"cookie": COOKIE}),
            _set("traffic.route", {"delegate": "split", "also": [EXISTING["existing"]]}),
        ),
        "sticky needs",
    ),
    "sticky in two ways": (
        _set("traffic.sticky", {"header": "x-user", "cookie": COOKIE}),
        "sticky takes exactly one",
    ),
    "sticky in no way": (_set("traffic.sticky", {}), "sticky takes exactly one"),
    "a cookie that somebody else issues": (
        _set("traffic.sticky", {"cookie": {"name": "v", "issue": False}}),
        "issue must be true",
    ),
    "a cookie without a word on who issues it": (
        _set("traffic.sticky", {"cookie": {"name": "v"}}),
        "issue",
    ),
    "an existing route without any route": (
        _set("traffic.route", {"existing": {"virtualService": "fraud"}}),
        "at least one of http, tls, tcp",
    ),
    "a port that is none": (
        _set("traffic.route", {"existing": {"virtualService": "fraud", "tcp": [70000]}}),
        "tcp[0]",
    ),
    "the same VirtualService also": (
        _set("traffic.route", {**EXISTING, "also": [EXISTING["existing"]]}),
        "also names other VirtualServices",
    ),
    "the delegate itself also": (
        _set("traffic.route", {"delegate": "fraud", "also": [EXISTING["existing"]]}),
        "also names other VirtualServices",
    ),
    "a match of connections": (
        _both(
            _set("traffic.route", CONNECTIONS),
            _set("strategy.canary.match", [{"method": {"exact": "GET"}}]),
        ),
        "need an http route",
    ),
    "a mirror of connections": (
        _both(
            _set("traffic.route", CONNECTIONS),
            _steps({"mirror": {"percent": 10}}, {"weight": 50}),
        ),
        "need an http route",
    ),
    "a shadow of connections": (
        _both(_set("traffic.route", CONNECTIONS), _set("strategy", {"shadow": {}})),
        "need an http route",
    ),
    "a preview of connections": (
        _both(
            _set("traffic.route", CONNECTIONS),
            _set("strategy", {"blueGreen": {"preview": [{"method": {"exact": "GET"}}]}}),
        ),
        "need an http route",
    ),
    "routes that are left without their subsets": (
        _both(
            _set("traffic.route", {"delegate": "split", "also": [EXISTING["existing"]]}),
            _set("onDelete", "RemoveRoutes"),
        ),
        "RemoveRoutes needs",
    ),
    "a sticky header in capitals": (_set("traffic.sticky", {"header": "X-User"}), "header"),
    "no steps": (_steps(), "steps"),
    "only approvals": (_steps({"approval": {}}), "at least one step with a weight"),
    "a step that is both": (_steps({"weight": 1, "approval": {}}), "exactly one of weight"),
    "a step that is neither": (_steps({}), "exactly one of weight"),
    "a mirror after a weight": (
        _steps({"weight": 1}, {"mirror": {"percent": 10}}, {"weight": 50}),
        "mirrors stand before",
    ),
    "only mirrors": (_steps({"mirror": {"percent": 10}}), "at least one step with a weight"),
    "a mirror of nothing": (_steps({"mirror": {"percent": 0}}, {"weight": 1}), "percent"),
    "a gate of two forms": (
        _steps({"gate": {"service": "qa", "rollout": "features"}}, {"weight": 1}),
        "a gate takes exactly one",
    ),
    "a gate of no form": (_steps({"gate": {}}, {"weight": 1}), "a gate takes exactly one"),
    "a path of a job": (
        _steps({"gate": {"job": {"fromCronJob": "smoke"}, "path": "/ok"}}, {"weight": 1}),
        "belong to a gate with service or host",
    ),
    "a gate's path without a slash": (
        _steps({"gate": {"service": "qa", "path": "ok"}}, {"weight": 1}),
        "path",
    ),
    "a bake on a gate": (
        _steps({"gate": {"service": "qa"}, "bake": "1m"}, {"weight": 1}),
        "bake belongs to",
    ),
    "a deadline on an approval": (
        _steps({"weight": 1}, {"approval": {}, "deadline": "1h"}),
        "an approval has no deadline",
    ),
    "no strategy": (_set("strategy", {}), "exactly one of canary, blueGreen, shadow"),
    "two strategies": (
        _set("strategy.shadow", {"percent": 100}),
        "exactly one of canary, blueGreen, shadow",
    ),
    "a match of nothing": (_set("strategy.canary.match", [{}]), "a match needs at least one"),
    "a match of two forms": (
        _set("strategy.canary.match", [{"method": {"exact": "GET", "prefix": "G"}}]),
        "a match takes exactly one",
    ),
    "a header of a match in capitals": (
        _set("strategy.canary.match", [{"headers": {"X-Group": {"exact": "beta"}}}]),
        "headers",
    ),
    "a match that is no expression": (
        _set("strategy.canary.match", [{"path": {"regex": "(/a"}}]),
        "regex",
    ),
    "a shadow that bakes beyond its deadline": (
        _set("strategy", {"shadow": {"bake": "2h", "deadline": "1h"}}),
        "must not be longer than deadline",
    ),
    "weights that fall": (_steps({"weight": 50}, {"weight": 10}), "weights must grow"),
    "a weight twice": (_steps({"weight": 10}, {"weight": 10}), "weights must grow"),
    "a weight of 100": (_steps({"weight": 100}), "weight"),
    "a weight of 0": (_steps({"weight": 0}), "weight"),
    "a weight with three decimals": (_steps({"weight": 0.125}), "two decimals"),
    "a bake that is no duration": (_steps({"weight": 1, "bake": "10 minutes"}), "bake"),
    "a bake beyond its deadline": (
        _steps({"weight": 1, "bake": "2h", "deadline": "1h"}),
        "must not be longer than deadline",
    ),
    "a deadline before the default bake": (
        _steps({"weight": 1, "deadline": "30s"}),
        "must not be longer than deadline",
    ),
    "a bake on an approval": (
        _steps({"weight": 1}, {"approval": {}, "bake": "1m"}),
        "bake belongs to",
    ),
    "no metrics": (_metrics(), "need at least one metric"),
    "a shadow without metrics": (
        _both(_set("strategy", {"shadow": {}}), _metrics()),
        "need at least one metric",
    ),
    "a metric that is both": (
        _metrics({"name": "a", "template": "istio-errors", "value": VALUE}),
        "exactly one of template, value",
    ),
    "a value without a name": (_metrics({"value": VALUE}), "needs a name"),
    "a value without bounds": (
        _metrics({"name": "a", "value": {"query": "max(cpu)"}}),
        "needs min, max or both",
    ),
    "a value with its bounds crossed": (
        _metrics({"name": "a", "value": {**VALUE, "min": 2}}),
        "min must not be greater",
    ),
    "a tolerance on a value": (
        _metrics({"name": "a", "value": VALUE, "maxIncrease": 10}),
        "belong to a template",
    ),
    "edges that fall": (
        _metrics({"template": "istio-latency", "edges": [1000, 250]}),
        "edges must rise",
    ),
    "an edge twice": (
        _metrics({"template": "istio-latency", "edges": [250, 250]}),
        "edges must rise",
    ),
    "four edges": (
        _metrics({"template": "istio-latency", "edges": [1, 2, 3, 4]}),
        "edges",
    ),
    "a decrease of everything": (
        _metrics({"template": "istio-errors", "maxDecrease": 100}),
        "maxDecrease",
    ),
    "an argument with a bad name": (
        _metrics({"template": "istio-errors", "args": {"a-b": "x"}}),
        "args",
    ),
    "two metrics of one name": (
        _metrics({"template": "istio-errors"}, {"template": "istio-errors"}),
        "name of its own",
    ),
    "an alert without labels": (_alerts({"match": {}, "action": "Rollback"}), "match"),
    "an alert without an action": (_alerts({"match": {"alertname": "Burn"}}), "action"),
    "an action that is none": (
        _alerts({"match": {"alertname": "Burn"}, "action": "Page"}),
        "action",
    ),
    "a label that is no name": (_alerts({"match": {"a-b": "x"}, "action": "Suspend"}), "match"),
    "an alert of another namespace": (
        _alerts({"match": {"namespace": "other"}, "action": "Rollback"}),
        "leave the label namespace out",
    ),
    "an alert with two actions": (
        _alerts(*({"match": {"a": "x"}, "action": action} for action in ("Rollback", "Suspend"))),
        "match must be one of its own",
    ),
    "a destination of no known type": (
        _set("notifications", [{"type": "Pager", "secretRef": {"name": "a"}}]),
        "type",
    ),
    "a destination without a Secret": (_set("notifications", [{"type": "Slack"}]), "secretRef"),
    "a Secret of another namespace": (
        _set("notifications", [{"type": "Slack", "secretRef": {"name": "other/slack"}}]),
        "secretRef.name",
    ),
    "an event that is none": (
        _set("notifications", [{"type": "Slack", "secretRef": {"name": "a"}, "events": ["Bad"]}]),
        "events",
    ),
    "a destination without events": (
        _set("notifications", [{"type": "Slack", "secretRef": {"name": "a"}, "events": []}]),
        "events",
    ),
    "the same destination twice": (
        _set("notifications", [{"type": "Slack", "secretRef": {"name": "a"}}] * 2),
        "each type and Secret must be one of its own",
    ),
    "more destinations than eight": (
        _set(
            "notifications",
            [{"type": "Slack", "secretRef": {"name": f"a{n}"}} for n in range(9)],
        ),
        "notifications",
    ),
    "an interval below a second": (_set("analysis.interval", "500ms"), "interval"),
    "a slack of 0": (_metrics({"template": "istio-errors", "slack": 0}), "slack"),
    "a false alarm rate of 0": (_set("analysis.falseAlarmRate", 0), "falseAlarmRate"),
    "an unknown variable": (
        _metrics({"name": "a", "value": {"query": 'up{a="$nonsense"}', "max": 1}}),
        "unknown variable",
    ),
    "a share above 100": (_set("strategy.minStableReady", 120), "minStableReady"),
    "no history at all": (_set("historyLimit", 0), "historyLimit"),
    "a word for a switch": (_set("suspend", "perhaps"), "suspend"),
    "an unknown field": (_set("strategy.canray", {}), "canray"),
    "an unknown policy": (_set("analysis.onInconclusive", "Maybe"), "onInconclusive"),
    "routes of the user's to be removed": (
        _both(_set("traffic.route", EXISTING), _set("onDelete", "RemoveRoutes")),
        "RemoveRoutes needs",
    ),
}


GOOD_TEMPLATE: Spec = {
    "proportion": {"total": "requests_total{$variant}", "bad": 'requests_total{code="5",$variant}'}
}
REFUSED_TEMPLATES: dict[str, tuple[Callable[[Spec], None], str]] = {
    "no form": (
        _drop("proportion"),
        "exactly one of proportion, distribution, categories, mean, value",
    ),
    "two forms": (
        _set("value", VALUE),
        "exactly one of proportion, distribution, categories, mean, value",
    ),
    "no counter of bad requests": (_drop("proportion.bad"), "exactly one of bad, good"),
    "bad and good": (_set("proportion.good", "a{$variant}"), "exactly one of bad, good"),
    "no total": (_drop("proportion.total"), "proportion.total"),
    "a selector without $variant": (
        _set("proportion.bad", 'requests_total{code="5"}'),
        "must contain $variant",
    ),
    "a rate": (_set("proportion.total", "rate(requests_total{$variant}[1m])"), "plain selector"),
    "a variable that is none": (_set("proportion.total", "a{$variant,b='$c'}"), "unknown variable"),
    "unreached with a version": (
        _set("proportion.unreached", "a{$variant}"),
        "must not contain $variant or $version",
    ),
    "unreached as a rate": (_set("proportion.unreached", "rate(a{}[1m])"), "plain selector"),
    "a connection that is no name": (_set("connection", "http://a"), "connection"),
    "better Higher without good": (_set("better", "Higher"), "better: Higher needs"),
    "buckets that name le": (
        _both(_drop("proportion"), _set("distribution", {"buckets": 'x_bucket{le="5",$variant}'})),
        "le is set by the operator",
    ),
    "classes without a label": (
        _both(_drop("proportion"), _set("categories", {"counts": "x_total{$variant}"})),
        "categories.label",
    ),
    "a unit that is none": (_set("counts", "Users"), "counts"),
    "a value without bounds": (
        _both(_drop("proportion"), _set("value", {"query": "max(cpu)"})),
        "needs min, max or both",
    ),
}


def bad(name: str) -> Spec:
    """Return the bad spec of that name."""
    spec = deepcopy(GOOD)
    REFUSED[name][0](spec)
    return spec


def bad_template(name: str) -> Spec:
    """Return the bad spec of a MetricTemplate of that name."""
    spec = deepcopy(GOOD_TEMPLATE)
    REFUSED_TEMPLATES[name][0](spec)
    return spec
