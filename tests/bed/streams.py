"""Plain TCP and TLS passthrough at an edge router of their own, which has its listeners by xDS."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.bed.api import Manifest
from tests.bed.asking import Reply, ask
from tests.bed.envoy import Envoy, Split, destination
from tests.bed.processes import free_port

_GATEWAY = Path(__file__).parent / "config" / "streams.yaml"


class StreamEdge(Envoy):
    """An edge router for the Gateways that select `istio: edge-streams`."""

    def _bootstrap(self, xds_port: int) -> dict[str, Any]:
        config = super()._bootstrap(xds_port)
        config["node"]["metadata"]["LABELS"] = {"istio": "edge-streams"}
        config["static_resources"]["listeners"] = []
        dynamic = config["dynamic_resources"]
        dynamic["lds_config"] = dynamic["cds_config"]
        return config

    def _configured(self) -> bool:
        return self._admin("/ready").startswith("LIVE")

    def split(self, port: int) -> Split:
        """Return where the connections to a port go; () while nothing listens there."""
        for listener in self._listeners():
            if listener["address"]["socket_address"]["port_value"] == port:
                return next(_splits(listener), ())
        return ()

    def _listeners(self) -> Iterator[dict[str, Any]]:
        dump = json.loads(self._admin("/config_dump?resource=dynamic_listeners"))
        for found in dump.get("configs", ()):
            if "active_state" in found:
                yield found["active_state"]["listener"]


def _splits(listener: dict[str, Any]) -> Iterator[Split]:
    for chain in listener.get("filter_chains", ()):
        for proxy in (found["typed_config"] for found in chain["filters"]):
            if "weighted_clusters" in proxy:
                clusters = proxy["weighted_clusters"]["clusters"]
                yield tuple((destination(c["name"]), c["weight"]) for c in clusters)
            elif "cluster" in proxy:
                yield ((destination(proxy["cluster"]), 100),)


@dataclass(frozen=True, slots=True)
class Streams:
    """A place's Gateway `gateway` with a port for TCP and one for TLS; `ca` signs the backends."""

    edge: StreamEdge
    gateway: str
    hostname: str
    tcp: int
    tls: int
    ca: Path

    def manifest(self) -> Manifest:
        """Return the Gateway."""
        manifest: Manifest = yaml.safe_load(_GATEWAY.read_text())
        for server in manifest["spec"]["servers"]:
            server["port"]["number"] = getattr(self, server["port"]["name"])
        return manifest

    def routes(self, host: str, weights: Mapping[str, int]) -> Manifest:
        """Return a VirtualService `streams`: TCP and TLS, by subset and weight."""
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "streams"},
            "spec": {
                "hosts": [self.hostname],
                "gateways": [self.gateway],
                "tcp": [{"match": [{"port": self.tcp}], "route": _to(host, 80, weights)}],
                "tls": [
                    {
                        "match": [{"port": self.tls, "sniHosts": [self.hostname]}],
                        "route": _to(host, 443, weights),
                    }
                ],
            },
        }

    def split(self, kind: Literal["tcp", "tls"]) -> Split:
        """Return where Envoy sends the connections of one of the two ports."""
        return self.edge.split(getattr(self, kind))

    def request(self, kind: Literal["tcp", "tls"], **sent: Any) -> Reply:
        """Send one request on a connection of its own (see asking.ask for what it may carry)."""
        if kind == "tcp":
            return ask(f"http://127.0.0.1:{self.tcp}", self.hostname, **sent)
        return ask(f"https://127.0.0.1:{self.tls}", self.hostname, ca=self.ca, **sent)


def _to(host: str, port: int, weights: Mapping[str, int]) -> list[Manifest]:
    return [
        {
            "destination": {"host": host, "subset": subset, "port": {"number": port}},
            "weight": weight,
        }
        for subset, weight in weights.items()
    ]


def new_streams(edge: StreamEdge, namespace: str, hostname: str, ca: Path) -> Streams:
    """Return ports for a place, of which nothing is applied yet."""
    return Streams(edge, f"{namespace}/streams", hostname, free_port(), free_port(), ca)
