"""Another cluster in the bed's place: what `KUBECONFIG` points to, kind or real, with Istio.

It can do less than the bed: a test says with `@pytest.mark.needs(...)` what it needs beyond
`kubectl` and places, and is skipped with the reason where the cluster lacks it.
"""

import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Self

from tests.bed.api import Api
from tests.bed.asking import Reply, ask
from tests.bed.binaries import find_or_build
from tests.bed.envoy import Envoy
from tests.bed.kubectl import run_kubectl
from tests.bed.place import Place
from tests.bed.processes import BedError, Child, wait_until
from tests.bed.prometheus import PrometheusClient
from tests.bed.streams import Streams

_KUBECONFIG = ("PENSTOCK_TEST_KUBECONFIG", "KUBECONFIG")
_IMAGE = "PENSTOCK_TEST_IMAGE"
_EDGE = "PENSTOCK_TEST_EDGE"
_PROMETHEUS = "PENSTOCK_TEST_PROMETHEUS"

REASONS = {
    "deploy": f"set {_IMAGE} to an image that answers as tests/bed/backend does",
    "load": f"set {_EDGE} to the URL of the ingress gateway",
    "prometheus": f"set {_PROMETHEUS} to the URL of the cluster's Prometheus",
    "behave": "the Pods' behaviour is set through the bed's kubelet",
    "envoy": "Envoy's admin port is reached on the bed only",
    "prometheus-control": "only the bed's Prometheus may be killed",
    "operator-process": "only the bed runs the operator as a process that may be killed",
    "audit": "only the bed's audit log can be read",
    "streams": "only the bed opens ports for TCP and TLS",
    "users": "only the bed's own authority signs certificates for users",
    "alertmanager": "only the bed's Alertmanager may be given receivers",
}


def given_kubeconfig() -> Path | None:
    """Return the kubeconfig that the environment names, or None: then the bed is used."""
    named = next((os.environ[name] for name in _KUBECONFIG if os.environ.get(name)), None)
    return Path(named) if named else None


def missing(capabilities: frozenset[str], needed: set[str]) -> str:
    """Return why a cluster does not meet the needs, or "" if it does."""
    return "; ".join(f"{need}: {REASONS.get(need, need)}" for need in needed - capabilities)


class ExternalCluster:
    """A cluster that the bed did not start and does not stop."""

    domain = os.environ.get("PENSTOCK_TEST_DOMAIN", "example.com")
    gateway = os.environ.get("PENSTOCK_TEST_GATEWAY", "mesh-edge/edge")

    def __init__(self, kubeconfig: Path) -> None:
        """Reach the API server through `kubectl proxy`, so that any kind of login works."""
        self.kubeconfig = kubeconfig
        self._kubectl = shutil.which("kubectl") or str(find_or_build()["kubectl"])
        self._work = Path(tempfile.mkdtemp(prefix=f"penstock-bed-{os.getpid()}-"))
        self._proxy = Child(
            "kubectl-proxy",
            [self._kubectl, "proxy", "--port=0"],
            self._work / "kubectl-proxy.log",
            {"KUBECONFIG": str(kubeconfig)},
        )
        self.api = Api(wait_until("kubectl proxy", self._proxy_url, 20))

    def _proxy_url(self) -> str | None:
        found = re.search(r"127\.0\.0\.1:\d+", self._proxy.log.read_text())
        return f"http://{found[0]}" if found else None

    @functools.cached_property
    def capabilities(self) -> frozenset[str]:
        """What this cluster can do, by what the environment says about it."""
        by_variable = {_IMAGE: "deploy", _EDGE: "load", _PROMETHEUS: "prometheus"}
        return frozenset(name for variable, name in by_variable.items() if os.environ.get(variable))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the proxy; the cluster is left as it is."""
        self.api.close()
        self._proxy.kill()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._work)

    @property
    def logs(self) -> Path:
        return self._work

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run kubectl with the given kubeconfig; BedError when it fails and `check` is true."""
        return run_kubectl(self._kubectl, arguments, self.kubeconfig, input, check)

    def kubectl_as(
        self, user: str, *arguments: str, groups: Sequence[str] = (), input: str | None = None,
        check: bool = True,
    ) -> CompletedProcess[str]:  # fmt: skip
        raise BedError(REASONS["users"])

    def place(self, name: str = "place") -> Place:
        """Return a fresh namespace with a hostname of its own."""
        return Place(self, name)

    def image(self, version: str) -> str:
        if image := os.environ.get(_IMAGE):
            return image.format(version=version)
        raise BedError(REASONS["deploy"])

    def edge(self) -> Envoy | None:
        return None

    def edge_url(self) -> str:
        if url := os.environ.get(_EDGE):
            return url
        raise BedError(REASONS["load"])

    def request(self, host: str, **sent: Any) -> Reply:
        """Send one request for this hostname to the edge (see asking.ask for what it may carry)."""
        return ask(self.edge_url(), host, **sent)

    def streams(self, namespace: str, hostname: str) -> Streams:
        raise BedError(REASONS["streams"])

    @functools.cached_property
    def prometheus(self) -> PrometheusClient:
        """The cluster's Prometheus."""
        if url := os.environ.get(_PROMETHEUS):
            return PrometheusClient(url)
        raise BedError(REASONS["prometheus"])

    def files(self) -> tuple[Path, Path]:
        return self._work, self._work

    def tell_backends(self, namespace: str, version: str, behaviour: Mapping[str, Any]) -> None:
        raise BedError(REASONS["behave"])
