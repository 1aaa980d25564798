"""What keeps a release from starting, and the templates that it would be judged by."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.core import exposure_problems, problems, route_problems
from penstock.core.facts import Problem
from penstock.core.kinds import METRIC_TEMPLATE, ROLLOUT, VIRTUAL_SERVICE, Key, Manifest, key_of
from penstock.core.traffic.target import Target, target_of
from penstock.ports import Objects
from penstock.world import World


@dataclass
class Obstacles:
    """Looks for mistakes that no schema can see.

    Attributes:
        catalogue: Namespace of the templates for everybody.
        connections: Names of the connections that are configured.
        heard: Namespaces of which alerts are heard; None for all.
    """

    objects: Objects
    catalogue: str
    connections: frozenset[str]
    heard: frozenset[str] | None = None

    async def problems(self, world: World, sticky: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Return what keeps a release from starting; nothing is asked while one is in flight."""
        if world.status.candidate is not None:
            return ()
        spec, target, lives = world.spec, world.target, world.objects.virtual_services
        neighbours = [
            (other, its_target)
            for other in self.objects.known(ROLLOUT)
            if _may_share(other, target) and (its_target := _target_of(other)) is not None
        ]
        others = self.objects.known(VIRTUAL_SERVICE)
        templates = await self.templates(target.namespace, spec, None)
        return (
            *route_problems.of_neighbours(world.body, target, neighbours),
            *route_problems.of_route(target, lives, others),
            *exposure_problems.of_exposure(spec, target, lives, others),
            *problems.of_metrics(spec, templates, self.connections, target),
            *problems.of_alerts(spec, target.namespace, self.heard),
            *(sticky or route_problems.of_sticky(spec.traffic.sticky, world.sticky_routes)),
        )

    async def templates(
        self, namespace: str, spec: RolloutSpec, release: Manifest | None
    ) -> Mapping[str, MetricTemplateSpec]:
        """Return the templates by metric: from the snapshot in flight, else as they are now."""
        if release is not None:
            kept = release["spec"].get("templates", {})
            return {n: MetricTemplateSpec.model_validate(t) for n, t in kept.items()}
        found: dict[str, MetricTemplateSpec] = {}
        for metric in spec.analysis.metrics:
            if metric.template is not None:
                template = await self._template(namespace, metric.template)
                found |= {metric.title: template} if template else {}
        return found

    async def _template(self, namespace: str, name: str) -> MetricTemplateSpec | None:
        """Return a template of the catalogue, which cannot be shadowed, else of the namespace."""
        for place in dict.fromkeys((self.catalogue, namespace)):
            manifest = await self.objects.get(METRIC_TEMPLATE, Key(place, name))
            if manifest is not None:
                with contextlib.suppress(ValidationError):
                    return MetricTemplateSpec.model_validate(manifest["spec"])
        return None


def _may_share(other: Manifest, target: Target) -> bool:
    """Return whether a Rollout may have the same route: quickly, since all are asked."""
    if key_of(other).namespace != target.namespace:
        return False
    route = other["spec"].get("traffic", {}).get("route", {})
    theirs = [route.get("existing") or {}, *(route.get("also") or [])]
    names = {route.get("delegate"), key_of(other).name, *(t.get("virtualService") for t in theirs)}
    return any(place.name in names for place in target.places)


def _target_of(body: Manifest) -> Target | None:
    try:
        spec = RolloutSpec.model_validate(body["spec"])
    except (ValidationError, KeyError):
        return None
    meta = body["metadata"]
    return target_of(meta["namespace"], meta["name"], meta["uid"], spec, ("", ""))
