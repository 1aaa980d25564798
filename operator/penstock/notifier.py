"""Tells those outside the cluster, beside the turns: nothing waits for a receiver.

Each destination has a lane of its own, so that one that hangs delays only itself. What a crash
may cost is in `docs/notifications.md`.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from penstock.api.v1alpha1.notifications import NotificationRule
from penstock.api.v1alpha1.rollout import RolloutSpec
from penstock.api.v1alpha1.rollout_status import RolloutStatus
from penstock.core import destinations
from penstock.core.destinations import Destination, DestinationError
from penstock.core.kinds import SECRET, Key, Manifest, key_of
from penstock.core.messages import Message, message
from penstock.core.notifications import Place, news, notifications
from penstock.notification_metrics import NotificationMetrics
from penstock.ports import Carrier, ForbiddenError, Objects, Reports, TransientError
from penstock.ports import UndeliveredError as Undelivered

LOG = logging.getLogger("penstock")
MOST_WAITING, MOST_OF_A_NAMESPACE = 1000, 200
MOST_TRIES, PATIENCE = 8, timedelta(minutes=5)
FIRST_PAUSE = timedelta(seconds=2)
LAST_MOMENTS = timedelta(seconds=3)
SAID_AGAIN = timedelta(hours=1)
FAILED = "NotificationFailed"
PAGE = "docs/notifications.md"


@dataclass(frozen=True, slots=True)
class _Lane:
    """One destination."""

    namespace: str
    rule: NotificationRule

    @property
    def secret(self) -> str:
        return self.rule.secret_ref.name

    @property
    def name(self) -> str:
        return f"{self.rule.type} through Secret {self.secret}"


@dataclass(frozen=True, slots=True)
class _Letter:
    """One message to one destination."""

    rollout: Manifest
    message: Message
    written: datetime


@dataclass
class Notifier:
    """Implements `penstock.ports.Notices`: a queue per destination, bounded over all of them.

    Attributes:
        allowed: Hosts that may also be private, and be spoken to in plain http.
        pause: Sleeps for a time.
        chance: Returns a number from 0 to 1, for the spread of repetitions.
    """

    objects: Objects
    carrier: Carrier
    reports: Reports
    metrics: NotificationMetrics
    clock: Callable[[], datetime]
    allowed: frozenset[str] = frozenset()
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    _told: dict[Key, tuple[Place, ...]] = field(default_factory=dict)
    _lanes: dict[tuple[str, str, str], deque[_Letter]] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _said: dict[tuple[Key, str, str], datetime] = field(default_factory=dict)

    def heed(
        self, rollout: Manifest, spec: RolloutSpec, status: RolloutStatus, now: datetime
    ) -> None:
        """Tell what is new in a status that was written."""
        key = key_of(rollout)
        if not spec.notifications:
            self._told.pop(key, None)
            return
        try:
            self._heed(key, rollout, spec, status, now)
        except Exception:  # A mistake here must not cost the turn.
            LOG.exception("%s: notifications could not be made", key)

    def _heed(
        self, key: Key, rollout: Manifest, spec: RolloutSpec, status: RolloutStatus, now: datetime
    ) -> None:
        found = notifications(status, spec.version, now)
        fresh, self._told[key] = news(found, self._told.get(key), now)
        for told in fresh:
            for rule in spec.notifications:
                if told.place.occasion in rule.events:
                    letter = _Letter(_about(rollout), message(rollout, told), now)
                    self._queue(_Lane(key.namespace, rule), letter)

    def forget(self, key: Key) -> None:
        """Forget what was told of a Rollout that is gone; what waits is still sent."""
        self._told.pop(key, None)
        for said in [said for said in self._said if said[0] == key]:
            del self._said[said]

    async def stop(self) -> None:
        """Give what waits a last moment, then end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_MOMENTS.total_seconds())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _queue(self, lane: _Lane, letter: _Letter) -> None:
        sizes = [(name[0], len(letters)) for name, letters in self._lanes.items()]
        of_namespace = sum(size for namespace, size in sizes if namespace == lane.namespace)
        if sum(s for _, s in sizes) >= MOST_WAITING or of_namespace >= MOST_OF_A_NAMESPACE:
            self._drop(lane, letter, Undelivered("queueFull", "too many notifications wait"))
            return
        name = (lane.namespace, lane.secret, str(lane.rule.type))
        letters = self._lanes.setdefault(name, deque())
        letters.append(letter)
        self._count()
        if len(letters) == 1:
            task = asyncio.create_task(self._work_off(lane, name), name=f"notify {lane.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _count(self) -> None:
        self.metrics.waiting(sum(len(letters) for letters in self._lanes.values()))

    async def _work_off(self, lane: _Lane, name: tuple[str, str, str]) -> None:
        """Send the letters of a lane in their order, until there are none."""
        letters = self._lanes[name]
        try:
            while letters:
                await self._deliver(lane, letters[0])
                letters.popleft()
                self._count()
        finally:
            del self._lanes[name]

    async def _deliver(self, lane: _Lane, letter: _Letter) -> None:
        """Send a letter, again and again; drop it at last."""
        for tries in range(1, MOST_TRIES + 1):
            error = await self._try(lane, letter)
            if error is None:
                self.metrics.sent(lane.rule.type)
                return
            self.metrics.failed(lane.rule.type, error.reason)
            LOG.warning("%s: %s: %s", key_of(letter.rollout), lane.name, error)
            wait = self._wait(tries, error)
            left = letter.written + PATIENCE - self.clock()
            if error.final or tries == MOST_TRIES or wait > left:
                self._drop(lane, letter, error)
                return
            if error.reason == "secret":
                self._say(lane, letter, error)
            await self.pause(wait.total_seconds())

    def _wait(self, tries: int, error: Undelivered) -> timedelta:
        """Return the time to the next attempt: twice as long each time, spread over its half."""
        doubled: int = 2 ** (tries - 1)
        pause = FIRST_PAUSE * doubled * (1 - self.chance() / 2)
        return max(pause, error.after or timedelta(0))

    async def _try(self, lane: _Lane, letter: _Letter) -> Undelivered | None:
        """Send a letter once; return why it was not taken."""
        try:
            await self.carrier.carry(await self._destination(lane), letter.message)
        except Undelivered as error:
            return error
        except Exception as error:  # Whatever it is, the lane goes on.
            LOG.exception("%s: %s", key_of(letter.rollout), lane.name)
            return Undelivered("unknown", f"could not be sent: {type(error).__name__}")
        return None

    async def _destination(self, lane: _Lane) -> Destination:
        """Return where a lane leads now: a Secret may be mended or rotated at any time."""
        try:
            secret = await self.objects.get(SECRET, Key(lane.namespace, lane.secret))
        except ForbiddenError as error:
            text = f"the operator may not read the Secret: grant it a Role ({PAGE})"
            raise Undelivered("secret", text) from error
        except TransientError as error:
            raise Undelivered("api", "the Secret could not be read now") from error
        if secret is None:
            raise Undelivered("secret", "there is no such Secret in the namespace")
        try:
            return destinations.destination(lane.rule.type, secret, self.allowed)
        except DestinationError as error:
            raise Undelivered("secret", f"the Secret {error}") from error

    def _drop(self, lane: _Lane, letter: _Letter, error: Undelivered) -> None:
        self.metrics.dropped(error.reason)
        LOG.error("%s: given up: %s: %s", key_of(letter.rollout), lane.name, error)
        self._say(lane, letter, error)

    def _say(self, lane: _Lane, letter: _Letter, error: Undelivered) -> None:
        """Publish an event about a failure, once per cause and hour."""
        now, cause = self.clock(), (key_of(letter.rollout), lane.name, error.reason)
        if now - self._said.get(cause, now - SAID_AGAIN) >= SAID_AGAIN:
            self._said[cause] = now
            text = f"{lane.name}: {error}; not told yet: {letter.message.title}"
            self.reports.event(letter.rollout, warning=True, reason=FAILED, message=text)


def _about(rollout: Manifest) -> Manifest:
    """Return what events need of a Rollout, which is little: many may wait."""
    wanted = ("name", "namespace", "uid", "resourceVersion")
    meta = {name: rollout["metadata"][name] for name in wanted}
    return {"apiVersion": rollout["apiVersion"], "kind": rollout["kind"], "metadata": meta}
