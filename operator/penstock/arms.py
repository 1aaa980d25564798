"""How the series of stable and candidate are told apart: chosen by pods, checked by metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from penstock.core import pods, variants
from penstock.core.kinds import Key, Manifest
from penstock.core.ledger import Guardrail
from penstock.core.queries import Arm, Subject, Unusable
from penstock.core.traffic.target import Target
from penstock.core.variants import Variants
from penstock.observer import Observer
from penstock.world import World

SOURCE, DESTINATION = "source", "destination"
Found = Mapping[str, tuple[Manifest, ...]]


@dataclass
class Arms:
    """Chooses the matchers of each release before its first weight, and keeps them then."""

    observer: Observer
    _kept: dict[Key, tuple[str, Variants]] = field(default_factory=dict)

    async def matchers(
        self, world: World, found: Found, rails: Sequence[Guardrail], now: datetime
    ) -> Variants | Unusable:
        """Return the matchers of the release in flight.

        The canonical revision is taken where pods show it, unless metrics have series of stable
        by the names of the workloads only.
        """
        release = world.objects.release or {}
        name, written = release["metadata"]["name"], release.get("status", {}).get("variants")
        if written:
            return Variants(written["stable"], written["candidate"])
        kept = self._kept.get(world.key)
        if kept and kept[0] == name:
            return kept[1]
        chosen = await self._choose(world, found, rails, now)
        begun = world.status.candidate is not None and world.status.candidate.step >= 0
        if isinstance(chosen, Variants) and begun:
            self._kept[world.key] = (name, chosen)
        return chosen

    async def _choose(
        self, world: World, found: Found, rails: Sequence[Guardrail], now: datetime
    ) -> Variants | Unusable:
        spec = (world.objects.release or {})["spec"]
        stable, version = spec["stable"], spec["version"]
        ready = [pods.identities(found.get(one, ())) for one in (stable, version)]
        chosen = variants.choose_variants(ready[0], ready[1], stable, version)
        other = variants.by_workload(ready[0], ready[1], stable, version)
        if chosen == other:
            return chosen
        shown = [
            isinstance(subject, Subject) and await self.observer.shows_stable(subject, rails, now)
            for subject in (
                subject_of(world.target, (version, stable), pair) for pair in (chosen, other)
            )
        ]
        return other if shown == [False, True] else chosen


def subject_of(
    target: Target,
    versions: tuple[str, str],
    matchers: Variants | Unusable,
    reporter: str = SOURCE,
) -> Subject | Unusable:
    """Return whom the metrics of a release are about; `versions` are candidate and stable.

    Copies of requests are seen by the proxies of the pods only: `reporter` is then destination.
    """
    if isinstance(matchers, Unusable):
        return matchers
    candidate, stable = versions
    return Subject(
        namespace=target.namespace,
        rollout=target.rollout,
        service=target.service,
        reporter=reporter,
        route=target.route_pattern,
        stable=Arm(stable, target.version_host(stable), matchers.stable),
        candidate=Arm(candidate, target.version_host(candidate), matchers.candidate),
    )
