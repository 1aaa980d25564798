"""The Release: made at the start, given the counts at checkpoints, its outcome at the end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from penstock.api.v1alpha1 import API_VERSION
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import Candidate, Ended, RolloutStatus
from penstock.core.instants import looks_from
from penstock.core.kinds import RELEASE, ROLLOUT, Key, Manifest, key_of
from penstock.core.traffic.target import MANAGED_BY, MANAGER, ROLLOUT_LABEL
from penstock.gatherer import FINALIZER
from penstock.ports import ConflictError, Objects, Writes
from penstock.world import World, snapshot_of


@dataclass
class Releases:
    """Writes Releases, each write against the version that was read."""

    objects: Objects
    writes: Writes

    async def stand_in(self, body: Manifest, status: RolloutStatus) -> RolloutSpec | None:
        """Return what to go on with where the spec cannot be read: the snapshot, suspended.

        A release in flight can so be rolled back, and its end be brought about. None where there
        is neither, or no snapshot.
        """
        meta, ended = body["metadata"], status.ended.release if status.ended else ""
        name = status.candidate.release if status.candidate else ended
        if status.candidate is None and FINALIZER not in meta.get("finalizers", []):
            return None
        release = await self.objects.get(RELEASE, Key(meta["namespace"], name)) if name else None
        snapshot, version = snapshot_of(release), body["spec"].get("version")
        if snapshot is None:
            return None
        named = version if isinstance(version, str) and version else snapshot.version
        return snapshot.model_copy(update={"suspend": True, "version": named})

    async def create(self, world: World, status: RolloutStatus) -> None:
        """Create the Release of a release that has none yet."""
        candidate = status.candidate
        if candidate is None or candidate.recorded or status.stable is None:
            return
        if world.objects.release is not None and _is_of(world.objects.release, world, candidate):
            return
        manifest = _release(world, candidate, status.stable.version)
        await self.writes.create(RELEASE, manifest)

    async def checkpoint(self, world: World, status: RolloutStatus) -> None:
        """Write the counts and the steps into the Release."""
        live = world.objects.release
        if live is None or world.sight is None:
            return
        content = dict(live.get("status", {}))
        content["records"] = content.get("records", {}) | world.sight.records
        content["steps"] = _dump(status, "steps")
        content["metrics"] = _dump(status, "analysis").get("metrics", [])
        content["commands"] = _dump(status, "commands")
        if world.variants is not None:
            variants = world.variants
            content["variants"] = {"stable": variants.stable, "candidate": variants.candidate}
        await self.writes.write_status(RELEASE, {**live, "status": content})

    async def outcome(self, world: World, status: RolloutStatus) -> bool:
        """Write into the Release how it ended; return whether that was still to be done."""
        ended = status.ended
        if ended is None:
            return False
        key = Key(world.key.namespace, ended.release)
        live = self.objects.peek(RELEASE, key)
        if live is None or live.get("status", {}).get("outcome"):
            return False
        content = dict(live.get("status", {})) | _ending(ended, status)
        watched = world.objects.release
        if world.sight is not None and watched is not None and key_of(watched) == key:
            content["records"] = content.get("records", {}) | world.sight.records
        await self.writes.write_status(RELEASE, {**live, "status": content})
        return True

    async def prune(self, world: World) -> None:
        """Delete the oldest finished Releases beyond historyLimit."""
        finished = [
            release
            for release in self.objects.known(RELEASE)
            if release["spec"].get("rollout") == world.key.name
            and key_of(release).namespace == world.key.namespace
            and release.get("status", {}).get("outcome")
        ]
        finished.sort(key=lambda r: str(r["status"].get("finishedAt", "")))
        for release in finished[: -world.spec.history_limit]:
            version = release["metadata"]["resourceVersion"]
            await self.writes.delete(RELEASE, key_of(release), version)


def _is_of(release: Manifest, world: World, candidate: Candidate) -> bool:
    """Return whether a Release belongs to this Rollout; one of a namesake's past does not."""
    owners = {o.get("uid") for o in release["metadata"].get("ownerReferences", [])}
    if world.body["metadata"]["uid"] in owners:
        return True
    raise ConflictError(f"Release {candidate.release} belongs to an earlier Rollout")


def _release(world: World, candidate: Candidate, stable: str) -> Manifest:
    meta = world.body["metadata"]
    owner = {
        "apiVersion": API_VERSION,
        "kind": ROLLOUT.name,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    templates = {
        name: template.model_dump(mode="json", by_alias=True, exclude_none=True)
        for name, template in world.templates.items()
    }
    return {
        "apiVersion": API_VERSION,
        "kind": RELEASE.name,
        "metadata": {
            "name": candidate.release,
            "namespace": meta["namespace"],
            "labels": {MANAGED_BY: MANAGER, ROLLOUT_LABEL: meta["name"]},
            "ownerReferences": [owner],
        },
        "spec": {
            "rollout": meta["name"],
            "version": candidate.version,
            "stable": stable,
            "startedAt": _time(candidate.since),
            "looksFrom": _time(
                looks_from(candidate.since, world.spec.analysis.interval, str(world.key))
            ),
            "snapshot": world.body["spec"],
            "templates": templates,
        },
    }


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _dump(status: RolloutStatus, name: str) -> Any:  # noqa: ANN401
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)[name]


def _ending(ended: Ended, status: RolloutStatus) -> dict[str, Any]:
    return {
        "outcome": ended.outcome,
        "message": ended.message,
        "finishedAt": _time(ended.at),
        "steps": _dump(status, "steps"),
        "metrics": _dump(status, "analysis").get("metrics", []),
        "commands": _dump(status, "commands"),
    }
