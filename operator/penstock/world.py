"""What was gathered about one Rollout: objects as the API server has them, and facts from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import ValidationError

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core import exposure
from penstock.core.facts import Route, Seen
from penstock.core.kinds import Key, Manifest
from penstock.core.traffic import shares, virtual_service
from penstock.core.traffic.shares import Wanted
from penstock.core.traffic.target import Target
from penstock.core.variants import Variants
from penstock.watched import Sight


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator's configuration says to every Rollout."""

    propagation: timedelta = timedelta(seconds=2)
    cluster_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    catalogue: str = "penstock-system"
    gate_hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of the mesh that belong to a Rollout, and its Release in flight.

    Attributes:
        virtual_services: Those that carry the weights, by name, as far as they are there.
    """

    release: Manifest | None = None
    virtual_services: Mapping[str, Manifest] = field(default_factory=dict)
    destination_rule: Manifest | None = None
    envoy_filter: Manifest | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything that one turn knows.

    Attributes:
        body: The Rollout as the API server has it.
        rules: The spec that the release in flight runs on; else the spec.
        target: Whose traffic it moves.
        untouchable: Somebody else has the route, so nothing in the mesh may be written.
        sticky_routes: Names of our route in Envoy.
        sight: What the metrics say; None without a release in flight.
        templates: The MetricTemplates by metric name.
        variants: Matchers that tell the arms apart; None while unknown.
    """

    body: Manifest
    key: Key
    spec: RolloutSpec
    rules: RolloutSpec
    status: RolloutStatus
    target: Target
    objects: Objects
    seen: Seen = field(default_factory=Seen)
    untouchable: bool = False
    sticky_routes: tuple[str, ...] = ()
    sight: Sight | None = None
    templates: Mapping[str, MetricTemplateSpec] = field(default_factory=dict)
    variants: Variants | None = None

    @property
    def double(self) -> bool:
        """Return whether a version that is alone must stand twice in the route.

        Also while a filter that is no longer wanted has not gone yet.
        """
        return self.target.sticky_header is not None or self.objects.envoy_filter is not None

    def wanted(self, status: RolloutStatus) -> Wanted | None:
        """Return what a status calls for; None while stable is unknown."""
        exposed = exposure.exposure(status, self.rules)
        return shares.wanted(status, exposed, double=self.double, cookie=self.target.cookie)

    def route(self, status: RolloutStatus) -> Route:
        """Return the facts of the live routes against what a status calls for."""
        stable = status.stable.version if status.stable else ""
        found = self.objects.virtual_services
        return virtual_service.read_all(found, self.wanted(status), self.target, stable)


def snapshot_of(release: Manifest | None) -> RolloutSpec | None:
    """Return the spec that a release runs on; None where it cannot be read."""
    if release is None:
        return None
    try:
        return RolloutSpec.model_validate(release["spec"]["snapshot"])
    except (ValidationError, KeyError):
        return None
