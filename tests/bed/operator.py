"""The operator under test, as a subprocess with its own ServiceAccount: `python -m penstock`.

It never runs with the bed's admin rights: it has what `manifests/` gives it.
"""

import functools
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.bed.api import MERGE, Api, Manifest
from tests.bed.control_plane import ControlPlane, wait_crd
from tests.bed.processes import Child, free_port, wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_HERE = ("Deployment",)  # the bed runs the operator itself


@dataclass(frozen=True, slots=True)
class OperatorSetup:
    """Which files and which account the operator comes with.

    `config` is merged over the configuration file that the bed writes. `command` is for tests of
    the bed; it gets `--config PATH` too. `sample` is a valid Rollout: with it `Bed.install` waits
    until the admission policies of the manifests really work, which takes seconds after the CRD.
    """

    crds: Path = REPOSITORY / "crds"
    manifests: Path | None = None
    namespace: str = "penstock-system"
    service_account: str = "penstock"
    config: dict[str, Any] = field(default_factory=dict)
    command: Sequence[str] = (sys.executable, "-m", "penstock")
    sample: Manifest | None = None


def apply_crds(api: Api, folder: Path) -> list[str]:
    """Apply every CRD of the folder, wait until they are served, and return their names."""
    crds = [
        manifest
        for path in sorted(folder.glob("*.yaml"))
        for manifest in yaml.safe_load_all(path.read_text())
        if manifest and manifest["kind"] == "CustomResourceDefinition"
    ]
    names = [api.apply(crd)["metadata"]["name"] for crd in crds]
    for name in names:
        wait_crd(api, name)
    return names


def runnable_here(manifests: str) -> list[Manifest]:
    """Return the objects of a rendered kustomization without those that the bed replaces."""
    found = [manifest for manifest in yaml.safe_load_all(manifests) if manifest]
    return [manifest for manifest in found if manifest["kind"] not in NOT_HERE]


def wait_stamped(api: Api, sample: Manifest, said: str = "penstock.dev/abort") -> None:
    """Wait until a command annotation is stamped with `<command>-by`; leaves nothing behind.

    Policies are not in force for about a second after they are written, and then answer 503 until
    they know a new kind.
    """
    name = f"admission-{secrets.token_hex(2)}"
    api.apply({**sample, "metadata": {"name": name, "namespace": "default"}})
    resource = api.resource(sample["kind"], sample["apiVersion"])
    patch = {"metadata": {"annotations": {said: "x"}}}
    stamped = functools.partial(_stamped, api, resource.path("default", name), patch, f"{said}-by")
    try:
        wait_until("admission policies", stamped, 30, 0.1)
    finally:
        api.delete(sample["kind"], name, "default")


def _stamped(api: Api, path: str, patch: Manifest, stamp: str) -> bool:
    answer = api.call("PATCH", path, patch, MERGE, {"dryRun": "All"})
    return stamp in answer["metadata"].get("annotations", {})


class Operator:
    """One operator process; `kill` is a crash, `restart` a crash and a start."""

    def __init__(
        self,
        plane: ControlPlane,
        setup: OperatorSetup,
        prometheus_url: str,
        files: tuple[Path, Path],
    ) -> None:
        """Write its kubeconfig and its configuration file; `start` starts it."""
        self.health_port, self.metrics_port = free_port(), free_port()
        self.user = f"system:serviceaccount:{setup.namespace}:{setup.service_account}"
        work, logs = files
        self.log = logs / f"operator-{self.health_port}.log"
        config = work / f"operator-{self.health_port}.yaml"
        config.write_text(yaml.safe_dump(self._config(prometheus_url) | setup.config))
        account = plane.service_account_kubeconfig(setup.namespace, setup.service_account)
        environment = {"KUBECONFIG": str(account), "PYTHONUNBUFFERED": "1",
                       "PYTHONPATH": _python_path()}  # fmt: skip
        command = [*setup.command, "--config", config]
        self._launch = functools.partial(Child, "operator", command, self.log, environment)
        self._child: Child | None = None

    def _config(self, prometheus_url: str) -> dict[str, Any]:
        connection = {"kind": "prometheus", "url": prometheus_url, "lag": "50ms", "timeout": "2s"}
        return {
            "connections": {"prometheus": connection},
            "propagationDelay": "200ms",
            "healthPort": self.health_port,
            "metricsPort": self.metrics_port,
        }

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    def start(self, wait: bool = True, timeout: float = 30.0) -> None:
        """Start it, and wait until its health port answers."""
        self._child = self._launch()
        if wait:
            self._child.wait_ready(self.healthy, timeout)

    def healthy(self) -> bool:
        """Return whether the health port answers with 200."""
        return requests.get(f"http://127.0.0.1:{self.health_port}/healthz", timeout=2).ok

    def metrics(self) -> str:
        """Return the operator's own metrics, as text."""
        return requests.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).text

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child:
            self._child.kill()

    def stop(self, patience: float = 10.0) -> None:
        """End it with SIGTERM."""
        if self._child:
            self._child.stop(patience)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def wait_log(self, text: str, timeout: float = 10.0) -> None:
        """Wait until the log holds the text."""
        found = functools.partial(self._logged, text)
        wait_until(f"{text!r} in {self.log}", found, timeout)

    def _logged(self, text: str) -> bool:
        return text in self.log.read_text(errors="replace")


def _python_path() -> str:
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(REPOSITORY / "operator"), *([given] if given else [])])
