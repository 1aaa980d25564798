"""The objects of one namespace, and kubectl there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeVar

import yaml

from tests.bed.api import Manifest
from tests.bed.cluster import Cluster
from tests.bed.processes import wait_until

T = TypeVar("T")


class Objects:
    """Reads and writes what lies in `namespace`, as admin or as somebody else."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.api, self.namespace = cluster, cluster.api, namespace

    def apply(self, objects: str | Manifest | Path) -> list[Manifest]:
        """Server-side apply YAML text, a file or one object; into this namespace by default."""
        return [self.api.apply(manifest, self.namespace) for manifest in _manifests(objects)]

    def get(self, kind: str, name: str) -> Manifest:
        """Return the object; ApiError 404 when there is none."""
        return self.api.get(kind, name, self.namespace)

    def find(self, kind: str, name: str) -> Manifest | None:
        """Return the object, or None."""
        return self.api.find(kind, name, self.namespace)

    def objects(self, kind: str, labels: str = "") -> list[Manifest]:
        """Return the objects of this namespace that match the label selector."""
        return self.api.objects(kind, self.namespace, labels)

    def merge(self, kind: str, name: str, patch: Manifest) -> Manifest:
        """Apply a JSON merge patch."""
        return self.api.merge(kind, name, patch, self.namespace)

    def delete(self, kind: str, name: str) -> None:
        """Delete the object, if there is one."""
        self.api.delete(kind, name, self.namespace)

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run kubectl in this namespace; BedError when it fails and `check` is true."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, input=input, check=check)

    def kubectl_as(
        self, user: str, *arguments: str, groups: Sequence[str] = (), input: str | None = None,
        check: bool = True,
    ) -> CompletedProcess[str]:  # fmt: skip
        """Run kubectl in this namespace as this user of these groups; else as `kubectl`."""
        here = ("-n", self.namespace, *arguments)
        return self.cluster.kubectl_as(user, *here, groups=groups, input=input, check=check)

    def wait(self, predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
        """Return the first true value of the predicate; BedError after `timeout` seconds."""
        return wait_until(what or f"condition in {self.namespace}", predicate, timeout, 0.05)


def _manifests(objects: str | Manifest | Path) -> Iterator[Manifest]:
    if isinstance(objects, dict):
        yield objects
        return
    text = objects.read_text() if isinstance(objects, Path) else objects
    yield from (manifest for manifest in yaml.safe_load_all(text) if manifest)
