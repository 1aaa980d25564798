"""One level-triggered loop per Rollout, woken by any change that concerns it."""

import asyncio
import logging
from datetime import timedelta

from penstock.cache import Cache
from penstock.core.kinds import ROLLOUT, Key
from penstock.ports import TURN, ConflictError, InterruptedTurnError, Reports, TransientError
from penstock.reconciler import Reconciler

LOG = logging.getLogger("penstock")
SETTLE_SECONDS = 0.3
CONFLICT_SECONDS, LEAST_SECONDS, MOST_SECONDS = 0.05, 0.5, 30.0


class Loops:
    """Starts, wakes and ends the loops."""

    def __init__(self, cache: Cache, reconciler: Reconciler, reports: Reports) -> None:
        """Run turns through this reconciler, of Rollouts in this cache."""
        self._cache = cache
        self._reconciler = reconciler
        self._reports = reports
        self._changed: dict[Key, asyncio.Event] = {}
        self._urgent: dict[Key, asyncio.Event] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def wake_soon(self, key: Key) -> None:
        """Run a turn after a short while: at the start, when the other watches fill the cache."""
        asyncio.get_running_loop().call_later(SETTLE_SECONDS, self.wake, key)

    def wake(self, key: Key, *, urgent: bool = False) -> None:
        """Run a turn soon; start the loop of a Rollout that is new.

        An urgent change interrupts a turn that waits for metrics.
        """
        self._changed.setdefault(key, asyncio.Event()).set()
        if urgent:
            self._urgent.setdefault(key, asyncio.Event()).set()
        if key not in self._tasks and self._cache.get(ROLLOUT, key) is not None:
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"rollout {key}")

    def end(self, key: Key) -> None:
        """End the loop of a Rollout that is gone."""
        if task := self._tasks.pop(key, None):
            task.cancel()
        self._changed.pop(key, None)
        self._urgent.pop(key, None)
        self._reconciler.forget(key)

    async def end_all(self) -> None:
        """End every loop and wait for it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    async def _run(self, key: Key) -> None:
        failures = conflicts = 0
        while True:
            changed = self._changed.setdefault(key, asyncio.Event())
            changed.clear()
            try:
                delay = await self._turn(key)
                failures = conflicts = 0
            except InterruptedTurnError:
                delay = 0.0
            except ConflictError as error:
                LOG.debug("%s: %s", key, error)
                conflicts += 1
                delay = _backoff(conflicts, CONFLICT_SECONDS)
            except TransientError as error:
                failures += 1
                self._reports.failed(TURN)
                delay = _backoff(failures)
                LOG.warning("%s: will try again in %.1f s: %s", key, delay, error)
            except Exception:
                failures += 1
                self._reports.failed(TURN)
                delay = _backoff(failures)
                LOG.exception("%s: a turn failed; will try again in %.1f s", key, delay)
            await _sleep(changed, delay)

    async def _turn(self, key: Key) -> float | None:
        urgent = self._urgent.setdefault(key, asyncio.Event())
        urgent.clear()
        body = self._cache.get(ROLLOUT, key)
        if body is None:
            return None
        loop = asyncio.get_running_loop()
        started = loop.time()
        delay = await self._reconciler.reconcile(body, urgent)
        self._reports.timing("reconcile", loop.time() - started)
        return _seconds(delay)


def _seconds(delay: timedelta | None) -> float | None:
    return None if delay is None else delay.total_seconds()


def _backoff(failures: int, least: float = LEAST_SECONDS) -> float:
    return min(least * 2.0 ** min(failures - 1, 16), MOST_SECONDS)


async def _sleep(changed: asyncio.Event, seconds: float | None) -> None:
    """Return when something has changed, or after the given seconds."""
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return
