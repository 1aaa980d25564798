"""The workloads of one namespace: deployed, scaled, and told how to behave."""

from collections.abc import Mapping

from tests.bed import workloads
from tests.bed.api import Manifest
from tests.bed.envoy import Envoy
from tests.bed.objects import Objects

_ANNOTATION = "bed.penstock.dev"


class Workloads(Objects):
    """Services, Deployments and CronJobs of one namespace, and their Pods."""

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
        inbound: bool = False,
        tls: bool = False,
        labels: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> str:
        """Create the Service, if it is not there, and the Deployment `<service>-<version>`.

        The Deployment's Pods carry the labels app and version. With `inbound` an Envoy stands
        before each, so that it is counted with reporter="destination" too; with `tls` they serve
        TLS as well, at the Service's port 443. Returns the name, when the Pods are ready and
        known to the edge router (unless `wait` is False).
        """
        self.apply(workloads.service(service, tls=tls))
        annotations = {"ready-after": ready_after, "crash-after": crash_after,
                       "inbound": "true" if inbound else None,
                       "tls": "true" if tls else None}  # fmt: skip
        deployment = workloads.deployment(service, version, replicas, self.cluster.image(version))
        template = deployment["spec"]["template"]["metadata"]
        template["labels"] |= dict(labels or {})
        template["annotations"] = {
            f"{_ANNOTATION}/{key}": value for key, value in annotations.items() if value
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
        specs = [entry["spec"] for entry in self.objects("workloadentry")]
        mine = [spec for spec in specs if spec["labels"].get("app") == service]
        wanted = {f"{s['address']}:{port}" for s in mine for port in s["ports"].values()}
        ready = [pod for pod in self.objects("pod", f"app={service}") if workloads.ready(pod)]
        return len(mine) == len(ready) and wanted == set(edge.endpoints(self.host(service)))

    def cron_job(self, name: str, *, exit: int = 0, seconds: float = 1.0) -> None:
        """Create a suspended CronJob; each Job made from it runs so long and ends with that code.

        A Job made by hand says the same with the annotations of its Pod template
        `bed.penstock.dev/exit` and `bed.penstock.dev/seconds`.
        """
        annotations = {f"{_ANNOTATION}/exit": str(exit), f"{_ANNOTATION}/seconds": str(seconds)}
        self.apply(workloads.cron_job(name, self.cluster.image("job"), annotations))

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
        shards: int = 0,
        disagree: float = 0.0,
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
            disagree: Share of requests, in shadow_answers_total, on which it differs from live.
            shards: Number of series per Pod that app_requests_total is spread over by the label
                shard; 0: one, without that label.
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
            "shards": shards,
            "disagree": disagree,
        }
        self.cluster.tell_backends(self.namespace, version, behaviour)
