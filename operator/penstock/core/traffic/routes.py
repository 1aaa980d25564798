"""The routes of a VirtualService that are ours, and what they are to say.

`composed` is the one description of what is wanted: a live object is as wanted if it says the
same, and it is written by taking over what `composed` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.core.traffic import rules, shares
from penstock.core.traffic.rules import Split
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import Place, Target

PROTOCOLS = ("http", "tls", "tcp")
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OurRoute:
    """A route whose destinations are ours.

    Attributes:
        protocol: The list that it stands in: http, tls or tcp.
        index: Its place there.
        content: What it says.
    """

    protocol: str
    index: int
    content: Mapping[str, Any]

    @property
    def entries(self) -> Sequence[Mapping[str, Any]]:
        """Return its destinations with their weights."""
        return self.content.get("route") or []


def our_routes(live: Manifest, target: Target, place: Place) -> list[OurRoute]:
    """Return the routes whose destinations are ours."""
    spec = live.get("spec", {})
    if place.theirs is not None:
        return [
            OurRoute(protocol, index, route)
            for protocol in PROTOCOLS
            for index, route in enumerate(spec.get(protocol) or [])
            if any(_is_chosen(route, protocol, c) for p, c in place.theirs.chosen if p == protocol)
        ]
    http = list(enumerate(spec.get("http") or []))
    mine = [(i, r) for i, r in http if r.get("name") == target.route_name]
    mine += [(i, r) for i, r in http if not target.is_rule(r) and _sends_to_us(r, target)]
    return [OurRoute("http", *one) for one in mine[:1]]


def _is_chosen(route: Manifest, protocol: str, choice: str | int) -> bool:
    if protocol == "http":
        return bool(route.get("name") == choice)
    if protocol == "tls":
        return any(choice in (m.get("sniHosts") or []) for m in route.get("match") or [])
    return any(m.get("port") == choice for m in route.get("match") or [])


def _sends_to_us(route: Manifest, target: Target) -> bool:
    places = [entry.get("destination", {}) for entry in route.get("route") or []]
    return any(target.version_of(place) is not None for place in places)


def missing(live: Manifest, target: Target, place: Place) -> tuple[tuple[str, str | int], ...]:
    """Return protocol and name, SNI host or port of each chosen route that is not there."""
    if place.theirs is None:
        return () if our_routes(live, target, place) else (("http", target.route_name),)
    spec = live.get("spec", {})
    return tuple(
        (protocol, choice)
        for protocol, choice in place.theirs.chosen
        if not any(_is_chosen(r, protocol, choice) for r in spec.get(protocol) or [])
    )


def composed(
    live: Manifest | None, want: Wanted, target: Target, place: Place
) -> dict[str, list[dict[str, Any]]]:
    """Return the wanted lists of routes by protocol, of those protocols that have one of ours.

    Everything in them but our routes and destinations stays as it is, whoever wrote it.
    """
    spec = (live or {}).get("spec", {})
    mine = our_routes(live, target, place) if live else []
    result: dict[str, list[dict[str, Any]]] = {}
    for protocol in PROTOCOLS:
        ours = {one.index for one in mine if one.protocol == protocol}
        routes = spec.get(protocol) or []
        if ours or any(target.is_rule(route) for route in routes):
            result[protocol] = [
                made
                for index, route in enumerate(routes)
                if not target.is_rule(route)
                for made in (
                    _ours(protocol, route, want, target, place) if index in ours else [route]
                )
            ]
    if place.owned and not mine:
        made = Split({}, place, target)
        before = result.get("http", list(spec.get("http") or []))
        result["http"] = [*before, *made.before(want), made.wanted(want)]
    return result


def _ours(
    protocol: str, route: Manifest, want: Wanted, target: Target, place: Place
) -> list[dict[str, Any]]:
    if protocol == "http":
        split = Split(route, place, target)
        return [*split.before(want), split.wanted(want)]
    plain = replace(want, double=False, cookies=None)
    return [{**route, "route": shares.destinations(route.get("route") or [], plain, target)}]


def named(live: Manifest, target: Target, place: Place) -> frozenset[str]:
    """Return the versions that any route of ours names, whatever it sends there."""
    http = live.get("spec", {}).get("http") or []
    ours = [route.content for route in our_routes(live, target, place)]
    ours += [route for route in http if target.is_rule(route)]
    return frozenset().union(*(rules.named(route, target) for route in ours))


def fit(
    live: Manifest,
    want: Wanted,
    target: Target,
    place: Place,
    said: frozenset[str] | None = None,
) -> bool:
    """Return whether the routes say what is wanted; of our rules, only in the fields of `said`."""
    spec, wanted = live.get("spec", {}), composed(live, want, target, place)
    return all(
        len(spec.get(protocol) or []) == len(routes)
        and all(
            _same(one, other, target, said)
            for one, other in zip(spec.get(protocol) or [], routes, strict=True)
        )
        for protocol, routes in wanted.items()
    )


def _same(one: Manifest, other: Manifest, target: Target, said: frozenset[str] | None) -> bool:
    """Return whether two routes of a list do the same, as far as that is ours to say."""
    if target.is_rule(other):
        keys = (one.keys() | other.keys()) & (said or one.keys() | other.keys())
        return all(one.get(key) == other.get(key) for key in keys)
    mirrors = (one.get("mirrors") or []) == (other.get("mirrors") or [])
    named_alike = one.get("name") == other.get("name")
    return named_alike and mirrors and shares.same(one.get("route") or [], other.get("route") or [])
