"""A test's own place in a cluster: a fresh namespace and a hostname at the edge.

Works on the bed and, as far as it can, on another cluster (external.py).
"""

import contextlib
import itertools
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol, Self, TypeVar

import yaml

from tests.bed import workloads
from tests.bed.api import Api, Manifest
from tests.bed.envoy import Envoy
from tests.bed.processes import wait_until
from tests.bed.recorder import Recorder
from tests.bed.traffic import Aim, Load

T = TypeVar("T")
ANNOTATION = "bed.penstock.dev"


class Cluster(Protocol):
    """What a place needs of the cluster that it lies in."""

    domain: str
    gateway: str

    @property
    def api(self) -> Api: ...

    def image(self, version: str) -> str: ...
    def edge_url(self) -> str: ...
    def edge(self) -> Envoy | None: ...
    def tell_backends(self, namespace: str, version: str, behaviour: Mapping[str, Any]) -> None: ...
    def files(self) -> tuple[Path, Path]: ...
    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> CompletedProcess[str]: ...


class Place:
    """A namespace and its hostname; `close` ends its loads and recorders and deletes it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.api = cluster, cluster.api
        self.namespace = f"{_safe(name)}-{secrets.token_hex(2)}"
        self.hostname = f"{self.namespace}.{cluster.domain}"
        self._numbers = itertools.count()
        self._open: contextlib.ExitStack = contextlib.ExitStack()
        meta = {"name": self.namespace, "labels": {"penstock.dev/bed": "place"}}
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        wait_until("default ServiceAccount", lambda: self.find("serviceaccount", "default"), 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs here; the namespace goes in the background."""
        self._open.close()
        self.api.delete("namespace", self.namespace)

    # Objects

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

    def wait(self, predicate: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
        """Return the first true value of the predicate; BedError after `timeout` seconds."""
        return wait_until(what or f"condition in {self.namespace}", predicate, timeout, 0.05)

    # Workloads

    def host(self, service: str) -> str:
        """Return the Service's name in the mesh."""
        return f"{service}.{self.namespace}.svc.cluster.local"

    def deploy(
        self,
        service: str,
        version: str,
        replicas: int = 1,
        *,
        ready_after: str | None = None,
        crash_after: str | None = None,
        labels: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> str:
        """Create the Service, if it is not there, and the Deployment `<service>-<version>`.

        The Deployment's Pods carry the labels app and version. Returns its name, when its Pods
        are ready and known to the edge router (unless `wait` is False).
        """
        self.apply(workloads.service(service))
        annotations = {"ready-after": ready_after, "crash-after": crash_after}
        deployment = workloads.deployment(service, version, replicas, self.cluster.image(version))
        template = deployment["spec"]["template"]["metadata"]
        template["labels"] |= dict(labels or {})
        template["annotations"] = {
            f"{ANNOTATION}/{key}": value for key, value in annotations.items() if value
        }
        name: str = self.apply(deployment)[0]["metadata"]["name"]
        if wait:
            self.wait_deployed(service, version)
        return name

    def wait_deployed(self, service: str, version: str, timeout: float = 30.0) -> None:
        """Wait until the Deployment is complete and the edge router knows its endpoints."""
        name = f"{service}-{version}"
        self.wait(lambda: self._complete(service, version), timeout, f"deployment {name}")
        if edge := self.cluster.edge():
            self.wait(lambda: self._at_edge(edge, service), timeout, f"endpoints of {service}")

    def _complete(self, service: str, version: str) -> bool:
        deployment = self.get("deployment", f"{service}-{version}")
        ready = self.ready_pods(version, service)
        return workloads.complete(deployment) and ready == deployment["spec"]["replicas"]

    def _at_edge(self, edge: Envoy, service: str) -> bool:
        entries = [entry["spec"] for entry in self.objects("workloadentry")]
        wanted = {
            f"{spec['address']}:{spec['ports']['http']}"
            for spec in entries
            if spec["labels"].get("app") == service
        }
        ready = [pod for pod in self.objects("pod", f"app={service}") if workloads.ready(pod)]
        return len(wanted) == len(ready) and wanted == set(edge.endpoints(self.host(service)))

    def scale(self, version: str, replicas: int, service: str | None = None) -> None:
        """Set the replicas of the version's Deployment (of the only service, if none is named)."""
        name = self._deployment_of(version, service)
        self.merge("deployment", name, {"spec": {"replicas": replicas}})

    def delete_pods(self, version: str, service: str | None = None) -> None:
        """Delete the Pods of a version; its ReplicaSet makes new ones."""
        app = f",app={service}" if service else ""
        self.api.delete_all("pod", self.namespace, f"version={version}{app}")

    def pods(self, version: str, service: str | None = None) -> list[Manifest]:
        """Return the Pods of a version."""
        return self.objects("pod", f"version={version}" + (f",app={service}" if service else ""))

    def ready_pods(self, version: str, service: str | None = None) -> int:
        """Return how many Pods of a version are ready."""
        return sum(workloads.ready(pod) for pod in self.pods(version, service))

    def _deployment_of(self, version: str, service: str | None) -> str:
        if service:
            return f"{service}-{version}"
        found = [d["metadata"]["name"] for d in self.objects("deployment", f"version={version}")]
        if len(found) != 1:
            raise LookupError(f"name the service: version {version} has the deployments {found}")
        return found[0]

    def behave(
        self,
        version: str,
        *,
        errors: float = 0.0,
        delay_ms: float = 0.0,
        jitter_ms: float = 0.0,
        slow: float = 0.0,
        slow_ms: float = 1000.0,
        status: int = 500,
        ready: bool = True,
        classes: Mapping[str, float] | None = None,
        value: float = 0.0,
    ) -> None:
        """Make all Pods of a version, now and later, behave like this and in no other way.

        Args:
            version: The label `version` of the Pods.
            errors: Share of requests answered with `status`, 0..1.
            delay_ms: Added to each answer.
            jitter_ms: Mean of an exponential time added to each answer.
            slow: Share of requests that take `slow_ms` more, 0..1.
            slow_ms: See `slow`.
            status: See `errors`.
            ready: False makes the Pods not ready, so they leave the mesh.
            classes: Shares of the classes in its counter predictions_total.
            value: Mean of what an answer is worth, in app_value_sum, _count and _squares.
        """
        behaviour = {
            "errors": errors,
            "delay_ms": delay_ms,
            "jitter_ms": jitter_ms,
            "slow": slow,
            "slow_ms": slow_ms,
            "status": status,
            "ready": ready,
            "classes": dict(classes or {}),
            "value": value,
        }
        self.cluster.tell_backends(self.namespace, version, behaviour)

    # Routes

    def subsets(self, service: str, *versions: str) -> None:
        """Apply a DestinationRule with one subset per version, named like the version."""
        subsets = [{"name": version, "labels": {"version": version}} for version in versions]
        self.apply(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"name": service},
                "spec": {"host": self.host(service), "subsets": subsets},
            }
        )

    def split(self, service: str, weights: Mapping[str, int], route: str = "split") -> None:
        """Apply the VirtualService `service`: this hostname's traffic, by subset and weight."""
        host = self.host(service)
        destinations = [
            {"destination": {"host": host, "subset": subset}, "weight": weight}
            for subset, weight in weights.items()
        ]
        spec = {
            "hosts": [self.hostname],
            "gateways": [self.cluster.gateway],
            "http": [{"name": route, "route": destinations}],
        }
        meta = {"name": service}
        self.apply({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                    "metadata": meta, "spec": spec})  # fmt: skip

    # Traffic

    def load(
        self, rate: float = 20.0, *, users: int = 0, seconds: float = 600.0, limit: int = 200_000
    ) -> Load:
        """Start a load at this hostname; it ends with the place at the latest."""
        work, logs = self.cluster.files()
        name = f"load-{self.namespace}-{next(self._numbers)}"
        aim = Aim(self.cluster.edge_url(), self.hostname, users)
        load = Load(aim, rate, work / f"{name}.jsonl", logs / f"{name}.log", seconds, limit)
        return self._open.enter_context(load)

    def recorder(self, host: str | None = None) -> Recorder:
        """Start recording the weights of this namespace; it ends with the place at the latest."""
        edge = self.cluster.edge()
        recorder = Recorder(self.api, self.namespace, edge, host or self.hostname)
        return self._open.enter_context(recorder)


def _safe(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "place"


def _manifests(objects: str | Manifest | Path) -> Iterator[Manifest]:
    if isinstance(objects, dict):
        yield objects
        return
    text = objects.read_text() if isinstance(objects, Path) else objects
    yield from (manifest for manifest in yaml.safe_load_all(text) if manifest)
