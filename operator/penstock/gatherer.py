"""Gathers what one turn must know: objects, pods, metrics, and what is wrong."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import ValidationError

from penstock.api.v1alpha1.metric_template import MetricTemplateSpec
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import Phase, RolloutStatus
from penstock.arms import Arms, subject_of
from penstock.core import ledger, plan, pods, problems
from penstock.core.facts import NO_PODS, Problem, Route, Seen
from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    METRIC_TEMPLATE,
    POD,
    RELEASE,
    ROLLOUT,
    SERVICE,
    VIRTUAL_SERVICE,
    Key,
    Manifest,
    key_of,
)
from penstock.core.queries import Unusable
from penstock.core.rollout import commands
from penstock.core.traffic import destination_rule, envoy_filter, shares, virtual_service
from penstock.core.traffic.target import STABLE_MARK, Target, target_of
from penstock.core.variants import Variants
from penstock.observer import Haste, Observer, Watched, first_in_force
from penstock.ports import ForbiddenError, Metrics
from penstock.ports import Objects as ObjectsPort
from penstock.world import Objects, Settings, World

FINALIZER = "penstock.dev/finalizer"
SELECTOR_AGE = timedelta(seconds=30)


@dataclass
class Gatherer:
    """Reads through the ports; writes nothing."""

    objects: ObjectsPort
    metrics: Metrics
    observer: Observer
    settings: Settings
    connections: frozenset[str]
    arms: Arms
    _selectors: dict[Key, tuple[datetime, Mapping[str, str]]] = field(default_factory=dict)
    _in_force: dict[Key, tuple[str, int, datetime]] = field(default_factory=dict)

    async def gather(
        self, body: Manifest, spec: RolloutSpec, status: RolloutStatus, haste: Haste
    ) -> World:
        """Return everything that one turn must know.

        Raises:
            TransientError: The API server did not answer.
            InterruptedTurnError: Something more urgent has come up while metrics were asked.
        """
        now = haste.now
        key = key_of(body)
        release = await self._release(key, status)
        snapshot = snapshot_of(release) if status.candidate else None
        target = self._target(body, snapshot or spec, status, spec.version)
        mesh, sticky_problem = await self._mesh(target, release)
        target = self._with_subsets(target, mesh)
        found = {} if _at_rest(spec, status, body) else await self._pods(target, now)
        if status.stable is None:
            target = replace(target, known=(*target.known, *found))
        world = World(
            body=body,
            key=key,
            spec=spec,
            status=status,
            target=target,
            objects=mesh,
            sticky_routes=self._sticky_routes(target),
            templates=await self._templates(key.namespace, snapshot or spec, release),
        )
        wrong = await self._problems(world, sticky_problem)
        seen = replace(
            self._seen(world, snapshot, now),
            problems=wrong,
            pods={version: pods.summary(one) for version, one in found.items()},
        )
        untouchable = any(p.reason in problems.UNTOUCHABLE for p in wrong)
        world = replace(world, seen=seen, untouchable=untouchable)
        return await self._with_sight(world, found, replace(haste, pressing=_presses(world)))

    async def _release(self, key: Key, status: RolloutStatus) -> Manifest | None:
        """Return the Release in flight, or the one whose thresholds are still watched."""
        if status.candidate is not None:
            name = status.candidate.release
        elif status.previous is not None:
            name = status.previous.release
        else:
            return None
        return await self.objects.get(RELEASE, Key(key.namespace, name)) if name else None

    def _target(
        self, body: Manifest, spec: RolloutSpec, status: RolloutStatus, version: str
    ) -> Target:
        meta = body["metadata"]
        domains = (self.settings.cluster_domain, self.settings.root_namespace)
        target = target_of(meta["namespace"], meta["name"], meta["uid"], spec, domains)
        known = [version, *(r.version for r in status.refused), *(p.version for p in status.proven)]
        for one in (status.stable, status.candidate, status.previous):
            known += [one.version] if one else []
        return replace(target, known=tuple(dict.fromkeys(known)))

    async def _mesh(
        self, target: Target, release: Manifest | None
    ) -> tuple[Objects, tuple[Problem, ...]]:
        namespace = target.namespace
        vs = await self.objects.get(VIRTUAL_SERVICE, Key(namespace, target.virtual_service))
        rule: Manifest | None = None
        filter_: Manifest | None = None
        wrong: tuple[Problem, ...] = ()
        if target.label is not None:
            rule = await self.objects.get(DESTINATION_RULE, Key(namespace, target.destination_rule))
        key = Key(target.root_namespace, target.envoy_filter)
        if target.sticky_header is None:
            filter_ = self.objects.peek(ENVOY_FILTER, key)
        else:
            try:
                filter_ = await self.objects.get(ENVOY_FILTER, key)
            except ForbiddenError:
                wrong = (problems.STICKY_FORBIDDEN,)
        return Objects(release, vs, rule, filter_), wrong

    def _with_subsets(self, target: Target, mesh: Objects) -> Target:
        """Return the target that also knows the versions which have a subset of ours."""
        more = destination_rule.subset_versions(mesh.destination_rule, target)
        return replace(target, known=tuple(dict.fromkeys((*target.known, *more))))

    async def _pods(self, target: Target, now: datetime) -> Mapping[str, tuple[Manifest, ...]]:
        """Return the pods by version."""
        if target.label is not None:
            found = await self._pods_of(Key(target.namespace, target.service), now)
            return pods.by_version(found, target.label)
        names = sorted(target.services.items())
        lists = await asyncio.gather(
            *(self._pods_of(Key(target.namespace, service), now) for _, service in names)
        )
        return {
            version: tuple(p for p in one if not p["metadata"].get("deletionTimestamp"))
            for (version, _), one in zip(names, lists, strict=True)
        }

    async def _pods_of(self, service: Key, now: datetime) -> tuple[Manifest, ...]:
        selector = await self._selector(service, now)
        if not selector:
            return ()
        return tuple(await self.objects.select(POD, service.namespace, selector))

    async def _selector(self, service: Key, now: datetime) -> Mapping[str, str]:
        """Return the selector of a Service, read anew only now and then: it hardly ever changes."""
        kept = self._selectors.get(service)
        if kept is not None and now - kept[0] < SELECTOR_AGE:
            return kept[1]
        found = await self.objects.get(SERVICE, service)
        selector: Mapping[str, str] = (found or {}).get("spec", {}).get("selector") or {}
        if selector:
            self._selectors[service] = (now, selector)
        return selector

    def _sticky_routes(self, target: Target) -> tuple[str, ...]:
        if target.sticky_header is None:
            return ()
        return envoy_filter.route_names(target, self.objects.known(VIRTUAL_SERVICE))

    async def _problems(self, world: World, sticky: tuple[Problem, ...]) -> tuple[Problem, ...]:
        """Return what keeps a release from starting; nothing is asked while one is in flight."""
        if world.status.candidate is not None:
            return ()
        spec, target, live = world.spec, world.target, world.objects.virtual_service
        neighbours = [
            (other, its_target)
            for other in self.objects.known(ROLLOUT)
            if _may_share(other, target)
            and (its_target := self._target_of_other(other)) is not None
        ]
        templates = await self._templates(target.namespace, spec, None)
        return (
            *problems.of_neighbours(world.body, target, neighbours),
            *problems.of_route(target, live, self.objects.known(VIRTUAL_SERVICE)),
            *problems.of_metrics(spec, templates, self.connections, target),
            *(sticky or problems.of_sticky(spec.traffic.sticky, world.sticky_routes)),
        )

    def _target_of_other(self, body: Manifest) -> Target | None:
        try:
            spec = RolloutSpec.model_validate(body["spec"])
        except (ValidationError, KeyError):
            return None
        meta = body["metadata"]
        return target_of(meta["namespace"], meta["name"], meta["uid"], spec, ("", ""))

    async def _templates(
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
        for place in dict.fromkeys((self.settings.catalogue, namespace)):
            manifest = await self.objects.get(METRIC_TEMPLATE, Key(place, name))
            if manifest is not None:
                with contextlib.suppress(ValidationError):
                    return MetricTemplateSpec.model_validate(manifest["spec"])
        return None

    def _seen(self, world: World, snapshot: RolloutSpec | None, now: datetime) -> Seen:
        meta, status, target = world.body["metadata"], world.status, world.target
        want = shares.wanted(status, world.double)
        stable = status.stable.version if status.stable else ""
        route = virtual_service.read(world.objects.virtual_service, want, target, stable)
        route = replace(route, stable_mark=route.stable_mark or _stable_mark(world.objects))
        text = virtual_service.contested_text(target, status.contested or route.editor)
        return Seen(
            name=meta["name"],
            generation=meta.get("generation", 0),
            snapshot=snapshot,
            deleting=bool(meta.get("deletionTimestamp")),
            finalizer=FINALIZER in meta.get("finalizers", []),
            route=route,
            prepared=self._prepared(world.objects, status, target, now),
            commands=commands.parse(meta.get("annotations", {})),
            propagation=self.settings.propagation,
            next_release=self._next_release(world),
            contested_text=text,
        )

    def _next_release(self, world: World) -> int:
        """Return a number that no Release of this Rollout's name has, not even an older one's."""
        stable = world.status.stable
        if stable is None or world.status.candidate or world.spec.version == stable.version:
            return 1
        numbers = [0]
        for release in self.objects.known(RELEASE):
            name, _, number = release["metadata"]["name"].rpartition("-")
            if key_of(release).namespace == world.key.namespace and name == world.key.name:
                numbers.append(int(number) if number.isdecimal() else 0)
        return max(numbers) + 1

    def _prepared(
        self, mesh: Objects, status: RolloutStatus, target: Target, now: datetime
    ) -> bool:
        """Return whether every proxy knows the subsets and the hash policy of the release."""
        if status.candidate is None or status.stable is None:
            return False
        wanted = {status.candidate.version, status.stable.version}
        delay = self.settings.propagation
        return subsets_in_force(mesh, target, wanted, now - delay) and filter_in_force(
            mesh, target, status.candidate.release, now - delay
        )

    async def _with_sight(
        self, world: World, found: Mapping[str, tuple[Manifest, ...]], haste: Haste
    ) -> World:
        release, status = world.objects.release, world.status
        if release is None or world.seen.deleting:
            return world
        rules = snapshot_of(release)
        if rules is None:
            return world
        rails = ledger.guardrails(rules.analysis, world.templates)
        matchers = await self.arms.matchers(world, found, rails, haste.now)
        if status.candidate is None:
            rails = tuple(rail for rail in rails if rail.threshold)
            if not rails:
                return world
        watched = self._watched(world, rules, rails, matchers, haste.now)
        records = release.get("status", {}).get("records", {})
        sight = await self.observer.observe(world.key.namespace, watched, records, haste)
        seen = replace(world.seen, analysis=sight.analysis)
        chosen = matchers if isinstance(matchers, Variants) else None
        return replace(world, seen=seen, sight=sight, variants=chosen)

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
        propagation = self.settings.propagation
        started = datetime.fromisoformat(release["spec"]["startedAt"])
        step = _step_in_force(status, route)
        return Watched(
            release=release["metadata"]["name"],
            started=started,
            spec=rules,
            rails=rails,
            steps=status.steps,
            step=step,
            since=self._since(world, step, now) + propagation,
            first=first_in_force(status.steps, propagation),
            subject=subject_of(world.target, versions, matchers),
            pods=(facts[0].ready, facts[1].ready),
            youngest=facts[0].youngest,
        )


def _may_share(other: Manifest, target: Target) -> bool:
    """Return whether a Rollout may have the same route: quickly, since all are asked."""
    if key_of(other).namespace != target.namespace:
        return False
    route = other["spec"].get("traffic", {}).get("route", {})
    existing = route.get("existing", {}).get("virtualService")
    return target.virtual_service in (route.get("delegate"), existing, key_of(other).name)


def _step_since(status: RolloutStatus, step: int) -> datetime | None:
    return status.steps[step].since if 0 <= step < len(status.steps) else None


def snapshot_of(release: Manifest | None) -> RolloutSpec | None:
    """Return the spec that a release runs on; None where it cannot be read."""
    if release is None:
        return None
    try:
        return RolloutSpec.model_validate(release["spec"]["snapshot"])
    except (ValidationError, KeyError):
        return None


def subsets_in_force(mesh: Objects, target: Target, versions: set[str], before: datetime) -> bool:
    """Return whether the subsets were written before that time; they need none with Services."""
    if target.label is None:
        return True
    there = destination_rule.subset_versions(mesh.destination_rule, target)
    written = virtual_service.written_at(mesh.destination_rule) if mesh.destination_rule else None
    return versions <= set(there) and written is not None and written <= before


def filter_in_force(mesh: Objects, target: Target, release: str, before: datetime) -> bool:
    """Return whether the hash policy of the release was written before that time."""
    if target.sticky_header is None:
        return True
    live = mesh.envoy_filter
    if live is None:
        return False
    written = virtual_service.written_at(live)
    names = [p["match"]["routeConfiguration"]["vhost"]["route"]["name"]
             for p in live["spec"].get("configPatches", [])]  # fmt: skip
    wanted = envoy_filter.manifest(target, release, names)
    return written is not None and written <= before and live["spec"] == wanted["spec"]


def _presses(world: World) -> bool:
    """Return whether a command or a change of the spec is to be acted on before any metric."""
    candidate = world.status.candidate
    if candidate is None:
        return False
    left = world.spec.version != candidate.version or bool(candidate.condemned)
    marked = world.seen.route.rolled_back.startswith(f"{candidate.release}:")
    return left or marked or _has_unanswered(world.body, world.status)


def _has_unanswered(body: Manifest, status: RolloutStatus) -> bool:
    asked = commands.parse(body["metadata"].get("annotations", {}))
    answered = {(c.verb, c.id, c.target) for c in status.commands}
    return any((c.verb, c.id, c.target) not in answered for c in asked)


def _at_rest(spec: RolloutSpec, status: RolloutStatus, body: Manifest) -> bool:
    """Return whether nothing depends on pods now."""
    if status.stable is None or status.candidate is not None or status.previous is not None:
        return False
    if _has_unanswered(body, status):
        return False
    refused = any(r.version == spec.version for r in status.refused)
    return refused or spec.version == status.stable.version


def _stable_mark(mesh: Objects) -> str:
    rule = mesh.destination_rule
    mark = rule["metadata"].get("annotations", {}).get(STABLE_MARK, "") if rule else ""
    return str(mark)


def _step_in_force(status: RolloutStatus, route: Route) -> int:
    """Return the step whose weight the mesh has; after the last for thresholds; else -1."""
    if status.candidate is None or status.phase is Phase.PROMOTING:
        return len(status.steps)
    index = plan.weight_step(status.steps, status.candidate.step)
    return index if route.as_wanted and status.traffic.weight > 0 else -1
