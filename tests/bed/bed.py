"""The whole bed, wired: control plane, mesh, Prometheus, backends. See README of this folder.

Everything is the real program except the kubelet (kubelet/).
"""

import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import requests
import yaml

from tests.bed.api import Api, ApiError, Manifest
from tests.bed.asking import Reply, ask
from tests.bed.binaries import find_or_build, istio_crds
from tests.bed.control_plane import ControlPlane, Folders, Request, wait_crd
from tests.bed.envoy import Envoy
from tests.bed.kubectl import run_kubectl
from tests.bed.mesh import Mesh
from tests.bed.on_demand import OnDemand
from tests.bed.operator import (
    REPOSITORY,
    Operator,
    OperatorSetup,
    apply_crds,
    runnable_here,
    wait_stamped,
)
from tests.bed.own_programs import own_program
from tests.bed.place import Place
from tests.bed.processes import BedError, Child, free_port, gone
from tests.bed.prometheus import Prometheus

Progress = Callable[[str], None]
_LOGS = REPOSITORY / ".bed" / "logs"
_KEEP_LOGS = 8
_WORK_PREFIX = "penstock-bed-"


class Bed(OnDemand):
    """A running bed; make one with `Bed.start` and end it with `stop` or as a context manager."""

    capabilities = frozenset(
        {"deploy", "behave", "envoy", "load", "operator-process", "prometheus",
         "prometheus-control", "audit", "users", "alertmanager", "streams"}
    )  # fmt: skip
    domain = "example.com"
    gateway = "mesh-edge/edge"

    def __init__(self) -> None:
        """Make the folders; nothing runs yet (`start` does that)."""
        _sweep()
        work = Path(tempfile.mkdtemp(prefix=f"{_WORK_PREFIX}{os.getpid()}-"))
        stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%d-%H%M%S")
        logs = _LOGS / f"{stamp}-{os.getpid()}"
        logs.mkdir(parents=True)
        self.folders = Folders(work, logs)
        self._users: dict[tuple[str, ...], Path] = {}
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, work, ignore_errors=True)
        self._programs: Mapping[str, Path] = {}
        self._kubelet_url = ""
        self._alertmanager_port = free_port()

    plane: ControlPlane
    mesh: Mesh
    prometheus: Prometheus

    @classmethod
    def start(
        cls, progress: Progress = lambda _: None, *, edges: int = 1, crds: Path | None = None
    ) -> Self:
        """Return a bed that is ready for traffic.

        Args:
            progress: Told what happens, in a few words.
            edges: Number of edge routers.
            crds: Folder of further CRDs, applied before the controllers start, so that these
                collect their garbage at once (later CRDs: within 30 s).

        Raises:
            BedError: something did not start; nothing is left running.
        """
        bed = cls()
        try:
            bed._start(progress, edges, crds)
        except BaseException as error:
            bed.stop()
            if isinstance(error, Exception):
                raise BedError(f"the bed did not start: {error}\nlogs: {bed.logs}") from error
            raise
        return bed

    def _start(self, progress: Progress, edges: int, crds: Path | None) -> None:
        begun = time.monotonic()
        self._programs = find_or_build()
        own_program("backend"), own_program("load")
        progress("control plane: etcd, kube-apiserver")
        self.plane = self._owned(ControlPlane(self._programs, self.folders))
        self.prometheus = self._owned(
            Prometheus(
                self._programs["prometheus"], self.folders, f"127.0.0.1:{self._alertmanager_port}"
            )
        )
        self.prometheus.start()
        self.plane.start_api()
        progress("CRDs")
        self._apply_crds(crds, progress)
        progress("controllers, istiod, kubelet's stand-in")
        self.plane.start_controllers()
        kubelet = self._start_kubelet()
        self.mesh = self._owned(Mesh(self._programs["pilot-discovery"], self.plane, self.folders))
        self.mesh.start_istiod()
        progress("webhook, gateway, edge router")
        self.mesh.register_webhook()
        self.mesh.open_gateway(edges)
        self._scrape_edges()
        kubelet.wait_ready(self._kubelet_ready, timeout=20)
        self.prometheus.wait_ready()
        self.plane.wait_controllers()
        progress(f"ready after {time.monotonic() - begun:.1f} s (logs: {self.logs})")

    def _owned(self, part: Any) -> Any:
        self._stack.callback(part.stop)
        return part

    def _apply_crds(self, extra: Path | None, progress: Progress) -> None:
        manifests = [m for m in _load_all(istio_crds()) if m]
        with ThreadPoolExecutor(4) as pool:
            names = [m["metadata"]["name"] for m in pool.map(self.api.apply, manifests)]
            list(pool.map(lambda name: wait_crd(self.api, name), names))
        try:
            apply_crds(self.api, extra) if extra else None
        except ApiError as error:
            progress(f"{extra}: {error}")  # `install` will fail with it; the bed works without

    def _start_kubelet(self) -> Child:
        port = free_port()
        pair = self.plane.authority.issue("bed:kubelet", "system:masters")
        serving = self.plane.authority.issue("backend", hosts=[f"*.{self.domain}"])
        command = [
            sys.executable, "-m", "tests.bed.kubelet", "--url", self.plane.url,
            "--ca", self.plane.authority.ca, "--cert", pair.cert, "--key", pair.key,
            "--backend", own_program("backend"), "--targets", self.prometheus.targets,
            "--tls-cert", serving.cert, "--tls-key", serving.key,
            "--work", self.folders.work, "--logs", self.logs, "--port", str(port),
        ]  # fmt: skip
        kubelet = Child("kubelet", command, self.logs / "kubelet.log", folder=REPOSITORY)
        self._stack.callback(kubelet.stop)
        self._kubelet_url = f"http://127.0.0.1:{port}"
        return kubelet

    def _kubelet_ready(self) -> bool:
        return requests.get(f"{self._kubelet_url}/healthz", timeout=2).ok

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process and remove the work folder; the logs stay."""
        self._stack.close()

    # What tests use

    @property
    def api(self) -> Api:
        """The API server, as admin."""
        return self.plane.api

    @property
    def logs(self) -> Path:
        return self.folders.logs

    @property
    def kubeconfig(self) -> Path:
        """The admin's kubeconfig."""
        return self.plane.admin_kubeconfig

    def kubectl(
        self, *arguments: str, input: str | None = None, check: bool = True,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run kubectl as admin (or with another kubeconfig).

        Raises:
            BedError: it failed and `check` is true.
        """
        return run_kubectl(
            self.program("kubectl"), arguments, kubeconfig or self.kubeconfig, input, check
        )

    def add_edge(self) -> Envoy:
        """Start one more edge router, scraped like the others, and return it."""
        edge = self.mesh.add_edge()
        self._scrape_edges()
        return edge

    def _scrape_edges(self) -> None:
        self.prometheus.scrape_edges([edge.metrics_target for edge in self.mesh.edges])

    def program(self, name: str) -> Path:
        """Return the file of one of the bed's programs (binaries.TOOLS)."""
        return self._programs[name]

    def place(self, name: str = "place") -> Place:
        """Return a fresh namespace with a hostname of its own."""
        return Place(self, name)

    def requests(self, user: str, since: float = 0.0) -> list[Request]:
        """Return what a user asked of the API server (see ControlPlane.requests)."""
        return self.plane.requests(user, since)

    def install(self, setup: OperatorSetup) -> None:
        """Apply the operator's CRDs and manifests, without its Deployment."""
        apply_crds(self.api, setup.crds)
        if setup.manifests is None:
            return
        objects = runnable_here(self.kubectl("kustomize", str(setup.manifests)).stdout)
        for manifest in objects:
            self.api.apply(manifest)
        if setup.sample and any(m["kind"] == "MutatingAdmissionPolicy" for m in objects):
            wait_stamped(self.api, setup.sample)

    def operator(self, setup: OperatorSetup | None = None) -> Operator:
        """Install the operator and return it, not started; it ends with the bed at the latest."""
        setup = setup or OperatorSetup()
        self.install(setup)
        operator = Operator(self.plane, setup, self.prometheus.url, self.files())
        self._stack.callback(operator.kill)
        return operator

    # What a place uses

    def image(self, version: str) -> str:
        return f"bed.penstock.dev/backend:{version}"

    def edge(self) -> Envoy | None:
        return self.mesh.edge

    def edge_url(self) -> str:
        return self.mesh.edge.url

    def files(self) -> tuple[Path, Path]:
        return self.folders.work, self.folders.logs

    def request(self, host: str, **sent: Any) -> Reply:
        """Send one request for this hostname to the edge (see asking.ask for what it may carry)."""
        return ask(self.edge_url(), host, **sent)

    def tell_backends(self, namespace: str, version: str, behaviour: Mapping[str, Any]) -> None:
        said = {"namespace": namespace, "version": version, "behaviour": dict(behaviour)}
        requests.post(f"{self._kubelet_url}/behave", json=said, timeout=10).raise_for_status()


def _load_all(path: Path) -> list[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open() as text:
        return list(yaml.load_all(text, Loader=loader))


def _sweep() -> None:
    """Remove what beds left behind that were killed, and all but the newest logs."""
    for left in Path(tempfile.gettempdir()).glob(f"{_WORK_PREFIX}*"):
        pid = left.name.removeprefix(_WORK_PREFIX).split("-")[0]
        if pid.isdigit() and gone(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    for old in sorted(_LOGS.glob("*"))[:-_KEEP_LOGS]:
        shutil.rmtree(old, ignore_errors=True)
