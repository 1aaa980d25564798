"""What the watches have shown, by kind. Filled by handlers, read by the Kubernetes adapter."""

from collections import defaultdict
from collections.abc import Sequence

from penstock.core.kinds import RELEASE, ROLLOUT, Key, Kind, Manifest, key_of

OURS = (ROLLOUT, RELEASE)
"""Kinds of which it does not matter who wrote what; the list is as large as the object."""


class Cache:
    """The newest version of each object that a watch or our own write has shown."""

    def __init__(self) -> None:
        """Start empty."""
        self._objects: dict[Kind, dict[Key, Manifest]] = defaultdict(dict)

    def get(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object; None where none was shown."""
        return self._objects[kind].get(key)

    def all(self, kind: Kind) -> Sequence[Manifest]:
        """Return all objects of a kind."""
        return tuple(self._objects[kind].values())

    def put(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Keep an object unless a newer version is known; return the newest."""
        key = key_of(manifest)
        before = self._objects[kind].get(key)
        if before is not None and _same_object(before, manifest) and _newer(before, manifest):
            return before
        kept = _without_managers(manifest) if kind in OURS else manifest
        self._objects[kind][key] = kept
        return kept

    def remove(self, kind: Kind, manifest: Manifest) -> None:
        """Forget an object that was deleted, unless one of that name was made anew."""
        key = key_of(manifest)
        before = self._objects[kind].get(key)
        if before is not None and _same_object(before, manifest):
            del self._objects[kind][key]


def _same_object(one: Manifest, other: Manifest) -> bool:
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


def _newer(one: Manifest, other: Manifest) -> bool:
    """Return whether one is newer: resource versions of one kind are numbers that grow."""
    versions = [m["metadata"].get("resourceVersion", "") for m in (one, other)]
    if not all(v.isdecimal() for v in versions):
        return False
    return int(versions[0]) > int(versions[1])


def _without_managers(manifest: Manifest) -> Manifest:
    """Return an object as it may be written back, too: the server keeps a list it is not sent."""
    meta = {k: value for k, value in manifest["metadata"].items() if k != "managedFields"}
    return {**manifest, "metadata": meta}
