"""Who gets which share, and the destination list that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.api.v1alpha1.traffic import StickyCookie
from penstock.core.exposure import NONE, Exposure
from penstock.core.traffic import cookies
from penstock.core.traffic.cookies import Cookies
from penstock.core.traffic.target import Target

Destination = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a status calls for.

    Attributes:
        shares: (version, percent of what is ours), in the order of the list; they add up to 100.
        total: Sum of all weights of the list, third destinations included.
        double: A version that is alone stands twice: an EnvoyFilter of ours merges a hash policy
            into the list, and Envoy would reject it on a list of one.
        candidate: The version that is released; empty for none.
        exposure: What it gets besides its weight.
        cookies: The cookies that are issued and obeyed; None for none.
    """

    shares: tuple[tuple[str, float], ...]
    total: int
    double: bool
    candidate: str = ""
    exposure: Exposure = NONE
    cookies: Cookies | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the versions that any route names: by weight, in a preview or for copies."""
        found = [version for version, _ in self.shares]
        if self.exposure.match or self.exposure.mirror > 0:
            found.append(self.candidate)
        return tuple(dict.fromkeys(found))

    def issued(self, version: str) -> str:
        """Return the `Set-Cookie` for an answer of a version; empty for none."""
        if self.cookies is None:
            return ""
        step = self.cookies.stable(self.cookies.step)
        return self.cookies.issued(self.cookies.candidate if version == self.candidate else step)


def wanted(
    status: RolloutStatus,
    exposure: Exposure = NONE,
    *,
    double: bool = False,
    cookie: StickyCookie | None = None,
) -> Wanted | None:
    """Return what a status calls for; None while stable is unknown, when nothing is ours to say.

    The candidate stands first and the sum stays: with a hash policy nobody then leaves it while
    its weight grows.
    """
    if status.stable is None:
        return None
    candidate = status.candidate.version if status.candidate else ""
    return Wanted(
        shares=_shares(status.stable.version, candidate, status.traffic.weight),
        total=status.traffic.total,
        double=double,
        candidate=candidate,
        exposure=exposure,
        cookies=cookies.of_step(cookie, status) if cookie else None,
    )


def _shares(stable: str, candidate: str, weight: float) -> tuple[tuple[str, float], ...]:
    if not candidate or weight <= 0:
        return ((stable, 100.0),)
    if weight >= 100:
        return ((candidate, 100.0),)
    return ((candidate, weight), (stable, 100.0 - weight))


def destinations(live: Sequence[Destination], want: Wanted, target: Target) -> list[dict[str, Any]]:
    """Return the destination list of one route: ours as wanted, third ones with their share.

    A candidate never gets more than its share: its weight is rounded down.
    """
    third = [d for d in live if target.version_of(d.get("destination", {})) is None]
    mine = [d for d in live if d not in third]
    all_units = sum(_units(d, live) for d in third) + sum(_units(d, live) for d in mine)
    kept = [round(_units(d, live) * want.total / max(all_units, 1)) for d in third]
    while sum(kept) > want.total:
        kept[kept.index(max(kept))] -= 1
    pattern = mine[0] if mine else {}
    return [
        *_ours(want, want.total - sum(kept), pattern, target),
        *({**d, "weight": units} for d, units in zip(third, kept, strict=True)),
    ]


def _ours(want: Wanted, units: int, pattern: Destination, target: Target) -> list[dict[str, Any]]:
    if len(want.shares) == 1:
        version = want.shares[0][0]
        second = min(1, units)
        parts = [units - second, second] if want.double else [units]
        entries = [(version, part) for part in parts]
    else:
        (candidate, percent), (stable, _) = want.shares
        first = int(percent * units / 100 + 1e-6)
        entries = [(candidate, first), (stable, units - first)]
    return [
        {
            "destination": place(version, pattern, target),
            "weight": part,
            **_more(pattern, want.issued(version)),
        }
        for version, part in entries
    ]


def place(version: str, pattern: Destination, target: Target) -> dict[str, Any]:
    """Return where a version is reached, by the port that the route names already."""
    destination = target.destination(version)
    port = pattern.get("destination", {}).get("port")
    return destination if port is None else {**destination, "port": port}


def _more(pattern: Destination, issued: str) -> dict[str, Any]:
    """Return what else an entry says: what others wrote into it, and the cookie of ours."""
    more = {k: v for k, v in pattern.items() if k not in ("destination", "weight")}
    before = set_cookie(pattern)
    if before == issued or (before and not cookies.is_ours(before)):
        return more
    headers = dict(more.pop("headers", None) or {})
    response = dict(headers.pop("response", None) or {})
    add = {k: v for k, v in (response.pop("add", None) or {}).items() if k != cookies.HEADER}
    add |= {cookies.HEADER: issued} if issued else {}
    response |= {"add": add} if add else {}
    headers |= {"response": response} if response else {}
    return {**more, "headers": headers} if headers else more


def set_cookie(entry: Destination) -> str:
    """Return the `Set-Cookie` that an entry adds to answers; empty for none."""
    added = ((entry.get("headers") or {}).get("response") or {}).get("add") or {}
    return str(added.get(cookies.HEADER, ""))


def _units(destination: Destination, live: Sequence[Destination]) -> int:
    """Return a destination's weight; one that stands alone has everything, whatever it says."""
    return 100 if len(live) == 1 else int(destination.get("weight", 0))


def same(live: Sequence[Destination], want: Sequence[Destination]) -> bool:
    """Return whether two lists send the same requests to the same places, in the same order."""
    return [_plain(d, live) for d in live] == [_plain(d, want) for d in want]


def _plain(destination: Destination, all_: Sequence[Destination]) -> tuple[Any, ...]:
    where = destination.get("destination", {})
    weight = 100 if len(all_) == 1 else int(destination.get("weight", 0))
    return where.get("host"), where.get("subset"), weight, set_cookie(destination)


def seen_shares(live: Sequence[Destination], target: Target) -> dict[str, float]:
    """Return each version's share of what is ours, in percent; "" for the service as a whole."""
    units: dict[str, int] = {}
    for entry in live:
        version = target.version_of(entry.get("destination", {}))
        if version is not None:
            units[version] = units.get(version, 0) + _units(entry, live)
    total = sum(units.values())
    return {version: 100 * part / total for version, part in units.items()} if total else {}


def named(live: Sequence[Destination], target: Target) -> set[str]:
    """Return the versions that a list names, whatever they get."""
    return {target.version_of(d.get("destination", {})) or "" for d in live} - {""}


def has_third(live: Sequence[Destination], target: Target) -> bool:
    """Return whether a destination that is not ours stands in the list."""
    return any(target.version_of(d.get("destination", {})) is None for d in live)
