"""Pods as values: which version they are, whether they are ready, what metrics show of them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from penstock.core.facts import VersionPods
from penstock.core.kinds import Manifest
from penstock.core.variants import PodIdentity

_ENDED = frozenset({"Succeeded", "Failed"})


def by_version(pods: Iterable[Manifest], label: str) -> dict[str, tuple[Manifest, ...]]:
    """Return the pods that are not on their way out, by the value of the label."""
    found: dict[str, tuple[Manifest, ...]] = {}
    for pod in pods:
        version = pod["metadata"].get("labels", {}).get(label)
        if version and not pod["metadata"].get("deletionTimestamp"):
            found[version] = (*found.get(version, ()), pod)
    return found


def summary(pods: Iterable[Manifest]) -> VersionPods:
    """Return the facts of one version's pods; those on their way out are not among them."""
    pods = tuple(pods)
    ready = [pod for pod in pods if is_ready(pod)]
    created = [datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in ready]
    images = {c.get("image", "") for pod in ready for c in pod["spec"].get("containers", [])}
    return VersionPods(
        ready=len(ready),
        images=tuple(sorted(images)),
        workloads=tuple(sorted({workload(pod) for pod in ready})),
        youngest=max(created, default=None),
        total=sum(1 for pod in pods if is_ready(pod) or _may_be_ready(pod)),
    )


def _may_be_ready(pod: Manifest) -> bool:
    """Return whether a pod has neither ended nor waits for a node: then nothing of it ran yet."""
    status = pod.get("status", {})
    homeless = any(
        c.get("type") == "PodScheduled" and c.get("status") == "False"
        for c in status.get("conditions") or []
    )
    return status.get("phase") not in _ENDED and not homeless


def is_ready(pod: Manifest) -> bool:
    """Return whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def identities(pods: Iterable[Manifest]) -> tuple[PodIdentity, ...]:
    """Return what metrics show of the ready pods."""
    return tuple(
        PodIdentity(pod["metadata"].get("labels", {}), workload(pod))
        for pod in pods
        if is_ready(pod)
    )


def workload(pod: Manifest) -> str:
    """Return the name of what made the pod: a Deployment's, not its ReplicaSet's."""
    meta: Mapping[str, Any] = pod["metadata"]
    labels = meta.get("labels", {})
    if named := labels.get("service.istio.io/workload-name"):
        return str(named)
    owners = [o for o in meta.get("ownerReferences", []) if o.get("controller")]
    if not owners:
        return str(meta["name"])
    name, hash_ = str(owners[0]["name"]), labels.get("pod-template-hash", "")
    return name.removesuffix(f"-{hash_}") if hash_ else name


def names_and_addresses(found: Iterable[Manifest]) -> frozenset[str]:
    """Return by what scrape targets may name these pods."""
    names = {pod["metadata"]["name"] for pod in found}
    return frozenset(names | {pod.get("status", {}).get("podIP", "") for pod in found} - {""})
