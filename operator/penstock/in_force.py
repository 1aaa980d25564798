"""Whether every proxy knows what a route is about to name: judged by when it was written."""

from datetime import datetime

from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core.traffic import destination_rule, envoy_filter, managers
from penstock.core.traffic.target import Target
from penstock.world import Objects


def prepared(mesh: Objects, status: RolloutStatus, target: Target, before: datetime) -> bool:
    """Return whether the subsets and the hash policy of a release were written before that time."""
    if status.candidate is None or status.stable is None:
        return False
    wanted = {status.candidate.version, status.stable.version}
    filtered = filter_in_force(mesh, target, status.candidate.release, before)
    return subsets_in_force(mesh, target, wanted, before) and filtered


def subsets_in_force(mesh: Objects, target: Target, versions: set[str], before: datetime) -> bool:
    """Return whether the subsets were written before that time; they need none with Services."""
    if target.label is None:
        return True
    there = destination_rule.subset_versions(mesh.destination_rule, target)
    written = managers.written_at(mesh.destination_rule) if mesh.destination_rule else None
    return versions <= set(there) and written is not None and written <= before


def filter_in_force(mesh: Objects, target: Target, release: str, before: datetime) -> bool:
    """Return whether the hash policy of the release was written before that time."""
    if target.sticky_header is None:
        return True
    live = mesh.envoy_filter
    if live is None:
        return False
    written = managers.written_at(live)
    names = [p["match"]["routeConfiguration"]["vhost"]["route"]["name"]
             for p in live["spec"].get("configPatches", [])]  # fmt: skip
    wanted = envoy_filter.manifest(target, release, names)
    return written is not None and written <= before and live["spec"] == wanted["spec"]
