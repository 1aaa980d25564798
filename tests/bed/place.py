"""A test's own place in a cluster: a fresh namespace and a hostname at the edge.

Works on the bed and, as far as it can, on another cluster (external.py).
"""

import contextlib
import itertools
import re
import secrets
from collections.abc import Mapping
from typing import Self

from tests.bed.cluster import Cluster
from tests.bed.deploying import Workloads
from tests.bed.processes import wait_until
from tests.bed.recorder import Recorder
from tests.bed.streams import Streams
from tests.bed.traffic import Aim, Load


class Place(Workloads):
    """A namespace and its hostname; `close` ends its loads and recorders and deletes it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(cluster, f"{_safe(name)}-{secrets.token_hex(2)}")
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

    def streams(self) -> Streams:
        """Open a port for TCP and one for TLS (by SNI: this hostname) of this place's own."""
        streams = self.cluster.streams(self.namespace, self.hostname)
        self.apply(streams.manifest())
        return streams

    # Traffic

    def load(
        self, rate: float = 20.0, *, users: int = 0, seconds: float = 600.0,
        limit: int = 200_000, cookies: bool = False,
    ) -> Load:  # fmt: skip
        """Start a load at this hostname; it ends with the place at the latest.

        With `cookies` each of the `users` keeps the cookies that it is given, as a browser does.
        """
        work, logs = self.cluster.files()
        name = f"load-{self.namespace}-{next(self._numbers)}"
        aim = Aim(self.cluster.edge_url(), self.hostname, users, cookies=cookies)
        load = Load(aim, rate, work / f"{name}.jsonl", logs / f"{name}.log", seconds, limit)
        return self._open.enter_context(load)

    def recorder(self, host: str | None = None) -> Recorder:
        """Start recording the weights of this namespace; it ends with the place at the latest."""
        edge = self.cluster.edge()
        recorder = Recorder(self.api, self.namespace, edge, host or self.hostname)
        return self._open.enter_context(recorder)


def _safe(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "place"
