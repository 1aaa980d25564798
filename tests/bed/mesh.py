"""The mesh: a real istiod with its validating webhook, one Gateway and Envoy edge routers.

istiod runs outside a cluster, without certificates for workloads, sidecars or injection; traffic
enters at the edge router, as it does through an Istio ingress gateway.
"""

import base64
import functools
from pathlib import Path

import requests
import yaml

from tests.bed.api import Api, ApiError, Manifest
from tests.bed.control_plane import ControlPlane, Folders
from tests.bed.envoy import Envoy
from tests.bed.processes import Child, free_port, wait_until
from tests.bed.streams import StreamEdge

_CONFIG = Path(__file__).parent / "config"
_ENVIRONMENT = {
    "POD_NAMESPACE": "istio-system",
    "POD_NAME": "istiod-0",
    "CLUSTER_ID": "Kubernetes",
    "ENABLE_LEADER_ELECTION": "false",
    "INJECT_ENABLED": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_GATEWAY_API": "false",
    "PILOT_ENABLE_IP_AUTOALLOCATE": "false",
    "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION": "false",
    "ENABLE_CA_SERVER": "false",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_DEBOUNCE_AFTER": "10ms",
    "PILOT_DEBOUNCE_MAX": "200ms",
    "PILOT_ENABLE_EDS_DEBOUNCE": "false",
}


class Mesh:
    """istiod and its edge routers; `edges[0]` takes the traffic unless a test says otherwise."""

    def __init__(self, program: Path, plane: ControlPlane, folders: Folders) -> None:
        self._program, self._plane, self._folders = program, plane, folders
        self._ports = {
            name: free_port() for name in ("http", "grpc", "https", "monitoring", "ctrlz")
        }
        self._istiod: Child | None = None
        self.edges: list[Envoy] = []
        self._streams: list[StreamEdge] = []

    def start_istiod(self) -> None:
        """Start istiod and return when it is ready."""
        api = self._plane.api
        for namespace in ("istio-system", "mesh-edge"):
            api.apply(_namespace(namespace))
        pair = self._plane.authority.issue("istiod")
        command = [
            self._program, "discovery", "--kubeconfig", self._plane.kubeconfig("bed:istiod"),
            "--meshConfig", _CONFIG / "istio-mesh.yaml", "--networksConfig", "/nonexistent",
            "--secureGRPCAddr", "", "--ctrlz_address", "127.0.0.1",
            "--ctrlz_port", str(self._ports["ctrlz"]),
            "--tlsCertFile", pair.cert, "--tlsKeyFile", pair.key,
            "--caCertFile", self._plane.authority.ca,
        ]  # fmt: skip
        for name in ("http", "grpc", "https", "monitoring"):
            command += [f"--{name}Addr", f"127.0.0.1:{self._ports[name]}"]
        log = self._folders.logs / "istiod.log"
        self._istiod = Child("istiod", command, log, _ENVIRONMENT, self._folders.work)
        self._istiod.wait_ready(self._istiod_ready, timeout=60)

    def _istiod_ready(self) -> bool:
        return requests.get(f"http://127.0.0.1:{self._ports['http']}/ready", timeout=2).ok

    def register_webhook(self) -> None:
        """Let istiod judge Istio's objects, and return when it refuses a wrong one."""
        webhook = yaml.safe_load((_CONFIG / "webhook.yaml").read_text())
        webhook["webhooks"][0]["clientConfig"] = {
            "url": f"https://localhost:{self._ports['https']}/validate",
            "caBundle": base64.b64encode(self._plane.authority.ca.read_bytes()).decode(),
        }
        self._plane.api.apply(webhook)
        wait_until("istiod's webhook", lambda: _refuses_nonsense(self._plane.api), timeout=20)

    def open_gateway(self, edges: int) -> None:
        """Create the Gateway and start the edge routers; return when all have their routes."""
        self._plane.api.apply(yaml.safe_load((_CONFIG / "gateway.yaml").read_text()))
        for _ in range(edges):
            self.add_edge()

    def add_edge(self) -> Envoy:
        """Start one more edge router and return it when it has its routes."""
        name = f"edge-{len(self.edges)}"
        edge = Envoy(name, self._folders.work, self._folders.logs, self._ports["grpc"])
        self.edges.append(edge)
        edge.wait_ready()
        return edge

    @functools.cached_property
    def streams(self) -> StreamEdge:
        """The edge router for TCP and TLS, started by the first who asks for it."""
        edge = StreamEdge(
            "edge-streams", self._folders.work, self._folders.logs, self._ports["grpc"]
        )
        self._streams.append(edge)
        edge.wait_ready()
        return edge

    @property
    def edge(self) -> Envoy:
        return self.edges[0]

    def update_rejected(self) -> int:
        """Return how many configurations the edge routers refused; 0 in a healthy test."""
        return sum(edge.update_rejected() for edge in self.edges)

    def stop(self) -> None:
        for edge in (*self.edges, *self._streams):
            edge.stop()
        if self._istiod:
            self._istiod.kill()


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _refuses_nonsense(api: Api) -> bool:
    """Return whether the API server refuses a route whose weights are all 0; it writes nothing."""
    destinations = [{"destination": {"host": host}, "weight": 0} for host in ("a.b", "c.d")]
    nonsense = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "nonsense", "namespace": "mesh-edge"},
        "spec": {"hosts": ["nonsense.example.com"], "http": [{"route": destinations}]},
    }
    path = api.resource("virtualservice").path("mesh-edge")
    try:
        api.call("POST", path, nonsense, query={"dryRun": "All"})
    except ApiError as error:
        return "validation.istio.io" in error.message and "denied the request" in error.message
    return False
