"""What the watches have shown, by kind. Filled by handlers, read by the Kubernetes adapter."""

from collections import defaultdict
from collections.abc import Sequence

from penstock.core.kinds import Key, Kind, Manifest, key_of


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
        self._objects[kind][key] = manifest
        return manifest

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
