"""What follows from a status: the objects of the mesh, the Release, the finalizer.

Each effect is desired state computed from the status alone, so any of them may be lost in a crash
and is made again by the next turn. Order: make before break, and a rollback before anything else.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    ROLLOUT,
    VIRTUAL_SERVICE,
    Key,
    Kind,
    Manifest,
    key_of,
)
from penstock.core.traffic import destination_rule, envoy_filter, virtual_service
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import ROLLED_BACK_MARK, Place, envoy_filter_name
from penstock.gatherer import FINALIZER
from penstock.in_force import subsets_in_force
from penstock.ports import Objects, Writes
from penstock.world import World

SOON = timedelta(milliseconds=500)


@dataclass
class Effects:
    """Writes through the ports, each write against the version that was read."""

    objects: Objects
    writes: Writes
    propagation: timedelta

    async def status(self, body: Manifest, status: RolloutStatus) -> Manifest:
        """Write the status: the commit."""
        content = _lean(status.model_dump(mode="json", by_alias=True, exclude_none=True))
        return await self.writes.write_status(ROLLOUT, {**body, "status": content})

    async def finalizer(self, body: Manifest, wanted: bool) -> Manifest:
        """Set or remove our finalizer."""
        before = list(body["metadata"].get("finalizers", []))
        if (FINALIZER in before) == wanted:
            return body
        after = [*before, FINALIZER] if wanted else [f for f in before if f != FINALIZER]
        operation = {"op": "add", "path": "/metadata/finalizers", "value": after}
        version = body["metadata"]["resourceVersion"]
        return await self.writes.patch(ROLLOUT, key_of(body), [operation], version)

    async def mesh(self, world: World, status: RolloutStatus, now: datetime) -> timedelta | None:
        """Bring the mesh to what the status calls for; return when to go on, None when done."""
        if world.untouchable or status.stable is None:
            return None
        want = world.wanted(status)
        if want is None or (world.seen.deleting and not world.objects.virtual_services):
            return None
        at_once = not status.yielded and not _fresh(world, want)
        routed = at_once and await self._routes(world, status, want, now)
        stale = await self._destination_rule(world, status, now)
        filtered = await self._envoy_filter(world, status)
        if status.yielded:
            return None
        routed = routed or await self._routes(world, status, want, now)
        settled = routed and filtered and not stale
        return None if settled else SOON

    def moves_route(self, world: World, status: RolloutStatus, now: datetime) -> bool:
        """Return whether a route is to be written now."""
        return bool(self._to_write(world, status, now))

    def _to_write(self, world: World, status: RolloutStatus, now: datetime) -> tuple[Place, ...]:
        """Return the VirtualServices that are to be written now."""
        want = world.wanted(status)
        if world.untouchable or want is None or status.yielded or status.stable is None:
            return ()
        if not self._may_name(world, want, now):
            return ()
        return tuple(place for place in _unlike(world, status, want) if _may_write(world, place))

    async def _destination_rule(self, world: World, status: RolloutStatus, now: datetime) -> bool:
        """Make the subsets; return whether there are still some that must go later."""
        target, live = world.target, world.objects.destination_rule
        if target.label is None or status.stable is None:
            return False
        needed = _versions(status)
        there = destination_rule.subset_versions(live, target)
        if world.seen.deleting and status.stable.version in there:
            return False
        named = sorted(world.seen.route.named)
        retired = [v for v in dict.fromkeys((*there, *named)) if v not in needed]
        keep = bool(retired) and not self._may_retire(world, status, retired, now)
        versions = [*needed, *retired] if keep else needed
        manifest = destination_rule.manifest(target, versions, status.stable.version)
        if not destination_rule.fits(live, manifest):
            await self._put(DESTINATION_RULE, manifest, live)
        return keep

    def _may_retire(
        self, world: World, status: RolloutStatus, retired: list[str], now: datetime
    ) -> bool:
        """Return whether no proxy can still be sending to a subset of these versions."""
        route = world.seen.route
        named = any(version in route.named for version in retired)
        settled = route.since is None or route.since + 2 * self.propagation <= now
        return route.exists and not named and settled and status.candidate is None

    async def _envoy_filter(self, world: World, status: RolloutStatus) -> bool:
        """Write the hash policy of the release; return whether it is there."""
        target, candidate = world.target, status.candidate
        live = world.objects.envoy_filter
        if target.sticky_header is None and live is not None:
            await self._delete(ENVOY_FILTER, live)
            return False
        if target.sticky_header is None or candidate is None or not world.sticky_routes:
            return True
        if live is None and not world.seen.route.as_wanted:
            return False
        manifest = envoy_filter.manifest(target, candidate.release, world.sticky_routes)
        if live is None or live["spec"] != manifest["spec"]:
            await self._put(ENVOY_FILTER, manifest, live)
        return True

    async def _routes(
        self, world: World, status: RolloutStatus, want: Wanted, now: datetime
    ) -> bool:
        """Write the routes that are not as wanted and may be; return whether all are as wanted."""
        unlike, to_write = _unlike(world, status, want), self._to_write(world, status, now)
        stable = status.stable.version if status.stable else ""
        await self._write_routes(world, want, to_write, stable, {})
        left = [place for place in unlike if place not in to_write]
        return not any(_may_write(world, place) for place in left)

    def _may_name(self, world: World, want: Wanted, now: datetime) -> bool:
        """Return whether every version that is new to the route has a subset in force."""
        fresh = _fresh(world, want)
        return not fresh or subsets_in_force(
            world.objects, world.target, fresh, now - self.propagation
        )

    async def _write_routes(
        self,
        world: World,
        want: Wanted,
        places: Iterable[Place],
        stable: str,
        more: Mapping[str, str],
    ) -> None:
        """Write several VirtualServices, all at once: one that fails must not stop the others.

        Raises:
            TransientError: One could not be written; the next turn writes it.
        """
        writes = (
            self._write_route(
                world, want, place, {**virtual_service.marks(world.target, place, stable), **more}
            )
            for place in places
        )
        results = await asyncio.gather(*writes, return_exceptions=True)
        failed = [one for one in results if isinstance(one, BaseException)]
        if failed:
            raise failed[0]

    async def _write_route(
        self, world: World, want: Wanted, place: Place, marks: Mapping[str, str]
    ) -> None:
        live = world.objects.virtual_services.get(place.name)
        change = virtual_service.change(live, want, world.target, place, marks)
        if change.manifest is not None:
            await self._put(VIRTUAL_SERVICE, change.manifest, live)
            return
        if live is None or not (change.lists or marks):
            return
        operations: list[dict[str, Any]] = [
            {"op": "replace", "path": f"/spec/{protocol}", "value": routes}
            for protocol, routes in change.lists.items()
        ]
        if marks:
            annotations = {**live["metadata"].get("annotations", {}), **marks}
            operations.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
        await self.writes.patch(
            VIRTUAL_SERVICE, key_of(live), operations, live["metadata"]["resourceVersion"]
        )

    async def roll_back_unrecorded(
        self, world: World, status: RolloutStatus, why: str, now: datetime
    ) -> None:
        """Take the candidate's traffic although the status cannot be written; leave a mark.

        The mark wins at the next read, so nobody gives the traffic back.
        """
        want = world.wanted(status)
        left = world.status.candidate or world.status.previous
        if want is None or left is None or not self._may_name(world, want, now):
            return
        mark = f"{left.release}:"
        lives = world.objects.virtual_services
        unlike = _unlike(world, status, want)
        places = [
            place
            for place in world.target.places
            if place in unlike or not _mark_of(lives.get(place.name)).startswith(mark)
        ]
        stable = status.stable.version if status.stable else ""
        await self._write_routes(
            world, want, places, stable, {ROLLED_BACK_MARK: f"{left.release}: {why}"}
        )

    async def remove_filter(self, namespace: str, name: str, root_namespace: str) -> None:
        """Delete the EnvoyFilter of a Rollout that is gone and whose routes go with it."""
        key = Key(root_namespace, envoy_filter_name(namespace, name))
        live = await self.objects.get(ENVOY_FILTER, key)
        if live is not None:
            await self._delete(ENVOY_FILTER, live)

    async def _delete(self, kind: Kind, live: Manifest) -> None:
        await self.writes.delete(kind, key_of(live), live["metadata"]["resourceVersion"])

    async def _put(self, kind: Kind, manifest: Manifest, live: Manifest | None) -> Manifest:
        if live is None:
            return await self.writes.create(kind, manifest)
        made = await self.writes.apply(kind, manifest, live["metadata"]["resourceVersion"])
        owners = made["metadata"].get("ownerReferences") or []
        wanted = manifest["metadata"].get("ownerReferences") or []
        others = [owner for owner in owners if owner.get("kind") != ROLLOUT.name]
        if wanted or others == owners:
            return made
        # An owner that was set by `create` stays through every `apply` that does not name it.
        operation = {"op": "add", "path": "/metadata/ownerReferences", "value": others}
        version = made["metadata"]["resourceVersion"]
        return await self.writes.patch(kind, key_of(made), [operation], version)


def _fresh(world: World, want: Wanted) -> set[str]:
    """Return the versions that no route names yet; without any, nothing is waited for."""
    return {version for version in want.versions if version not in world.seen.route.named}


def _unlike(world: World, status: RolloutStatus, want: Wanted) -> tuple[Place, ...]:
    """Return the VirtualServices that are not as wanted."""
    target, lives = world.target, world.objects.virtual_services
    stable = status.stable.version if status.stable else ""
    return tuple(
        place
        for place in target.places
        if not virtual_service.read(lives.get(place.name), want, target, place, stable).as_wanted
    )


def _may_write(world: World, place: Place) -> bool:
    """Return whether a VirtualService is there, or is ours to make."""
    there = place.name in world.objects.virtual_services
    return there or (place.owned and not world.seen.deleting)


def _mark_of(live: Manifest | None) -> str:
    notes = live["metadata"].get("annotations", {}) if live else {}
    return str(notes.get(ROLLED_BACK_MARK, ""))


def _lean(value: Any) -> Any:  # noqa: ANN401
    """Return the value without empty texts and lists: what is not said needs no line."""
    if isinstance(value, dict):
        return {k: _lean(v) for k, v in value.items() if v not in ("", [])}
    return [_lean(item) for item in value] if isinstance(value, list) else value


def _versions(status: RolloutStatus) -> list[str]:
    """Return the versions that need a subset."""
    found = [status.stable.version] if status.stable else []
    found += [status.candidate.version] if status.candidate else []
    found += [status.previous.version] if status.previous else []
    return list(dict.fromkeys(found))
