"""How the series of two versions are told apart, from what their pods show."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from penstock.core.queries import Unusable

_REVISION, _WORKLOAD = "destination_canonical_revision", "destination_workload"
_REVISION_LABELS = (
    "service.istio.io/canonical-revision",
    "app.kubernetes.io/version",
    "version",
)
_NO_REVISION = frozenset({"latest", "unknown"})


@dataclass(frozen=True, slots=True)
class Variants:
    """The matchers that tell the arms apart."""

    stable: str
    candidate: str


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """What the metrics of the mesh take from a pod; `workload` is its Deployment or the like."""

    labels: Mapping[str, str]
    workload: str


def choose_variants(
    stable: Collection[PodIdentity],
    candidate: Collection[PodIdentity],
    stable_version: str,
    candidate_version: str,
) -> Variants | Unusable:
    """Return the matchers that tell the series of the arms apart, by what their ready pods show.

    The canonical revision where it is the version in every pod; else the names of the workloads.
    Never `destination_version`: a proxy at the client's side reports it as unknown. Nor a revision
    called latest or unknown: proxies report it for requests that reached no pod.
    """
    if (
        stable
        and candidate
        and _shows(stable, stable_version)
        and _shows(candidate, candidate_version)
    ):
        return Variants(f'{_REVISION}="{stable_version}"', f'{_REVISION}="{candidate_version}"')
    return by_workload(stable, candidate, stable_version, candidate_version)


def by_workload(
    stable: Collection[PodIdentity],
    candidate: Collection[PodIdentity],
    stable_version: str,
    candidate_version: str,
) -> Variants | Unusable:
    """Return the matchers by the names of the workloads."""
    if not stable or not candidate:
        missing = stable_version if not stable else candidate_version
        return Unusable(f"version {missing} has no ready pods to tell its series by")
    names = [{pod.workload for pod in pods} for pods in (stable, candidate)]
    if shared := names[0] & names[1]:
        return Unusable(
            f"versions {stable_version} and {candidate_version} share the workload "
            f"{min(shared)}, and their pods' canonical revision is not the version: label the pods "
            "with service.istio.io/canonical-revision, app.kubernetes.io/version or version"
        )
    return Variants(_workloads(names[0]), _workloads(names[1]))


def _shows(pods: Collection[PodIdentity], version: str) -> bool:
    return version not in _NO_REVISION and all(_revision(pod) == version for pod in pods)


def _revision(pod: PodIdentity) -> str:
    return next((pod.labels[label] for label in _REVISION_LABELS if label in pod.labels), "latest")


def _workloads(names: Collection[str]) -> str:
    if len(names) == 1:
        return f'{_WORKLOAD}="{min(names)}"'
    return f'{_WORKLOAD}=~"{"|".join(name.replace(".", "[.]") for name in sorted(names))}"'
