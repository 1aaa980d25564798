"""The VirtualService: what it says now, and what it is to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.core.facts import Route
from penstock.core.traffic import shares
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import (
    MANAGER,
    ROLLED_BACK_MARK,
    STABLE_MARK,
    Target,
)

API_VERSION, KIND = "networking.istio.io/v1", "VirtualService"
Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """How a VirtualService is brought to what is wanted.

    Attributes:
        manifest: The whole object, to be created or applied; None in a VirtualService that
            somebody else owns.
        routes: Index of the http route and its new destinations, in somebody else's.
        marks: Annotations to set.
        resource_version: The version of the object that this was computed from; None to create.
    """

    manifest: dict[str, Any] | None
    routes: tuple[tuple[int, list[dict[str, Any]]], ...]
    marks: Mapping[str, str]
    resource_version: str | None


def read(live: Manifest | None, want: Wanted | None, target: Target, stable: str) -> Route:
    """Return the facts of the live route.

    Args:
        live: The VirtualService as the API server has it; None where there is none.
        want: What the written status calls for.
        target: Whose traffic it is.
        stable: The stable version of the written status; empty while unknown.
    """
    if live is None:
        return Route()
    lists = [route.get("route") or [] for _, route in our_routes(live, target)]
    complete = len(lists) == _expected(target) and all(lists)
    annotations = live["metadata"].get("annotations", {})
    mark = annotations.get(STABLE_MARK, "") if _carries_mark(target) else ""
    fits = want is not None and complete and _fits(lists, want, target)
    as_wanted = fits and _envelope_fits(live, target) and mark in ("", stable)
    return Route(
        exists=complete,
        as_wanted=as_wanted,
        shares=_seen_shares(lists, target) if complete else {},
        since=written_at(live) or _list_written_at(live),
        editor="" if as_wanted else editor(live),
        rolled_back=annotations.get(ROLLED_BACK_MARK, ""),
        stable_mark=mark,
        third=any(shares.has_third(one, target) for one in lists),
        version=live["metadata"].get("resourceVersion", ""),
    )


def _seen_shares(lists: Sequence[Sequence[Manifest]], target: Target) -> dict[str, float]:
    """Return each version's share of what is ours, over all routes: they may differ at first."""
    found = [shares.seen_shares(one, target) for one in lists]
    versions = dict.fromkeys(version for one in found for version in one)
    return {v: sum(one.get(v, 0.0) for one in found) / len(found) for v in versions}


def _fits(lists: Sequence[Sequence[Manifest]], want: Wanted, target: Target) -> bool:
    return all(shares.same(one, shares.destinations(one, want, target)) for one in lists)


def _carries_mark(target: Target) -> bool:
    """Return whether the VirtualService says what is stable: where no DestinationRule can."""
    return target.owned and target.label is None


def marks(target: Target, stable: str) -> dict[str, str]:
    """Return the annotations that a VirtualService of ours carries."""
    return {STABLE_MARK: stable} if _carries_mark(target) else {}


def _expected(target: Target) -> int:
    return len(target.route.existing.http) if target.route.existing else 1


def _envelope_fits(live: Manifest, target: Target) -> bool:
    """Return whether hosts, gateways and owner of a VirtualService of ours are as the spec says."""
    if not target.owned:
        return True
    wanted, spec = _envelope(target), live.get("spec", {})
    same = {k: spec.get(k) for k in ("hosts", "gateways") if spec.get(k)} == wanted
    return same and target.is_owner(live) == target.remove_routes


def _envelope(target: Target) -> dict[str, list[str]]:
    own = target.route.own
    return {"hosts": list(own.hosts), "gateways": list(own.gateways)} if own else {}


def our_routes(live: Manifest, target: Target) -> list[tuple[int, Mapping[str, Any]]]:
    """Return index and content of the http routes whose destinations are ours."""
    http = list(enumerate(live.get("spec", {}).get("http") or []))
    if target.route.existing is not None:
        return [(i, r) for i, r in http if r.get("name") in target.route.existing.http]
    named = [(i, r) for i, r in http if r.get("name") == target.route_name]
    if named:
        return named[:1]
    for index, route in http:
        places = [d.get("destination", {}) for d in route.get("route") or []]
        if any(target.version_of(place) is not None for place in places):
            return [(index, route)]
    return []


def change(live: Manifest | None, want: Wanted, target: Target, marks: Mapping[str, str]) -> Change:
    """Return how to bring the VirtualService to what is wanted.

    Everything in it but our destinations stays as it is, whoever wrote it.
    """
    version = live["metadata"]["resourceVersion"] if live else None
    if not target.owned:
        routes = our_routes(live, target) if live else []
        lists = tuple((i, shares.destinations(r.get("route", []), want, target)) for i, r in routes)
        return Change(None, lists, marks, version)
    return Change(_manifest(live, want, target, marks), (), marks, version)


def _manifest(
    live: Manifest | None, want: Wanted, target: Target, marks: Mapping[str, str]
) -> dict[str, Any]:
    http = [dict(route) for route in (live or {}).get("spec", {}).get("http") or []]
    mine = our_routes(live, target) if live else []
    index = mine[0][0] if mine else len(http)
    if not mine:
        http.append({})
    before = http[index].get("route") or []
    http[index] |= {
        "name": target.route_name,
        "route": shares.destinations(before, want, target),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": target.metadata(target.virtual_service, marks),
        "spec": {**_envelope(target), "http": http},
    }


def written_at(live: Manifest) -> datetime | None:
    """Return when our manager last wrote the object, rounded up: its time has whole seconds."""
    times = [
        _parse(entry["time"])
        for entry in live["metadata"].get("managedFields", [])
        if entry.get("manager") == MANAGER and entry.get("time")
    ]
    return max(times) + timedelta(seconds=1) if times else None


def _list_written_at(live: Manifest) -> datetime | None:
    """Return when anybody last wrote the routes, rounded up: they are as they are since then.

    Somebody who writes but a timeout into the list takes our record of having written it away.
    """
    times = [_parse(time) for time, _ in _owners(live) if time]
    return max(times) + timedelta(seconds=1) if times else None


def _owners(live: Manifest) -> list[tuple[str, str]]:
    """Return time and name of the managers that own the routes of the object."""
    return [
        (entry.get("time", ""), entry.get("manager", ""))
        for entry in live["metadata"].get("managedFields", [])
        if "f:http" in entry.get("fieldsV1", {}).get("f:spec", {})
    ]


def editor(live: Manifest) -> str:
    """Return who owns the routes of the object, where it is not us; empty where it is."""
    owners = _owners(live)
    if not owners or any(manager == MANAGER for _, manager in owners):
        return ""
    return str(max(owners)[1])


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text)


def contested_text(target: Target, manager: str, release: str) -> str:
    """Return what to tell somebody whose tool keeps changing our weights, with the exact cure."""
    if target.route.existing is None:
        paths = "jsonPointers: [/spec/http]"
    else:
        names = " or ".join(f'.name == "{name}"' for name in target.route.existing.http)
        paths = f"jqPathExpressions: ['.spec.http[] | select({names}) | .route']"
    return (
        f"field manager {manager} keeps changing the weights of VirtualService "
        f"{target.virtual_service}: all traffic was put on stable once, and we no longer "
        f"fight. Let it ignore them (Argo CD: ignoreDifferences: [{{group: networking.istio.io, "
        f"kind: VirtualService, name: {target.virtual_service}, namespace: {target.namespace}, "
        f"{paths}}}] with syncOptions RespectIgnoreDifferences=true), then annotate with "
        f"penstock.dev/retry: {release}#<id>"
    )
