"""What is wrong with a route: mistakes that no schema can see, each with its cure."""

from collections.abc import Collection, Iterable, Mapping
from itertools import product

from penstock.api.v1alpha1.traffic import Own, Sticky
from penstock.core.facts import Problem
from penstock.core.kinds import Key, Manifest, key_of
from penstock.core.traffic import destination_rule, routes
from penstock.core.traffic.target import MANAGED_BY, MANAGER, Place, Target

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

_WORDS = {
    "http": "http route named",
    "tls": "tls route with the SNI host",
    "tcp": "tcp route with the port",
}


def of_route(
    target: Target, lives: Mapping[str, Manifest], others: Iterable[Manifest]
) -> tuple[Problem, ...]:
    """Return what is wrong with the routes: not there, not ours, or hidden by an older one.

    Args:
        target: Whose traffic it is.
        lives: The VirtualServices that carry the weights, by name.
        others: All VirtualServices.
    """
    known, found = tuple(others), []
    for place in target.places:
        live = lives.get(place.name)
        if place.theirs is not None:
            found += _of_existing(target, place, live)
        elif place.own is not None:
            found += _of_own(target, place.own, live, known)
        if place.owned and live is not None:
            found += _of_strangers(target, place, live)
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


def _of_existing(target: Target, place: Place, live: Manifest | None) -> list[Problem]:
    name = place.name
    if live is None:
        text = f"there is no VirtualService {name} in namespace {target.namespace}"
        return [Problem("VirtualServiceNotFound", text)]
    missing = routes.missing(live, target, place)
    if missing:
        kinds = dict.fromkeys(protocol for protocol, _ in missing)
        listed = " and no ".join(
            f"{_WORDS[kind]} {', '.join(str(choice) for found, choice in missing if found == kind)}"
            for kind in kinds
        )
        return [Problem("RouteNotFound", f"VirtualService {name} has no {listed}")]
    return _of_strangers(target, place, live)


def _of_strangers(target: Target, place: Place, live: Manifest) -> list[Problem]:
    """Return whether a route of ours sends nothing to the service: nothing in it is ours then."""
    for route in routes.our_routes(live, target, place):
        where = [entry.get("destination", {}) for entry in route.entries]
        if all(target.version_of(one) is None for one in where):
            text = (
                f"{route.protocol} route {route.content.get('name', route.index)} of {place.name} "
                f"sends nothing to {target.service} as a whole, nor to a subset of it that is "
                f"named like a version: let it name the host {target.service} without a subset"
            )
            return [Problem("RouteNotOurs", text)]
    return []


def _of_own(
    target: Target, own: Own, live: Manifest | None, others: Iterable[Manifest]
) -> list[Problem]:
    name = target.rollout
    if live is not None and live["metadata"].get("labels", {}).get(MANAGED_BY) != MANAGER:
        text = (
            f"VirtualService {name} exists and is not ours: delete it, or name "
            f"its routes in route.existing"
        )
        return [Problem("VirtualServiceTaken", text)]
    mine = live["metadata"].get("creationTimestamp", "9") if live else "9"
    for other in others:
        if key_of(other) == Key(target.namespace, name):
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
                f"{' or '.join(place.name for place in mine.places)}: delete one of them"
            )
            return (Problem("RouteTaken", text),)
    return ()


def _age(body: Manifest) -> tuple[str, str]:
    return body["metadata"].get("creationTimestamp", ""), body["metadata"]["name"]


def _overlap(one: Target, other: Target) -> bool:
    if one.namespace != other.namespace:
        return False
    return any(_same_routes(a, b) for a, b in product(one.places, other.places))


def _same_routes(one: Place, other: Place) -> bool:
    if one.name != other.name or one.theirs is None or other.theirs is None:
        return one.name == other.name
    return bool(set(one.theirs.chosen) & set(other.theirs.chosen))


STICKY_FORBIDDEN = Problem(
    "StickyNotAllowed",
    "traffic.sticky needs the component `sticky` of the manifests: the operator may not write "
    "EnvoyFilters",
)


def of_sticky(sticky: Sticky | None, found: Collection[str]) -> tuple[Problem, ...]:
    """Return whether a sticky release has no root that leads to its delegate.

    Args:
        sticky: How users are kept on their version.
        found: Names of our route in Envoy.
    """
    if sticky is None or sticky.header is None or found:
        return ()
    text = "no VirtualService delegates to route.delegate, so no user can be kept on a version"
    return (Problem("NoRoot", text),)
