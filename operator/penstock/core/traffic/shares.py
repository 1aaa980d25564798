"""Who gets which share, and the destination list that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.api.v1alpha1.rollout_status import RolloutStatus
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
    """

    shares: tuple[tuple[str, float], ...]
    total: int
    double: bool

    @property
    def versions(self) -> tuple[str, ...]:
        """Return the versions that get traffic or stand in the list."""
        return tuple(version for version, _ in self.shares)


def wanted(status: RolloutStatus, sticky: bool) -> Wanted | None:
    """Return what a status calls for; None while stable is unknown, when nothing is ours to say.

    The candidate stands first and the sum stays: with a hash policy nobody then leaves it while
    its weight grows.
    """
    if status.stable is None:
        return None
    candidate, weight = status.candidate, status.traffic.weight
    total = status.traffic.total
    if candidate is None or weight <= 0:
        return Wanted(((status.stable.version, 100.0),), total, sticky)
    if weight >= 100:
        return Wanted(((candidate.version, 100.0),), total, sticky)
    shares = ((candidate.version, weight), (status.stable.version, 100.0 - weight))
    return Wanted(shares, total, sticky)


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
        return [_entry(version, part, pattern, target) for part in parts]
    (candidate, percent), (stable, _) = want.shares
    first = int(percent * units / 100 + 1e-6)
    return [
        _entry(candidate, first, pattern, target),
        _entry(stable, units - first, pattern, target),
    ]


def _entry(version: str, units: int, pattern: Destination, target: Target) -> dict[str, Any]:
    destination = target.destination(version)
    port = pattern.get("destination", {}).get("port")
    if port is not None:
        destination["port"] = port
    more = {k: v for k, v in pattern.items() if k not in ("destination", "weight")}
    return {"destination": destination, "weight": units, **more}


def _units(destination: Destination, live: Sequence[Destination]) -> int:
    """Return a destination's weight; one that stands alone has everything, whatever it says."""
    return 100 if len(live) == 1 else int(destination.get("weight", 0))


def same(live: Sequence[Destination], want: Sequence[Destination]) -> bool:
    """Return whether two lists send the same requests to the same places, in the same order."""
    return [_plain(d, live) for d in live] == [_plain(d, want) for d in want]


def _plain(destination: Destination, all_: Sequence[Destination]) -> tuple[Any, ...]:
    where = destination.get("destination", {})
    weight = 100 if len(all_) == 1 else int(destination.get("weight", 0))
    return where.get("host"), where.get("subset"), weight


def seen_shares(live: Sequence[Destination], target: Target) -> dict[str, float]:
    """Return each version's share of what is ours, in percent; "" for the service as a whole."""
    units: dict[str, int] = {}
    for entry in live:
        version = target.version_of(entry.get("destination", {}))
        if version is not None:
            units[version] = units.get(version, 0) + _units(entry, live)
    total = sum(units.values())
    return {version: 100 * part / total for version, part in units.items()} if total else {}


def has_third(live: Sequence[Destination], target: Target) -> bool:
    """Return whether a destination that is not ours stands in the list."""
    return any(target.version_of(d.get("destination", {})) is None for d in live)
