"""One turn of one Rollout: gather, decide, apply; the status first, then what follows from it."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core import figures
from penstock.core.facts import Problem
from penstock.core.kinds import (
    DESTINATION_RULE,
    ENVOY_FILTER,
    VIRTUAL_SERVICE,
    Key,
    Kind,
    Manifest,
    key_of,
)
from penstock.core.rollout import invalid, news
from penstock.core.rollout.decide import Decision, decide
from penstock.effects import Effects
from penstock.gatherer import Gatherer
from penstock.ports import STATUS, ConflictError, Notices, Reports, TransientError
from penstock.releases import Releases
from penstock.watched import Haste
from penstock.world import World

LOG = logging.getLogger("penstock")
CHECKPOINT = timedelta(minutes=1)


@dataclass
class Reconciler:
    """Brings one Rollout a step closer to its spec.

    Attributes:
        interests: Which Rollouts care about an object of the mesh.
    """

    gatherer: Gatherer
    effects: Effects
    releases: Releases
    reports: Reports
    clock: Callable[[], datetime]
    notices: Notices
    interests: dict[tuple[Kind, Key], set[Key]] = field(default_factory=dict)
    _checkpoints: dict[Key, datetime] = field(default_factory=dict)

    async def reconcile(
        self, body: Manifest, urgent: asyncio.Event | None = None
    ) -> timedelta | None:
        """Gather facts, decide, and write.

        Args:
            body: The Rollout as the API server has it.
            urgent: Set when a command or a new spec comes during the turn.

        Returns:
            When to look again; None to wait for a change.

        Raises:
            InterruptedTurnError: Run the turn again, with the newest body.
            TransientError: Nothing is lost; the next turn goes on from the written status.
        """
        status = RolloutStatus.model_validate(body.get("status", {}))
        mistakes: tuple[Problem, ...] = ()
        try:
            spec = RolloutSpec.model_validate(body["spec"])
        except ValidationError as error:
            snapshot = await self.releases.stand_in(body, status)
            if snapshot is None:
                await self._refuse(body, status, error)
                return None
            spec, mistakes = snapshot, (invalid.problem(error),)
        haste = Haste(self.clock(), urgent=urgent or asyncio.Event())
        try:
            world = await self.gatherer.gather(body, spec, status, haste, mistakes)
            return await self._act(world, haste.now)
        finally:
            self.gatherer.slots.forget(key_of(body))

    async def _act(self, world: World, now: datetime) -> timedelta | None:
        self._note_lateness(world)
        self._note_interests(world)
        decision = decide(world.spec, world.status, world.seen, now)
        delay = await self._apply(world, decision, now)
        self._report(world, decision, now)
        return delay

    async def _refuse(self, body: Manifest, status: RolloutStatus, error: ValidationError) -> None:
        refused = invalid.refuse(status, body["metadata"].get("generation", 0), error, self.clock())
        if news.essence(refused) != news.essence(status):
            body = await self.effects.status(body, refused)
        await self.effects.finalizer(body, False)
        self.reports.rollout(key_of(body), figures.of_status(refused, self.clock()))

    async def _apply(self, world: World, decision: Decision, now: datetime) -> timedelta | None:
        before, after = world.status, decision.status
        if news.moves_forward(before, after):
            await self.releases.checkpoint(world, after)
        body = await self._commit(world, after, now)
        self.notices.heed(body, world.spec, after, now)
        if decision.finalizer:
            body = await self.effects.finalizer(body, True)
        more = await self.effects.mesh(world, after, now)
        await self._keep_records(world, after)
        if not decision.finalizer:
            await self.effects.finalizer(body, False)
        return _soonest(decision.requeue_after, more, _next_look(world, after, now))

    async def _commit(self, world: World, after: RolloutStatus, now: datetime) -> Manifest:
        """Write the status if it says something new, or if a checkpoint is due.

        Also before the route is written on its own: the precondition then tells an operator whose
        view of the Rollout is old that the weight it holds was left.
        """
        before = world.status
        fresh = news.essence(before) != news.essence(after)
        fresh = fresh or self.effects.moves_route(world, after, now)
        due = after.candidate is not None and self._checkpoint_due(world, now)
        if not fresh and not due:
            return world.body
        if due and not fresh:
            await self.releases.checkpoint(world, after)
        try:
            body = await self.effects.status(world.body, after)
        except ConflictError:
            raise
        except TransientError:
            self.reports.failed(STATUS)
            await self._save_users(world, after, now)
            raise
        self._checkpoints[world.key] = now
        self._tell(world, before, after)
        return body

    def _checkpoint_due(self, world: World, now: datetime) -> bool:
        return now - self._checkpoints.setdefault(world.key, now) >= CHECKPOINT

    async def _save_users(self, world: World, after: RolloutStatus, now: datetime) -> None:
        """Roll back in the mesh when the status, for whatever reason, cannot be written."""
        if not news.falls_back(world.status, after) or after.ended is None:
            return
        refusal = next((r for r in after.refused if r.release == after.ended.release), None)
        ended = (after.ended.outcome, after.ended.message)
        why = ": ".join((refusal.reason, refusal.message) if refusal else ended)
        LOG.error("%s: the status cannot be written; rolled back in the mesh first", world.key)
        await self.effects.roll_back_unrecorded(world, after, why, now)

    async def _keep_records(self, world: World, after: RolloutStatus) -> None:
        await self.releases.create(world, after)
        watched = world.status.previous
        if watched is not None and after.previous is None:
            self.gatherer.sighting.forget(world.key.namespace, watched.release)
        if await self.releases.outcome(world, after) and after.ended is not None:
            self.gatherer.sighting.forget(world.key.namespace, after.ended.release)
            self.reports.finished(after.ended.outcome, after.ended.cause)
            await self.releases.prune(world)

    def _tell(self, world: World, before: RolloutStatus, after: RolloutStatus) -> None:
        for notice in news.notices(before, after):
            level = logging.WARNING if notice.warning else logging.INFO
            LOG.log(level, "%s: %s: %s", world.key, notice.reason, notice.message)
            self.reports.event(
                world.body, warning=notice.warning, reason=notice.reason, message=notice.message
            )

    def _note_lateness(self, world: World) -> None:
        """Note the time from when a look was due to when its data could be judged."""
        if world.sight is not None and world.sight.due is not None:
            late = self.clock() - world.sight.due
            self.reports.timing("look_lateness", late.total_seconds())

    def _note_interests(self, world: World) -> None:
        target = world.target
        for kind, key in (
            *((VIRTUAL_SERVICE, Key(target.namespace, one.name)) for one in target.places),
            (DESTINATION_RULE, Key(target.namespace, target.destination_rule)),
            (ENVOY_FILTER, Key(target.root_namespace, target.envoy_filter)),
        ):
            self.interests.setdefault((kind, key), set()).add(world.key)

    def _report(self, world: World, decision: Decision, now: datetime) -> None:
        shown = figures.of_status(decision.status, now)
        if world.sight is not None and world.status.candidate is not None:
            shown += figures.of_evidence(world.rules, world.status, world.sight.opinions)
        self.reports.rollout(world.key, shown)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a Rollout that is gone."""
        self._checkpoints.pop(key, None)
        self.gatherer.forget(key)
        self.notices.forget(key)
        for keys in self.interests.values():
            keys.discard(key)
        self.reports.gone(key)

    def concerned(self, kind: Kind, manifest: Manifest) -> set[Key]:
        """Return the Rollouts that an object of the mesh concerns."""
        key = key_of(manifest)
        found = set(self.interests.get((kind, key), ()))
        if kind == VIRTUAL_SERVICE:
            for route in manifest.get("spec", {}).get("http") or []:
                delegate = route.get("delegate") or {}
                where = Key(delegate.get("namespace", key.namespace), delegate.get("name", ""))
                found |= self.interests.get((kind, where), set())
        return found


def _next_look(world: World, after: RolloutStatus, now: datetime) -> timedelta | None:
    if world.sight is None or (after.candidate is None and after.previous is None):
        return None
    return max(world.sight.next_look - now, timedelta(0))


def _soonest(*delays: timedelta | None) -> timedelta | None:
    return min((delay for delay in delays if delay is not None), default=None)
