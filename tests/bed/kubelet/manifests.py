"""What the kubelet's stand-in writes for a Pod: status, WorkloadEntry, scrape target."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]
_STAMP = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Life:
    """How it goes with a Pod."""

    phase: str
    ready: bool
    crashed: bool
    restarts: int
    started: dt.datetime
    exit: int


def workload(pod: Manifest) -> str:
    """Return the name of the Deployment of a Pod, or of its direct owner, or its own."""
    meta = pod["metadata"]
    owner = next(iter(meta.get("ownerReferences", ())), None)
    if owner is None:
        return meta["name"]
    return owner["name"].removesuffix("-" + meta.get("labels", {}).get("pod-template-hash", ""))


def version(pod: Manifest) -> str:
    """Return the label `version` of a Pod, or the hash of its template."""
    labels = pod["metadata"].get("labels", {})
    return labels.get("version") or labels.get("pod-template-hash", "v1")


def is_job(pod: Manifest) -> bool:
    """Return whether a Job owns the Pod."""
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", ()))


def status(pod: Manifest, address: str, life: Life) -> Manifest:
    """Return the Pod's status."""
    ready = "True" if life.ready else "False"
    truths = {"PodScheduled": "True", "Initialized": "True",
              "ContainersReady": ready, "Ready": ready}  # fmt: skip
    now = dt.datetime.now(dt.UTC).strftime(_STAMP)
    return {
        "phase": life.phase,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": life.started.strftime(_STAMP),
        "conditions": [
            {"type": kind, "status": truth, "lastTransitionTime": now}
            for kind, truth in truths.items()
        ],
        "containerStatuses": [_container(found, life) for found in pod["spec"]["containers"]],
    }


def _container(container: Manifest, life: Life) -> Manifest:
    image = container.get("image", "")
    return {
        "name": container["name"],
        "image": image,
        "imageID": image,
        "ready": life.ready,
        "started": life.ready,
        "restartCount": life.restarts,
        "state": _state(life),
    }


def _state(life: Life) -> Manifest:
    if life.crashed:
        return {"waiting": {"reason": "CrashLoopBackOff", "message": "the process ended"}}
    if life.phase in ("Succeeded", "Failed"):
        reason = "Error" if life.exit else "Completed"
        return {"terminated": {"exitCode": life.exit, "reason": reason}}
    return {"running": {"startedAt": life.started.strftime(_STAMP)}}


def entry(pod: Manifest, address: str, ports: dict[str, int]) -> Manifest:
    """Return the WorkloadEntry that brings the Pod into the mesh; it goes with the Pod."""
    meta = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {"service.istio.io/workload-name": workload(pod)},
            "ownerReferences": [owner],
        },
        "spec": {"address": address, "ports": ports, "labels": meta.get("labels", {})},
    }


def destination_labels(pod: Manifest) -> dict[str, str]:
    """Return what Istio's proxy says of the Pod as a destination; its Service is named as `app`."""
    meta = pod["metadata"]
    labels, namespace = meta.get("labels", {}), meta["namespace"]
    service = labels.get("app", "unknown")
    return {
        "destination_workload": workload(pod),
        "destination_workload_namespace": namespace,
        "destination_canonical_service": service,
        "destination_canonical_revision": labels.get("version", "latest"),
        "destination_app": service,
        "destination_version": labels.get("version", "unknown"),
        "destination_service": f"{service}.{namespace}.svc.cluster.local",
        "destination_service_name": service,
        "destination_service_namespace": namespace,
    }


def target(pod: Manifest, address: str, version: str) -> Manifest:
    """Return a Pod in the form of Prometheus' file_sd."""
    meta = pod["metadata"]
    labels = {
        "namespace": meta["namespace"],
        "pod": meta["name"],
        "workload": workload(pod),
        "app": meta.get("labels", {}).get("app", ""),
        "version": version,
    }
    return {"targets": [address], "labels": labels}
