"""What keeps previews, copies and cookies from working in the routes as they are."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from penstock.api.v1alpha1.matching import StringMatch
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import exposure
from penstock.core.facts import Problem
from penstock.core.kinds import Manifest
from penstock.core.traffic import cookies, delegation, matches, routes, shares
from penstock.core.traffic.routes import OurRoute
from penstock.core.traffic.target import Place, Target

_REWRITE = "say it with exact and prefix instead of regex, or write both into one match"


def of_exposure(
    spec: RolloutSpec,
    target: Target,
    lives: Mapping[str, Manifest],
    others: Iterable[Manifest],
) -> tuple[Problem, ...]:
    """Return what is in the way, in the routes as they are.

    Args:
        spec: What the user wants.
        target: Whose traffic it is.
        lives: The VirtualServices that carry the weights, by name.
        others: All VirtualServices: one may be the root of our delegate.
    """
    blocks = [matches.written(one) for one in exposure.matched(spec)]
    found = [
        *(_of_place(spec, target, place, lives.get(place.name), blocks) for place in target.places),
        _of_roots(target, [*blocks, *_cookie_blocks(target)], others),
    ]
    return tuple(problem for problem in found if problem is not None)


def _of_place(
    spec: RolloutSpec,
    target: Target,
    place: Place,
    live: Manifest | None,
    blocks: list[dict[str, Any]],
) -> Problem | None:
    mine = routes.our_routes(live, target, place) if live else []
    for route in mine:
        name = f"http route {route.content.get('name')} of {place.name}"
        if route.protocol == "http" and exposure.copies(spec) and route.content.get("mirror"):
            text = f"{name} has a `mirror` already: write it as an entry of `mirrors`"
            return Problem("MirrorTaken", text)
        if target.cookie is not None and any(_sets_a_cookie(route)):
            text = f"{name} adds a Set-Cookie to a destination of ours: add it to the whole route"
            return Problem("CookieTaken", text)
        if route.protocol == "http" and matches.unsayable(route.content.get("match") or [], blocks):
            text = (
                f"{name} and a match of the strategy both restrict the path or method: {_REWRITE}"
            )
            return Problem("MatchUnsayable", text)
    return None


def _cookie_blocks(target: Target) -> list[dict[str, Any]]:
    if target.cookie is None:
        return []
    pattern = matches.cookie_pattern(target.cookie.name, StringMatch(prefix=target.rollout))
    return [{"headers": {"cookie": {"regex": pattern}}}]


def _sets_a_cookie(route: OurRoute) -> Iterator[bool]:
    for entry in route.entries:
        before = shares.set_cookie(entry)
        yield bool(before) and not cookies.is_ours(before)


def _of_roots(
    target: Target, blocks: list[dict[str, Any]], others: Iterable[Manifest]
) -> Problem | None:
    """Return whether a root leaves out a match: Istio drops a delegate's route that conflicts."""
    for name, own in delegation.roots(target, others):
        if any(delegation.drops(own, block) for block in blocks):
            text = (
                f"a match of the strategy is no part of what {name} hands to "
                f"{target.places[0].name}, so Istio would leave it out: {_REWRITE}"
            )
            return Problem("MatchNotInRoot", text)
    return None
