"""What the metrics say of a release in flight, or of thresholds after a promotion."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.arms import DESTINATION, SOURCE, Arms, subject_of
from penstock.core import ledger, phases, plan, pods
from penstock.core.facts import NO_PODS, Route
from penstock.core.kinds import Key, Manifest
from penstock.core.queries import Unusable
from penstock.core.variants import Variants
from penstock.observer import Observer
from penstock.watched import Haste, Watched, first_in_force
from penstock.world import World, snapshot_of


@dataclass
class Sighting:
    """Tells the observer what to look at, and since when."""

    observer: Observer
    arms: Arms
    propagation: timedelta
    _in_force: dict[Key, tuple[str, int, datetime]] = field(default_factory=dict)

    async def with_sight(
        self, world: World, found: Mapping[str, tuple[Manifest, ...]], haste: Haste
    ) -> World:
        """Return the world with what the metrics say; as it is where nothing is looked at.

        Raises:
            InterruptedTurnError: Something more urgent has come up while metrics were asked.
        """
        release, status = world.objects.release, world.status
        if release is None or world.seen.deleting:
            return world
        rules = snapshot_of(release)
        if rules is None:
            return world
        rails = ledger.guardrails(rules.analysis, world.templates)
        matchers = await self.arms.matchers(world, found, rails, haste.now)
        rails = _judged(rails, rules, status)
        if not rails:
            return world
        watched = self._watched(world, rules, rails, matchers, haste.now)
        stable = found.get(release["spec"]["stable"], ())
        watched = replace(watched, stable_pods=pods.names_and_addresses(stable))
        mirrored = _is_mirrored(status)
        records = phases.loaded(release.get("status", {}).get("records", {}), mirrored)
        sight = await self.observer.observe(world.key.namespace, watched, records, haste)
        sight = replace(sight, mirrored=mirrored)
        seen = replace(world.seen, analysis=sight.analysis)
        chosen = matchers if isinstance(matchers, Variants) else None
        return replace(world, seen=seen, sight=sight, variants=chosen)

    def forget(self, namespace: str, release: str) -> None:
        """Drop what is remembered of a release that has ended."""
        for key in phases.keys(release):
            self.observer.forget(namespace, key)

    def _since(self, world: World, step: int, now: datetime) -> datetime:
        """Return since when the weight of the step is in the route.

        The API server's record of our write says it, unless somebody else has since written to
        the same list and taken the record over: then it is when we first saw the weight there.
        """
        name = world.objects.release["metadata"]["name"] if world.objects.release else ""
        kept = self._in_force.get(world.key)
        known = kept[2] if kept and kept[:2] == (name, step) and step >= 0 else None
        since = world.seen.route.since or known or now
        begun = _step_since(world.status, step)
        since = max(since, begun) if begun else since
        self._in_force[world.key] = (name, step, since)
        return since

    def _watched(
        self,
        world: World,
        rules: RolloutSpec,
        rails: tuple[ledger.Guardrail, ...],
        matchers: Variants | Unusable,
        now: datetime,
    ) -> Watched:
        release, status, route = world.objects.release or {}, world.status, world.seen.route
        versions = release["spec"]["version"], release["spec"]["stable"]
        facts = [world.seen.pods.get(version, NO_PODS) for version in versions]
        propagation = self.propagation
        spec = release["spec"]
        started = datetime.fromisoformat(spec.get("looksFrom") or spec["startedAt"])
        step, mirrored = _step_in_force(status, route), _is_mirrored(status)
        return Watched(
            release=phases.key(release["metadata"]["name"], mirrored),
            started=started,
            spec=phases.rules(rules, status.steps),
            rails=rails,
            steps=status.steps,
            step=step,
            since=self._since(world, step, now) + propagation,
            first=first_in_force(status.steps, propagation),
            subject=subject_of(
                world.target, versions, matchers, DESTINATION if mirrored else SOURCE
            ),
            pods=(facts[0].ready, facts[1].ready),
            youngest=facts[0].youngest,
            versions=dict(zip(versions, facts, strict=True)),
        )


def _step_since(status: RolloutStatus, step: int) -> datetime | None:
    return status.steps[step].since if 0 <= step < len(status.steps) else None


def _step_in_force(status: RolloutStatus, route: Route) -> int:
    """Return the step whose weight the mesh has; after the last for thresholds; else -1."""
    if status.candidate is None or status.phase is Phase.PROMOTING:
        return len(status.steps)
    index = plan.traffic_step(status.steps, status.candidate.step)
    return index if route.as_wanted else -1


def _is_mirrored(status: RolloutStatus) -> bool:
    """Return whether copies are judged now; after a promotion there are none."""
    candidate = status.candidate
    if candidate is None or status.phase is Phase.PROMOTING:
        return False
    return phases.is_mirrored(status.steps, candidate.step)


def _judged(
    rails: tuple[ledger.Guardrail, ...], rules: RolloutSpec, status: RolloutStatus
) -> tuple[ledger.Guardrail, ...]:
    """Return what judges now: after a promotion only thresholds are left."""
    if status.candidate is None:
        return tuple(rail for rail in rails if rail.threshold)
    return phases.judged(rails, rules, status.steps, status.candidate.step)
