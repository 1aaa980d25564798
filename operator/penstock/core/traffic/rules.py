"""Http routes of ours that stand directly before a split: previews, copies of some, cookies.

Each takes only requests that the split would have taken next, and serves them with the split's
own settings. So no other route loses a request, whatever stands around them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.api.v1alpha1.matching import HttpMatch, StringMatch
from penstock.core.traffic import matches, shares
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import Place, Target

HttpRoute = Mapping[str, Any]
OURS = frozenset({"name", "match", "route", "mirrors"})
"""What a rule says itself; everything else is copied from the split."""

_FINE = 10_000


@dataclass(frozen=True, slots=True)
class Split:
    """An http route whose destinations are ours, as it is live, and where it stands."""

    live: HttpRoute
    place: Place
    target: Target

    def before(self, want: Wanted) -> list[dict[str, Any]]:
        """Return the routes that stand before it."""
        return [*self._preview(want), *self._copied(want), *self._by_cookie(want)]

    def wanted(self, want: Wanted) -> dict[str, Any]:
        """Return the split itself, its copies with it."""
        copied = want.exposure.mirror > 0 and not want.exposure.mirror_match
        named = {"name": self.target.route_name} if self.place.owned else {}
        route = self._with_mirrors(want, copied=copied)
        return {**route, **named, "route": shares.destinations(self._entries, want, self.target)}

    @property
    def _entries(self) -> Sequence[Mapping[str, Any]]:
        return self.live.get("route") or []

    def _preview(self, want: Wanted) -> Iterator[dict[str, Any]]:
        if want.exposure.match:
            destination = shares.place(want.candidate, self._pattern, self.target)
            route = [{"destination": destination, "weight": 100}]
            yield from self._rule("match", _written(want.exposure.match), route)

    def _copied(self, want: Wanted) -> Iterator[dict[str, Any]]:
        if want.exposure.mirror > 0 and want.exposure.mirror_match:
            route = shares.destinations(self._entries, want, self.target)
            blocks = _written(want.exposure.mirror_match)
            yield from self._rule("mirror", blocks, route, self._mirrors(want, copied=True))

    def _by_cookie(self, want: Wanted) -> Iterator[dict[str, Any]]:
        cookies = want.cookies
        if cookies is None:
            return
        (candidate, _), (stable, _) = want.shares
        kept = replace(want, cookies=None, double=False)
        for kind, version, value in (
            ("cookie-candidate", candidate, cookies.candidate),
            ("cookie-stable", stable, cookies.stable(cookies.step)),
        ):
            alone = replace(kept, shares=((version, 100.0),))
            yield from self._with_cookie(kind, value, alone)
        for step, percent in cookies.redrawn:
            split = ((candidate, percent), (stable, 100.0 - percent))
            drawn = replace(want, shares=split, total=_FINE, double=False)
            yield from self._with_cookie(f"cookie-{step}", cookies.stable(step), drawn)

    def _with_cookie(self, kind: str, value: str, want: Wanted) -> Iterator[dict[str, Any]]:
        name = self.target.cookie.name if self.target.cookie else ""
        pattern = matches.cookie_pattern(name, StringMatch(exact=value))
        route = shares.destinations(self._entries, want, self.target)
        yield from self._rule(kind, [{"headers": {"cookie": {"regex": pattern}}}], route)

    def _rule(
        self,
        kind: str,
        blocks: Sequence[Mapping[str, Any]],
        route: Sequence[Mapping[str, Any]],
        mirrors: Sequence[Mapping[str, Any]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        found = matches.joined(self.live.get("match") or [], blocks)
        copies = self._mirrors_of_others if mirrors is None else mirrors
        if found:
            yield {
                **{key: value for key, value in self.live.items() if key not in OURS},
                "name": self.target.rule_name(kind, self.place, str(self.live.get("name", ""))),
                "match": found,
                "route": list(route),
                **({"mirrors": list(copies)} if copies else {}),
            }

    def _with_mirrors(self, want: Wanted, *, copied: bool) -> dict[str, Any]:
        mirrors = self._mirrors(want, copied=copied)
        rest = {key: value for key, value in self.live.items() if key != "mirrors"}
        return {**rest, "mirrors": mirrors} if mirrors else rest

    def _mirrors(self, want: Wanted, *, copied: bool) -> list[Mapping[str, Any]]:
        """Return the mirrors, ours after those of others; none beside a `mirror` of the user."""
        others = self._mirrors_of_others
        if not copied or self.live.get("mirror"):
            return others
        destination = shares.place(want.candidate, self._pattern, self.target)
        ours = {"destination": destination, "percentage": {"value": want.exposure.mirror}}
        return [*others, ours]

    @property
    def _mirrors_of_others(self) -> list[Mapping[str, Any]]:
        listed = self.live.get("mirrors") or []
        return [one for one in listed if not names_version(one, self.target)]

    @property
    def _pattern(self) -> Mapping[str, Any]:
        """Return the first destination of ours: it says the port."""
        ours = (e for e in self._entries
                if self.target.version_of(e.get("destination", {})) is not None)  # fmt: skip
        return next(ours, {})


def names_version(entry: Mapping[str, Any], target: Target) -> bool:
    """Return whether an entry of a list names a version of ours, not just the service."""
    return bool(target.version_of(entry.get("destination", {})))


def _written(found: Sequence[HttpMatch]) -> list[dict[str, Any]]:
    return [matches.written(one) for one in found]


def named(route: HttpRoute, target: Target) -> set[str]:
    """Return the versions that a route names: as destinations or for copies."""
    entries = [*(route.get("route") or []), *(route.get("mirrors") or [])]
    return shares.named(entries, target)
