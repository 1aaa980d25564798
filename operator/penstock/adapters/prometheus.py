"""Prometheus, through prometheus-api-client in threads. Silence is an answer, never an error.

An `Unreadable` names the connection, never its address or credentials.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penstock.adapters.batches import Batches
from penstock.adapters.sessions import RefusedError, client_of, is_late, reason_of, too_many
from penstock.api.connections import Connection
from penstock.core.samples import Answer, Query, RangeQuery, Sample, Track, Tracks, Unreadable

AT_ONCE = 8
"""Questions on their way at once, per connection; Prometheus itself works on 20."""

Timing = Callable[[str, float], None]


class Prometheus:
    """Implements `penstock.ports.Metrics` for every connection of the configuration.

    Each connection has its own threads: a slow one delays no other. No answer takes longer than
    twice the connection's timeout, the wait for a thread included.
    """

    def __init__(self, connections: Mapping[str, Connection], timing: Timing) -> None:
        """Make one client per connection; nothing is asked yet.

        Args:
            connections: By the name that MetricTemplates use.
            timing: Is told, in the event loop, how long each query took, in seconds.
        """
        self._servers = {name: _Server(name, one, timing) for name, one in connections.items()}
        self._batches = {name: Batches(one.answer) for name, one in self._servers.items()}

    def lag_seconds(self, connection: str) -> float | None:
        """Return how old data must be to be complete; None for an unknown connection."""
        found = self._servers.get(connection)
        return found.connection.lag.total_seconds() if found else None

    async def read(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Return one answer per query, in order; never raises.

        Queries that read counters at one instant are asked together, also those of others.
        """
        answers: dict[int, Answer] = {}
        asked: dict[str, list[int]] = {}
        for number, query in enumerate(queries):
            server = self._allowed(query.connection, query.namespace)
            if isinstance(server, Unreadable):
                answers[number] = server
            else:
                asked.setdefault(query.connection, []).append(number)
        found = await asyncio.gather(
            *(self._batches[name].read([queries[n] for n in some]) for name, some in asked.items())
        )
        for some, said in zip(asked.values(), found, strict=True):
            answers.update(zip(some, said, strict=True))
        return [answers[number] for number in range(len(queries))]

    async def history(self, query: RangeQuery) -> Tracks:
        """Return the series of an expression over a time; never raises.

        It is asked beside the looks, once: a slow answer delays none of them.
        """
        server = self._allowed(query.connection, query.namespace)
        return server if isinstance(server, Unreadable) else await server.history(query)

    def close(self) -> None:
        """Let go of threads and sockets; what is on its way ends by itself."""
        for server in self._servers.values():
            server.close()

    def _allowed(self, connection: str, namespace: str) -> "_Server | Unreadable":
        server = self._servers.get(connection)
        if server is None:
            return Unreadable(f"connection {connection} is not configured")
        allowed = server.connection.namespaces
        if allowed is not None and namespace not in allowed:
            return Unreadable(f"connection {connection} is closed to namespace {namespace}")
        return server


class _Server:
    """One connection. The same question, asked again while it is on its way, is asked once.

    After a question without an answer, while no other had one, it is left alone for one timeout:
    whoever has many questions would else wait for each, and a rollback must not wait for them. So
    it is where it asks for that (Retry-After), for at most a minute.
    """

    def __init__(self, name: str, connection: Connection, timing: Timing) -> None:
        self.connection = connection
        self._name, self._timing = name, timing
        self._timeout = connection.timeout.total_seconds()
        self._client, self._session = client_of(connection)
        self._threads = ThreadPoolExecutor(AT_ONCE, f"prometheus-{name}")
        self._histories = ThreadPoolExecutor(1, f"prometheus-{name}-history")
        self._on_its_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._heard_at = self._left_alone_until = 0.0
        self._why_left_alone = ""

    def close(self) -> None:
        for threads in (self._threads, self._histories):
            threads.shutdown(wait=False, cancel_futures=True)
        self._session.close()

    async def answer(self, query: Query) -> Answer:
        key = query.expression, f"{query.at.timestamp():.3f}"
        task = self._on_its_way.get(key)
        if task is None:
            if time.monotonic() < self._left_alone_until:
                return Unreadable(self._why_left_alone)
            task = asyncio.create_task(self._ask(*key))
            self._on_its_way[key] = task
            task.add_done_callback(lambda _: self._on_its_way.pop(key))
        return await asyncio.shield(task)

    async def _ask(self, expression: str, at: str) -> Answer:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            async with asyncio.timeout(2 * self._timeout):
                answer = await loop.run_in_executor(self._threads, self._read, expression, at)
            self._heard_at = time.monotonic()
            return answer
        except Exception as error:  # The port promises an answer, whatever happens in a library.
            return self._unreadable(error, began)
        finally:
            self._timing("query", time.monotonic() - began)

    async def history(self, query: RangeQuery) -> Tracks:
        loop, began = asyncio.get_running_loop(), time.monotonic()
        try:
            async with asyncio.timeout(2 * self._timeout):
                return await loop.run_in_executor(self._histories, self._read_range, query)
        except Exception as error:  # The port promises an answer, whatever happens in a library.
            return Unreadable(f"connection {self._name} {reason_of(error)}")
        finally:
            self._timing("history", time.monotonic() - began)

    def _read_range(self, query: RangeQuery) -> Tracks:
        rows = self._client.custom_query_range(
            query.expression,
            start_time=query.begin,
            end_time=query.end,
            step=f"{query.step.total_seconds():g}",
            params={"limit": str(self.connection.max_series)},
        )
        if len(rows) > self.connection.max_series:
            raise too_many(self.connection.max_series)
        return _tracks(rows)

    def _read(self, expression: str, at: str) -> Answer:
        most = self.connection.max_series
        rows = self._client.custom_query(expression, params={"time": at, "limit": str(most)})
        if len(rows) > most:
            raise too_many(most)
        return _samples(rows)

    def _unreadable(self, error: Exception, began: float) -> Unreadable:
        """Return what went wrong; leave Prometheus alone where it is silent or asks for that."""
        if isinstance(error, RefusedError):
            said = Unreadable(f"connection {self._name} {error}", error.too_much, error.late)
            self._leave_alone(error.left_alone, said)
            return said
        if not is_late(error):
            return Unreadable(f"connection {self._name} {reason_of(error)}")
        text = f"connection {self._name} did not answer within {self._timeout:g} s"
        said = Unreadable(text, late=True)
        if self._heard_at < began:
            self._leave_alone(self._timeout, said)
        return said

    def _leave_alone(self, seconds: float, said: Unreadable) -> None:
        until = time.monotonic() + seconds
        if seconds and until > self._left_alone_until:
            self._left_alone_until, self._why_left_alone = until, said.reason


def _samples(rows: Any) -> tuple[Sample, ...]:  # noqa: ANN401
    try:
        return tuple(Sample(dict(row["metric"]), float(row["value"][1])) for row in rows)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RefusedError("answered with something else than a vector") from error


def _tracks(rows: Any) -> tuple[Track, ...]:  # noqa: ANN401
    try:
        return tuple(
            Track(dict(row["metric"]), {float(at): float(value) for at, value in row["values"]})
            for row in rows
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RefusedError("answered with something else than a matrix") from error
