"""The EnvoyFilter of ours: the same user keeps the same version, by a hash in the proxy.

A user's place is `xxh64("<release>:<user>") mod <sum of weights>`, walked through the destinations
in their order. The route's name carries namespace and Rollout, so it is unique in the mesh, and
the list behind it never has one element (see `shares.Wanted.double`): Envoy rejects the whole
route table when a hash policy is merged into a route with a single cluster.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.core.traffic import delegation
from penstock.core.traffic.target import MANAGED_BY, MANAGER, ROLLOUT_LABEL, Target

API_VERSION, KIND = "networking.istio.io/v1alpha3", "EnvoyFilter"


def route_names(target: Target, virtual_services: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names that our route has in Envoy: a root's name goes before a delegate's."""
    if target.route.delegate is None:
        return (target.route_name,)
    names = set()
    for _, route in delegation.handing(target, virtual_services):
        before = route.get("name", "")
        names.add(f"{before}-{target.route_name}" if before else target.route_name)
    return tuple(sorted(names))


def manifest(target: Target, release: str, routes: Iterable[str]) -> dict[str, Any]:
    """Return the EnvoyFilter that places users by their header, salted by the release."""
    rewrite = {"pattern": {"regex": "^(.*)$"}, "substitution": f"{release}:\\1"}
    policy = {
        "terminal": True,
        "header": {"header_name": target.sticky_header, "regex_rewrite": rewrite},
    }
    value = {"route": {"weighted_clusters": {"use_hash_policy": True}, "hash_policy": [policy]}}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": target.envoy_filter,
            "namespace": target.root_namespace,
            "labels": {
                MANAGED_BY: MANAGER,
                ROLLOUT_LABEL: target.rollout,
                f"{ROLLOUT_LABEL}-namespace": target.namespace,
            },
            "annotations": {},
        },
        "spec": {
            "configPatches": [
                {
                    "applyTo": "HTTP_ROUTE",
                    "match": {
                        "context": "ANY",
                        "routeConfiguration": {"vhost": {"route": {"name": name}}},
                    },
                    "patch": {"operation": "MERGE", "value": value},
                }
                for name in routes
            ]
        },
    }
