"""What no schema can see: mistakes that keep a release from starting, each with its cure."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

from penstock.api.v1alpha1.analysis import Metric
from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.traffic import Sticky
from penstock.core import classes, ledger, queries
from penstock.core.facts import Problem
from penstock.core.kinds import Key, Manifest, key_of
from penstock.core.means.queries import mean_query
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.traffic import destination_rule
from penstock.core.traffic import virtual_service as vs
from penstock.core.traffic.target import MANAGED_BY, MANAGER, Target

UNTOUCHABLE = frozenset(
    {
        "RouteTaken",
        "RouteNotFound",
        "RouteNotOurs",
        "SubsetWouldBeEmpty",
        "VirtualServiceNotFound",
        "VirtualServiceTaken",
    }
)
"""Problems for which nothing in the mesh may be written."""

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
        if problem is not None:
            found.append(problem)
    return tuple(found)


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


def of_route(
    target: Target, live: Manifest | None, others: Iterable[Manifest]
) -> tuple[Problem, ...]:
    """Return what is wrong with the route: not there, not ours, or hidden by an older one."""
    found = []
    existing = target.route.existing
    if existing is not None:
        found += _of_existing(target, live)
    elif target.route.own is not None:
        found += _of_own(target, live, others)
    if target.owned and live is not None:
        found += _of_strangers(target, live)
    return tuple(found)


def of_subsets(
    target: Target, rule: Manifest | None, stable: str, ready: int
) -> tuple[Problem, ...]:
    """Return whether the subset that serves would be empty, because its pods lack a new label."""
    if ready or not stable or not destination_rule.by_other_label(rule, target):
        return ()
    text = (
        f"no ready pod has the label {target.label}={stable}, so nothing would serve any more: "
        f"label the pods of {stable} first, or leave traffic.endpoints.label as it was"
    )
    return (Problem("SubsetWouldBeEmpty", text),)


def _of_existing(target: Target, live: Manifest | None) -> list[Problem]:
    name, wanted = target.virtual_service, target.route.existing
    if live is None or wanted is None:
        text = f"there is no VirtualService {name} in namespace {target.namespace}"
        return [Problem("VirtualServiceNotFound", text)]
    there = {route.get("name") for route in live.get("spec", {}).get("http") or []}
    missing = [route for route in wanted.http if route not in there]
    if missing:
        text = f"VirtualService {name} has no http route named {', '.join(missing)}"
        return [Problem("RouteNotFound", text)]
    return _of_strangers(target, live)


def _of_strangers(target: Target, live: Manifest) -> list[Problem]:
    """Return whether a route of ours sends nothing to the service: nothing in it is ours then."""
    name = target.virtual_service
    for _, route in vs.our_routes(live, target):
        places = [d.get("destination", {}) for d in route.get("route") or []]
        if all(target.version_of(place) is None for place in places):
            text = (
                f"http route {route.get('name')} of {name} sends nothing to {target.service} as a "
                f"whole, nor to a subset of it that is named like a version: let it name the host "
                f"{target.service} without a subset"
            )
            return [Problem("RouteNotOurs", text)]
    return []


def _of_own(target: Target, live: Manifest | None, others: Iterable[Manifest]) -> list[Problem]:
    own = target.route.own
    if own is None:
        return []
    if live is not None and live["metadata"].get("labels", {}).get(MANAGED_BY) != MANAGER:
        text = (
            f"VirtualService {target.virtual_service} exists and is not ours: delete it, or name "
            f"its routes in route.existing"
        )
        return [Problem("VirtualServiceTaken", text)]
    mine = live["metadata"].get("creationTimestamp", "9") if live else "9"
    for other in others:
        if key_of(other) == Key(target.namespace, target.virtual_service):
            continue
        if _hides(other, own.hosts, own.gateways, (target, mine)):
            text = (
                f"VirtualService {key_of(other)} is older and has the same host on the mesh, so "
                f"it wins silently: delete it, or use route.existing"
            )
            return [Problem("HostTaken", text)]
    return []


def _hides(
    other: Manifest, hosts: Iterable[str], gateways: Iterable[str], mine: tuple[Target, str]
) -> bool:
    (target, born), spec = mine, other.get("spec", {})
    on_mesh = "mesh" in gateways and "mesh" in (spec.get("gateways") or ["mesh"])
    ours = {_full_name(host, target.namespace, target) for host in hosts}
    theirs = {_full_name(host, key_of(other).namespace, target) for host in spec.get("hosts") or []}
    older = other["metadata"].get("creationTimestamp", "") <= born
    return on_mesh and bool(ours & theirs) and older


def _full_name(host: str, namespace: str, target: Target) -> str:
    """Return a host as Istio reads it in a VirtualService: a short name is in its namespace."""
    return host if "." in host else f"{host}.{namespace}.svc.{target.cluster_domain}"


def of_neighbours(
    body: Manifest, mine: Target, neighbours: Iterable[tuple[Manifest, Target]]
) -> tuple[Problem, ...]:
    """Return whether an older Rollout has the same route: then everything here stands still."""
    age = _age(body)
    for other, target in neighbours:
        if key_of(other) != key_of(body) and _age(other) < age and _overlap(mine, target):
            text = (
                f"Rollout {key_of(other)} is older and moves the same route of "
                f"{mine.virtual_service}: delete one of them"
            )
            return (Problem("RouteTaken", text),)
    return ()


def _age(body: Manifest) -> tuple[str, str]:
    return body["metadata"].get("creationTimestamp", ""), body["metadata"]["name"]


def _overlap(one: Target, other: Target) -> bool:
    here = (one.namespace, one.virtual_service) == (other.namespace, other.virtual_service)
    if not here or one.route.existing is None or other.route.existing is None:
        return here
    return bool(set(one.route.existing.http) & set(other.route.existing.http))


STICKY_FORBIDDEN = Problem(
    "StickyNotAllowed",
    "traffic.sticky needs the component `sticky` of the manifests: the operator may not write "
    "EnvoyFilters",
)


def of_sticky(sticky: Sticky | None, routes: Collection[str]) -> tuple[Problem, ...]:
    """Return whether a sticky release has no root that leads to its delegate."""
    if sticky is None or routes:
        return ()
    text = "no VirtualService delegates to route.delegate, so no user can be kept on a version"
    return (Problem("NoRoot", text),)
