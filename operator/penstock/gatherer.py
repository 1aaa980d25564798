"""Gathers what one turn must know: objects, pods, metrics, and what is wrong."""

from dataclasses import dataclass, replace
from datetime import datetime

from penstock import in_force
from penstock.api.v1alpha1.rollout import OnDelete, RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core import gates as core_gates
from penstock.core import pods, route_problems
from penstock.core.facts import Problem, Seen
from penstock.core.gates import Asker
from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    RELEASE,
    ROLLOUT,
    VIRTUAL_SERVICE,
    Key,
    Manifest,
    key_of,
)
from penstock.core.rollout import alarms, commands, ending, gates
from penstock.core.rollout.turn import Turn
from penstock.core.traffic import destination_rule, envoy_filter, managers
from penstock.core.traffic.target import STABLE_MARK, Target, target_of
from penstock.gates import Gates
from penstock.obstacles import Obstacles
from penstock.ports import Alarms, ForbiddenError
from penstock.ports import Objects as ObjectsPort
from penstock.sighting import Sighting
from penstock.slots import Slots
from penstock.watched import Haste
from penstock.workloads import Workloads
from penstock.world import Objects, Settings, World, snapshot_of

FINALIZER = "penstock.dev/finalizer"


@dataclass
class Gatherer:
    """Reads through the ports; writes nothing."""

    objects: ObjectsPort
    settings: Settings
    workloads: Workloads
    obstacles: Obstacles
    sighting: Sighting
    alarms: Alarms
    gates: Gates
    slots: Slots

    async def gather(
        self,
        body: Manifest,
        spec: RolloutSpec,
        status: RolloutStatus,
        haste: Haste,
        mistakes: tuple[Problem, ...] = (),
    ) -> World:
        """Return everything that one turn must know; `mistakes` are those in the spec itself.

        Raises:
            TransientError: The API server did not answer.
            InterruptedTurnError: Something more urgent has come up while metrics were asked.
        """
        now = haste.now
        key = key_of(body)
        release = await self._release(key, status)
        snapshot = snapshot_of(release) if status.candidate else None
        target = self._target(body, snapshot or spec, status, spec)
        mesh, sticky_problem = await self._mesh(target, release)
        target = self._with_subsets(target, mesh)
        relabelled = destination_rule.by_other_label(mesh.destination_rule, target)
        rest = _at_rest(spec, status, body) and not relabelled
        found = {} if rest else await self.workloads.by_version(target, now)
        if status.stable is None:
            target = replace(target, known=(*target.known, *found))
        world = World(
            body=body,
            key=key,
            spec=spec,
            rules=snapshot or spec,
            status=status,
            target=target,
            objects=mesh,
            sticky_routes=self._sticky_routes(target),
            templates=await self.obstacles.templates(key.namespace, snapshot or spec, release),
        )
        seen = replace(
            self._seen(world, snapshot, now),
            pods={version: pods.summary(one) for version, one in found.items()},
        )
        stable = status.stable.version if status.stable else seen.route.stable_mark
        wrong = (
            *mistakes,
            *route_problems.of_subsets(target, mesh.destination_rule, stable, seen.ready(stable)),
            *await self.obstacles.problems(world, sticky_problem),
        )
        seen = replace(seen, problems=wrong)
        untouchable = any(p.reason in route_problems.UNTOUCHABLE for p in wrong)
        world = replace(world, seen=seen, untouchable=untouchable)
        haste = replace(haste, pressing=_presses(world, now))
        return await self.sighting.with_sight(world, found, haste)

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
        self, body: Manifest, rules: RolloutSpec, status: RolloutStatus, spec: RolloutSpec
    ) -> Target:
        """Return whose traffic it is, by the rules in force; `onDelete` acts at once."""
        meta = body["metadata"]
        domains = (self.settings.cluster_domain, self.settings.root_namespace)
        target = target_of(meta["namespace"], meta["name"], meta["uid"], rules, domains)
        known = [spec.version, *(r.version for r in status.refused)]
        known += [proven.version for proven in status.proven]
        for one in (status.stable, status.candidate, status.previous):
            known += [one.version] if one else []
        goes = spec.on_delete is OnDelete.REMOVE_ROUTES and not target.route.theirs
        return replace(target, remove_routes=goes, known=tuple(dict.fromkeys(known)))

    async def _mesh(
        self, target: Target, release: Manifest | None
    ) -> tuple[Objects, tuple[Problem, ...]]:
        namespace = target.namespace
        found = {
            place.name: await self.objects.get(VIRTUAL_SERVICE, Key(namespace, place.name))
            for place in target.places
        }
        there = {name: live for name, live in found.items() if live is not None}
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
                wrong = (route_problems.STICKY_FORBIDDEN,)
        return Objects(release, there, rule, filter_), wrong

    def _with_subsets(self, target: Target, mesh: Objects) -> Target:
        """Return the target that also knows the versions which have a subset of ours."""
        more = destination_rule.subset_versions(mesh.destination_rule, target)
        return replace(target, known=tuple(dict.fromkeys((*target.known, *more))))

    def _sticky_routes(self, target: Target) -> tuple[str, ...]:
        if target.sticky_header is None:
            return ()
        return envoy_filter.route_names(target, self.objects.known(VIRTUAL_SERVICE))

    def _seen(self, world: World, snapshot: RolloutSpec | None, now: datetime) -> Seen:
        meta, status, target = world.body["metadata"], world.status, world.target
        route = world.route(status)
        route = replace(route, stable_mark=route.stable_mark or _stable_mark(world.objects))
        text = managers.contested_text(
            target, status.contested or route.editor, _disputed(status) or meta["name"]
        )
        return Seen(
            name=meta["name"],
            generation=meta.get("generation", 0),
            snapshot=snapshot,
            deleting=bool(meta.get("deletionTimestamp")),
            finalizer=FINALIZER in meta.get("finalizers", []),
            route=route,
            prepared=in_force.prepared(
                world.objects, status, target, now - self.settings.propagation
            ),
            commands=commands.parse(meta.get("annotations", {})),
            propagation=self.settings.propagation,
            next_release=self._next_release(world, route.rolled_back),
            alarms=tuple(self.alarms.known(meta["namespace"])),
            queued=self._queued(world),
            gate=self.gates.said(world.key, self._gate(world, snapshot)),
            contested_text=text,
        )

    def _queued(self, world: World) -> str:
        """Return why a release may not start yet; a known version never waits in the queue."""
        status, wanted = world.status, world.spec.version
        known = {one.version for one in status.proven} | {one.version for one in status.refused}
        known |= {status.stable.version} if status.stable else set()
        if status.candidate is not None or wanted in known:
            return ""
        others = self.objects.known(ROLLOUT)
        return self.slots.queue(world.key, {key_of(one) for one in others if _releases(one)})

    def _gate(self, world: World, rules: RolloutSpec | None) -> core_gates.Question | None:
        """Return what is asked of the gate that the release waits for; None for none."""
        candidate = world.status.candidate
        gate = gates.asked(world.status, rules) if rules else None
        if candidate is None or gate is None:
            return None
        asker = Asker(
            namespace=world.key.namespace,
            release=candidate.release,
            step=candidate.step,
            cluster_domain=self.settings.cluster_domain,
            allow=self.settings.gate_hosts,
        )
        return core_gates.question(gate, asker)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a Rollout that is gone."""
        self.gates.forget(key)
        self.slots.forget(key)

    def _next_release(self, world: World, mark: str) -> int:
        """Return a number that no Release of this Rollout's name has, not even an older one's.

        Nor one that a mark on the route names: it would roll back a release it is not about.
        """
        stable = world.status.stable
        serves = stable is not None and world.spec.version == stable.version
        if world.status.candidate or serves:
            return 1
        marked = Key(world.key.namespace, mark.partition(":")[0])
        names = [marked, *map(key_of, self.objects.known(RELEASE))]
        return max(_number_of(key, world.key) for key in names) + 1


def _number_of(release: Key, rollout: Key) -> int:
    """Return which release of the Rollout one of that name is; 0 for none."""
    name, _, number = release.name.rpartition("-")
    ours = (release.namespace, name) == (rollout.namespace, rollout.name)
    return int(number) if ours and number.isdecimal() else 0


def _presses(world: World, now: datetime) -> bool:
    """Return whether a command, a change of the spec or an alert is acted on before any metric."""
    candidate = world.status.candidate
    if alarms.press(world.status, Turn(world.spec, world.seen, now)):
        return True
    if candidate is None:
        return False
    left = world.spec.version != candidate.version or bool(candidate.condemned)
    marked = world.seen.route.rolled_back.startswith(f"{candidate.release}:")
    return left or marked or _has_unanswered(world.body, world.status)


def _has_unanswered(body: Manifest, status: RolloutStatus) -> bool:
    asked = commands.parse(body["metadata"].get("annotations", {}))
    answered = {(c.verb, c.id, c.target) for c in status.commands}
    return any((c.verb, c.id, c.target) not in answered for c in asked)


def _releases(rollout: Manifest) -> bool:
    return bool(rollout.get("status", {}).get("candidate"))


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


def _disputed(status: RolloutStatus) -> str:
    """Return the release that somebody else's edits stop; empty where none is tried."""
    if status.candidate is not None:
        return status.candidate.release
    contested = [r.release for r in status.refused if r.reason == ending.CONTESTED]
    return contested[-1] if contested else ""
