"""Which queries a look asks, and waiting for the answers."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from penstock.core import classes, ledger, queries
from penstock.core.ledger import Guardrail
from penstock.core.means.queries import mean_query
from penstock.core.queries import Subject, Unusable
from penstock.core.rows import ROW_LABEL
from penstock.core.samples import Answer, Query, Unreadable
from penstock.memory import Memory
from penstock.ports import InterruptedTurnError, Metrics
from penstock.watched import Watched

Asked = Sequence[tuple[Guardrail, Sequence[Query]]]
"""The queries of each metric: one per proportion, else one."""


@dataclass
class Asking:
    """Asks through a port."""

    metrics: Metrics

    def lag(self, rails: Sequence[Guardrail]) -> timedelta:
        """Return how old data must be so that all metrics are complete."""
        lags = [self.metrics.lag_seconds(rail.connection) or 0.0 for rail in rails]
        return timedelta(seconds=max(lags, default=0.0))

    async def look(
        self, memory: Memory, watched: Watched, number: int, urgent: asyncio.Event
    ) -> Sequence[tuple[Guardrail, Sequence[Answer]]]:
        """Return the answers to all queries of one look; why a metric has none goes to `reasons`.

        Raises:
            InterruptedTurnError: Something more urgent has come up meanwhile.
        """
        asked = list(_asked(memory, watched, number))
        answers = iter(await self._read([query for _, some in asked for query in some], urgent))
        return [(rail, [next(answers) for _ in some]) for rail, some in asked]

    async def _read(self, asked: Sequence[Query], urgent: asyncio.Event) -> Sequence[Answer]:
        """Return the answers, unless something urgent comes first: a rollback does not wait."""
        reading = asyncio.ensure_future(self.metrics.read(asked))
        calling = asyncio.ensure_future(urgent.wait())
        await asyncio.wait({reading, calling}, return_when=asyncio.FIRST_COMPLETED)
        calling.cancel()
        if not reading.done():
            reading.cancel()
            raise InterruptedTurnError
        return reading.result()

    async def shows_stable(
        self, subject: Subject, rails: Sequence[Guardrail], now: datetime
    ) -> bool:
        """Return whether a metric has series of stable under these matchers, now."""
        asked: list[Query | Unusable] = []
        for rail in rails:
            subject_, at = subject.with_args(rail.args), now - self.lag([rail])
            for one in rail.counted:
                asked.append(
                    queries.proportion_query(one.proportion, rail.connection, subject_, at, None)
                )
            if rail.mean:
                asked.append(mean_query(rail.mean, rail.connection, subject_, at, None))
        usable = [query for query in asked if isinstance(query, Query)]
        for answer in await self.metrics.read(usable):
            rows = () if isinstance(answer, Unreadable) else answer
            if any(row.labels.get(ROW_LABEL) == "total/stable" for row in rows):
                return True
        return False


def _asked(
    memory: Memory, watched: Watched, number: int
) -> Iterator[tuple[Guardrail, Sequence[Query]]]:
    for plain in watched.rails:
        rail = ledger.known(plain, memory.ledger)
        made = _queries(memory, watched, rail, number)
        if isinstance(made, Unusable):
            memory.reasons[rail.name] = made.reason
        else:
            yield rail, made


def _queries(
    memory: Memory, watched: Watched, rail: Guardrail, number: int
) -> Sequence[Query] | Unusable:
    """Return what is asked for a look: one query per proportion, or the one of another metric."""
    subject, at = watched.subject, watched.end_of(number)
    if isinstance(subject, Unusable):
        return subject
    subject = subject.with_args(rail.args)
    if rail.counted:
        return _proportions(memory, rail, subject, at)
    query: Query | Unusable | None = None
    if rail.mean:
        last = memory.means.get(rail.name)
        query = mean_query(rail.mean, rail.connection, subject, at, last.at if last else None)
    elif rail.categories:
        query = classes.query(rail.categories, rail.connection, subject, at)
    elif rail.threshold:
        query = queries.value_query(rail.threshold.query, rail.connection, subject, at)
    return query if isinstance(query, Unusable) else [query] if query else []


def _proportions(
    memory: Memory, rail: Guardrail, subject: Subject, at: datetime
) -> Sequence[Query] | Unusable:
    made: list[Query] = []
    for counted, before in zip(rail.counted, memory.baselines_of(rail), strict=True):
        previous = before.at if before else None
        query = queries.proportion_query(counted.proportion, rail.connection, subject, at, previous)
        if isinstance(query, Unusable):
            return query
        made.append(query)
    return made
