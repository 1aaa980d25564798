"""Whose traffic a Rollout moves, and the names of everything in the mesh that belongs to it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from penstock.api.v1alpha1 import API_VERSION, GROUP
from penstock.api.v1alpha1.rollout import KIND, OnDelete, RolloutSpec
from penstock.api.v1alpha1.traffic import Existing, Own, Route, StickyCookie

MANAGER = "penstock"
MANAGED_BY = "app.kubernetes.io/managed-by"
ROLLOUT_LABEL = f"{GROUP}/rollout"
STABLE_MARK = f"{GROUP}/stable"
ROLLED_BACK_MARK = f"{GROUP}/rolled-back"

_DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Place:
    """A VirtualService that carries our weights.

    Attributes:
        name: Its name, in the Rollout's namespace.
        theirs: Which of its routes are ours, where somebody else owns it; None where we do.
        own: Its hosts and gateways, where we own it and it is no delegate.
    """

    name: str
    theirs: Existing | None = None
    own: Own | None = None

    @property
    def owned(self) -> bool:
        """Return whether the VirtualService is ours."""
        return self.theirs is None


@dataclass(frozen=True, slots=True)
class Target:
    """The traffic of one Rollout.

    Attributes:
        label: Pod label that tells versions apart; None with one Service per version.
        services: Service by version; empty where a label tells.
        sticky_header: Header that names the user; None where none does.
        cookie: Cookie of ours that remembers the user's version; None where none does.
        remove_routes: Our objects go with the Rollout.
        known: Versions that a subset may stand for; any other subset is a third destination.
    """

    namespace: str
    rollout: str
    uid: str
    service: str
    label: str | None
    services: Mapping[str, str]
    route: Route
    sticky_header: str | None
    remove_routes: bool
    cluster_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    cookie: StickyCookie | None = None
    known: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the VirtualServices that carry our weights; the first one is the main one."""
        route = self.route
        also = tuple(Place(one.virtual_service, theirs=one) for one in route.also or ())
        if route.existing is not None:
            return (Place(route.existing.virtual_service, theirs=route.existing), *also)
        if route.delegate is not None:
            return (Place(route.delegate), *also)
        return (Place(self.rollout, own=route.own), *also)

    @property
    def route_name(self) -> str:
        """Return the name of the http route in a VirtualService of ours; unique in the mesh.

        Neither part has an underscore. A dot would end it for an EnvoyFilter: Istio puts the name
        of a match behind one.
        """
        return f"penstock-{self.namespace}_{self.rollout.replace('.', '_')}"

    def rule_name(self, kind: str, place: Place, route: str) -> str:
        """Return the name of a route of ours that stands before a split.

        No name of an object has a colon, so it is never the name of the route of another Rollout,
        and no EnvoyFilter of ours matches it.
        """
        name = f"{self.route_name}:{kind}"
        return name if place.owned else f"{name}:{route}"

    def is_rule(self, route: Mapping[str, Any]) -> bool:
        """Return whether an http route is one of ours that stands before a split."""
        return str(route.get("name", "")).startswith(f"{self.route_name}:")

    @property
    def route_pattern(self) -> str:
        """Return an expression that the names of the routes fit, as proxies report them.

        Behind a delegate a proxy puts the name of the root's route before ours. Routes by a
        cookie belong to both versions alike, so they count.
        """
        names = [re.escape(name) for theirs in self.route.theirs for name in theirs.http or ()]
        if self.places[0].owned:
            names.append(f"(.+-)?{self.route_name}(:cookie-.+)?")
        return "|".join(names)

    @property
    def destination_rule(self) -> str:
        """Return the name of the DestinationRule that carries our subsets."""
        return f"{self.rollout}-penstock"

    @property
    def envoy_filter(self) -> str:
        """Return the name of the EnvoyFilter, in the root namespace."""
        return envoy_filter_name(self.namespace, self.rollout)

    def host(self, service: str) -> str:
        """Return the full host of a Service in the Rollout's namespace."""
        return f"{service}.{self.namespace}.svc.{self.cluster_domain}"

    def version_host(self, version: str) -> str:
        """Return the host that serves a version: its own Service's, or the common one."""
        return self.host(self.services.get(version, self.service))

    def destination(self, version: str) -> dict[str, Any]:
        """Return the `destination` of a route to a version."""
        if self.label is None:
            return {"host": self.version_host(version)}
        return {"host": self.host(self.service), "subset": subset_name(version)}

    def version_of(self, destination: Mapping[str, Any]) -> str | None:
        """Return the version that a `destination` names.

        Returns:
            The version; "" for the service as a whole; None for a third destination.
        """
        host = self._full_host(str(destination.get("host", "")))
        if self.label is None:
            for version in self.services:
                if host == self.version_host(version):
                    return version
            return "" if host == self.host(self.service) else None
        if host != self.host(self.service):
            return None
        subset = destination.get("subset")
        if not subset:
            return ""
        return next((version for version in self.known if subset_name(version) == subset), None)

    def _full_host(self, host: str) -> str:
        dots = host.count(".")
        if dots == 0:
            return self.host(host)
        if dots == 1:
            return f"{host}.svc.{self.cluster_domain}"
        return f"{host}.{self.cluster_domain}" if host.endswith(".svc") else host

    def metadata(self, name: str, marks: Mapping[str, str]) -> dict[str, Any]:
        """Return the metadata of an object of ours in the Rollout's namespace."""
        result: dict[str, Any] = {
            "name": name,
            "namespace": self.namespace,
            "labels": {MANAGED_BY: MANAGER, ROLLOUT_LABEL: self.rollout},
            "annotations": dict(marks),
        }
        if self.remove_routes:
            owner = {"apiVersion": API_VERSION, "kind": KIND, "name": self.rollout}
            result["ownerReferences"] = [{**owner, "uid": self.uid}]
        return result

    def is_owner(self, live: Mapping[str, Any]) -> bool:
        """Return whether an object goes with the Rollout when that is deleted."""
        owners = live["metadata"].get("ownerReferences") or []
        return any(owner.get("uid") == self.uid for owner in owners)


def target_of(
    namespace: str, name: str, uid: str, spec: RolloutSpec, domains: tuple[str, str]
) -> Target:
    """Return the target of a Rollout.

    Args:
        namespace: The Rollout's namespace.
        name: The Rollout's name.
        uid: The Rollout's uid.
        spec: The spec in force.
        domains: The cluster's domain and the mesh's root namespace.
    """
    traffic = spec.traffic
    return Target(
        namespace=namespace,
        rollout=name,
        uid=uid,
        service=traffic.service,
        label=traffic.endpoints.label,
        services=traffic.endpoints.services or {},
        route=traffic.route,
        sticky_header=traffic.sticky.header if traffic.sticky else None,
        cookie=traffic.sticky.cookie if traffic.sticky else None,
        remove_routes=spec.on_delete is OnDelete.REMOVE_ROUTES,
        cluster_domain=domains[0],
        root_namespace=domains[1],
    )


def envoy_filter_name(namespace: str, rollout: str) -> str:
    """Return the name of the EnvoyFilter of a Rollout: no namespace has a dot, so it is its own."""
    return f"penstock-{namespace}.{rollout}"


@lru_cache(4096)
def subset_name(version: str) -> str:
    """Return the subset of a version: the version itself where Istio takes it as a name."""
    if len(version) <= 63 and _DNS_LABEL.match(version):
        return version
    digest = hashlib.sha256(version.encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", version.lower()).strip("-")[:50] or "v"
    return f"{readable}-{digest}"
