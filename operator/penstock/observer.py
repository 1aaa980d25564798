"""Looks at metrics: takes the looks that are due, and says what the counts of a release mean."""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from penstock.asking import Asking
from penstock.core import judging, ledger, outlook
from penstock.core.ledger import Guardrail
from penstock.core.queries import Subject, Unusable
from penstock.core.question import Question
from penstock.core.samples import Unreadable
from penstock.counting import count
from penstock.historian import Historian
from penstock.memory import Memory
from penstock.ports import Metrics
from penstock.watched import Haste, Sight, Watched

LOG = logging.getLogger("penstock")
MOST_LOOKS = 60
LEAST_GRACE = timedelta(seconds=5)
ETA_AGE, MOST_ETAS = timedelta(minutes=1), 200
"""A forecast is made anew after a minute, or so seldom that no more than these are made in one."""


class Observer:
    """Keeps one memory per release in flight."""

    def __init__(self, metrics: Metrics) -> None:
        """Look through this port."""
        self._asking = Asking(metrics)
        self._historian = Historian(metrics)
        self._memories: dict[tuple[str, str], Memory] = {}

    def forget(self, namespace: str, release: str) -> None:
        """Drop what is remembered of a release that has ended."""
        self._memories.pop((namespace, release), None)
        self._historian.forget(namespace, release)

    async def shows_stable(
        self, subject: Subject, rails: Sequence[Guardrail], now: datetime
    ) -> bool:
        """Return whether a metric has series of stable under these matchers, now."""
        return await self._asking.shows_stable(subject, rails, now)

    async def observe(
        self, namespace: str, watched: Watched, records: Mapping[str, str], haste: Haste
    ) -> Sight:
        """Return what the metrics say, after all looks that are due have been taken.

        Args:
            namespace: The Rollout's namespace.
            watched: What is looked at.
            records: The last checkpoint, read when nothing is remembered.
            haste: The time, and whether there is any to look at metrics.

        Raises:
            InterruptedTurnError: Something more urgent has come up while metrics were asked.
        """
        now = haste.now
        memory = self._memory(namespace, watched, records)
        lag = self._asking.lag(watched.rails)
        due = watched.number_at(now - lag)
        memory.begin_step(watched.step)
        waiting = watched.end_of(memory.done + 1) + lag
        looks = memory.has_read and waiting <= now and not haste.pressing
        if not haste.pressing:
            self._calibrate(namespace, memory, watched)
            if watched.step >= 0 and isinstance(watched.subject, Subject):
                await self._catch_up(memory, watched, due, haste.urgent)
            memory.done = max(memory.done, due)
        sight = self._sight(memory, watched, now, lag)
        return replace(sight, due=waiting) if looks else sight

    def _calibrate(self, namespace: str, memory: Memory, watched: Watched) -> None:
        """Fix what stable's history says, if it is known before the first look."""
        if memory.ledger.last_number or watched.step >= len(watched.steps):
            return
        for rail in watched.rails:
            if (known := ledger.known(rail, memory.ledger)).counted or rail.mean:
                self._historian.begin(namespace, watched, known)
        learned = self._historian.learned(namespace, watched.release)
        memory.ledger = memory.ledger.calibrated(learned)

    def _memory(self, namespace: str, watched: Watched, records: Mapping[str, str]) -> Memory:
        key = (namespace, watched.release)
        found = self._memories.get(key)
        if found is None:
            book, damaged = ledger.decode(records, watched.spec, watched.rails)
            if damaged:
                LOG.error("%s: records begin anew, they were damaged: %s", key, damaged)
            found = Memory(watched.release, book, book.last_number)
            self._memories[key] = found
        return found

    async def _catch_up(
        self, memory: Memory, watched: Watched, due: int, urgent: asyncio.Event
    ) -> None:
        """Take the looks that are due, oldest first; the first reading is only compared with.

        Where nothing answers the rest is left: the next look that is answered counts from the
        last baseline on, so nothing is lost but the finer cut.
        """
        first = math.ceil((watched.since - watched.started) / watched.interval)
        start = max(memory.done + 1, first, due - MOST_LOOKS)
        if not memory.has_read:
            start = max(min(start, memory.ledger.last_number), first, due - MOST_LOOKS)
        for number in range(start, due + 1):
            if not await self._look(memory, watched, number, urgent):
                break

    async def _look(
        self, memory: Memory, watched: Watched, number: int, urgent: asyncio.Event
    ) -> bool:
        """Take one look; return whether anything answered."""
        answered = False
        for rail, answers in await self._asking.look(memory, watched, number, urgent):
            answered |= any(not isinstance(answer, Unreadable) for answer in answers)
            count(memory, watched, rail, number, answers)
        return answered

    def _sight(self, memory: Memory, watched: Watched, now: datetime, lag: timedelta) -> Sight:
        question = Question(
            spec=watched.spec,
            rails=watched.rails,
            steps=watched.steps,
            step=min(watched.step, len(watched.steps) - 1),
            quiet=self._quiet(memory, watched, now, lag),
            at=watched.end_of(memory.done) if memory.done > 0 else None,
            pods=watched.versions,
        )
        said = judging.opinions(memory.ledger, question)
        together = judging.together(memory.ledger, question, said)
        together = replace(together, eta=self._eta(memory, watched, question, now))
        next_look = watched.end_of(max(memory.done, watched.number_at(now - lag)) + 1) + lag
        return Sight(together, said, memory.ledger, next_look)

    def _quiet(
        self, memory: Memory, watched: Watched, now: datetime, lag: timedelta
    ) -> dict[str, str]:
        """Return why there is no data, by metric, where that has lasted longer than a few looks."""
        if watched.step < 0:
            return {}
        if isinstance(watched.subject, Unusable):
            return {rail.name: watched.subject.reason for rail in watched.rails}
        grace = max(3 * watched.interval, LEAST_GRACE) + lag
        quiet = {}
        for rail in watched.rails:
            number = memory.newest.get(rail.name)
            heard = watched.since if number is None else watched.end_of(number)
            if rail.compares and now - max(heard, watched.since) > grace:
                quiet[rail.name] = memory.reasons.get(rail.name, "nothing was read yet")
        return quiet

    def _eta(
        self, memory: Memory, watched: Watched, question: Question, now: datetime
    ) -> Mapping[int, tuple[timedelta, timedelta]]:
        """Return the forecast, made anew now and then and when a step has its first data."""
        age = ETA_AGE * max(len(self._memories) / MOST_ETAS, 1.0)
        fresh = memory.eta_at is not None and now - memory.eta_at < age
        if not fresh:
            memory.eta = outlook.eta(
                memory.ledger, question, max(now - watched.since, timedelta(0))
            )
            memory.eta_at = now if memory.eta else None
        past = now - memory.eta_at if memory.eta_at else timedelta(0)
        zero = timedelta(0)
        return {
            index: (max(middle - past, zero), max(late - past, zero))
            for index, (middle, late) in memory.eta.items()
        }
