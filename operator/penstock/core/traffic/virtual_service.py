"""A VirtualService: what it says now, and how it is brought to what it is to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.core.facts import Route
from penstock.core.traffic import managers, routes, rules, shares
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import (
    ROLLED_BACK_MARK,
    STABLE_MARK,
    Place,
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
        lists: The new lists of routes by protocol, in somebody else's.
        resource_version: The version of the object that this was computed from; None to create.
    """

    manifest: dict[str, Any] | None
    lists: Mapping[str, list[dict[str, Any]]]
    resource_version: str | None


def read(
    live: Manifest | None, want: Wanted | None, target: Target, place: Place, stable: str
) -> Route:
    """Return the facts of the routes in one VirtualService.

    Args:
        live: The VirtualService as the API server has it; None where there is none.
        want: What the written status calls for.
        target: Whose traffic it is.
        place: Which VirtualService it is.
        stable: The stable version of the written status; empty while unknown.
    """
    if live is None:
        return Route()
    lists = [route.entries for route in routes.our_routes(live, target, place)]
    complete = not routes.missing(live, target, place) and bool(lists) and all(lists)
    annotations = live["metadata"].get("annotations", {})
    mark = annotations.get(STABLE_MARK, "") if _carries_mark(target, place) else ""
    enveloped = _envelope_fits(live, target, place) and mark in ("", stable)
    fits = want is not None and complete and routes.fit(live, want, target, place, rules.OURS)
    as_wanted = want is not None and fits and enveloped and routes.fit(live, want, target, place)
    return Route(
        exists=complete,
        as_wanted=as_wanted,
        shares=_seen_shares(lists, target) if complete else {},
        named=routes.named(live, target, place),
        since=managers.written_at(live) or managers.list_written_at(live),
        editor="" if fits and enveloped else managers.editor(live),
        rolled_back=annotations.get(ROLLED_BACK_MARK, ""),
        stable_mark=mark,
        third=any(shares.has_third(one, target) for one in lists),
        version=live["metadata"].get("resourceVersion", ""),
    )


def read_all(
    lives: Mapping[str, Manifest], want: Wanted | None, target: Target, stable: str
) -> Route:
    """Return the facts of all VirtualServices that carry the weights, as of one route."""
    found = [read(lives.get(one.name), want, target, one, stable) for one in target.places]
    if len(found) == 1:
        return found[0]
    sinces = [one.since for one in found]
    known = [since for since in sinces if since is not None]
    wrong = [one for one in found if not one.as_wanted]
    return Route(
        exists=all(one.exists for one in found),
        as_wanted=not wrong,
        shares=_mean([one.shares for one in found]) if all(one.exists for one in found) else {},
        named=frozenset().union(*(one.named for one in found)),
        since=max(known) if len(known) == len(sinces) else None,
        editor=next((one.editor for one in wrong if one.editor), ""),
        rolled_back=next((one.rolled_back for one in found if one.rolled_back), ""),
        stable_mark=next((one.stable_mark for one in found if one.stable_mark), ""),
        third=any(one.third for one in found),
        version=",".join(one.version for one in wrong),
    )


def _seen_shares(lists: Sequence[Sequence[Manifest]], target: Target) -> dict[str, float]:
    """Return each version's share of what is ours, over all routes: they may differ at first."""
    return _mean([shares.seen_shares(one, target) for one in lists])


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    versions = dict.fromkeys(version for one in found for version in one)
    return {v: sum(one.get(v, 0.0) for one in found) / len(found) for v in versions}


def _carries_mark(target: Target, place: Place) -> bool:
    """Return whether the VirtualService says what is stable: where no DestinationRule can."""
    return place.owned and target.label is None


def marks(target: Target, place: Place, stable: str) -> dict[str, str]:
    """Return the annotations that a VirtualService of ours carries."""
    return {STABLE_MARK: stable} if _carries_mark(target, place) else {}


def _envelope_fits(live: Manifest, target: Target, place: Place) -> bool:
    """Return whether hosts, gateways and owner of a VirtualService of ours are as the spec says."""
    if not place.owned:
        return True
    wanted, spec = _envelope(place), live.get("spec", {})
    same = {k: spec.get(k) for k in ("hosts", "gateways") if spec.get(k)} == wanted
    return same and target.is_owner(live) == target.remove_routes


def _envelope(place: Place) -> dict[str, list[str]]:
    own = place.own
    return {"hosts": list(own.hosts), "gateways": list(own.gateways)} if own else {}


def change(
    live: Manifest | None, want: Wanted, target: Target, place: Place, marks: Mapping[str, str]
) -> Change:
    """Return how to bring the VirtualService to what is wanted."""
    version = live["metadata"]["resourceVersion"] if live else None
    lists = routes.composed(live, want, target, place)
    if not place.owned:
        spec = live.get("spec", {}) if live else {}
        changed = {protocol: made for protocol, made in lists.items() if made != spec.get(protocol)}
        return Change(None, changed, version)
    manifest = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": target.metadata(place.name, marks),
        "spec": {**_envelope(place), "http": lists["http"]},
    }
    return Change(manifest, {}, version)
