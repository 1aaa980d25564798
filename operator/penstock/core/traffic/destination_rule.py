"""The DestinationRule of ours: one subset per version, made before a route names it."""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.core.traffic.target import STABLE_MARK, Target, subset_name

API_VERSION, KIND = "networking.istio.io/v1", "DestinationRule"


def manifest(target: Target, versions: Iterable[str], stable: str) -> dict[str, Any]:
    """Return the DestinationRule with a subset for each version, marked with stable."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": target.metadata(target.destination_rule, {STABLE_MARK: stable}),
        "spec": {
            "host": target.host(target.service),
            "subsets": [
                {"name": subset_name(version), "labels": {str(target.label): version}}
                for version in versions
            ],
        },
    }


def subset_versions(live: Mapping[str, Any] | None, target: Target) -> tuple[str, ...]:
    """Return the versions that have a subset in the live object."""
    if live is None:
        return ()
    subsets = live.get("spec", {}).get("subsets") or []
    found = (subset.get("labels", {}).get(str(target.label)) for subset in subsets)
    return tuple(version for version in found if version)


def by_other_label(live: Mapping[str, Any] | None, target: Target) -> bool:
    """Return whether the live subsets tell the versions apart by another label than the spec."""
    subsets = live.get("spec", {}).get("subsets") or [] if live and target.label else []
    return any(str(target.label) not in subset.get("labels", {}) for subset in subsets)


def fits(live: Mapping[str, Any] | None, want: Mapping[str, Any]) -> bool:
    """Return whether the live object says what is wanted, whatever else it says."""
    if live is None:
        return False
    meta, wanted_meta = live["metadata"], want["metadata"]
    marks = all(
        meta.get(part, {}).get(key) == value
        for part in ("labels", "annotations")
        for key, value in wanted_meta[part].items()
    )
    owned = meta.get("ownerReferences", []) == wanted_meta.get("ownerReferences", [])
    said = all(live["spec"].get(key) == value for key, value in want["spec"].items())
    return marks and owned and said
