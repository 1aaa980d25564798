"""Questions of many releases about one instant, gathered for a moment and asked as one.

A question waits for others only where others have lately come with the same instant, or while many
are on their way already: the busier Prometheus is, the more are asked as one. Whoever stops waiting
for an answer stops nobody else's.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

from penstock.core import batch
from penstock.core.batch import Batch, Plan
from penstock.core.samples import Answer, Query, Unreadable

WINDOW_SECONDS = 0.03
MOST_ASKERS = 50
AT_ONCE = 4
"""Questions on their way at once; others gather meanwhile."""

COMPANY_SECONDS = 120.0
"""How long a question waits for others, after two have come with one instant."""

GROWTH, GROWTH_SECONDS, SMALL_SECONDS = 5, 10.0, 60.0
"""After a batch that was too much they are half as large for a while, and then grow again."""

Ask = Callable[[Query], Awaitable[Answer]]
Key = tuple[str, Hashable]
"""The instant, and what can be asked together."""


@dataclass
class _Gathering:
    """Questions that will be asked together."""

    members: list[tuple[Query, Plan, asyncio.Future[Answer]]] = field(default_factory=list)
    askers: int = 0
    due: bool = False


class Batches:
    """Asks the questions for one connection."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask through this function, which never raises."""
        self._ask, self._clock = ask, clock
        self._open: dict[Key, _Gathering] = {}
        self._due: deque[tuple[Key, _Gathering]] = deque()
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._newest: dict[Hashable, object] = {}
        self._company: dict[Hashable, float] = {}
        self._most, self._grows_at = MOST_ASKERS, 0.0

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order; it is one asker's queries."""
        joined: set[Key] = set()
        waiting: list[Awaitable[Answer]] = []
        for query in queries:
            plan = batch.plan(query.counters) if query.counters else None
            waiting.append(self._join(query, plan, joined) if plan else self._ask(query))
        for key in joined:
            self._expect(key)
        return await asyncio.gather(*waiting)

    def _join(self, query: Query, plan: Plan, joined: set[Key]) -> asyncio.Future[Answer]:
        key = (f"{query.at.timestamp():.3f}", plan.key)
        gathering = self._open.setdefault(key, _Gathering())
        gathering.askers += key not in joined
        joined.add(key)
        future = asyncio.get_running_loop().create_future()
        gathering.members.append((query, plan, future))
        return future

    def _expect(self, key: Key) -> None:
        """Ask now, or soon where others are to be expected."""
        (at, kind), now = key, self._clock()
        if self._newest.get(kind) == at:
            self._company[kind] = now + COMPANY_SECONDS
        self._newest[kind] = at
        gathering = self._open[key]
        if gathering.askers >= self._most:
            del self._open[key]
        alone = self._company.get(kind, 0.0) <= now
        if alone or gathering.askers >= self._most:
            self._close(key, gathering)
        elif gathering.askers == 1:
            loop = asyncio.get_running_loop()
            loop.call_later(WINDOW_SECONDS, self._close, key, gathering)

    def _close(self, key: Key, gathering: _Gathering) -> None:
        """Ask as soon as not too many are on their way; others may join until then."""
        if not gathering.due:
            gathering.due = True
            self._due.append((key, gathering))
            self._send()

    def _send(self) -> None:
        while self._due and len(self._on_their_way) < AT_ONCE:
            key, gathering = self._due.popleft()
            if self._open.get(key) is gathering:
                del self._open[key]
            task = asyncio.get_running_loop().create_task(self._answer(gathering))
            self._on_their_way.add(task)
            task.add_done_callback(self._arrived)

    def _arrived(self, task: "asyncio.Task[None]") -> None:
        self._on_their_way.discard(task)
        self._send()

    async def _answer(self, gathering: _Gathering) -> None:
        members = [one for one in gathering.members if not one[2].cancelled()]
        try:
            answers = await self._answers(members, gathering.askers)
            for (_, _, future), answer in zip(members, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except Exception as error:
            for _, _, future in members:
                if not future.done():
                    future.set_exception(error)

    async def _answers(
        self, members: Sequence[tuple[Query, Plan, asyncio.Future[Answer]]], askers: int
    ) -> Sequence[Answer]:
        """Return one answer per member; each is asked alone where all together are too much."""
        if len(members) < 2:
            answers = [await self._ask(query) for query, _, _ in members]
            self._grow(answers)
            return answers
        together = Batch([(query, plan) for query, plan, _ in members])
        answer = await self._ask(together.query)
        if not isinstance(answer, Unreadable):
            self._grow([answer])
            return together.parted(answer)
        if answer.too_much or answer.late:
            self._most = max(min(self._most, askers) // 2, 1)
            self._grows_at = self._clock() + SMALL_SECONDS
        if answer.too_much:
            return await asyncio.gather(*(self._ask(query) for query, _, _ in members))
        return [answer] * len(members)

    def _grow(self, answers: Sequence[Answer]) -> None:
        now = self._clock()
        small = self._most < MOST_ASKERS and now >= self._grows_at
        if small and not any(isinstance(answer, Unreadable) for answer in answers):
            self._most = min(self._most + GROWTH, MOST_ASKERS)
            self._grows_at = now + GROWTH_SECONDS
