"""A stage for one end-to-end test: a service with two versions, its route, traffic, a recorder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bed.place import Place
from tests.bed.recorder import Recorder
from tests.bed.traffic import Answer, Load

SERVICE, ROLLOUT = "fraud", "fraud"
LADDER = (1, 5, 25, 50)
STABLE_ERRORS = 0.05
RATE = 300.0
PATIENCE = 55.0

QUICK: Mapping[str, Any] = {
    "interval": "1s",
    "warmUp": "0s",
    "metrics": [{"template": "istio-errors", "maxIncrease": 100, "slack": 0.1}],
}


def step(weight: float, bake: str = "1s", **more: Any) -> dict[str, Any]:
    """Return a step with a weight."""
    return {"weight": weight, "bake": bake, **more}


def steps(*weights: float) -> list[dict[str, Any]]:
    """Return quick steps with these weights."""
    return [step(weight) for weight in weights or LADDER]


def rollout(
    version: str = "v1",
    route: Mapping[str, Any] | None = None,
    plan: Sequence[Mapping[str, Any]] | None = None,
    strategy: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a Rollout of the service, with the fields of `spec` laid over it."""
    traffic = {"service": SERVICE, "route": dict(route or {"delegate": "fraud-split"})}
    content: dict[str, Any] = {
        "version": version,
        "traffic": traffic,
        "strategy": _strategy(plan, strategy or {}),
        "analysis": dict(QUICK),
    }
    for name, value in spec.items():
        before = content.get(name)
        merged = isinstance(before, dict) and isinstance(value, Mapping)
        content[name] = {**before, **value} if merged else value  # type: ignore[dict-item]
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": ROLLOUT},
        "spec": content,
    }


def _strategy(plan: Sequence[Mapping[str, Any]] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a strategy: the form that is given, else a canary with these steps."""
    if {"canary", "blueGreen", "shadow"} & set(given):
        return dict(given)
    return {"canary": {"steps": list(plan or steps())}, **given}


def root(place: Place, delegate: str = "fraud-split") -> dict[str, Any]:
    """Return the user's own VirtualService, which hands the traffic to a delegate."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "fraud-root"},
        "spec": {
            "hosts": [place.hostname],
            "gateways": [place.cluster.gateway],
            "http": [
                {"name": "root", "delegate": {"name": delegate, "namespace": place.namespace}}
            ],
        },
    }


@dataclass
class Stage:
    """What a test plays with; everything ends with its place."""

    place: Place
    spec: dict[str, Any]
    load: Load
    recorder: Recorder
    began: float = field(default_factory=time.time)

    def release(self, version: str, **update: Any) -> None:
        """Name another version in the spec, as Git would."""
        self.change(version=version, **update)

    def change(self, **update: Any) -> None:
        """Change fields of the spec."""
        self.spec["spec"] |= update
        self.place.apply(self.spec)

    @property
    def rollout(self) -> dict[str, Any]:
        """Return the Rollout as it is."""
        return self.place.get("rollout", ROLLOUT)

    @property
    def status(self) -> dict[str, Any]:
        """Return the status as it is."""
        found: dict[str, Any] = self.rollout.get("status", {})
        return found

    @property
    def phase(self) -> str:
        """Return the phase."""
        return str(self.status.get("phase", ""))

    @property
    def stable(self) -> str:
        """Return the stable version."""
        return str(self.status.get("stable", {}).get("version", ""))

    def condition(self, type_: str) -> dict[str, Any]:
        """Return a condition; empty where there is none."""
        found = self.status.get("conditions", [])
        return next((c for c in found if c["type"] == type_), {})

    def command(self, text: str) -> None:
        """Say a command, as `kubectl annotate` does: `abort=fraud-1#a`."""
        self.place.kubectl(
            "annotate", "--overwrite", "rollouts.penstock.dev", ROLLOUT, f"penstock.dev/{text}"
        )

    def await_phase(self, *phases: str, version: str = "", timeout: float = PATIENCE) -> None:
        """Wait until the Rollout is in one of the phases (and, if given, for that version)."""

        def there() -> bool:
            status = self.status
            generation = self.rollout["metadata"]["generation"]
            fresh = status.get("observedGeneration") == generation
            named = not version or version in str(status.get("message", ""))
            return fresh and named and status.get("phase") in phases

        try:
            self.place.wait(there, timeout, f"phase {phases}")
        except Exception as error:
            raise AssertionError(f"{error}; the status is {self.status}") from error
        if {"Idle", "Promoted", "RolledBack"} & set(phases):
            self.place.wait(self._settled, 10, "the end of the release in force")

    def _settled(self) -> bool:
        """Return whether the end of a release is in the route: then its finalizer goes."""
        return not self.rollout["metadata"].get("finalizers")

    def await_weight(self, weight: float, timeout: float = PATIENCE) -> None:
        """Wait until the status calls for a weight."""

        def there() -> bool:
            return bool(self.status.get("traffic", {}).get("weight") == weight)

        self.place.wait(there, timeout, f"weight {weight}")

    def weights(self, version: str = "v2") -> list[float]:
        """Return the shares of a version as they were written, without repetitions."""
        return self.recorder.weights(version)

    def assert_clean(
        self, version: str = "v2", *, route: str | None = None, errors_of_mesh: bool = False
    ) -> list[Answer]:
        """Fail unless Envoy followed, refused nothing, and no client got an error of the mesh."""
        self.recorder.assert_consistent(version, route)
        answers = self.load.results()
        assert answers, "no traffic was seen"
        wrong = [a for a in answers if a.failed and not a.by_backend]
        assert errors_of_mesh or not wrong, f"{len(wrong)} errors that no backend made: {wrong[:3]}"
        return answers


def set_up(
    place: Place,
    manifest: dict[str, Any],
    *,
    rate: float = RATE,
    users: int = 0,
    cookies: bool = False,
    inbound: bool = False,
) -> Stage:
    """Deploy v1, apply root and Rollout, wait until v1 serves, deploy v2, start the traffic.

    With `inbound` a proxy stands before each Pod, as a sidecar does; with `cookies` users keep
    theirs.
    """
    place.deploy(SERVICE, "v1", inbound=inbound)
    for version in ("v1", "v2"):
        place.behave(version, errors=STABLE_ERRORS)
    if "delegate" in manifest["spec"]["traffic"]["route"]:
        place.apply(root(place, manifest["spec"]["traffic"]["route"]["delegate"]))
    recorder = place.recorder()
    place.apply(manifest)
    stage = Stage(place, manifest, load=None, recorder=recorder)  # type: ignore[arg-type]
    if manifest["spec"]["version"] == "v1":
        place.wait(lambda: stage.status.get("stable"), 10, "stable")
        wait_served(place, recorder)
    place.deploy(SERVICE, "v2", inbound=inbound)
    stage.load = place.load(rate, users=users, cookies=cookies)
    return stage


def wait_served(place: Place, recorder: Recorder) -> None:
    """Wait until the edge has a route for the place's host."""
    edge = place.cluster.edge()
    if edge is not None:
        place.wait(lambda: any(edge.routes(place.hostname).values()), 10, "route at the edge")
